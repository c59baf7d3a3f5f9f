"""Pair manifest: what a pair is, which files it has, how its prompts are built.

The manifest is `manifest.json` in the pair's directory. `schema` increases with every change that
an older reader would misread. A reader refuses a newer schema.
"""

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from duet_contract.described import Described
from duet_contract.errors import ManifestError
from duet_contract.json_data import faults, parse_json
from duet_contract.sampling import TEMPERATURE_RULE, valid_temperature

SCHEMA = 1
"""Schema of pairs without private quantities."""
PRIVATE_SCHEMA = 3
"""Schema of pairs with private quantities; newest. A reader of schema 1 would send the numbers, one
of schema 2 would give fractions the labels of other numbers."""
MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "model.sig"
MOST_MANIFEST_BYTES = 16 << 20
# The pair's files are in the same directory, so none of them may have one of these names.
_OWN_NAMES = (MANIFEST_NAME, SIGNATURE_NAME)

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[int, Field(gt=0)]
Slot = Literal["question", "signal"]


class _Model(Described):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PairFile(_Model):
    """One file of a pair.

    Examples:
        >>> PairFile(path="decoder.gguf", bytes=144_811_104, sha256="0" * 64).path
        'decoder.gguf'
    """

    path: str
    """Path relative to the manifest, with forward slashes."""
    bytes: Annotated[int, Field(ge=0)]
    """Size of the file in bytes."""
    sha256: Sha256
    """SHA-256 of the content, in hexadecimal digits."""

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
    """Text of the prompt format itself: control tokens in it are control tokens.

    Examples:
        >>> TemplatePart(template="<|im_start|>user ").model_dump()
        {'template': '<|im_start|>user '}
    """

    template: str
    """Text with control tokens."""


class SlotPart(_Model):
    """Where the question or the signal goes: nothing in it is ever a control token.

    Examples:
        >>> SlotPart(slot="question").model_dump()
        {'slot': 'question'}
    """

    slot: Slot
    """Name of the slot."""


PromptFormat = tuple[TemplatePart | SlotPart, ...]


class Vocabulary(_Model):
    """The vocabulary of a model: what its token ids mean.

    Examples:
        >>> vocabulary = Vocabulary(size=49152, sha256="0" * 64, reserved=("<|im_end|>",))
        >>> "<|im_end|>" in vocabulary.reserved
        True
    """

    size: Positive
    """Number of tokens."""
    sha256: Sha256
    """Fingerprint over all (id, token) pairs (`duet_contract.vocabulary.fingerprint`)."""
    reserved: tuple[Annotated[str, Field(min_length=2)], ...] = ()
    """Every string that the tokenizer would turn into a control token."""
    normalization: Literal["NFC", "NFKC"] | None = None
    """Unicode form that the tokenizer applies to text; None if it applies none."""
    missing_bytes: tuple[Annotated[int, Field(ge=0, le=255)], ...] = ()
    """Bytes that no token spells, in a byte-level vocabulary. Tokenizers drop such bytes silently
    and in different ways, so text that contains them is refused."""


class Reasoner(_Model):
    """The large model.

    Examples:
        >>> from duet_contract.pairs import find_pair
        >>> manifest = load_manifest(find_pair("private-sums-135m"))
        >>> manifest.reasoner.parameters > manifest.decoder.parameters
        True
    """

    path: str
    """Directory of the model (Hugging Face layout), relative to the manifest."""
    files: tuple[PairFile, ...]
    """Every file of the model."""
    parameters: Positive
    """Number of parameters."""
    vocabulary: Vocabulary
    """The model's vocabulary."""
    prompt: PromptFormat
    """Prompt format, with a slot for the question."""
    end_of_reasoning: Annotated[str, Field(min_length=1)]
    """Control token that closes the signal; generation stops there."""
    context: Positive
    """Maximum number of tokens of prompt and signal together."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_slots(self.prompt, {"question"}, "reasoner.prompt")
        return self


class Decoder(_Model):
    """The small model.

    Examples:
        >>> from duet_contract.pairs import find_pair
        >>> manifest = load_manifest(find_pair("private-sums-135m"))
        >>> [part.slot for part in manifest.decoder.prompt_with_signal if isinstance(part, SlotPart)]
        ['question', 'signal']
    """

    path: str
    """GGUF file of the model, relative to the manifest."""
    files: tuple[PairFile, ...]
    """Every file of the model."""
    parameters: Positive
    """Number of parameters."""
    vocabulary: Vocabulary
    """The model's vocabulary."""
    prompt_with_signal: PromptFormat
    """Prompt format with the question first and then the signal."""
    prompt_alone: PromptFormat
    """Prompt format of an answer without a signal."""
    end_of_answer: Annotated[tuple[str, ...], Field(min_length=1)]
    """Control tokens, any of which ends the answer."""
    context: Positive
    """Size of the context window in tokens."""

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
    """Limits of the pair in tokens; a service may set lower limits, never higher ones.

    Examples:
        >>> Limits(question=256, budget=32, answer=64).budget
        32
    """

    question: Positive
    """Maximum number of question tokens."""
    budget: Positive
    """Maximum number of signal tokens."""
    answer: Positive
    """Maximum number of answer tokens."""


