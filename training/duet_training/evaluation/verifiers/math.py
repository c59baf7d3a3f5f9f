r"""Mathematical answers: the contract's rule on the last \boxed{...}, with math-verify for algebra.

Numbers, choices and text are judged here and now. Expressions whose text differs go to math-verify
in processes of their own; `duet_training.evaluation.verifiers.timed` stops what hangs.
"""

from collections.abc import Sequence

from duet_contract.answers import Comparison, decide
from duet_training.errors import VerifierError
from duet_training.evaluation.verifiers import algebra
from duet_training.evaluation.verifiers.base import Truth
from duet_training.evaluation.verifiers.timed import TimedPool


class MathVerifier:
    """Scores 1 if the boxed answer is right by `duet_contract.answers.decide`, else 0.

    `seconds`: how long one comparison of expressions may take. An answer without a box scores 0.
    `computed`: whether numbers must be computed; False for a pair whose device computes.
    """

    def __init__(self, processes: int = 1, seconds: float = 5.0, *, computed: bool = True) -> None:
        """Prepare the processes, which start with the first comparison.

        Raises:
            VerifierError: math-verify is not installed.
        """
        if not algebra.available():
            raise VerifierError(
                'math-verify is not installed; run: pip install "math-verify[antlr4_9_3]"'
            )
        self._pool = TimedPool(processes, seconds, algebra.prepare)
        self._computed = computed

    @property
    def stopped(self) -> int:
        """How many comparisons were stopped because they hung."""
        return self._pool.stopped

    def score(self, responses: Sequence[str], truths: Sequence[Truth]) -> list[float]:
        """See `Verifier`."""
        scores = [0.0] * len(responses)
        # Answers repeat within a group: each pair is compared once.
        pending: dict[Comparison, list[int]] = {}
        for index, (response, truth) in enumerate(zip(responses, truths, strict=True)):
            verdict = decide(response, truth.answer, computed=self._computed, boxed=True)
            if isinstance(verdict, Comparison):
                pending.setdefault(verdict, []).append(index)
            else:
                scores[index] = float(verdict)
        calls = [(comparison.reference, comparison.given) for comparison in pending]
        for indices, result in zip(
            pending.values(), self._pool.map(algebra.equal, calls), strict=True
        ):
            for index in indices:
                scores[index] = result
        return scores

    def examples(self) -> Sequence[tuple[str, Truth, float]]:
        """See `Verifier`."""
        return (
            (r"so \boxed{0.5}", Truth(r"\frac{1}{2}"), 1.0),
            (r"so \boxed{\dfrac{1}{2}}", Truth("1/2"), 1.0),
            (r"first \boxed{1}, in the end \boxed{42}", Truth("42"), 1.0),
            (r"so \boxed{2x+2}", Truth("2(x+1)"), 1.0),
            (r"so \boxed{43}", Truth("42"), 0.0),
            (r"so \boxed{2x+1}", Truth("2(x+1)"), 0.0),
            ("the answer is 42", Truth("42"), 0.0),
        )

    def close(self) -> None:
        """See `Verifier`."""
        self._pool.close()
