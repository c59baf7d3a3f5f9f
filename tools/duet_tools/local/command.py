"""`duet-bench local`: what the device's local server saves, costs and holds."""

import sys
from pathlib import Path

import click

from duet_contract.commands import option
from duet_tools import options
from duet_tools.bench.run import record

FIGURES = ("ask", "api", "chat", "redact", "memory")


@click.command(epilog=options.EXIT_CODES)
@options.figures(FIGURES)
@options.repeats
@options.threads
@options.pair(options.MEASURED_PAIR)
@option(
    "--device-python",
    click.Path(exists=True, dir_okay=False, executable=True, path_type=Path),
    "PYTHON",
    "Python of an environment with duet-device [this one; slower if editable].",
)
@options.results_file
def local(
    figures: tuple[str, ...],
    repeats: int,
    threads: int | None,
    pair: str,
    device_python: Path | None,
    out: Path | None,
) -> None:
    """Measure the device's local server: ask, API, chat, redaction, memory."""
    # Imported here, so that --help and errors of usage come at once.
    from duet_device.settings import default_threads
    from duet_tools.local.run import measure
    from duet_tools.subjects.workload import Workload

    workload = Workload.open(pair)
    # Not resolved: a link to Python is what makes an environment of it.
    python = (device_python or Path(sys.executable)).absolute()
    measured = measure(workload, figures, repeats, threads or default_threads(), python)
    record(measured, workload.manifest.reference, out)
