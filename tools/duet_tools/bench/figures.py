"""The bench's figures, each side by side with a peer: `duet-bench figures --help`."""

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from duet_tools import options
from duet_tools.bench.run import GROUPS, USUAL, run_figures, steps
from duet_tools.errors import UsageProblem
from duet_tools.progress import plain, progress_bar, public_command
from duet_tools.report.figures import terminal
from duet_tools.results.figures import Figure, Results, read_results


@click.command(epilog=f"Figures: {', '.join(GROUPS)}.\n\n{options.EXIT_CODES}")
@click.option(
    "--figures",
    "chosen",
    default=",".join(USUAL),
    metavar="NAME,...",
    help="Figures to measure.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 100),
    default=5,
    metavar="N",
    help="Number of repeats after one warm-up.",
)
@click.option(
    "--budget",
    type=click.IntRange(8, 2048),
    default=96,
    metavar="N",
    help="Signal tokens per stream in the throughput figures.",
)
@options.threads
@options.pair(options.MEASURED_PAIR)
@options.service_flags
@click.option(
    "--out",
    type=options.FILE,
    metavar="FILE",
    help="Results file; figures in it that are not measured now stay.",
)
@options.engine_flags
def figures(
    chosen: str,
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
    groups = _groups(chosen)
    earlier = read_results(out) if out and out.exists() else None
    if out and not out.parent.is_dir():
        raise UsageProblem(f"there is no directory {out.parent}")
    # Imported here, so that --help and errors of usage come at once.
    from duet_device.settings import default_threads
    from duet_tools.bench.bench import Bench
    from duet_tools.results.machine import commit, describe_machine
    from duet_tools.subjects.workload import Workload

    workload = Workload.open(pair)
    results = Results(
        machine=describe_machine(),
        pair=workload.manifest.reference,
        commit=commit(),
        date=datetime.now(UTC).date().isoformat(),
    )
    if earlier:
        if (earlier.machine.cpu, earlier.pair) != (results.machine.cpu, results.pair):
            raise UsageProblem(f"{out} is of another machine or pair: give another --out")
        results = results.with_figures(earlier.figures)
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


def _groups(figures: str) -> list[str]:
    chosen = [name.strip() for name in figures.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in GROUPS]
    if unknown or not chosen:
        wrong = f"no figures named {', '.join(unknown)}" if unknown else "no figures chosen"
        raise UsageProblem(f"{wrong}; there are: {', '.join(GROUPS)}")
    return [name for name in GROUPS if name in chosen]
