"""Builds a pair's directory from a run, atomically.

`OUT/` holds `manifest.json`, `reasoner/` (Hugging Face layout), `decoder/model.TYPE.gguf`,
`manifests/TYPE.json` (the manifest with another of the decoders) and `parity.json`. If the run
trained an adapter, also `adapter/reasoner/` or `adapter/decoder/`, and with `keep_decoder`
`merged/decoder/` (Hugging Face layout), which are not part of the pair.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from duet_contract.builder import builder_key
from duet_contract.errors import ContractError
from duet_contract.json_data import rounded, without_infinities
from duet_contract.manifest import MANIFEST_NAME, Manifest
from duet_contract.signature import sign_pair
from duet_training.errors import ConfigError, ExportError, ParityError
from duet_training.export.converter import converter_directory
from duet_training.export.gguf_files import inspect, write_gguf
from duet_training.export.manifest import (
    build_decoder,
    build_manifest,
    build_reasoner,
    check_shared,
    evaluation_from,
    evaluation_of,
)
from duet_training.export.merge import merge_shards, write_model
from duet_training.export.parity import Exported, Parity, beyond
from duet_training.export.questions import Questions, open_questions
from duet_training.export.serving import serving_interpreter
from duet_training.export.settings import ExportSettings
from duet_training.export.source import Trained, find_trained
from duet_training.export.tokenizers import check_tokenizers
from duet_training.files import write_json
from duet_training.pair.description import parameters
from duet_training.verl_backend.shards import Weights

MERGED = "merged"
# Maximum bytes per weight, by prefix of the quantization's name.
_WIDTHS = {"F32": 4.0, "F16": 2.0, "BF16": 2.0, "Q8": 1.1, "Q6": 0.9, "Q5": 0.8}
_OTHER_WIDTH = 0.7


def export(run: Path, out: Path, settings: ExportSettings) -> tuple[Manifest, dict[str, Any]]:
    """Export a run; return the manifest and the content of `parity.json`.

    Raises:
        TrainingError: The run, settings, data, disk or engines have a fault.
        ParityError: A figure is beyond its limit; `OUT.parity.json` holds the figures.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} exists: an export does not overwrite, name another directory")
    trained = find_trained(run, settings.checkpoint, settings.pair)
    # Run the fast checks before the long work.
    evaluation_from(settings.figures)
    serving_interpreter(settings.parity.serving_python)
    converter = converter_directory(settings.converter)
    scratch = out.with_name(f".{out.name}.building-{os.getpid()}")
    questions = open_questions(trained, settings.parity)
    try:
        scratch.mkdir(parents=True)
        _require_space(scratch, trained, settings)
        report = _build(scratch, trained, questions, converter, settings)
        manifest = _manifests(scratch, out.name, trained, questions, settings, report)
        _settle(scratch, out, report, settings)
    except (OSError, SafetensorError) as error:
        raise ExportError(f"cannot write {out}: {error}") from error
    except ContractError as error:
        raise ExportError(f"{out.name} cannot be signed: {error}") from error
    finally:
        questions.close()
        shutil.rmtree(scratch, ignore_errors=True)
    return manifest, report


