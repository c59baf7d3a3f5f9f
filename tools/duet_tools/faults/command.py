"""`duet-bench faults`: runs the fault matrix."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from duet_tools import options
from duet_tools.errors import UsageProblem

if TYPE_CHECKING:
    from duet_tools.results.faults import FaultResult

# Small enough for questions by the thousand; its device answers within milliseconds.
_PAIR = "stories-5m"


@click.command(epilog=options.EXIT_CODES)
@click.option("--rows", default="", metavar="WORD,...", help="Run rows whose name has a WORD.")
@click.option("--quick", is_flag=True, help="Run few trials of each row, without vLLM.")
@click.option("--seed", type=options.SEED, default=0, help="Random seed.")
@options.pair(_PAIR)
@click.option(
    "--out",
    type=options.FILE,
    metavar="FILE",
    help="Results file; rows in it that are not run now stay.",
)
@click.option("--list", "listed", is_flag=True, help="List the rows and exit.")
def faults(rows: str, quick: bool, seed: int, pair: str, out: Path | None, listed: bool) -> int:
    """Break links, processes, disks and peers, and count what DUET makes of it.

    Run in the repository: the scripted engine belongs to the tests. Exit code 1 if a trial did not
    hold.
    """
    # Imported here, so that --help comes at once.
    from duet_tools.faults.matrix import ROWS, run
    from duet_tools.results.faults import FaultMatrix
    from duet_tools.results.machine import describe_machine
    from duet_tools.subjects.workload import Workload

    words = [word.strip() for word in rows.split(",") if word.strip()]
    chosen = [row for row in ROWS if not words or any(word in row.name for word in words)]
    if not chosen:
        raise UsageProblem(f"no row is named {rows}: duet-bench faults --list")
    if listed:
        for row in chosen:
            click.echo(row.name)
        return 0
    workload = Workload.open(pair)
    earlier = FaultMatrix.read(out).rows if out and out.exists() else ()
    found = {row.name: row for row in earlier}
    failed = False
    for result in run(
        workload,
        chosen,
        quick=quick,
        vllm=not quick,
        seed=seed,
        say=lambda name: click.echo(name, err=True),
    ):
        found[result.name] = result
        failed |= result.held < result.trials
        click.echo(_line(result), err=True)
        matrix = FaultMatrix(
            machine=describe_machine(),
            pair=workload.manifest.reference,
            rows=tuple(found[row.name] for row in ROWS if row.name in found),
        )
        if out:
            out.write_text(matrix.to_json(), "utf-8")
    return int(failed)


def _line(result: "FaultResult") -> str:
    if result.not_run:
        return f"  not run: {result.not_run}"
    others = [f"{count} {what}" for what, count in result.otherwise.items()]
    figures = [f"{name} {value:.4g}" for name, value in result.figures.items()]
    held = f"{result.held} of {result.trials} held, {result.seconds:.0f} s"
    return "  " + "; ".join([held, *others, *figures])
