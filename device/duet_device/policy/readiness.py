"""Judge at each chunk whether the signal so far is enough: by drafts of the answer's start."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from duet_contract.calibration import Threshold
from duet_device.decoder.llama import Decoder
from duet_device.decoder.lookahead import DRAFT, Drafted, Lookahead
from duet_device.policy.measures import Evidence, trusts

# The draft and the two before it: a third of them agrees, two thirds, or all.
_COMPARED = 3


class Readiness:
    """Turns the drafts of successive chunks into evidence.

    Examples:
        >>> from duet_device.decoder.odds import Odds
        >>> sure, readiness = Odds(-0.1, 0.8, 0.4), Readiness()
        >>> for _ in range(3):
        ...     evidence = readiness.look([(42, sure)])
        ...     print(evidence.values)
        ('42', None, None)
        ('42', '42', None)
        ('42', '42', '42')
    """

    def __init__(self) -> None:
        self._before: deque[str | None] = deque([None] * (_COMPARED - 1), maxlen=_COMPARED - 1)

    def look(self, draft: Sequence[Drafted]) -> Evidence:
        """Return the evidence of a whole draft, its agreement with those before included."""
        value = " ".join(str(token) for token, _ in draft)
        evidence = Evidence(tuple(odds for _, odds in draft), (value, *self._before))
        self._before.appendleft(value)
        return evidence


class CalibratedStop:
    """A `duet_device.signal_stream.StopRule` by a threshold.

    Args:
        threshold: of a pair's calibration.
    """

    def __init__(self, threshold: Threshold) -> None:
        self._threshold = threshold
        self.begin()

    def begin(self) -> None:
        """See `StopRule`."""
        self._readiness = Readiness()

    def __call__(self, draft: Sequence[Drafted]) -> bool:
        """See `StopRule`."""
        return trusts(self._threshold, self._readiness.look(draft))


def readiness_along(
    decoder: Decoder, chunks: Iterable[Sequence[int]], suffix: Sequence[int], ends: frozenset[int]
) -> Iterator[tuple[int, Evidence]]:
    """Evaluate a signal chunk by chunk, as if it arrived slowly, and look after each.

    What a calibration measures: the same steps as while a question is answered.

    Args:
        decoder: has evaluated the prompt before the signal, and has room for the rest.
        chunks: the signal in the decoder's tokens.
        suffix: the prompt's tokens after the signal.
        ends: tokens that end the answer, in addition to those that end any text of the model.

    Yields:
        Tokens of the signal so far, and the evidence. The decoder's sequence is then the prompt as
        if the signal ended there, and the draft but for its last token.
    """
    ahead = Lookahead(decoder, suffix, ends, DRAFT)
    readiness = Readiness()
    count = 0
    for chunk in chunks:
        count += len(chunk)
        ahead.evaluate(ahead.arrive(chunk), want_next=not suffix)
        while ahead.step():
            pass
        if ahead.draft:
            yield count, readiness.look(ahead.draft)
