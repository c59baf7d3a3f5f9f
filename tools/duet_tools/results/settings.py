"""Settings of a run: stored with its results; a resumed run must have the same ones."""

import hashlib
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from duet_tools.results.questions import QuestionRow


class RunSettings(BaseModel):
    """Settings of a run; nothing in them names a machine or a path.

    `data`: the file's name. `data_sha256`: of the questions asked, in order, with their answers.
    `streams`, `budgets`, `rates`: see `duet_tools.results.cells.Plan`. `large_limit`, `answer_limit`: most
    tokens of the large model alone, and of the device. `seed`: of the first question.
    `warm_up`: questions before each cell that do not count. `connections`: a new one for each
    question, or one kept by each device. `tls`: whether the link is encrypted.
    `started_here`: whether the service was started for the run. `engine_flags`: vLLM's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pair: str
    data: str
    data_sha256: str
    questions: int
    modes: tuple[str, ...]
    links: tuple[str, ...]
    profile: str
    streams: tuple[int, ...]
    rates: tuple[float, ...]
    budgets: tuple[int, ...]
    large_limit: int
    answer_limit: int
    temperature: float
    seed: int
    warm_up: int
    connections: Literal["new", "kept"] = "new"
    verifier: str
    tls: bool
    started_here: bool
    engine_flags: tuple[str, ...]

    def differs_in(self, other: "RunSettings") -> list[str]:
        """Return the names of the settings that differ from another run's."""
        mine, theirs = self.model_dump(), other.model_dump()
        return [name for name, value in mine.items() if theirs[name] != value]


def fingerprint(questions: Sequence[QuestionRow]) -> str:
    """SHA-256 of questions and answers in order."""
    digest = hashlib.sha256()
    for question in questions:
        digest.update(repr((question.id, question.text, question.answer)).encode())
    return digest.hexdigest()
