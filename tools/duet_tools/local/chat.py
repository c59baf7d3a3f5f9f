"""Whether a later turn of a chat waits longer for its first answer token than an early one.

Every turn has the same question and the same signal, so that two turns differ in the history before
them alone. The signal's pace leaves the decoder time to evaluate each turn's prompt meanwhile.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from duet_contract.manifest import Manifest
from duet_contract.receipt import Tokens
from duet_device import Client
from duet_device.conversation import Conversation
from duet_tools.bench.answer_start import waited_ms
from duet_tools.bench.stats import compared, in_turns, summarise
from duet_tools.errors import BenchError
from duet_tools.local.asked import QUESTION
from duet_tools.results.figures import Figure, Target

EARLY, LATE = 2, 10
TARGET = Target(comparison="at most", value=1.1)
TOKENS_PER_S = 50.0
_ANSWER = 8


class TurnTook(NamedTuple):
    """What one turn took."""

    tokens: Tokens
    """Its tokens; `context`: those of earlier turns."""
    prompt_ms: float
    """Milliseconds from the question to its evaluated prompt."""
    wait_ms: float
    """Milliseconds from the last chunk of the signal to the first answer token."""


def measure(repeats: int, client: Client, manifest: Manifest) -> Iterator[Figure]:
    """Measure a conversation in each repeat; `client`: of a cloud that replays at `TOKENS_PER_S`."""
    took = in_turns(repeats, {"chat": lambda: _conversation(client, manifest)})["chat"]
    yield from figures([turns[EARLY - 1] for turns in took], [turns[LATE - 1] for turns in took])


def figures(early: Sequence[TurnTook], late: Sequence[TurnTook]) -> Iterator[Figure]:
    """Return the figures of two turns, by conversation.

    Raises:
        BenchError: their questions or signals differ in length.
    """
    sizes = {(turn.tokens.question, turn.tokens.signal) for turn in (*early, *late)}
    if len(sizes) > 1:
        raise BenchError(f"turns of a chat differ in question or signal tokens: {sorted(sizes)}")
    names = f"turn {LATE}", f"turn {EARLY}"
    details = {
        f"tokens of earlier turns, turn {turn}": summarise([t.tokens.context for t in took]).median
        for turn, took in ((EARLY, early), (LATE, late))
    }
    yield compared(
        "chat.first-token",
        f"Chat, last chunk to first answer token, {names[0]}",
        "ms",
        (names[0], [turn.wait_ms for turn in late]),
        (names[1], [turn.wait_ms for turn in early]),
        target=TARGET,
        details=details,
    )
    yield compared(
        "chat.prompt",
        f"Chat, question to evaluated prompt, {names[0]}",
        "ms",
        (names[0], [turn.prompt_ms for turn in late]),
        (names[1], [turn.prompt_ms for turn in early]),
        details=details,
    )


def _conversation(client: Client, manifest: Manifest) -> list[TurnTook]:
    talk = Conversation(manifest)
    turns = []
    for _ in range(LATE):
        question = talk.ask(QUESTION)
        result = client.ask(question, answer_tokens=_ANSWER, require_cloud=True)
        talk.add(question, result)
        prefix = result.timings.prefix or 0.0
        turns.append(TurnTook(result.receipt.tokens, prefix, waited_ms(result.receipt.ms)))
    return turns
