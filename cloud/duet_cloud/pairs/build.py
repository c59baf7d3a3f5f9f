"""Builds a pair from its recipe: models in place, formats derived, manifest written, signed."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from duet_cloud.errors import PairBuildError
from duet_cloud.pairs import formats, gguf_models
from duet_cloud.pairs.formats import ChatTemplate
from duet_cloud.pairs.recipe import Recipe, Source
from duet_cloud.pairs.sources import MODEL_FILES, locate, own_calibration, own_peer, place
from duet_cloud.pairs.target import replacing, vacant
from duet_contract.calibration import add_calibration
from duet_contract.errors import first_line
from duet_contract.integrity import describe_directory, describe_file
from duet_contract.manifest import (
    MANIFEST_NAME,
    PRIVATE_SCHEMA,
    SCHEMA,
    Decoder,
    Defaults,
    Limits,
    Manifest,
    Reasoner,
    Vocabulary,
)
from duet_contract.sampling import valid_temperature
from duet_contract.vocabulary import HubTokenizer, gguf_vocabulary, vocabulary_of

# Of the two files that PEFT writes.
ADAPTER = "adapter_config.json"


def add_adapter(adapter: Path, model: Path) -> None:
    """Add a low-rank adapter's weights to those of the model in the directory `model`, in bfloat16.

    vLLM could serve an adapter (LoRA, arXiv 2106.09685) next to its model; a merged one costs
    nothing per token.

    Raises:
        PairBuildError: it cannot be read, or is of another model.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    try:
        adapted = PeftModel.from_pretrained(base, adapter)
        merged = adapted.merge_and_unload(safe_merge=True)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise PairBuildError(
            f"the adapter in {adapter} cannot be added: {first_line(error)}"
        ) from error
    # Files may be hard links to those of another program, which must not change: each is replaced.
    for file in model.glob("*.safetensors*"):
        file.unlink()
    with TemporaryDirectory(dir=model.parent) as scratch:
        merged.save_pretrained(scratch)
        for file in Path(scratch).iterdir():
            file.replace(model / file.name)


# Most tokens of each kind that any pair gets.
_QUESTION, _ANSWER, _BUDGET = 1024, 2048, 16384


