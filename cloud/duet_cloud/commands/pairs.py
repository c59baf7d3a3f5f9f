"""`duet-cloud pairs`: list the recipes, build a pair, check a built one."""

from pathlib import Path

import click

from duet_cloud.errors import UsageError
from duet_cloud.pairs.recipe import Recipe, Source, load_recipe, shipped_recipes
from duet_cloud.pairs.shipped import install_shipped, shipped_manifest, shipped_pairs
from duet_contract.integrity import verify_files
from duet_contract.manifest import SIGNATURE_NAME, load_manifest
from duet_contract.pairs import DEFAULT_PAIR, find_pair, pairs_home

_PATH = click.Path(path_type=Path)


@click.group()
def pairs() -> None:
    """Build, check and list pairs."""


@pairs.command(short_help="Build or install a pair.")
@click.argument("recipe", default=DEFAULT_PAIR)
@click.option("--out", type=_PATH, metavar="DIR", help="Directory of the pair [in the cache].")
@click.option("--reasoner", type=_PATH, metavar="DIR", help="Local model instead of the recipe's.")
@click.option("--decoder", type=_PATH, metavar="GGUF", help="Local file instead of the recipe's.")
@click.option("--if-missing", is_flag=True, help="Do nothing if the pair is built.")
def build(
    recipe: str, out: Path | None, reasoner: Path | None, decoder: Path | None, if_missing: bool
) -> None:
    """Build the pair that RECIPE, a name or a file, describes; install a released one.

    `duet-cloud pairs list` lists the names.
    """
    if recipe in shipped_pairs():
        if reasoner or decoder:
            raise UsageError(
                f"{recipe} is a released pair, complete: it takes no --reasoner or --decoder"
            )
        released = shipped_manifest(recipe)
        target = out or pairs_home() / released.id
        if not (if_missing and _is_ready(target, released.version)):
            install_shipped(recipe, target, click.echo)
        return
    chosen = _with_local_models(load_recipe(recipe), reasoner, decoder)
    target = out or pairs_home() / chosen.id
    if if_missing and _is_ready(target, chosen.version):
        return
    # transformers and torch take seconds to import; listing needs neither.
    from duet_cloud.pairs.build import build_pair

    build_pair(chosen, target)


def _is_ready(target: Path, version: str) -> bool:
    if not target.exists():
        return False
    manifest = load_manifest(target)
    # One without a signature is built again: devices would refuse it.
    if manifest.version != version or not (target / SIGNATURE_NAME).is_file():
        return False
    click.echo(f"{manifest.reference} is ready in {target}")
    return True


def _with_local_models(recipe: Recipe, reasoner: Path | None, decoder: Path | None) -> Recipe:
    changes: dict[str, object] = {}
    if reasoner:
        local = Source(local=reasoner)
        changes["reasoner"] = recipe.reasoner.model_copy(update={"source": local})
    if decoder:
        local = Source(local=decoder, gguf=decoder.name)
        changes["decoder"] = recipe.decoder.model_copy(update={"source": local})
    return recipe.model_copy(update=changes)


@pairs.command(short_help="Check a pair's files.")
@click.argument("pair", default=DEFAULT_PAIR)
def check(pair: str) -> None:
    """Check the files of PAIR, a name or a directory, against its manifest."""
    directory = find_pair(pair)
    manifest = load_manifest(directory)
    reasoner, decoder = manifest.reasoner, manifest.decoder
    # As the service loads it: vLLM takes whatever weights are in the reasoner's directory.
    verify_files(directory, reasoner.files, whole=reasoner.path)
    verify_files(directory, manifest.device_files, gguf=(decoder.path,))
    click.echo(f"{manifest.reference} in {directory} is as its manifest says")


@pairs.command("list", short_help="List released pairs and recipes.")
def list_() -> None:
    """List released pairs and recipes."""
    for name in shipped_pairs():
        click.echo(f"{name}: {shipped_manifest(name).description}")
    for name in shipped_recipes():
        click.echo(f"{name}: {load_recipe(name).description}")
