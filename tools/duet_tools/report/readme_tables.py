"""The command of `python tools/duet_tools/report_tables.py`: tables of the bench's figures and report."""

from dataclasses import dataclass
from pathlib import Path

import click

from duet_contract.json_data import parse_json
from duet_tools.errors import BenchError, UsageProblem
from duet_tools.files import read_text
from duet_tools.options import FILE, HELP
from duet_tools.report.figures import markdown
from duet_tools.report.readme import readme
from duet_tools.results.figures import Results, read_results
from duet_tools.results.report import Report, read_report

RESULTS = Path(__file__).parents[1] / "results"
# What a README's blocks are made from; a block whose file is not there is left as it is.
COMMITTED = (RESULTS / "split_cpu.json", RESULTS / "report_cpu.json")


@dataclass(frozen=True)
class Block:
    """What stands between two marks of a file. `name`: of the marks."""

    name: str
    text: str

    @property
    def marks(self) -> tuple[str, str]:
        """The marks before and behind it."""
        return f"<!-- {self.name}:start -->", f"<!-- {self.name}:end -->"

    def put_into(self, text: str) -> str:
        """`text` with this block between its marks.

        Raises:
            UsageProblem: the marks are missing or in the wrong order.
        """
        before, behind = self.marks
        head, start, rest = text.partition(before)
        _, last, tail = rest.partition(behind)
        if not start or not last:
            raise UsageProblem(f"it has no place for the table: put {before} and {behind} into it")
        return f"{head}{before}\n{self.text}{behind}{tail}"


def block(measured: Results | Report) -> Block:
    """The block of the bench's figures, or of its report."""
    if isinstance(measured, Report):
        return Block("report", readme(measured))
    return Block("bench", markdown(measured))


def read_measured(path: Path) -> Results | Report:
    """Reads the bench's figures or its report, whichever the file holds.

    Raises:
        UsageProblem: it is neither.
    """
    try:
        data = parse_json(read_text(path))
    except (UsageProblem, ValueError):
        data = None  # The reader of figures reports it.
    return read_report(path) if isinstance(data, dict) and "cells" in data else read_results(path)


@click.command(context_settings=HELP)
@click.argument("measured", type=FILE, required=False)
@click.option(
    "--keep",
    type=FILE,
    metavar="FILE",
    help="Write a report to FILE without each question's values: small enough to be committed.",
)
@click.option(
    "--update",
    type=FILE,
    metavar="FILE",
    help="Rewrite what stands between <!-- bench:start --> and <!-- bench:end -->, or between "
    "<!-- report:start --> and <!-- report:end -->, in FILE.",
)
@click.option(
    "--check", is_flag=True, help="With --update: change nothing, exit 1 if FILE is stale."
)
def tables(measured: Path | None, keep: Path | None, update: Path | None, check: bool) -> None:
    """Print MEASURED as Markdown, or put it into a file.

    MEASURED is the report or the figures of bench_split.py [those committed in tools/duet_tools/results].
    """
    if check and not update:
        raise UsageProblem("--check needs --update FILE")
    paths = [measured] if measured else [path for path in COMMITTED if path.exists()]
    found = [read_measured(path) for path in paths]
    if keep:
        _keep(found, keep)
    blocks = [block(each) for each in found]
    if update:
        _update(update, blocks, f"{measured} " if measured else "", check=check)
    elif not keep:
        click.echo("\n".join(each.text for each in blocks), nl=False)


def _keep(found: list[Results | Report], keep: Path) -> None:
    if len(found) != 1 or not isinstance(found[0], Report):
        raise UsageProblem("--keep is for a report: give its report.json")
    try:
        keep.write_text(found[0].without_series().to_json(), "utf-8")
    except OSError as error:
        raise UsageProblem(f"cannot write {keep}: {error.strerror}") from error


def _update(path: Path, blocks: list[Block], source: str, *, check: bool) -> None:
    try:
        text = wanted = path.read_text("utf-8")
        for each in blocks:
            wanted = each.put_into(wanted)
        if text == wanted:
            return
        if check:
            command = f"python tools/duet_tools/report_tables.py {source}--update {path}"
            raise BenchError(f"{path} is stale: {command}")
        path.write_text(wanted, "utf-8")
    except OSError as error:
        raise UsageProblem(f"cannot read or write {path}: {error.strerror}") from error
    except UsageProblem as error:
        raise UsageProblem(f"{path}: {error}") from error