def limits_for(reasoner: Reasoner, decoder: Decoder) -> Limits:
    """Return limits that fit both models' context windows.

    Question, answer, and the text around them in the prompts get an eighth of the smaller window
    each, the signal at most the rest.
    """
    window = min(reasoner.context, decoder.context)
    eighth = max(1, window // 8)
    question, answer = min(_QUESTION, eighth), min(_ANSWER, eighth)
    budget = min(_BUDGET, window - question - answer - eighth)
    return Limits(question=question, budget=max(1, budget), answer=answer)


def defaults_for(limits: Limits, reasoner: Path) -> Defaults:
    """Return defaults within `limits`: a quarter of the budget, and a whole answer.

    Args:
        limits: the pair's.
        reasoner: directory of the model, whose `generation_config.json` may name a temperature.
    """
    temperature = 0.0
    with suppress(OSError, ValueError, AttributeError):
        settings = json.loads((reasoner / "generation_config.json").read_text("utf-8"))
        wanted = settings.get("temperature")
        if settings.get("do_sample") and isinstance(wanted, int | float):
            temperature = float(wanted) if valid_temperature(wanted) else 0.0
    return Defaults(
        budget=max(1, limits.budget // 4), answer=limits.answer, temperature=temperature
    )


Report = Callable[[str], None]
TOKENIZER = "tokenizer.json"


def build_pair(
    recipe: Recipe,
    target: Path,
    report: Report = print,
    calibration: Path | None = None,
    command: str | None = None,
) -> Manifest:
    """Build `recipe` into the directory `target`, which appears whole or not at all.

    Args:
        recipe: what the pair is made from.
        target: its directory.
        report: called with lines about the work.
        calibration: a file that becomes a part of the pair; None: the recipe's own.
        command: what the manifest says the pair was built with; None names the recipe.

    Raises:
        PairBuildError: a source is missing or cannot be made into a pair, or `target` holds
            something else.
    """
    target = vacant(target)
    with replacing(target, f"{recipe.id} cannot be built") as scratch:
        scratch.mkdir(parents=True)
        manifest = _build(recipe, scratch, report, command or f"duet-cloud pairs build {recipe.id}")
        (scratch / MANIFEST_NAME).write_text(manifest.to_json(), "utf-8")
        if calibration := calibration or own_calibration(recipe):
            manifest = add_calibration(scratch, calibration)
    report(f"{manifest.reference} is ready in {target}")
    return manifest


def _build(recipe: Recipe, root: Path, report: Report, command: str) -> Manifest:
    report(f"reasoner: {_name(recipe.reasoner.source)}")
    reasoner = _build_reasoner(recipe, root, report)
    report(f"decoder: {_name(recipe.decoder.source)}")
    decoder = _build_decoder(recipe, root, reasoner.vocabulary, report)
    limits = recipe.limits or limits_for(reasoner, decoder)
    return Manifest(
        schema=PRIVATE_SCHEMA if recipe.quantities else SCHEMA,
        id=recipe.id,
        version=recipe.version,
        description=recipe.description,
        licence=recipe.licence,
        base_models=recipe.base_models,
        made_with=command,
        reasoner=reasoner,
        decoder=decoder,
        limits=limits,
        defaults=recipe.defaults or defaults_for(limits, root / reasoner.path),
        quantities=recipe.quantities,
        answers=recipe.answers,
        alone=recipe.alone,
        peer=own_peer(recipe),
    )


def _name(source: Source) -> str:
    place_name = source.hub or source.package or source.local
    if source.local is not None and source.local.name == source.gguf:
        return str(source.local)
    return f"{place_name}/{source.gguf}" if source.gguf else str(place_name)


def _build_reasoner(recipe: Recipe, root: Path, report: Report) -> Reasoner:
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
        add_adapter(locate(recipe.reasoner.adapter, ADAPTER), target)
    if not (target / TOKENIZER).is_file():
        raise PairBuildError(f"{_name(source)} has no tokenizer.json")
    vocabulary = vocabulary_of(target / TOKENIZER)
    prompt, end = recipe.reasoner.prompt, recipe.reasoner.end_of_reasoning
    if prompt is None or end is None:
        tokenizer = AutoTokenizer.from_pretrained(target)
        try:
            text = tokenizer.get_chat_template()
        except ValueError as error:
            raise PairBuildError(
                f"{_name(source)} has no chat template: take an instruction-tuned model"
            ) from error
        names = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
        template = ChatTemplate(_name(source), text, vocabulary.reserved, names)
        derived = _derived(template, recipe.reasoner.instruction, report)
        prompt = derived.thinking or derived.plain
        end = derived.end_of_thinking or derived.end_of_turn or str(tokenizer.eos_token)
    if len(HubTokenizer.from_directory(target).encode_template(end)) != 1:
        raise PairBuildError(f"{end!r} is not one token of {_name(source)}'s vocabulary")
    context = getattr(
        AutoConfig.from_pretrained(target).get_text_config(), "max_position_embeddings", None
    )
    if not context:
        raise PairBuildError(
            f"config.json of {_name(source)} has no max_position_embeddings, so that the size of "
            "its context window is unknown"
        )
    return Reasoner(
        path="reasoner",
        files=describe_directory(root, target),
        parameters=_count_parameters(target),
        vocabulary=vocabulary,
        prompt=prompt,
        end_of_reasoning=end,
        context=int(context),
    )


def _derived(template: ChatTemplate, instruction: str, report: Report) -> formats.Formats:
    """Derive formats from a chat template, and report what its users may not expect."""
    derived = formats.derive(template, instruction)
    if template.writes_the_date:
        report(
            f"the chat template of {template.model} writes today's date; "
            f"the pair's prompts always say {formats.TODAY:%d %b %Y}"
        )
    thinking = [token for token in template.reserved if "think" in token.lower()]
    if derived.thinking is None and thinking:
        report(
            f"{template.model} has the token {thinking[0]}, but its chat template does not show "
            "how to think with it: the pair uses it without thinking"
        )
    return derived


def _build_decoder(recipe: Recipe, root: Path, reasoner: Vocabulary, report: Report) -> Decoder:
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
        form = (
            vocabulary_of(own).normalization
            if own.is_file()
            else gguf_models.normalization(info, origin / source.gguf)
        )
        vocabulary = vocabulary.model_copy(update={"normalization": form})
    with_signal, alone = recipe.decoder.prompt_with_signal, recipe.decoder.prompt_alone
    end_of_answer = info.end_tokens
    if with_signal is None or alone is None:
        template = ChatTemplate(_name(source), info.chat_template, vocabulary.reserved, info.names)
        derived = _derived(template, recipe.reasoner.instruction, report)
        with_signal, alone = derived.with_signal(recipe.decoder.after_signal), derived.plain
        end_of_answer = [*filter(None, [derived.end_of_turn]), *end_of_answer]
    return Decoder(
        path=target.relative_to(root).as_posix(),
        files=(describe_file(root, target),),
        parameters=info.parameters,
        vocabulary=vocabulary,
        prompt_with_signal=with_signal,
        prompt_alone=alone,
        end_of_answer=recipe.decoder.end_of_answer or tuple(dict.fromkeys(end_of_answer)),
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
