"""The manifest of an exported pair, one for each quantization of its decoder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from transformers import AutoConfig

from duet_contract.integrity import describe_directory, describe_file
from duet_contract.json_data import faults, read_json
from duet_contract.manifest import (
    PRIVATE_SCHEMA,
    SCHEMA,
    Decoder,
    Defaults,
    Evaluation,
    Limits,
    Manifest,
    Reasoner,
)
from duet_contract.vocabulary import gguf_vocabulary, vocabulary_of
from duet_training.errors import ConfigError, ExportError
from duet_training.export.gguf_files import inspect
from duet_training.export.settings import ExportSettings, FigureSettings
from duet_training.export.source import Trained
from duet_training.pair.description import parameters
from duet_training.pair.prompting import PairPrompts


def build_reasoner(root: Path, trained: Trained) -> Reasoner:
    """Describe `root/reasoner`."""
    directory, model = root / "reasoner", trained.pair.reasoner
    return Reasoner(
        path="reasoner",
        files=describe_directory(root, directory),
        parameters=parameters(directory),
        vocabulary=vocabulary_of(directory / "tokenizer.json"),
        prompt=model.prompt,
        end_of_reasoning=model.end_of_reasoning,
        context=_context(directory),
    )


def build_decoder(root: Path, file: Path, trained: Trained) -> Decoder:
    """Describe one GGUF below `root`.

    Raises:
        ExportError: Its vocabulary differs from the vocabulary of its source model.
    """
    model, info = trained.pair.decoder, inspect(file)
    own = vocabulary_of(model.path / "tokenizer.json")
    vocabulary = gguf_vocabulary(info.tokens, info.token_types, own)
    if vocabulary.sha256 != own.sha256:
        raise ExportError(f"{file.name} has another vocabulary than {model.path}")
    return Decoder(
        path=file.relative_to(root).as_posix(),
        files=(describe_file(root, file),),
        parameters=info.parameters,
        vocabulary=vocabulary,
        prompt_with_signal=model.prompt_with_signal,
        prompt_alone=model.prompt_alone,
        end_of_answer=model.end_of_answer,
        context=info.context,
    )


def build_manifest(
    name: str,
    trained: Trained,
    settings: ExportSettings,
    reasoner: Reasoner,
    decoder: Decoder,
    evaluation: tuple[Evaluation, ...],
    confidence: float | None = None,
) -> Manifest:
    """Build the whole manifest. `confidence`: see `duet_contract.manifest.Defaults`.

    Raises:
        ConfigError: Name, version, limits or defaults are invalid in a manifest.
    """
    lengths = trained.lengths
    chosen, defaults = settings.limits, settings.default
    try:
        limits = Limits(
            question=chosen.question or lengths.prompt,
            budget=chosen.budget or lengths.response,
            answer=chosen.answer or lengths.answer,
        )
        return Manifest(
            schema=PRIVATE_SCHEMA if trained.pair.quantities else SCHEMA,
            id=settings.id or name.lower(),
            version=settings.version,
            description=settings.description,
            licence=settings.licence,
            base_models=settings.base_models,
            made_with=f"duet-train export, step {trained.step}",
            quantities=trained.pair.quantities,
            # Without labels the device reads the answer as it is; its reader computes.
            answers=trained.pair.answers if trained.pair.quantities else None,
            reasoner=reasoner,
            decoder=decoder,
            limits=limits,
            defaults=Defaults(
                budget=defaults.budget or limits.budget,
                answer=defaults.answer or limits.answer,
                temperature=defaults.temperature,
                confidence=confidence,
            ),
            evaluation=evaluation,
        )
    except ValidationError as error:
        raise ConfigError(f"the manifest would be invalid: {faults(error, 'pair')}") from error


def evaluation_of(measured: Mapping[str, Any], kind: str) -> Evaluation:
    """Return the parity figures of the pair with one quantization of its decoder."""
    row = measured["decoder"][kind]
    return Evaluation(
        data=measured["data"]["source"],
        questions=measured["data"]["questions"],
        accuracy=row["accuracy"],
        signal_tokens=measured["trained"]["signal_tokens"],
        answer_tokens=row["answer_tokens"],
    )


def evaluation_from(figures: FigureSettings) -> tuple[Evaluation, ...]:
    """Return the figures of `duet-train evaluate`, if the settings name its results.

    Raises:
        ConfigError: A file is not such a result, or the results are of different questions.
    """
    if not figures.split:
        return ()
    split = _result(figures.split)
    alone = _result(figures.alone) if figures.alone else {}
    try:
        if alone and (alone["data"], alone["questions"]) != (split["data"], split["questions"]):
            raise ConfigError("figures.split and figures.alone are of different questions")
        return (
            Evaluation(
                data=split["data"],
                questions=split["questions"],
                accuracy=split["accuracy"],
                signal_tokens=split["reasoner_tokens"],
                answer_tokens=split["decoder_tokens"],
                reasoner_alone_accuracy=alone.get("accuracy"),
                reasoner_alone_tokens=alone.get("reasoner_tokens"),
            ),
        )
    except (KeyError, ValidationError) as error:
        raise ConfigError(
            f"{figures.split} is not a result of duet-train evaluate: {error}"
        ) from error


def _result(file: Path) -> dict[str, Any]:
    try:
        result = read_json(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from error
    if not isinstance(result, dict):
        raise ConfigError(f"{file} is not a result of duet-train evaluate")
    return result


def check_shared(manifest: Manifest, prompts: PairPrompts) -> None:
    """Reject a pair that would send signals in another form than in training.

    Raises:
        ExportError: Signals are token ids in training and text in serving, or the reverse.
    """
    if manifest.shared_vocabulary != prompts.shared_vocabulary:
        raise ExportError("reasoner and decoder no longer agree on their vocabularies")


def _context(directory: Path) -> int:
    return int(AutoConfig.from_pretrained(directory).max_position_embeddings)
