"""`duet-bench policy`: what gate and stop save, by rows that `duet-device calibrate` recorded."""

from pathlib import Path

import click
from pydantic import ValidationError

from duet_contract.commands import Number, option
from duet_device.calibration.rows import Row
from duet_device.errors import DeviceError
from duet_tools import options
from duet_tools.errors import BenchError, UsageProblem
from duet_tools.files import rows
from duet_tools.policy.savings import PolicyResults, goals, measured
from duet_tools.results.machine import commit, today

_RISKS, _FAILURE = "0.05,0.1,0.2", 0.05
_SHARE = Number(0, 1, min_open=True, max_open=True)


@click.command(epilog=options.EXIT_CODES)
@option(
    "--rows",
    (str, options.FILE),
    "NAME FILE",
    "Rows of duet-device calibrate, with answers. Repeatable.",
    to="files",
    multiple=True,
    required=True,
)
@option(
    "--alpha",
    options.Listed(_SHARE, "share", empty=True),
    "A,...",
    "Shares of wrong answers allowed among the trusted ones.",
    _RISKS,
)
@option(
    "--saving",
    options.Listed(_SHARE, "share", empty=True),
    "S,...",
    "Shares of signal tokens to save, whatever the risk.",
    "",
)
@option(
    "--delta",
    _SHARE,
    "D",
    "Probability that the guarantee does not hold.",
    _FAILURE,
)
@click.option(
    "--against-cloud",
    is_flag=True,
    help="Fit on agreement with the cloud's answer; measure against answers.",
)
@option("--out", options.NEW_FILE, None, "Results file; other sets in it stay.", required=True)
def policy(
    files: tuple[tuple[str, Path], ...],
    alpha: tuple[float, ...],
    saving: tuple[float, ...],
    delta: float,
    against_cloud: bool,
    out: Path,
) -> None:
    """Measure how many calls and signal tokens a calibrated policy saves, and what that costs.

    Each file of rows is divided into halves three times. One half fits the thresholds as
    duet-device calibrate does; the figures are of the other half.
    """
    wanted = goals(alpha, saving, delta)
    held = PolicyResults.read(out).sets if out.exists() else {}
    try:
        found = {
            name: measured(_rows(file), wanted, against_cloud=against_cloud) for name, file in files
        }
    except DeviceError as error:
        raise BenchError(str(error)) from error
    report = PolicyResults(date=today(), commit=commit(), failure=delta, sets={**held, **found})
    out.write_text(report.to_json(), "utf-8")
    click.echo(f"written: {out}")


def _rows(file: Path) -> list[Row]:
    """Return the recorded questions; of those with the same id, the last."""
    try:
        found = {row.id: row for row in map(Row.model_validate, rows(file))}
    except ValidationError as error:
        raise UsageProblem(f"{file.name} holds no rows of duet-device calibrate") from error
    if not found:
        raise UsageProblem(f"{file} holds no rows: record them with: duet-device calibrate DATA")
    if len({(row.pair, row.decoder_sha256) for row in found.values()}) > 1:
        raise UsageProblem(f"{file.name} holds rows of several pairs or decoder files")
    missing = sum(row.answer is None for row in found.values())
    if missing:
        raise UsageProblem(
            f"{file.name}: {missing} of {len(found)} rows have no answer, against which savings are "
            "measured: record them from data with answers"
        )
    return list(found.values())
