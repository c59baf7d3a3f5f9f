"""`duet-train export`, `duet-train push` and `duet-train converter`."""

import os
from pathlib import Path

import click

from duet_contract.commands import option
from duet_training.commands.options import PATH, settings

_EPILOG = """\b
Exit codes:
    0  exported
    1  the run cannot be exported
    2  usage
    3  an exported model differs from the trained one by more than allowed
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=PATH)
@click.argument("out", type=PATH)
@settings("export")
@option("--push", None, "OWNER/NAME", "Then upload the pair, as duet-train push does.")
def export(run: Path, out: Path, overrides: tuple[str, ...], push: str | None) -> None:
    """Export RUN, the directory of a training run, as a pair in OUT."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from duet_training.errors import ParityError
    from duet_training.export.build import export as export_run
    from duet_training.export.parity import report_lines
    from duet_training.export.settings import ExportSettings
    from duet_training.settings.compose import compose_settings

    chosen = compose_settings("export", list(overrides), ExportSettings)
    if push:
        from duet_training.export.push import check_repository

        check_repository(push)
    try:
        manifest, report = export_run(run, out, chosen)
    except ParityError as error:
        raise ParityError(f"beyond parity: {error}") from error
    for line in report_lines(report):
        click.echo(line)
    click.echo(f"{manifest.reference} in {out}: decoder {chosen.decoder}")
    if push:
        _push(out, push, public=False)


@click.command()
@click.argument("pair", type=PATH)
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--public", is_flag=True, help="Make new repositories public [private].")
def push(pair: Path, repository: str, public: bool) -> None:
    """Upload the exported pair in PAIR to the Hugging Face hub.

    OWNER/NAME holds the pair, OWNER/NAME-reasoner the reasoner for transformers and vLLM, and
    OWNER/NAME-decoder the decoder for transformers, if it was exported with keep_decoder=true.
    """
    _push(pair, repository, public=public)


def _push(pair: Path, repository: str, *, public: bool) -> None:
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from duet_training.export.push import push as upload

    for name in upload(pair, repository, public=public):
        click.echo(f"pushed {name}")


@click.command()
def converter() -> None:
    """Fetch llama.cpp's GGUF converter into the cache, for hosts that are offline later."""
    from duet_training.export.converter import converter_directory

    click.echo(converter_directory(None))
