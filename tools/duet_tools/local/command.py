"""`duet-bench local`: what the device's local server saves, costs and holds."""

from pathlib import Path

import click

from duet_tools import options
from duet_tools.bench.run import record

FIGURES = ("ask", "api", "chat", "redact", "memory")


@click.command(epilog=options.EXIT_CODES)
@options.figures(FIGURES)
@options.repeats
@options.threads
@options.pair(options.MEASURED_PAIR)
@options.results_file
def local(
    figures: tuple[str, ...], repeats: int, threads: int | None, pair: str, out: Path | None
) -> None:
    """Measure the device's local server: ask, API, chat, redaction, memory."""
    # Imported here, so that --help and errors of usage come at once.
    from duet_device.settings import default_threads
    from duet_tools.local.run import measure
    from duet_tools.subjects.workload import Workload

    workload = Workload.open(pair)
    measured = measure(workload, figures, repeats, threads or default_threads())
    record(measured, workload.manifest.reference, out)
