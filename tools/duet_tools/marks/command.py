"""`duet-bench marks`: right answers against wrong ones, and what a second signal gains."""

import asyncio
from collections import defaultdict
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import click
from pydantic import ValidationError

from duet_contract.commands import Integer, option
from duet_contract.pairs import DEFAULT_PAIR
from duet_device.errors import DeviceError
from duet_device.pairs.pair import load_decoder, open_pair
from duet_device.policy.calibrations import calibration_of
from duet_tools import options
from duet_tools.errors import BenchError, UsageProblem
from duet_tools.files import rows
from duet_tools.marks.answers import Answerer
from duet_tools.marks.figures import MarksReport, Tries, marks_of, of_sets, ways_of
from duet_tools.marks.signals import TEMPERATURE, SetQuestion, SignalRow, ask, missing
from duet_tools.results.machine import commit, today
from duet_tools.results.questions import have_answers, read_questions


@click.command(epilog=options.EXIT_CODES)
@option(
    "--set",
    (str, options.FILE),
    "NAME FILE",
    "Questions with answers, JSON lines. Repeatable.",
    to="sets",
    multiple=True,
    required=True,
)
@options.pair(DEFAULT_PAIR)
@option("--server", None, "HOST:PORT", "Service; not needed if SIGNALS is complete.")
@option("--signals", options.NEW_FILE, None, "Record the signals in this file.", required=True)
@option(
    "--samples",
    Integer(0, 64),
    "N",
    "Sampled signals for each of the first --further questions of a real set.",
    0,
)
@option(
    "--further",
    Integer(1),
    "N",
    "Questions of a set that further signals are asked for.",
    300,
)
@option("--streams", Integer(1, 1024), "N", "Requests at a time.", 16)
@option("--generated", None, "NAME", "Set that is generated.", multiple=True)
@option("--out", options.NEW_FILE, None, "Write the figures to this file.", required=True)
def marks(
    sets: tuple[tuple[str, Path], ...],
    pair: str,
    server: str | None,
    signals: Path,
    samples: int,
    further: int,
    streams: int,
    generated: tuple[str, ...],
    out: Path,
) -> None:
    """Measure how good a pair's marks are on whole sets, and what further signals gain.

    The service is asked for signals alone; the device's part runs here, with the pair's
    calibration. A second run asks nothing that SIGNALS has.
    """
    try:
        opened = open_pair(pair)
        calibration = calibration_of(opened)
        if calibration is None or calibration.mark is None:
            raise UsageProblem(f"{pair} has no calibration that marks: duet-device calibrate")
        asked = {name: read_set(name, file) for name, file in sets}
        real = [name for name in asked if name not in generated]
        firsts = [each for name in real for each in asked[name][:further]]
        held = [SignalRow.model_validate(row) for row in rows(signals)]
        found = [*held, *_ask(asked, held, signals, server, firsts, samples, streams, pair)]
        by_question: dict[tuple[str, str], dict[int, SignalRow]] = defaultdict(dict)
        for row in found:
            by_question[row.set, row.id][row.number] = row
        tries: dict[str, list[Tries]] = {}
        with closing(load_decoder(opened)) as decoder:
            answerer = Answerer(opened, decoder, calibration)
            for name, questions in asked.items():
                tries[name] = [
                    [
                        answerer.answer(each, row)
                        for _, row in sorted(by_question[name, each.id].items())
                    ]
                    for each in questions
                ]
    except DeviceError as error:
        raise BenchError(str(error)) from error
    except ValidationError as error:
        raise UsageProblem(f"{signals.name} holds no signals: give another --signals") from error
    measured = of_sets(tries, real, lambda each: marks_of([one[0] for one in each]))
    sampled = {name: [one for one in each if len(one) > samples] for name, each in tries.items()}
    more = of_sets({k: v for k, v in sampled.items() if v}, real, ways_of) if samples else {}
    report = MarksReport(
        date=today(),
        commit=commit(),
        pair=opened.manifest.reference,
        calibration_sha256=sha256(calibration.to_json().encode()).hexdigest(),
        fitted_on=calibration.data,
        temperature=TEMPERATURE,
        marks=measured,
        further=more,
    )
    out.write_text(report.to_json(), "utf-8")
    click.echo(f"written: {out}")


def read_set(name: str, file: Path) -> list[SetQuestion]:
    """Return the questions of a set; each needs an answer."""
    questions = read_questions(file)
    if not have_answers(questions):
        raise UsageProblem(f"{file.name}: not every question has an answer")
    return [SetQuestion(name, each.id, each.text, each.answer or "") for each in questions]


def _ask(
    asked: dict[str, list[SetQuestion]],
    held: list[SignalRow],
    signals: Path,
    server: str | None,
    firsts: list[SetQuestion],
    samples: int,
    streams: int,
    pair: str,
) -> list[SignalRow]:
    """Ask for what is not held: greedy signals, and samples for `firsts`; append it to the file."""
    every = [each for questions in asked.values() for each in questions]
    wanted = missing(every, 0, held)
    wanted += [each for each in missing(firsts, samples, held) if each[1]]
    if not wanted:
        return []
    if server is None:
        raise UsageProblem(f"{len(wanted)} signals are not in {signals}: give --server")
    manifest = open_pair(pair).manifest

    async def run() -> list[SignalRow]:
        found = []
        with signals.open("a", encoding="utf-8") as file:
            async for row in ask(wanted, manifest, server, streams):
                file.write(row.model_dump_json() + "\n")
                file.flush()
                found.append(row)
        return found

    return asyncio.run(run())
