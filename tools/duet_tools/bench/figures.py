"""The bench's figures, each side by side with a peer: `duet-bench figures --help`."""

from pathlib import Path

import click
from rich.console import Console

from duet_contract.commands import Integer
from duet_tools import options
from duet_tools.bench.run import GROUPS, USUAL, run_figures, steps
from duet_tools.errors import UsageProblem
from duet_tools.progress import plain, progress_bar, public_command
from duet_tools.report.figures import terminal
from duet_tools.results.figures import Figure


@click.command(epilog=f"Figures: {', '.join(GROUPS)}.\n\n{options.EXIT_CODES}")
@options.figures(USUAL)
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
    figures: str,
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
    groups = options.chosen(figures, list(GROUPS), "figure")
    if out and not out.parent.is_dir():
        raise UsageProblem(f"there is no directory {out.parent}")
    # Imported here, so that --help and errors of usage come at once.
    from duet_device.settings import default_threads
    from duet_tools.bench.bench import Bench
    from duet_tools.results.machine import new_results
    from duet_tools.subjects.workload import Workload

    workload = Workload.open(pair)
    results = new_results(workload.manifest.reference, out)
    console = Console(stderr=True)
    measured: list[Figure] = []

    def keep(figure: Figure) -> None:
        nonlocal results
        measured.append(figure)
        results = results.with_figures((figure,))
        if out:
            out.write_text(results.to_json(), "utf-8")

    interrupted = False
    with progress_bar(console) as progress:
        task = progress.add_task("starting", total=None)

        def step(what: str) -> None:
            progress.update(task, description=what)
            progress.advance(task)

        session = Bench(
            workload=workload,
            repeats=repeats,
            budget=budget,
            threads=threads or default_threads(),
            engine=engine_flags,
            service_flags=options.flags(service_flags, "--service-flags"),
            step=step,
        )
        progress.update(task, total=steps(session, groups))
        try:
            run_figures(session, groups, keep, public_command())
        except KeyboardInterrupt:
            interrupted = True
        finally:
            session.close()
    shown = terminal(results.model_copy(update={"figures": tuple(measured)}))
    console.print(plain(shown), soft_wrap=True)
    if out and measured:
        console.print(plain(f"written: {out}"), soft_wrap=True)
    if interrupted:
        raise KeyboardInterrupt
