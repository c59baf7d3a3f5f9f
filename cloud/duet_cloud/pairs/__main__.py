"""`python -m duet_cloud.pairs`: list the recipes, build a pair, check a built one."""

import argparse
import sys
from pathlib import Path

from duet_cloud.arguments import Parser
from duet_cloud.errors import INSTALL, CloudError, Exit, UsageError
from duet_cloud.pairs.recipe import Recipe, Source, load_recipe, shipped_recipes
from duet_cloud.pairs.shipped import install_shipped, shipped_manifest, shipped_pairs
from duet_contract import console
from duet_contract.errors import ContractError
from duet_contract.integrity import verify_files
from duet_contract.manifest import SIGNATURE_NAME, load_manifest
from duet_contract.pairs import DEFAULT_PAIR, find_pair, pairs_home
from duet_contract.terminal import one_line


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return console.run("duet_cloud.pairs", lambda: _run(arguments), install=INSTALL)


def _run(arguments: list[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except CloudError as error:
        return _fail(error, error.exit_code)
    except (console.OutputClosed, console.OutputLost):
        raise
    except ContractError as error:
        return _fail(error, Exit.MODEL)
    return Exit.OK


def _fail(error: Exception, code: Exit) -> int:
    print(f"duet_cloud.pairs: {one_line(str(error))}", file=sys.stderr)
    return code


def _parser() -> Parser:
    parser = Parser(prog="python -m duet_cloud.pairs", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    build = verbs.add_parser("build", help="build a pair from its recipe, or install a shipped one")
    build.add_argument("recipe", nargs="?", default=DEFAULT_PAIR, help="shipped name, or a file")
    build.add_argument("--out", type=Path, help="the pair's own directory (default: in the cache)")
    build.add_argument("--reasoner", type=Path, metavar="DIR", help="local model, not the hub's")
    build.add_argument("--decoder", type=Path, metavar="GGUF", help="local file, not the hub's")
    build.add_argument("--if-missing", action="store_true", help="do nothing if it is built")
    build.set_defaults(run=_build)

    check = verbs.add_parser("check", help="check a built pair's files against its manifest")
    check.add_argument("pair", nargs="?", default=DEFAULT_PAIR)
    check.set_defaults(run=_check)

    verbs.add_parser("list", help="list shipped pairs and recipes").set_defaults(run=_list)
    return parser


def _build(options: argparse.Namespace) -> None:
    if options.recipe in shipped_pairs():
        if options.reasoner or options.decoder:
            raise UsageError(
                f"{options.recipe} comes with the code, whole: it takes no --reasoner or --decoder"
            )
        shipped = shipped_manifest(options.recipe)
        target = options.out or pairs_home() / shipped.id
        if not (options.if_missing and _is_ready(target, shipped.version)):
            install_shipped(options.recipe, target)
        return
    recipe = _with_local_models(load_recipe(options.recipe), options)
    target = options.out or pairs_home() / recipe.id
    if options.if_missing and _is_ready(target, recipe.version):
        return
    # transformers and torch take seconds to import; listing needs neither.
    from duet_cloud.pairs.build import build_pair

    build_pair(recipe, target)


def _is_ready(target: Path, version: str) -> bool:
    if not target.exists():
        return False
    manifest = load_manifest(target)
    # One without a signature is built again: devices would refuse it.
    if manifest.version != version or not (target / SIGNATURE_NAME).is_file():
        return False
    print(f"{manifest.reference} is ready in {target}")
    return True


def _with_local_models(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    changes: dict[str, object] = {}
    if options.reasoner:
        local = Source(local=options.reasoner)
        changes["reasoner"] = recipe.reasoner.model_copy(update={"source": local})
    if options.decoder:
        local = Source(local=options.decoder, gguf=options.decoder.name)
        changes["decoder"] = recipe.decoder.model_copy(update={"source": local})
    return recipe.model_copy(update=changes)


def _check(options: argparse.Namespace) -> None:
    directory = find_pair(options.pair)
    manifest = load_manifest(directory)
    reasoner, decoder = manifest.reasoner, manifest.decoder
    # As the service loads it: vLLM takes whatever weights are in the reasoner's directory.
    verify_files(directory, reasoner.files, whole=reasoner.path)
    verify_files(directory, decoder.files, gguf=(decoder.path,))
    print(f"{manifest.reference} in {directory} is as its manifest says")


def _list(_options: argparse.Namespace) -> None:
    for name in shipped_pairs():
        print(f"{name}: {shipped_manifest(name).description}")
    for name in shipped_recipes():
        print(f"{name}: {load_recipe(name).description}")


if __name__ == "__main__":
    sys.exit(main())