class Defaults(_Model):
    """Values that apply where a request sets none.

    Examples:
        >>> defaults = Defaults(budget=16, answer=64)
        >>> defaults.budget, defaults.temperature
        (16, 0.0)
    """

    budget: Positive
    """Maximum number of signal tokens."""
    answer: Positive
    """Maximum number of answer tokens."""
    temperature: float = 0.0
    """Sampling temperature of signal and answer."""
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Probability threshold: an answer with a less probable token is marked. None if the threshold
    was not measured for the pair."""

    @field_validator("temperature")
    @classmethod
    def _can_be_sampled(cls, temperature: float) -> float:
        if not valid_temperature(temperature):
            raise ValueError(f"{temperature:g}: {TEMPERATURE_RULE}")
        return temperature


class Evaluation(_Model):
    """Figures measured for this pair on one data set.

    Examples:
        >>> measured = Evaluation(
        ...     data="sums", questions=500, accuracy=0.96, signal_tokens=16, answer_tokens=3
        ... )
        >>> f"{measured.accuracy:.0%} from {measured.signal_tokens:g} tokens"
        '96% from 16 tokens'
    """

    data: str
    """Name of the data set."""
    questions: Positive
    """Number of questions."""
    accuracy: Annotated[float, Field(ge=0, le=1)]
    """Share of right answers, 0 to 1."""
    signal_tokens: Annotated[float, Field(ge=0)]
    """Mean number of signal tokens per question."""
    answer_tokens: Annotated[float, Field(ge=0)]
    """Mean number of answer tokens per question."""
    reasoner_alone_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    """Accuracy of the untrained reasoner alone, 0 to 1; None if not measured."""
    reasoner_alone_tokens: Annotated[float, Field(ge=0)] | None = None
    """Mean tokens of the untrained reasoner alone (reasoning and answer); None if not measured."""


class Peer(_Model):
    """A large model that was trained to answer by itself, measured on questions that the pair got too.

    Examples:
        >>> peer = Peer(name="Qwen2.5-0.5B, SFT", questions=500, accuracy=0.95, tokens=24)
        >>> peer.tokens
        24.0
    """

    name: str
    """Its name."""
    questions: Positive
    """Number of questions, over all data sets."""
    accuracy: Annotated[float, Field(ge=0, le=1)]
    """Its share of right answers, 0 to 1."""
    tokens: Annotated[float, Field(gt=0)]
    """Its mean number of tokens per question."""


class Manifest(_Model):
    """A pair: a reasoner and a decoder built for each other.

    Examples:
        >>> from duet_contract.pairs import find_pair
        >>> manifest = load_manifest(find_pair("private-sums-135m"))
        >>> manifest.id, manifest.matches("private-sums-135m")
        ('private-sums-135m', True)
    """

    schema_: int = Field(alias="schema", ge=1)
    """Version of the manifest's format."""
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    """Id of the pair: lower-case letters, digits, `.`, `_` and `-`."""
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    """Version of the pair, as `1.0.0`."""
    description: str
    """Description for users."""
    licence: str
    """License of the pair."""
    base_models: tuple[str, ...]
    """Names of the models that the pair was trained from."""
    made_with: str
    """Command that built the pair."""
    reasoner: Reasoner
    """The large model."""
    decoder: Decoder
    """The small model."""
    limits: Limits
    """Limits in tokens."""
    defaults: Defaults
    """Values that apply where a request sets none."""
    evaluation: tuple[Evaluation, ...] = ()
    """Measured figures, one entry per data set."""
    peer: Peer | None = None
    """What the pair is compared with if its reasoner cannot answer alone; None if nothing was measured."""
    quantities: Literal["private"] | None = None
    """"private": the device masks the question's numbers before it sends the question, and the
    models read labels (`duet_contract.quantities.mask`). None: they read the question as it is."""
    answers: Literal["computed"] | None = None
    """"computed": the signal is a formula that the device computes, and the decoder writes a
    sentence around its result (`compute`, `fill`). None: the decoder's text is the answer."""
    alone: Literal["useful"] | None = None
    """"useful": without the cloud the decoder answers alone, since its answers are worth something.
    None: a device without the cloud reports an error, unless its user asks for an answer alone."""
    calibration: PairFile | None = None
    """Thresholds of the device's policy (`duet_contract.calibration`); None if the pair has none."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        paths = [file.path for file in self.files]
        if len(set(paths)) != len(paths):
            raise ValueError("a file is listed twice")
        if self.answers == "computed" and self.quantities != "private":
            raise ValueError('answers "computed" needs quantities "private": formulas name labels')
        if self.quantities and self.schema_ < PRIVATE_SCHEMA:
            raise ValueError(
                f'quantities "private" needs schema {PRIVATE_SCHEMA}: build the pair again, or get '
                "its newest version"
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
    def files(self) -> tuple[PairFile, ...]:
        """Every file of the pair, apart from manifest and signature."""
        return (*self.reasoner.files, *self.device_files)

    @property
    def device_files(self) -> tuple[PairFile, ...]:
        """The files that a device needs: the decoder's, and the calibration if there is one."""
        return (*self.decoder.files, *([self.calibration] if self.calibration else ()))

    @property
    def decoder_sha256(self) -> str:
        """SHA-256 of the decoder's GGUF file."""
        return next(file.sha256 for file in self.decoder.files if file.path == self.decoder.path)

    @property
    def reasoner_alone_tokens(self) -> float | None:
        """Mean tokens of the untrained reasoner alone over its data sets; None if not measured."""
        measured = [
            figure.reasoner_alone_tokens
            for figure in self.evaluation
            if figure.reasoner_alone_tokens is not None
        ]
        return sum(measured) / len(measured) if measured else None

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
        """Return whether `reference` (`id` or `id@version`) names this pair."""
        return reference in (self.id, self.reference)

    def to_json(self) -> str:
        """Return the manifest as it is written to `manifest.json`."""
        return self.model_dump_json(by_alias=True, indent=2, exclude_none=True) + "\n"


def _require_slots(prompt: PromptFormat, wanted: set[str], where: str) -> None:
    slots = [part.slot for part in prompt if isinstance(part, SlotPart)]
    if sorted(slots) != sorted(wanted):
        raise ValueError(f"{where} must have each of {sorted(wanted)} once, has {slots}")


def parse_manifest(text: str, source: str = MANIFEST_NAME) -> Manifest:
    """Read a manifest from JSON text; `source` names it in errors.

    Raises:
        ManifestError: not JSON, of a newer schema, or invalid (every fault is named).

    Examples:
        >>> parse_manifest("{}")
        Traceback (most recent call last):
        duet_contract.errors.ManifestError: manifest.json is not a pair manifest: it has no whole number "schema"
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
        raise ManifestError(f"{source} is invalid: {faults(error, 'manifest')}") from error


def load_manifest(directory: Path) -> Manifest:
    """Read `manifest.json` from a pair's directory, without touching the models' files.

    Raises:
        ManifestError: the file is missing, or `parse_manifest` refuses it.

    Examples:
        >>> from duet_contract.pairs import find_pair
        >>> load_manifest(find_pair("private-sums-135m")).id
        'private-sums-135m'
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