def _build(
    scratch: Path,
    trained: Trained,
    questions: Questions,
    converter: Path,
    settings: ExportSettings,
) -> dict[str, Any]:
    prompts, pair = questions.prompts, trained.pair
    exact = {
        "reasoner": scratch / "trained" / "reasoner",
        "decoder": scratch / "trained" / "decoder",
    }
    _say(f"merging step {trained.step} of {trained.directory.parent.parent.name or '.'}")
    weights = _weights(trained, "reasoner", pair.reasoner.path, scratch)
    write_model(weights, pair.reasoner.path, exact["reasoner"], None, prompts.end_of_text)
    write_model(
        weights,
        pair.reasoner.path,
        scratch / "reasoner",
        settings.reasoner_dtype,
        prompts.end_of_text,
    )
    weights = _weights(trained, "decoder", pair.decoder.path, scratch)
    write_model(weights, pair.decoder.path, exact["decoder"], None, prompts.end_of_answer)
    del weights
    _say(f"decoder as {', '.join(settings.quantizations)}")
    decoders = write_gguf(
        exact["decoder"],
        scratch / "decoder",
        settings.quantizations,
        converter,
        settings.threads or len(os.sched_getaffinity(0)),
    )
    first = next(iter(decoders.values()))
    check_tokenizers(first, pair.decoder, (problem.question for problem in questions.problems))
    _say(f"comparing on {len(questions.problems)} questions of {questions.name}")
    chosen, lengths = settings.limits, trained.lengths
    lengths = replace(
        lengths,
        response=chosen.budget or lengths.response,
        answer=chosen.answer or lengths.answer,
    )
    exported = Exported(exact["reasoner"], exact["decoder"], scratch / "reasoner", decoders)
    measured = Parity(exported, questions, lengths, settings).measure()
    for kind, file in decoders.items():
        row = measured["decoder"][kind]
        row["bytes"], row["types"] = file.stat().st_size, inspect(file).types
    if settings.keep_decoder:
        (scratch / MERGED).mkdir()
        exact["decoder"].rename(scratch / MERGED / "decoder")
    shutil.rmtree(scratch / "trained")
    parity = settings.parity
    return {
        "step": trained.step,
        **measured,
        "limits": {
            "max_kl": parity.max_kl,
            "min_top1": parity.min_top1,
            "max_accuracy_drop": parity.max_accuracy_drop,
        },
        "beyond": beyond(measured, parity),
    }


def _weights(trained: Trained, name: str, model: Path, scratch: Path) -> Weights:
    """Return a policy's weights, the initial ones if it was not trained. Write its adapter."""
    if (trained.directory / name).is_dir():
        return merge_shards(trained.directory / name, model, scratch / "adapter" / name)
    from transformers import AutoModelForCausalLM

    _say(f"the run did not train the {name}: taken as the pair names it")
    weights: Weights = AutoModelForCausalLM.from_pretrained(model, dtype="auto").state_dict()
    return weights


def _manifests(
    scratch: Path,
    name: str,
    trained: Trained,
    questions: Questions,
    settings: ExportSettings,
    report: dict[str, Any],
) -> Manifest:
    """Write a manifest for each decoder; return the pair's own."""
    reasoner, manifests = build_reasoner(scratch, trained), {}
    (scratch / "manifests").mkdir()
    for kind in settings.quantizations:
        decoder = build_decoder(scratch, scratch / "decoder" / f"model.{kind}.gguf", trained)
        evaluation = evaluation_from(settings.figures) or (evaluation_of(report, kind),)
        confidence = report["decoder"][kind]["confidence"]["threshold"]
        manifest = build_manifest(
            name, trained, settings, reasoner, decoder, evaluation, confidence
        )
        check_shared(manifest, questions.prompts)
        (scratch / "manifests" / f"{kind}.json").write_text(manifest.to_json(), "utf-8")
        manifests[kind] = manifest
    return manifests[settings.decoder]


def _settle(scratch: Path, out: Path, report: dict[str, Any], settings: ExportSettings) -> None:
    figures = rounded(without_infinities(report))
    if report["beyond"] and settings.parity.on_excess == "stop":
        kept = out.with_name(f"{out.name}.parity.json")
        write_json(kept, figures, indent=2)
        raise ParityError(f"{'; '.join(report['beyond'])} (all figures: {kept})")
    write_json(scratch / "parity.json", figures, indent=2)
    shutil.copyfile(scratch / "manifests" / f"{settings.decoder}.json", scratch / MANIFEST_NAME)
    # This user's devices load a locally built pair; for other users a publisher signs it.
    sign_pair(scratch, builder_key())
    scratch.rename(out)


def _require_space(where: Path, trained: Trained, settings: ExportSettings) -> None:
    width = {"float32": 4, "float16": 2, "bfloat16": 2}[settings.reasoner_dtype]
    wanted = parameters(trained.pair.reasoner.path) * (4 + width)
    widths = [_width(kind) for kind in {*settings.quantizations, "F16"}]
    wanted += int(parameters(trained.pair.decoder.path) * (4 + sum(widths)))
    free = shutil.disk_usage(where).free
    if free < wanted:
        raise ExportError(
            f"{where.parent} has {free / 1e9:.1f} GB free, the export needs about "
            f"{wanted / 1e9:.1f} GB: free some, or export elsewhere"
        )


def _width(kind: str) -> float:
    return next((w for begin, w in _WIDTHS.items() if kind.startswith(begin)), _OTHER_WIDTH)


def _say(text: str) -> None:
    print(text, flush=True)
