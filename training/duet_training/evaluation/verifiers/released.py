r"""The paper's own verifier: VERL's string comparison of the last `\boxed{...}`, as it is.

The released code scores by it. It computes nothing: `12\cdot 17` is not 204, and `0.25` is not
`\frac{1}{4}`. Use it to repeat the paper; `math` reads more right answers as right.
"""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout

from duet_training.evaluation.verifiers.base import Truth


class ReleasedVerifier:
    """Scores 1 if VERL's `math_reward` finds both strings equal, else 0."""

    def score(self, responses: Sequence[str], truths: Sequence[Truth]) -> list[float]:
        """See `Verifier`."""
        from verl.utils.reward_score.math_reward import compute_score

        # It prints what it cannot read.
        with redirect_stdout(io.StringIO()):
            return [
                float(compute_score(response, truth.answer))
                for response, truth in zip(responses, truths, strict=True)
            ]

    def examples(self) -> Sequence[tuple[str, Truth, float]]:
        """See `Verifier`."""
        return (
            (r"so \boxed{42}", Truth("42"), 1.0),
            (r"so \boxed{\dfrac12}", Truth(r"\frac{1}{2}"), 1.0),
            (r"so \boxed{12\cdot 17}", Truth("204"), 0.0),
            (r"so \boxed{0.25}", Truth(r"\frac{1}{4}"), 0.0),
            ("the answer is 42", Truth("42"), 0.0),
        )

    def close(self) -> None:
        """See `Verifier`."""
