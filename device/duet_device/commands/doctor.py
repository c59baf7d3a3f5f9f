"""`duet-device doctor`: finds what keeps this device from answering."""

import dataclasses

import click

from duet_contract.terminal import one_line, printable_json
from duet_device.commands.options import ConfiguredCommand, settings_named
from duet_device.commands.output import show
from duet_device.doctor.check import CHECKS, Finding, Machine, load, run

_EXIT_CODES = """\b
Exit codes:
    0  no check found an error
    1  a check found an error, or was skipped because of one
    2  usage: bad option or name of a check
"""


@click.command(
    cls=ConfiguredCommand,
    epilog=_EXIT_CODES,
    params=settings_named("server", "pair_name", "threads"),
)
@click.argument("checks", nargs=-1, type=click.Choice(CHECKS), metavar="[CHECK]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array of results.")
def doctor(
    server: str, pair_name: str | None, threads: int | None, checks: tuple[str, ...], as_json: bool
) -> int:
    """Run every CHECK, or those named, and say how to fix what is wrong.

    The checks: library, memory, model, signature, clock, certificate, proxy, server, match,
    threads. The last one also stores the fastest number of threads.
    """
    machine = Machine(server, pair_name, threads)
    findings = []
    for finding in run(checks or CHECKS, machine, load):
        findings.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        show(printable_json([dataclasses.asdict(finding) for finding in findings]))
    return int(any(finding.status in ("error", "skipped") for finding in findings))


def _show(finding: Finding) -> None:
    mark = f"[{finding.status}]"
    show(f"{mark:9} {finding.name:11} {one_line(finding.value)}")
    if finding.fix:
        show(f"{'':9} {'fix:':>11} {finding.fix}")
