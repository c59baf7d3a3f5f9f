"""The workload: questions whose signals use their whole budget, and their prompts."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from duet_contract.errors import ContractError
from duet_contract.manifest import Manifest, SlotPart, load_manifest
from duet_contract.pairs import find_pair
from duet_contract.prompts import encode_text, prompt_ids
from duet_contract.v1.inference_pb2 import SIGNAL_ENCODING_TOKEN_IDS, ReasonRequest
from duet_contract.vocabulary import HubTokenizer
from duet_device.pairs.pair import Pair
from duet_tools.errors import UsageProblem

# Open-ended, so that a reasoner rarely stops before the budget; tokens are counted as they come,
# so one that does stop changes the work of every subject alike.
_THINGS = (
    "a lighthouse", "a clockmaker", "two rivers", "an old railway", "a lost letter", "a bakery",
    "a mountain village", "a sailing race", "a small library", "a winter market", "a school play",
    "a night train", "an orchard", "a stone bridge", "a travelling circus", "a fishing boat",
)  # fmt: skip

PLAIN_QUESTION = "What is the capital of France, and why?"
"""For a scripted engine, which does not read it."""


def question(number: int) -> str:
    """Return the question of that number; each is another, so that no prefix cache answers it."""
    thing = _THINGS[number % len(_THINGS)]
    return (
        f"Write a long story about {thing}, number {number}. "
        "Describe every day of the first year in detail."
    )


@dataclass(frozen=True)
class Workload:
    """A pair, and how its reasoner is prompted. The prompts are those that the service builds."""

    directory: Path
    """Directory of the pair."""
    manifest: Manifest
    """Manifest of the pair."""

    @classmethod
    def open(cls, pair: str) -> "Workload":
        """Find a pair by name or directory.

        Raises:
            UsageProblem: the pair is missing, or its manifest cannot be used.
        """
        try:
            directory = find_pair(pair).absolute()
            return cls(directory, load_manifest(directory))
        except ContractError as error:
            raise UsageProblem(str(error)) from error

    @property
    def pair(self) -> Pair:
        """The pair as the device has it, signed or not."""
        return Pair(self.directory, self.manifest, allow_unsigned=True)

    @property
    def model(self) -> Path:
        """The reasoner's directory."""
        return self.directory / self.manifest.reasoner.path

    @property
    def gguf(self) -> Path:
        """The decoder's file."""
        return self.directory / self.manifest.decoder.path

    @cached_property
    def tokenizer(self) -> HubTokenizer:
        """The reasoner's tokenizer.

        Raises:
            UsageProblem: it is not here, as on a device, or cannot be read.
        """
        try:
            return HubTokenizer.from_directory(self.model)
        except Exception as error:  # `tokenizers` raises nothing narrower.
            raise UsageProblem(
                f"no tokenizer of the reasoner of {self.manifest.id} can be read here ({error}): "
                "run where the whole pair and the package tokenizers are"
            ) from error

    @cached_property
    def stop_id(self) -> int:
        """The token that ends a signal."""
        return self.tokenizer.encode_template(self.manifest.reasoner.end_of_reasoning)[0]

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of the decoder's vocabulary, as a request carries it."""
        return bytes.fromhex(self.manifest.decoder.vocabulary.sha256)

    @property
    def max_context(self) -> int:
        """Tokens of the longest prompt with the longest signal: the service's own context."""
        reasoner, limits = self.manifest.reasoner, self.manifest.limits
        around = prompt_ids(self.tokenizer, reasoner.prompt, question=[])
        return min(len(around) + limits.question + limits.budget, reasoner.context)

    def request(self, text: str, budget: int) -> ReasonRequest:
        """Return what the service is asked for: a greedy signal, as token ids."""
        return ReasonRequest(
            question=text,
            budget=budget,
            encodings=[SIGNAL_ENCODING_TOKEN_IDS],
            vocabulary=self.fingerprint,
            temperature=0.0,
        )

    def prompt(self, text: str) -> list[int]:
        """Return token ids of the reasoner's prompt for a question."""
        reasoner = self.manifest.reasoner
        ids = encode_text(self.tokenizer, reasoner.vocabulary, text)
        return prompt_ids(self.tokenizer, reasoner.prompt, question=ids)

    def prompt_text(self, text: str) -> str:
        """Return the same prompt as text, as one would send it to an OpenAI server."""
        parts = self.manifest.reasoner.prompt
        return "".join(text if isinstance(part, SlotPart) else part.template for part in parts)
