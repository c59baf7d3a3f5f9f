"""What a question costs through the local server: `duet-device ask`, the API, redaction.

Every repeat asks all subjects in turns, so that ratios and differences are of neighbours. Details
have processor time, which other programs on the machine hardly change.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from duet_tools.bench.stats import compared, differences, in_turns, ratios, summarise
from duet_tools.local.served import ClientProgram, DeviceCommands, LocalServer, Run
from duet_tools.results.figures import Figure, Summary, Target
from duet_tools.subjects.workload import question

QUESTION = (
    "Kate had 57 plates. Later, Kate bought 12 more plates. Later, she collected 13 plates. "
    "How many plates does Kate have in the end?"
)
SIGNAL = ("57 + 12 = 69. ", "69 + 13 = 82.")
# Each begins in another way, so that the evaluation of no prompt is used for the next.
_PEOPLE = (
    ("My colleague", "Kate Miller"), ("A neighbour", "John Baker"),
    ("Our teacher", "Anna Fisher"), ("His doctor", "Paul Mason"),
)  # fmt: skip
# Open-ended, so that the answer has the most tokens that the pair's answers have.
_LONG = question(3)
MOST_ASK_MS = Target(comparison="at most", value=80.0)
MOST_REQUEST_MS = Target(comparison="at most", value=3.0)
LEAST_SPEED = Target(comparison="at least", value=0.99)
_SOON = Target(comparison="at most", value=0.5)
REDACTION = {
    "served": ("first one of duet-device serve", _SOON),
    "served-ready": ("first one of duet-device serve --redact", _SOON),
    "cold": ("without a local server", Target(comparison="at most", value=2.0)),
}
"""How a question is redacted: in words, and what it may add."""


def personal(number: int) -> str:
    """Return a question about a person, with an address and a telephone number."""
    who, name = _PEOPLE[number % len(_PEOPLE)]
    mail = name.lower().replace(" ", ".")
    return (
        f"{who} {name} ({mail}@example.org, phone 212 555 0188) had 57 plates and bought 25 more. "
        f"How many plates does {name} have?"
    )


def ask(repeats: int, served: DeviceCommands, alone: DeviceCommands) -> Iterator[Figure]:
    """Measure `duet-device ask` with a local server (`served`), and without (`alone`)."""
    took = in_turns(
        repeats,
        {
            "warm": lambda: served.ask(QUESTION),
            "cold": lambda: alone.ask(QUESTION),
            "help": alone.help,
        },
    )
    yield from ask_figures(took["warm"], took["cold"], took["help"])


def ask_figures(warm: Sequence[Run], cold: Sequence[Run], least: Sequence[Run]) -> Iterator[Figure]:
    """Return the figures of `duet-device ask`; `least`: of `--help`."""
    answering = [run.cloud_and_decoder_ms for run in warm]
    yield compared(
        "ask.warm",
        "`duet-device ask` with a local server",
        "ms",
        ("duet-device ask", _wall(warm)),
        ("signal and decoding", answering),
        judged=differences(_wall(warm), answering),
        judged_unit="ms",
        target=MOST_ASK_MS,
        details={
            "processor time, ms": summarise(_cpu(warm)).median,
            "of it besides duet-device --help, ms": differences(_cpu(warm), _cpu(least)).median,
        },
    )
    yield compared(
        "ask.cold",
        "`duet-device ask` without a local server",
        "ms",
        ("duet-device ask", _wall(cold)),
        ("the same with a local server", _wall(warm)),
        details={"processor time, ratio": ratios(_cpu(cold), _cpu(warm)).median},
    )


def api(repeats: int, server: LocalServer, program: ClientProgram) -> Iterator[Figure]:
    """Measure OpenAI's API against a program with the same client.

    Without the cloud, whose double would share the bench's process. A request has one answer token,
    so that decoding does not hide what the API adds; a stream has as many as the pair's answers may.
    """
    # Apart, so that each question finds its own prompt evaluated.
    took = in_turns(
        repeats,
        {
            "program": lambda: program.ask(QUESTION, device_only=True, answer_tokens=1),
            "request": lambda: server.ask(QUESTION, answer_tokens=1),
        },
    )
    long = in_turns(
        repeats,
        {
            "program": lambda: program.ask(_LONG, device_only=True),
            "stream": lambda: server.ask(_LONG, stream=True),
        },
    )
    yield from api_figures(took["program"], took["request"], long["program"], long["stream"])


def api_figures(
    program: Sequence[Run], request: Sequence[Run], long: Sequence[Run], stream: Sequence[Run]
) -> Iterator[Figure]:
    """Return the figures of the API; `long`: the stream's question in a program."""
    yield compared(
        "api.request",
        "OpenAI's API, a request",
        "ms",
        ("local server", _wall(request)),
        ("the same client in a program", _wall(program)),
        judged=differences(_wall(request), _wall(program)),
        judged_unit="ms",
        target=MOST_REQUEST_MS,
        details={"processor time more, ms": differences(_cpu(request), _cpu(program)).median},
    )
    yield compared(
        "api.speed",
        "OpenAI's API, speed of a stream",
        "tokens/s",
        ("local server", [run.tokens_per_s for run in stream]),
        ("the same client in a program", [run.tokens_per_s for run in long]),
        target=LEAST_SPEED,
        details={
            "answer tokens": _tokens(stream).median,
            "answer tokens, program": _tokens(long).median,
            "processor time, ratio": ratios(_cpu(stream), _cpu(long)).median,
        },
    )


