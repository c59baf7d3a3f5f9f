"""`duet-bench privacy`: captures what leaves a device, and judges it."""

import random
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from duet_contract.commands import Integer, option
from duet_contract.errors import ContractError
from duet_contract.pairs import DEFAULT_PAIR
from duet_device.errors import DeviceError
from duet_tools import options
from duet_tools.errors import UsageProblem

if TYPE_CHECKING:
    from duet_tools.privacy.questions import Twins
    from duet_tools.results.privacy import Captured, Written

MIXTURES = "random mixtures"
# One in this many questions is also asked in each of the other ways.
_OTHER_WAYS = 50


@click.command(epilog=options.EXIT_CODES)
@options.pair(DEFAULT_PAIR)
@option("--questions", Integer(2, 10**6), "N", "Number of random questions.", 10_000)
@option(
    "--data",
    options.FILE,
    "FILE",
    "JSONL file of questions that are asked as well. Repeatable.",
    multiple=True,
)
@option("--seed", options.SEED, "N", "Random seed.", 0)
@click.option(
    "--cloud/--no-cloud",
    default=True,
    help="Also search a service's log, metrics and traces.",
)
@option("--out", options.NEW_FILE, "FILE", "Results file; written after each set of questions.")
def privacy(
    pair: str, questions: int, data: tuple[Path, ...], seed: int, cloud: bool, out: Path | None
) -> int:
    """Capture what a device sends before encryption, and search it for numbers.

    Every question is asked twice, with other numbers the second time: both requests must be the
    same bytes. Exit code 1 if a number left the device.
    """
    # Imported here, so that --help comes at once.
    from duet_device.pairs.pair import open_pair
    from duet_tools.privacy.capture import OTHERS, PLAIN, Capture
    from duet_tools.privacy.questions import mixtures, with_other_numbers
    from duet_tools.privacy.written import search_service
    from duet_tools.results.machine import commit, describe_machine, today
    from duet_tools.results.privacy import PrivacyResults
    from duet_tools.results.questions import read_questions

    try:
        opened = open_pair(pair, allow_unsigned=True)
    except (ContractError, DeviceError) as error:
        raise UsageProblem(str(error)) from error
    if opened.manifest.quantities != "private":
        raise UsageProblem(f"{opened.manifest.id} sends numbers: give --pair {DEFAULT_PAIR}")
    captured: list[Captured] = []
    written: list[Written] = []
    versions = describe_machine().versions

    def results() -> PrivacyResults:
        return PrivacyResults(
            pair=opened.manifest.reference,
            date=today(),
            commit=commit(),
            versions={name: versions[name] for name in ("grpcio", "protobuf") if name in versions},
            seed=seed,
            captured=tuple(captured),
            written=tuple(written),
        )

    def save() -> None:
        if out:
            out.write_text(results().to_json(), "utf-8")

    draws = random.Random(f"mixtures/{seed}")
    sources: dict[str, list[Twins]] = {MIXTURES: list(mixtures(draws, questions // 2))}
    for path in data:
        draws = random.Random(f"{path.stem}/{seed}")
        given = read_questions(path)
        sources[path.stem] = [with_other_numbers(each.text, draws) for each in given]
    if cloud:
        written += search_service(opened, seed)
        save()
    with closing(Capture(opened)) as capture:
        for way in OTHERS:
            some = [each for twins in sources.values() for each in twins[::_OTHER_WAYS]]
            captured.append(capture.run(way, "all", some))
            click.echo(_line(captured[-1]), err=True)
            save()
        for source, twins in sources.items():
            captured.append(capture.run(PLAIN, source, twins))
            click.echo(_line(captured[-1]), err=True)
            save()
    found = results()
    for each in found.written:
        click.echo(f"{each.what}: {each.numbers_found} numbers in {each.bytes} bytes", err=True)
    return int(found.failed)


def _line(row: "Captured") -> str:
    return (
        f"{row.way}, {row.source}: {row.numbers_sent} numbers in {row.requests} requests for "
        f"{row.questions} questions; {row.twins_told_apart} of {row.twins} pairs distinguished"
    )
