"""The inputs of one answer, and its place in the decoder's sequence."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from duet_contract.calibration import Calibration
from duet_contract.manifest import Manifest
from duet_device.deadline import Deadline
from duet_device.decoder.llama import Decoder
from duet_device.decoder.prompts import Prompts, build_prompts, check_room
from duet_device.question import Question
from duet_device.settings import Settings

# Tokens of context that a conversation has from the start.
_CONVERSATION = 4096


@dataclass(frozen=True)
class Exchange:
    """Inputs of one answer."""

    question: Question
    """The question, as the pair reads it (`Question.for_pair`)."""
    manifest: Manifest
    """The pair's."""
    settings: Settings
    """Checked settings."""
    decoder: Decoder
    """Loaded; keeps its sequence for the next question."""
    deadline: Deadline
    """Checked between tokens and batches."""
    calibration: Calibration | None = None
    """The pair's; None if it has none that fits its decoder."""

    @cached_property
    def prompts(self) -> Prompts:
        """The tokens around the signal.

        Raises:
            UsageProblem: see `build_prompts`.
        """
        return build_prompts(self.decoder, self.manifest, self.question, self.budget)

    @property
    def budget(self) -> int:
        """Maximum number of signal tokens."""
        return self.settings.budget_for(self.manifest)

    @property
    def temperature(self) -> float:
        """Sampling temperature of the answer."""
        chosen = self.settings.temperature
        return self.manifest.defaults.temperature if chosen is None else chosen

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer."""
        texts = self.manifest.decoder.end_of_answer
        return frozenset(i for text in texts for i in self.decoder.encode_template(text))

    @property
    def judges(self) -> bool:
        """Whether the decoder's odds are needed."""
        return (
            self.manifest.defaults.confidence is not None
            or self.calibration is not None
            or self.settings.rounds > 1
        )

    def reserve(self, prompt: int) -> None:
        """Reserve context for `prompt` tokens and the answer, up to the decoder's window.

        Raises:
            ModelProblem: the prompt fills the window, or there is not enough memory.
        """
        check_room(self.manifest, prompt)
        room = prompt + self.manifest.defaults.answer
        if self.question.earlier is not None:
            # A context that grows is evaluated again: in a conversation it grows rarely.
            room = max(_CONVERSATION, 1 << room.bit_length())
        self.decoder.reserve(min(self.manifest.decoder.context, room))

    def become(self, ids: Sequence[int], *, more: int = 0) -> None:
        """Make `ids` the decoder's sequence, with room for `more` tokens and the answer.

        Raises:
            ModelProblem: see `reserve`.
            DeviceError: the deadline's.
        """
        self.reserve(len(ids) + more)
        self.decoder.become(ids, self.deadline.check)
