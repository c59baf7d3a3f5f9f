"""Pair manifest: what a pair is, which files it has, how its prompts are built.

A manifest lies as `manifest.json` in the pair's directory. `schema` rises with every change that an
older reader would misread; a reader refuses a newer one instead of guessing.
"""

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from duet_contract.errors import ManifestError
from duet_contract.json_data import parse_json
from duet_contract.sampling import TEMPERATURE_RULE, valid_temperature

SCHEMA = 1
"""What a pair needs unless it has private quantities."""
PRIVATE_SCHEMA = 2
"""With private quantities: a reader of schema 1 would send the numbers. The newest."""
MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "model.sig"
MOST_MANIFEST_BYTES = 16 << 20
# Beside these lie the files of a pair; a file of such a name would take their place.
_OWN_NAMES = (MANIFEST_NAME, SIGNATURE_NAME)

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[int, Field(gt=0)]
Slot = Literal["question", "signal"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PairFile(_Model):
    """One file of a pair. `path` is relative to the manifest, with forward slashes."""

    path: str
    bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256

    @field_validator("path")
    @classmethod
    def _inside_the_pair(cls, path: str) -> str:
        parts = PurePosixPath(path).parts
        unsafe = not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path
        if unsafe or "\0" in path or str(PurePosixPath(path)) != path:
            raise ValueError(f"{path!r} must be a relative path inside the pair's directory")
        if path.lower() in _OWN_NAMES:
            raise ValueError(f"{path!r} is the manifest's or the signature's own name")
        return path


class TemplatePart(_Model):
    """Text of the prompt format itself: control tokens in it are control tokens."""

    template: str


class SlotPart(_Model):
    """Where the question or the signal goes: nothing in it is ever a control token."""

    slot: Slot


PromptFormat = tuple[TemplatePart | SlotPart, ...]


class Vocabulary(_Model):
    """What a model's token ids mean.

    `sha256`: fingerprint over all (id, token) pairs (`duet_contract.vocabulary.fingerprint`).
    `reserved`: every string that the tokenizer would turn into a control token.
    `normalization`: Unicode form that the tokenizer applies to text, if any.
    `missing_bytes`: bytes that no token spells, in a byte-level vocabulary. Tokenizers drop them in
    silence, each in its own way, so text that has them is refused.
    """

    size: Positive
    sha256: Sha256
    reserved: tuple[Annotated[str, Field(min_length=2)], ...] = ()
    normalization: Literal["NFC", "NFKC"] | None = None
    missing_bytes: tuple[Annotated[int, Field(ge=0, le=255)], ...] = ()


class Reasoner(_Model):
    """The large model. `path`: its directory (Hugging Face layout), relative to the manifest.

    `end_of_reasoning`: the control token that closes the signal; generation stops there.
    `context`: tokens that prompt and signal may have together.
    """

    path: str
    files: tuple[PairFile, ...]
    parameters: Positive
    vocabulary: Vocabulary
    prompt: PromptFormat
    end_of_reasoning: Annotated[str, Field(min_length=1)]
    context: Positive

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_slots(self.prompt, {"question"}, "reasoner.prompt")
        return self


class Decoder(_Model):
    """The small model. `path`: its GGUF file, relative to the manifest.

    `end_of_answer`: control tokens, any of which ends the answer.
    """

    path: str
    files: tuple[PairFile, ...]
    parameters: Positive
    vocabulary: Vocabulary
    prompt_with_signal: PromptFormat
    prompt_alone: PromptFormat
    end_of_answer: Annotated[tuple[str, ...], Field(min_length=1)]
    context: Positive

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_slots(self.prompt_alone, {"question"}, "decoder.prompt_alone")
        _require_slots(
            self.prompt_with_signal, {"question", "signal"}, "decoder.prompt_with_signal"
        )
        order = [part.slot for part in self.prompt_with_signal if isinstance(part, SlotPart)]
        if order != ["question", "signal"]:
            raise ValueError(
                "decoder.prompt_with_signal must hold the question first and then the signal, "
                "each once, so that chunks can be evaluated as they arrive"
            )
        if self.path not in {file.path for file in self.files}:
            raise ValueError(f"decoder.path {self.path!r} is not among decoder.files")
        return self


class Limits(_Model):
    """What the pair was made for, in tokens; a service may set lower limits, never higher ones."""

    question: Positive
    budget: Positive
    answer: Positive


class Defaults(_Model):
    """What applies where a request says nothing. `budget` and `answer` in tokens.

    `confidence`: an answer with a token that the decoder found less probable than this is marked;
    None where nobody has measured what probabilities tell.
    """

    budget: Positive
    answer: Positive
    temperature: float = 0.0
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = None

    @field_validator("temperature")
    @classmethod
    def _can_be_sampled(cls, temperature: float) -> float:
        if not valid_temperature(temperature):
            raise ValueError(f"{temperature:g}: {TEMPERATURE_RULE}")
        return temperature


class Evaluation(_Model):
    """Figures measured for this pair on one data set. Accuracy in [0, 1]; tokens: means.

    `reasoner_alone_tokens`: what the untrained reasoner spends end to end (reasoning and answer).
    """

    data: str
    questions: Positive
    accuracy: Annotated[float, Field(ge=0, le=1)]
    signal_tokens: Annotated[float, Field(ge=0)]
    answer_tokens: Annotated[float, Field(ge=0)]
    reasoner_alone_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    reasoner_alone_tokens: Annotated[float, Field(ge=0)] | None = None


class Manifest(_Model):
    """A pair: reasoner and decoder made for each other.

    `quantities`: "private" if the device masks the question's numbers before it is sent, and the
    models read labels (`duet_contract.quantities.mask`); None if they read the question as it is.
    `answers`: "computed" if the signal is a formula that the device computes, and the decoder
    writes a sentence around its result (`compute`, `fill`); None if the decoder's text is the
    answer.
    """

    schema_: int = Field(alias="schema", ge=1)
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    description: str
    licence: str
    base_models: tuple[str, ...]
    made_with: str
    reasoner: Reasoner
    decoder: Decoder
    limits: Limits
    defaults: Defaults
    evaluation: tuple[Evaluation, ...] = ()
    quantities: Literal["private"] | None = None
    answers: Literal["computed"] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        paths = [file.path for file in (*self.reasoner.files, *self.decoder.files)]
        if len(set(paths)) != len(paths):
            raise ValueError("a file is listed twice")
        if self.answers == "computed" and self.quantities != "private":
            raise ValueError('answers "computed" needs quantities "private": formulas name labels')
        if self.quantities and self.schema_ < PRIVATE_SCHEMA:
            raise ValueError(
                f'quantities "private" needs schema {PRIVATE_SCHEMA}, so that no older device '
                "sends the numbers"
            )
        if self.defaults.budget > self.limits.budget:
            raise ValueError("defaults.budget is above limits.budget")
        if self.defaults.answer > self.limits.answer:
            raise ValueError("defaults.answer is above limits.answer")
        for name, context in (("reasoner", self.reasoner), ("decoder", self.decoder)):
            if self.limits.question + self.limits.budget > context.context:
                raise ValueError(
                    f"limits.question plus limits.budget do not fit into {name}.context"
                )
        return self

    @property
    def reference(self) -> str:
        """`id@version`, as the wire and receipts name the pair."""
        return f"{self.id}@{self.version}"

    @property
    def version_numbers(self) -> tuple[int, ...]:
        """The version as numbers that can be compared."""
        return tuple(int(part) for part in self.version.split("."))

    @property
    def shared_vocabulary(self) -> bool:
        """Whether reasoner and decoder read the same token ids."""
        return self.reasoner.vocabulary.sha256 == self.decoder.vocabulary.sha256

    def matches(self, reference: str) -> bool:
        """Whether `reference` (`id` or `id@version`) names this pair."""
        return reference in (self.id, self.reference)

    def to_json(self) -> str:
        """The manifest as it is written to `manifest.json`."""
        return self.model_dump_json(by_alias=True, indent=2, exclude_none=True) + "\n"


def _require_slots(prompt: PromptFormat, wanted: set[str], where: str) -> None:
    slots = [part.slot for part in prompt if isinstance(part, SlotPart)]
    if sorted(slots) != sorted(wanted):
        raise ValueError(f"{where} must have each of {sorted(wanted)} once, has {slots}")


def parse_manifest(text: str, source: str = MANIFEST_NAME) -> Manifest:
    """Reads a manifest from JSON text; `source` names it in errors.

    Raises:
        ManifestError: not JSON, of a newer schema, or invalid (every fault is named).
    """
    try:
        data: Any = parse_json(text)
    except ValueError as error:
        raise ManifestError(f"{source} is not JSON: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("schema"), int):
        raise ManifestError(f'{source} is not a pair manifest: it has no whole number "schema"')
    if data["schema"] > PRIVATE_SCHEMA:
        raise ManifestError(
            f"{source} has schema {data['schema']}, this DUET reads up to {PRIVATE_SCHEMA}: "
            "upgrade duet-contract, or use an older version of the pair"
        )
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'manifest'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ManifestError(f"{source} is invalid: {faults}") from error


def load_manifest(directory: Path) -> Manifest:
    """Reads `manifest.json` from a pair's directory, without touching the models' files.

    Raises:
        ManifestError: there is none, or `parse_manifest` refuses it.
    """
    path = directory / MANIFEST_NAME
    try:
        with path.open("rb") as file:
            content = file.read(MOST_MANIFEST_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot read the pair's manifest {path}: {error}") from error
    if len(content) > MOST_MANIFEST_BYTES:
        raise ManifestError(f"{path} is larger than {MOST_MANIFEST_BYTES:,} bytes")
    return parse_manifest(text, str(path))
