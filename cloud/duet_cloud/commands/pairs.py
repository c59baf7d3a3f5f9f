"""`duet-cloud pairs`: list the recipes, build a pair, check a built one."""

from pathlib import Path

import click

from duet_cloud.errors import UsageError
from duet_cloud.pairs.any_two import command_of, decoder_source, reasoner_source, recipe_of
from duet_cloud.pairs.recipe import Recipe, Source, built_in_recipes, load_recipe, recipe_text
from duet_cloud.pairs.released import install_released, released_manifest, released_pairs
from duet_cloud.pairs.sources import own_calibration
from duet_contract.builder import builder_public
from duet_contract.commands import option
from duet_contract.integrity import sha256_of, verify_files
from duet_contract.keys import fingerprint
from duet_contract.manifest import MANIFEST_NAME, SIGNATURE_NAME, load_manifest
from duet_contract.pairs import DEFAULT_PAIR, find_pair, pairs_home
from duet_contract.signature import (
    enclosed_key,
    read_signature,
    signer_hint,
    verify_signature,
)

_PATH = click.Path(path_type=Path)


@click.group()
def pairs() -> None:
    """Build, check and list pairs."""


@pairs.command(short_help="Build or install a pair.")
@click.argument("recipe", required=False)
@option("--out", _PATH, "DIR", "Directory of the pair [in the cache].")
@option("--reasoner", None, "MODEL", "Directory, or OWNER/NAME on the hub.")
@option("--decoder", None, "MODEL", "GGUF file, its directory, or OWNER/NAME[/FILE] on the hub.")
@option("--save-recipe", _PATH, "FILE", "Write the recipe, with what was derived.")
@option("--calibration", _PATH, "FILE", "Thresholds to put into the pair (duet-device calibrate).")
@click.option("--if-missing", is_flag=True, help="Do nothing if the pair is built.")
def build(
    recipe: str | None,
    out: Path | None,
    reasoner: str | None,
    decoder: str | None,
    save_recipe: Path | None,
    calibration: Path | None,
    if_missing: bool,
) -> None:
    """Build the pair that RECIPE, a name or a file, describes; install a released one.

    `duet-cloud pairs list` lists the names. --reasoner and --decoder replace a recipe's models.
    Without RECIPE they make a pair of any two models: prompts come from the chat templates, limits
    from the context windows.
    """
    if recipe is None and bool(reasoner) != bool(decoder):
        raise UsageError("a pair of any two models needs both --reasoner and --decoder")
    command = None
    if recipe is None and reasoner and decoder:
        chosen = recipe_of(reasoner, decoder)
        command = command_of(chosen, reasoner, decoder)
    elif (recipe := recipe or DEFAULT_PAIR) in released_pairs():
        if reasoner or decoder or save_recipe:
            raise UsageError(
                f"{recipe} is a released pair, complete: it takes no --reasoner, --decoder or "
                "--save-recipe"
            )
        released = released_manifest(recipe)
        target = out or pairs_home() / released.id
        if not (if_missing and _is_ready(target, released.version)):
            install_released(recipe, target, click.echo, calibration)
        return
    else:
        first = reasoner_source(reasoner) if reasoner else None
        second = decoder_source(decoder) if decoder else None
        chosen = _with_models(load_recipe(recipe), first, second)
    target = out or pairs_home() / chosen.id
    calibration = calibration or own_calibration(chosen)
    if if_missing and _is_ready(target, chosen.version, command, calibration):
        return
    # transformers and torch take seconds to import; listing needs neither.
    from duet_cloud.pairs.build import build_pair

    manifest = build_pair(chosen, target, calibration=calibration, command=command)
    if save_recipe:
        try:
            save_recipe.write_text(recipe_text(chosen, manifest), "utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {save_recipe}: {error.strerror}") from error
        click.echo(f"its recipe is {save_recipe}: duet-cloud pairs build {save_recipe}")


def _is_ready(
    target: Path, version: str, command: str | None = None, calibration: Path | None = None
) -> bool:
    """Return whether `target` holds a pair of this version, built with `command` unless None.

    Args:
        target: directory of the pair.
        version: that it has to have.
        command: that built it.
        calibration: file that it has to have; None accepts any, and none.
    """
    if not target.exists():
        return False
    manifest = load_manifest(target)
    if command and manifest.made_with != command:
        return False
    held = manifest.calibration
    if calibration and (held is None or held.sha256 != sha256_of(calibration)):
        return False
    # One without a signature is built again: devices would refuse it.
    if manifest.version != version or not (target / SIGNATURE_NAME).is_file():
        return False
    click.echo(f"{manifest.reference} is ready in {target}")
    return True


def _with_models(recipe: Recipe, reasoner: Source | None, decoder: Source | None) -> Recipe:
    # Calibration and figures are of the recipe's own models.
    own: dict[str, object] = {"calibration": None, "figures": None}
    changes = own if reasoner or decoder else {}
    if reasoner:
        changes["reasoner"] = recipe.reasoner.model_copy(update={"source": reasoner})
    if decoder:
        changes["decoder"] = recipe.decoder.model_copy(update={"source": decoder})
    return recipe.model_copy(update=changes)


@pairs.command(short_help="Check a pair's files.")
@click.argument("pair", default=DEFAULT_PAIR)
def check(pair: str) -> None:
    """Check the files of PAIR, a name or a directory, against its manifest and its signature.

    Devices show the printed fingerprint when they first meet the pair.
    """
    directory = find_pair(pair)
    manifest = load_manifest(directory)
    reasoner, decoder = manifest.reasoner, manifest.decoder
    # As the service loads it: vLLM takes whatever weights are in the reasoner's directory.
    verify_files(directory, reasoner.files, whole=reasoner.path)
    verify_files(directory, manifest.device_files, gguf=(decoder.path,))
    click.echo(f"{manifest.reference} in {directory} is as its manifest says")
    signature = read_signature(directory)
    if signature is None:
        click.echo("it is not signed")
        return
    keys = [*builder_public(), *filter(None, [enclosed_key(signature)])]
    mark = signer_hint(signature)
    if mark and mark not in map(fingerprint, keys):
        # Version 0.2.0 wrote no key into a signature.
        click.echo(f"its publisher's fingerprint: {mark} (not checked: the signature has no key)")
        return
    content = (directory / MANIFEST_NAME).read_bytes()
    signer = verify_signature(content, manifest, signature, keys)
    click.echo(f"its publisher's fingerprint: {fingerprint(signer)}")


@pairs.command("list", short_help="List released pairs and recipes.")
def list_() -> None:
    """List released pairs and recipes."""
    for name in released_pairs():
        click.echo(f"{name}: {released_manifest(name).description}")
    for name in built_in_recipes():
        click.echo(f"{name}: {load_recipe(name).description}")