class Redacted(NamedTuple):
    """A question without and with redaction."""

    plain: Run
    """Without."""
    first: Run
    """With redaction, for the first time in the process that redacts."""
    later: Run | None = None
    """With redaction again; None where every question has a process of its own."""


def redact(
    repeats: int, start: Callable[[], DeviceCommands], alone: DeviceCommands, model: str | None
) -> Iterator[Figure]:
    """Measure what `--redact` adds until the first answer token.

    `start`: returns a device of a home that was not used yet. `alone`: has no local server. `model`:
    see `redact_figure`.
    """

    def served(*options: str) -> Redacted:
        device = start()
        with device.serving(*options):
            # What any first question costs, redacted or not.
            device.ask(personal(0))
            plain, first, later = (
                device.ask(personal(number), *redacted)
                for number, redacted in enumerate(((), ("--redact",), ("--redact",)), 1)
            )
            return Redacted(plain, first, later)

    took = in_turns(
        repeats,
        {
            "served": served,
            "served-ready": lambda: served("--redact"),
            "cold": lambda: Redacted(alone.ask(personal(0)), alone.ask(personal(0), "--redact")),
        },
    )
    for how, found in took.items():
        yield redact_figure(how, model, found)


def redact_figure(how: str, model: str | None, found: Sequence[Redacted]) -> Figure:
    """Return the figure of redaction, as `REDACTION` has it.

    `model`: spaCy model that finds names; None if their form does. `found`: of each repeat.
    """
    words, target = REDACTION[how]
    first, plain = (
        [run.first_answer_s for run in runs]
        for runs in ([each.first for each in found], [each.plain for each in found])
    )
    later = [each.later.first_answer_s for each in found if each.later]
    return compared(
        f"redact.{how}{'-model' if model else ''}",
        f"`--redact` until the first answer token, {words}, names by {model or 'their form'}",
        "s",
        ("with --redact", first),
        ("without", plain),
        judged=differences(first, plain),
        judged_unit="s",
        target=target,
        details={"later ones, s": differences(later, plain).median} if later else {},
    )


def _wall(runs: Sequence[Run]) -> list[float]:
    return [run.wall_ms for run in runs]


def _cpu(runs: Sequence[Run]) -> list[float]:
    return [run.cpu_ms for run in runs]


def _tokens(runs: Sequence[Run]) -> Summary:
    return summarise([run.receipt.tokens.answer for run in runs if run.receipt])
