"""`duet-bench tables`: tables of the bench's figures and report."""

from pathlib import Path

import click

from duet_contract.commands import option
from duet_contract.json_data import parse_json
from duet_report.blocks import BlockError, update_blocks
from duet_tools.errors import BenchError, UsageProblem
from duet_tools.files import read_text
from duet_tools.options import FILE
from duet_tools.report.figures import markdown
from duet_tools.report.readme import readme
from duet_tools.results.figures import Results
from duet_tools.results.report import Report

RESULTS = Path(__file__).parents[1] / "results"
# What a README's blocks are made from; a block whose file is not there is left as it is.
COMMITTED = tuple(
    RESULTS / name for name in ("split_cpu.json", "report_cpu.json", "report_kept.json")
)


def block(measured: Results | Report) -> tuple[str, str]:
    """Name and content of the block of the bench's figures, or of its report."""
    if isinstance(measured, Report):
        kept = measured.settings.connections == "kept"
        return "kept" if kept else "report", readme(measured)
    return "bench", markdown(measured)


def read_measured(path: Path) -> Results | Report:
    """Read the bench's figures or its report, whichever the file holds.

    Raises:
        UsageProblem: it is neither.
    """
    try:
        data = parse_json(read_text(path))
    except (UsageProblem, ValueError):
        data = None  # The reader of figures reports it.
    return (
        Report.read(path)
        if isinstance(data, dict) and data.keys() & {"conditions", "cells"}
        else Results.read(path)
    )


@click.command()
@click.argument("measured", type=FILE, required=False)
@option("--keep", FILE, "FILE", "Write the report to FILE without the values of each question.")
@option("--update", FILE, "FILE", "Rewrite the tables in FILE between their start and end marks.")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if FILE of --update is stale.")
def tables(measured: Path | None, keep: Path | None, update: Path | None, check: bool) -> None:
    """Print MEASURED as Markdown, or update the tables of a file.

    MEASURED is a report of duet-bench split or the results of duet-bench figures. The default is
    the package's committed results. Marks are <!-- bench:start --> and <!-- bench:end -->,
    <!-- report:start --> and <!-- report:end -->, or, for a report with kept connections,
    <!-- kept:start --> and <!-- kept:end -->.
    """
    if check and not update:
        raise UsageProblem("--check needs --update FILE")
    paths = [measured] if measured else [path for path in COMMITTED if path.exists()]
    found = [read_measured(path) for path in paths]
    if keep:
        _keep(found, keep)
    blocks = dict(map(block, found))
    if update:
        _update(update, blocks, f"{measured} " if measured else "", check=check)
    elif not keep:
        click.echo("\n".join(blocks.values()), nl=False)


def _keep(found: list[Results | Report], keep: Path) -> None:
    if len(found) != 1 or not isinstance(found[0], Report):
        raise UsageProblem("--keep is for a report: give its report.json")
    try:
        keep.write_text(found[0].without_series().to_json(), "utf-8")
    except OSError as error:
        raise UsageProblem(f"cannot write {keep}: {error.strerror}") from error


def _update(path: Path, blocks: dict[str, str], source: str, *, check: bool) -> None:
    try:
        stale = update_blocks(path, blocks, check=check)
    except OSError as error:
        raise UsageProblem(f"cannot read or write {path}: {error.strerror}") from error
    except BlockError as error:
        raise UsageProblem(str(error)) from error
    if stale and check:
        command = f"duet-bench tables {source}--update {path}"
        raise BenchError(f"{path} is stale: {command}")
