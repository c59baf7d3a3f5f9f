"""Builds a pair from its recipe: models in place, formats derived, manifest written, signed."""

from collections.abc import Callable
from pathlib import Path

from duet_cloud.errors import PairBuildError
from duet_cloud.pairs import adapters, formats, gguf_models
from duet_cloud.pairs.recipe import Recipe, Source
from duet_cloud.pairs.sources import MODEL_FILES, locate, place
from duet_cloud.pairs.target import replacing, vacant
from duet_contract.calibration import add_calibration
from duet_contract.integrity import describe_directory, describe_file
from duet_contract.manifest import (
    MANIFEST_NAME,
    PRIVATE_SCHEMA,
    SCHEMA,
    Decoder,
    Manifest,
    Reasoner,
    Vocabulary,
)
from duet_contract.vocabulary import HubTokenizer, gguf_vocabulary, vocabulary_of

Report = Callable[[str], None]
TOKENIZER = "tokenizer.json"


def build_pair(
    recipe: Recipe, target: Path, report: Report = print, calibration: Path | None = None
) -> Manifest:
    """Build `recipe` into the directory `target`, which appears whole or not at all.

    Args:
        recipe: what it is built from.
        target: its directory.
        report: called with lines about the work.
        calibration: a file that becomes a part of the pair.

    Raises:
        PairBuildError: a source is missing or cannot be made into a pair, or `target` holds
            something else.
    """
    target = vacant(target)
    with replacing(target, f"{recipe.id} cannot be built") as scratch:
        scratch.mkdir(parents=True)
        manifest = _build(recipe, scratch, report)
        (scratch / MANIFEST_NAME).write_text(manifest.to_json(), "utf-8")
        if calibration:
            manifest = add_calibration(scratch, calibration)
    report(f"{manifest.reference} is ready in {target}")
    return manifest


def _build(recipe: Recipe, root: Path, report: Report) -> Manifest:
    report(f"reasoner: {_name(recipe.reasoner.source)}")
    reasoner = _build_reasoner(recipe, root)
    report(f"decoder: {_name(recipe.decoder.source)}")
    decoder = _build_decoder(recipe, root, reasoner.vocabulary)
    return Manifest(
        schema=PRIVATE_SCHEMA if recipe.quantities else SCHEMA,
        id=recipe.id,
        version=recipe.version,
        description=recipe.description,
        licence=recipe.licence,
        base_models=recipe.base_models,
        made_with=f"duet-cloud pairs build {recipe.id}",
        reasoner=reasoner,
        decoder=decoder,
        limits=recipe.limits,
        defaults=recipe.defaults,
        quantities=recipe.quantities,
        answers=recipe.answers,
        alone=recipe.alone,
    )


def _name(source: Source) -> str:
    place_name = source.hub or source.package or source.local
    if source.local is not None and source.local.name == source.gguf:
        return str(source.local)
    return f"{place_name}/{source.gguf}" if source.gguf else str(place_name)


def _build_reasoner(recipe: Recipe, root: Path) -> Reasoner:
    from transformers import AutoConfig, AutoTokenizer

    source = recipe.reasoner.source
    origin, target = locate(source), root / "reasoner"
    if source.gguf:
        gguf_models.dequantize(
            origin / source.gguf, target, individual_digits=recipe.reasoner.individual_digits
        )
    else:
        for pattern in MODEL_FILES:
            for file in origin.glob(pattern):
                place(file, target / file.name)
    if recipe.reasoner.adapter:
        adapters.add(locate(recipe.reasoner.adapter, adapters.SETTINGS), target)
    if not (target / TOKENIZER).is_file():
        raise PairBuildError(f"{_name(source)} has no tokenizer.json")
    prompt, end = recipe.reasoner.prompt, recipe.reasoner.end_of_reasoning
    if prompt is None or end is None:
        tokenizer = AutoTokenizer.from_pretrained(target)
        if not isinstance(tokenizer.chat_template, str):
            raise PairBuildError(f"{_name(source)} has no chat template")
        prompt = formats.reasoner_format(tokenizer.chat_template, recipe.reasoner.instruction)
        end = formats.end_of_reasoning(tokenizer.chat_template, str(tokenizer.eos_token))
    if len(HubTokenizer.from_directory(target).encode_template(end)) != 1:
        raise PairBuildError(f"{end!r} is not one token of {_name(source)}'s vocabulary")
    return Reasoner(
        path="reasoner",
        files=describe_directory(root, target),
        parameters=_count_parameters(target),
        vocabulary=vocabulary_of(target / TOKENIZER),
        prompt=prompt,
        end_of_reasoning=end,
        context=int(AutoConfig.from_pretrained(target).max_position_embeddings),
    )


def _build_decoder(recipe: Recipe, root: Path, reasoner: Vocabulary) -> Decoder:
    source = recipe.decoder.source
    origin = locate(source)
    if not source.gguf:
        raise PairBuildError("the decoder's source must name a GGUF file")
    quantization = recipe.decoder.quantization
    target = root / "decoder" / (f"model.{quantization}.gguf" if quantization else source.gguf)
    if quantization:
        gguf_models.quantize(origin / source.gguf, target, quantization)
    else:
        place(origin / source.gguf, target)
    info = gguf_models.inspect(target)
    vocabulary = gguf_vocabulary(info.tokens, info.token_types, reasoner)
    if vocabulary.sha256 != reasoner.sha256:
        own = origin / TOKENIZER
        if not own.is_file():
            raise PairBuildError(
                f"the decoder's vocabulary is not the reasoner's; put its tokenizer.json next to "
                f"{origin / source.gguf}, so that its text normalisation is known"
            )
        vocabulary = gguf_vocabulary(info.tokens, info.token_types, vocabulary_of(own))
    with_signal, alone = recipe.decoder.prompt_with_signal, recipe.decoder.prompt_alone
    if with_signal is None or alone is None:
        prompts = formats.decoder_formats(
            info.chat_template, recipe.reasoner.instruction, recipe.decoder.after_signal
        )
        with_signal, alone = prompts.with_signal, prompts.alone
    return Decoder(
        path=target.relative_to(root).as_posix(),
        files=(describe_file(root, target),),
        parameters=info.parameters,
        vocabulary=vocabulary,
        prompt_with_signal=with_signal,
        prompt_alone=alone,
        end_of_answer=tuple(info.end_tokens),
        context=info.context,
    )


def _count_parameters(directory: Path) -> int:
    from math import prod

    from safetensors import safe_open

    total = 0
    for file in directory.glob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            total += sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    if not total:
        raise PairBuildError(f"{directory} holds no safetensors weights")
    return total
