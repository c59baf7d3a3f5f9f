r"""Generated problems: reasoning-gym's own scorer of the task, on the last \boxed{...}.

Its scorers give partial credit (0.01 for any number, say); here only a full score counts, since
the method's r is 0 or 1. The entry that the scorer needs travels in `Truth.metadata["entry"]`.
"""

from collections.abc import Sequence
from typing import Any

from duet_contract.answers import last_boxed
from duet_training.evaluation.verifiers.base import Truth
from duet_training.evaluation.verifiers.timed import TimedPool


def _prepare() -> None:
    import reasoning_gym  # noqa: F401  (imported before the first call's clock starts)


def _full_score(task: str, answer: str, entry: dict[str, Any]) -> float:
    import reasoning_gym

    return float(reasoning_gym.get_score_answer_fn(task)(answer, entry) > 1 - 1e-6)


class GymVerifier:
    """Scores 1 if the task's own scorer gives the boxed answer its full score, else 0."""

    def __init__(self, processes: int = 1, seconds: float = 5.0) -> None:
        self._pool = TimedPool(processes, seconds, _prepare)

    def score(self, responses: Sequence[str], truths: Sequence[Truth]) -> list[float]:
        """See `Verifier`."""
        scores = [0.0] * len(responses)
        boxed = [last_boxed(response) for response in responses]
        found = [index for index, answer in enumerate(boxed) if answer]
        calls = []
        for index in found:
            entry = dict(truths[index].metadata["entry"])
            calls.append((entry["metadata"]["source_dataset"], boxed[index], entry))
        for index, score in zip(found, self._pool.map(_full_score, calls), strict=True):
            scores[index] = score
        return scores

    def examples(self) -> Sequence[tuple[str, Truth, float]]:
        """See `Verifier`."""
        metadata = {"source_dataset": "gsm_symbolic"}
        entry = {"question": "", "answer": "7", "metadata": metadata}
        truth = Truth("7", {"entry": entry})
        return ((r"\boxed{7}", truth, 1.0), (r"\boxed{8}", truth, 0.0), ("7", truth, 0.0))

    def close(self) -> None:
        """See `Verifier`."""
        self._pool.close()
