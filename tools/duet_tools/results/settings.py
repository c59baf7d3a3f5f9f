"""Settings of a run: stored with its results; a resumed run must have the same ones."""

import hashlib
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from duet_tools.results.questions import QuestionRow


class RunSettings(BaseModel):
    """Settings of a run; nothing in them names a machine or a path."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    pair: str
    """The pair as `id@version`."""
    data: str
    """Name of the file of questions."""
    data_sha256: str
    """SHA-256 of the questions asked, in order, with their answers."""
    questions: int
    """Number of questions."""
    modes: tuple[str, ...]
    """Modes that were measured."""
    links: tuple[str, ...]
    """Names of the link profiles."""
    profile: str
    """How questions arrive: synchronous, constant, poisson or sweep."""
    streams: tuple[int, ...]
    """Questions at once, a load each."""
    rates: tuple[float, ...]
    """Questions per second, a load each."""
    budgets: tuple[int, ...]
    """Maximum signal tokens, a condition each."""
    large_limit: int
    """Maximum tokens of the large model alone."""
    answer_limit: int
    """Maximum tokens of the device's answer."""
    temperature: float
    """Sampling temperature."""
    seed: int
    """Seed of the first question."""
    warm_up: int
    """Questions before each condition that do not count."""
    connections: Literal["new", "kept"] = "new"
    """A new connection for each question, or one kept by each device."""
    verifier: str
    """Rule that decides what is right."""
    tls: bool
    """Whether the link is encrypted."""
    started_here: bool
    """Whether the service was started for the run."""
    engine_flags: tuple[str, ...]
    """vLLM's options."""

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
