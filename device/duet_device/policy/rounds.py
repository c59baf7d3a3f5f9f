"""Ask for more where an answer is doubtful: what to ask next, and which answer to give."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from duet_contract.manifest import Manifest
from duet_contract.v1.inference_pb2 import (
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
)
from duet_device.policy.measures import Evidence
from duet_device.signal_stream import Signal

# Of another try where the first was greedy, so that it is another one.
_TEMPERATURE = 0.7
# Odd, as of splitmix64: no two rounds get one seed.
_SEED_STEP = 0xD1342543DE82EF95
_SEEDS = 2**63


@dataclass(frozen=True)
class Candidate:
    """An answer of one round."""

    evidence: Evidence
    """Its own trace and checks; `values` is its value alone."""
    support: float | None
    """The measure that decides between answers that agree with equally many; None if unknown."""
    doubts: int = 0
    """Own checks that speak against it."""
    weight: float = 1.0
    """How much its value counts: the probability that it is right, where a judge says it."""

    @property
    def value(self) -> str | None:
        """Final value of the answer."""
        return self.evidence.values[0] if self.evidence.values else None


def compared(candidates: Sequence[Candidate], index: int) -> Evidence:
    """Return the evidence of an answer, the values of the others included."""
    own = candidates[index]
    others = tuple(each.value for number, each in enumerate(candidates) if number != index)
    return replace(own.evidence, values=(own.value, *others))


def best(candidates: Sequence[Candidate]) -> int:
    """Return the index of the answer with the best support.

    The value that most rounds agree on wins, each by its weight, then the answer with fewer doubts,
    then the measure, then the later one, which may have the longer signal.

    Examples:
        >>> nine, eight = Evidence(values=("9",)), Evidence(values=("8",))
        >>> best([Candidate(eight, 0.9), Candidate(nine, 0.5), Candidate(nine, 0.6)])
        2
        >>> best([Candidate(eight, 0.9), Candidate(nine, 0.5)])
        0
        >>> best([Candidate(eight, 2.0, 0, 0.9), Candidate(nine, -2.0, 0, 0.1), Candidate(nine, -1.0, 0, 0.2)])
        0
    """

    def support(index: int) -> tuple[float, int, float, int]:
        measure = candidates[index].support
        return (
            _weight(candidates, candidates[index].value),
            -candidates[index].doubts,
            float("-inf") if measure is None else measure,
            index,
        )

    return max(range(len(candidates)), key=support)


def is_settled(candidates: Sequence[Candidate], rounds: int) -> bool:
    """Return whether no further round can change which value most rounds agree on.

    Examples:
        >>> nine = Candidate(Evidence(values=("9",)), None)
        >>> is_settled([nine], 3), is_settled([nine, nine], 3)
        (False, True)
    """
    value = candidates[best(candidates)].value
    others = {each.value for each in candidates} - {value}
    rival = max((_weight(candidates, each) for each in others), default=0.0)
    # No further answer weighs more than 1.
    left = max(0, rounds - len(candidates))
    return value is not None and _weight(candidates, value) > rival + left


def _weight(candidates: Sequence[Candidate], value: str | None) -> float:
    """Return how much all answers with a value weigh together; one without a value weighs nothing."""
    return 0.0 if value is None else sum(each.weight for each in candidates if each.value == value)


def goes_on(signal: Signal, manifest: Manifest) -> bool:
    """Return whether the reasoner can continue a signal; if not, it can try again."""
    return (
        not signal.whole
        and signal.chunk is not None
        and signal.missing is None
        and signal.tokens < manifest.limits.budget
    )


def following(
    first: ReasonRequest, signal: Signal, manifest: Manifest, budget: int, number: int
) -> ReasonRequest:
    """Return the request of a further round.

    The reasoner continues the signal where the budget or the device ended it, for up to another
    budget. Where it ended by itself, the reasoner tries again, with another seed.

    Args:
        first: the question's first request.
        signal: of the round before.
        manifest: the pair's.
        budget: most new tokens.
        number: of the round, from 1.
    """
    again = ReasonRequest()
    again.CopyFrom(first)
    again.request_id = uuid.uuid4().hex
    if first.HasField("seed"):
        again.seed = (first.seed + number * _SEED_STEP) % _SEEDS
    if goes_on(signal, manifest):
        assert signal.chunk is not None
        is_text = signal.chunk.WhichOneof("content") == "text"
        again.signal_prefix.CopyFrom(signal.chunk)
        again.encodings[:] = [SIGNAL_ENCODING_TEXT if is_text else SIGNAL_ENCODING_TOKEN_IDS]
        again.budget = min(manifest.limits.budget, signal.tokens + budget)
    elif not (
        first.temperature if first.HasField("temperature") else manifest.defaults.temperature
    ):
        again.temperature = _TEMPERATURE
    return again
