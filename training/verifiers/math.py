r"""Mathematical answers: math-verify on the last \boxed{...}.

Its own time limits are off (they need the main thread); `training.verifiers.timed` stops what
hangs. Its grading is not symmetric: the reference comes first.
"""

import logging
from collections.abc import Sequence

from training.verifiers.base import Truth
from training.verifiers.boxed import last_boxed
from training.verifiers.timed import TimedPool

# A number longer than this is no final answer, and comparing it costs minutes.
_LONGEST = 500


def _prepare() -> None:
    """Imports math-verify before the first call's clock starts, and silences its warnings."""
    for name in ("math_verify", "latex2sympy2_extended"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _equal("1", "1")
    _equal("2", "1+1")


def _equal(reference: str, answer: str) -> float:
    """1.0 if `answer` (LaTeX) equals `reference` (LaTeX), else 0.0. May take for ever."""
    from math_verify import LatexExtractionConfig, parse, verify

    # LaTeX only: the other extractor finds numbers inside LaTeX that failed to parse.
    config = [LatexExtractionConfig()]
    gold, given = (
        parse(rf"\boxed{{{text}}}", extraction_config=config, parsing_timeout=None)
        for text in (reference, answer)
    )
    return float(verify(gold, given, timeout_seconds=None))


class MathVerifier:
    """Scores 1 if the boxed answer equals the reference as mathematics, else 0.

    `seconds`: how long one comparison may take. An answer without a box scores 0.
    """

    def __init__(self, processes: int = 1, seconds: float = 5.0) -> None:
        self._pool = TimedPool(processes, seconds, _prepare)

    @property
    def stopped(self) -> int:
        """How many comparisons were stopped because they hung."""
        return self._pool.stopped

    def score(self, responses: Sequence[str], truths: Sequence[Truth]) -> list[float]:
        """See `Verifier`."""
        scores = [0.0] * len(responses)
        pending: dict[tuple[str, str], list[int]] = {}
        for index, (response, truth) in enumerate(zip(responses, truths, strict=True)):
            boxed = last_boxed(response)
            reference = last_boxed(truth.answer) or truth.answer.strip().strip("$")
            if not boxed or len(boxed) > _LONGEST:
                continue
            if boxed == reference:
                scores[index] = 1.0
            else:
                # Answers repeat within a group: each pair is compared once.
                pending.setdefault((reference, boxed), []).append(index)
        results = self._pool.map(_equal, list(pending))
        for indices, result in zip(pending.values(), results, strict=True):
            for index in indices:
                scores[index] = result
        return scores

    def examples(self) -> Sequence[tuple[str, Truth, float]]:
        """See `Verifier`."""
        return (
            (r"so \boxed{0.5}", Truth(r"\frac{1}{2}"), 1.0),
            (r"so \boxed{\dfrac{1}{2}}", Truth("1/2"), 1.0),
            (r"first \boxed{1}, in the end \boxed{42}", Truth("42"), 1.0),
            (r"so \boxed{43}", Truth("42"), 0.0),
            ("the answer is 42", Truth("42"), 0.0),
        )

    def close(self) -> None:
        """See `Verifier`."""
        self._pool.close()
