"""Answer from a recorded signal, as the device does, and judge the answer."""

from dataclasses import dataclass

from duet_contract.answers import is_right
from duet_contract.calibration import Calibration
from duet_contract.v1.inference_pb2 import SignalEnd
from duet_device.attempt import candidate, chance, is_doubtful, judged_attempt, wants_more
from duet_device.deadline import Deadline
from duet_device.decoder.llama import Decoder
from duet_device.decoder.prompts import build_prompts
from duet_device.exchange import Exchange
from duet_device.pairs.pair import Pair
from duet_device.policy.measures import value_of
from duet_device.policy.rounds import Candidate, best, is_settled
from duet_device.question import Question
from duet_device.settings import Settings
from duet_device.signal_stream import Signal
from duet_tools.marks.signals import SetQuestion, SignalRow

_LIMIT_S = 120.0


@dataclass(frozen=True)
class JudgedAnswer:
    """An answer, judged by the calibration."""

    right: bool
    """Whether it is right."""
    tokens: int
    """Signal tokens."""
    marked: bool
    """Whether the device marks it."""
    score: float | None
    """Value of the measure that marks; None if it cannot be measured."""
    chance: float | None
    """Probability by the calibration that it is right."""
    sure: bool
    """Whether the device asks for no more."""
    candidate: Candidate
    """As it is compared with answers from other signals."""


class Answerer:
    """Answers with a loaded decoder, by a pair's calibration."""

    def __init__(self, pair: Pair, decoder: Decoder, calibration: Calibration) -> None:
        self._manifest, self._decoder, self._calibration = pair.manifest, decoder, calibration

    def answer(self, asked: SetQuestion, row: SignalRow) -> JudgedAnswer:
        """Return the answer from a signal."""
        question = Question(asked.question).for_pair(self._manifest)
        exchange = Exchange(
            question,
            self._manifest,
            Settings(),
            self._decoder,
            Deadline(_LIMIT_S),
            self._calibration,
        )
        one = judged_attempt(exchange, self._evaluated(exchange, row))
        mark = self._calibration.mark
        return JudgedAnswer(
            right=is_right(one.value or one.text, asked.answer),
            tokens=row.tokens,
            marked=is_doubtful(exchange, one, one.evidence),
            score=value_of(mark, one.evidence) if mark else None,
            chance=chance(exchange, one.evidence),
            sure=not wants_more(exchange, one, one.evidence),
            candidate=candidate(exchange, one),
        )

    def _evaluated(self, exchange: Exchange, row: SignalRow) -> Signal:
        decoder, manifest = self._decoder, self._manifest
        prompts = build_prompts(decoder, manifest, exchange.question, manifest.defaults.budget)
        ids = decoder.encode_text(row.text)
        whole = [*prompts.prefix, *ids, *prompts.suffix]
        decoder.reserve(min(manifest.decoder.context, len(whole) + manifest.defaults.answer))
        decoder.become(whole, exchange.deadline.check)
        end = SignalEnd(
            signal_tokens=row.tokens,
            least_log_probability=row.least_log_probability,
            mean_log_probability=row.mean_log_probability,
        )
        return Signal(row.text, tuple(ids), row.tokens, row.cut, done=end)


def with_rounds(tries: list[JudgedAnswer], rounds: int) -> tuple[bool, int]:
    """Replay `--rounds` (at most `rounds` signals): ask again while in doubt, give the best answer.

    Returns:
        Whether the given answer is right, and signal tokens spent.
    """
    count = 1
    while count < min(rounds, len(tries)):
        held = [each.candidate for each in tries[:count]]
        leader = best(held)
        # A measure of several answers would be looked at again here; those of one stay as they are.
        if is_settled(held, rounds) or tries[leader].sure:
            break
        count += 1
    return _chosen(tries[:count])


def of_all(tries: list[JudgedAnswer]) -> tuple[bool, int]:
    """Give the answer with the best support of several signals, all of them asked for."""
    return _chosen(tries)


def _chosen(tries: list[JudgedAnswer]) -> tuple[bool, int]:
    given = tries[best([each.candidate for each in tries])]
    return given.right, sum(each.tokens for each in tries)
