"""The bench's figures, each side by side with a peer: `duet-bench figures --help`."""

from contextlib import closing
from pathlib import Path

import click
from rich.console import Console

from duet_contract.commands import Integer
from duet_tools import options
from duet_tools.bench.run import GROUPS, USUAL, measured, record, steps
from duet_tools.progress import progress_bar


@click.command(epilog=f"Figures: {', '.join(GROUPS)}.\n\n{options.EXIT_CODES}")
@options.figures(USUAL, list(GROUPS))
@options.repeats
@click.option(
    "--budget",
    type=Integer(8, 2048),
    default=96,
    metavar="N",
    help="Signal tokens per stream in the throughput figures.",
)
@options.threads
@options.pair(options.MEASURED_PAIR)
@options.service_flags
@options.results_file
@options.engine_flags
def figures(
    figures: tuple[str, ...],
    repeats: int,
    budget: int,
    threads: int | None,
    pair: str,
    service_flags: str,
    out: Path | None,
    engine_flags: tuple[str, ...],
) -> None:
    """Measure the split side by side with its peers.

    ENGINE_FLAGS, after --, are vLLM's and go to every engine. Ctrl-C writes the results so far.
    """
    groups = [name for name in GROUPS if name in figures]
    # Imported here, so that --help and errors of usage come at once.
    from duet_device.settings import default_threads
    from duet_tools.bench.bench import Bench
    from duet_tools.subjects.workload import Workload

    workload = Workload.open(pair)
    with progress_bar(Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=None)

        def step(what: str) -> None:
            progress.update(task, description=what)
            progress.advance(task)

        with closing(
            Bench(
                workload=workload,
                repeats=repeats,
                budget=budget,
                threads=threads or default_threads(),
                engine=engine_flags,
                service_flags=options.flags(service_flags),
                step=step,
            )
        ) as bench:
            progress.update(task, total=steps(bench, groups))
            record(measured(bench, groups), workload.manifest.reference, out)
