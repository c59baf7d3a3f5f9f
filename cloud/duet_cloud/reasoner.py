"""The reasoner of a pair: its prompt, its closing token, its limits."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from duet_contract.errors import ManifestError
from duet_contract.integrity import verify_files
from duet_contract.manifest import Manifest, load_manifest
from duet_contract.prompts import encode_text, prompt_ids
from duet_contract.verified import Verified
from duet_contract.vocabulary import HubTokenizer, Tokenizer


@dataclass(frozen=True)
class PairReasoner:
    """A pair on the cloud."""

    manifest: Manifest
    """Manifest of the pair."""
    directory: Path
    """Directory of the reasoner's model."""
    tokenizer: Tokenizer
    """Tokenizer of the reasoner."""
    stop_id: int
    """Token id that ends the reasoning."""
    root: Path
    """Directory of the whole pair."""

    @classmethod
    def load(cls, pair: Path) -> "PairReasoner":
        """Read the manifest and check every file of the reasoner against it
        (files that have not changed since they were last hashed are not hashed again).

        Raises:
            ManifestError, IntegrityError: the pair is not what its manifest says.
        """
        manifest = load_manifest(pair)
        described = manifest.reasoner
        # vLLM loads whatever weights are in the folder.
        verify_files(pair, described.files, whole=described.path, verified=Verified())
        directory = pair / manifest.reasoner.path
        tokenizer = HubTokenizer.from_directory(directory)
        stop = tokenizer.encode_template(manifest.reasoner.end_of_reasoning)
        if len(stop) != 1:
            raise ManifestError(
                f"end_of_reasoning {manifest.reasoner.end_of_reasoning!r} is {len(stop)} tokens, "
                "it must be one"
            )
        return cls(manifest, directory, tokenizer, stop[0], pair)

    def encode_question(self, question: str) -> list[int]:
        """Return the token ids of the question alone."""
        return encode_text(self.tokenizer, self.manifest.reasoner.vocabulary, question)

    def prompt(self, question_ids: list[int]) -> list[int]:
        """Return the token ids of the whole prompt."""
        return prompt_ids(self.tokenizer, self.manifest.reasoner.prompt, question=question_ids)

    @cached_property
    def control_ids(self) -> frozenset[int]:
        """Token ids that stand for control tokens, which no text becomes."""
        reserved = map(self.tokenizer.encode_template, self.manifest.reasoner.vocabulary.reserved)
        return frozenset({self.stop_id, *(ids[0] for ids in reserved if len(ids) == 1)})

    @property
    def max_context(self) -> int:
        """Tokens of the longest prompt with the longest signal."""
        limits = self.manifest.limits
        wanted = len(self.prompt([])) + limits.question + limits.budget
        return min(wanted, self.manifest.reasoner.context)
