"""`duet-train release signals PAIR`: what the signals of a finished pair carry.

The pair's own files are read: the reasoner as it is, the decoder's GGUF weights in float32. The
trainer then answers generated problems as `duet-train evaluate method=signal` does. The decoder
before joint training is not part of a pair, so the figures have no untouched decoder.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from duet_contract.json_data import json_text, read_json, rounded
from duet_contract.manifest import Manifest, load_manifest
from duet_contract.pairs import find_pair
from duet_training.data.rows import write_rows
from duet_training.data.story_problems.draw import problems
from duet_training.errors import DataError
from duet_training.experiments.processes import Processes
from duet_training.release.package import renew

SCOPE = "wide"
_LIMIT_S = 6 * 3600.0


def measure_signals(name: str, out: Path, into: Path | None, questions: int) -> dict[str, Any]:
    """Measure a pair's signals on held-out generated problems; resume if `out` has the result.

    `into` is the directory of the released pair whose figures and page get the result, or None.

    Raises:
        TrainingError: the pair's signals are formulas, or the evaluation failed.
    """
    pair = find_pair(name).resolve()
    manifest = load_manifest(pair)
    if manifest.answers == "computed":
        raise DataError(f"{manifest.id}: its signals are formulas of labels, which state no number")
    result = out / "signal.json"
    if not result.is_file():
        out.mkdir(parents=True, exist_ok=True)
        _write_decoder(pair, manifest, out / "decoder")
        (out / "pair.yaml").write_text(yaml.safe_dump(_description(pair, manifest, out)), "utf-8")
        write_rows(problems(SCOPE, "test", questions, 0), "test", out / "test.parquet")
        Processes().run(
            "signals",
            [sys.executable, "-m", "duet_training", "evaluate", *_settings(manifest, out, result)],
            out / "signals.log",
            limit_s=_LIMIT_S,
        )
    found: dict[str, Any] = read_json(result)
    signals = {**found["signal"], "questions": found["questions"], "pair": manifest.reference}
    if into:
        renew(into, {"signals": rounded(signals)})
    print(json_text(rounded(signals), indent=1))
    return signals


def _write_decoder(pair: Path, manifest: Manifest, directory: Path) -> None:
    """Write the decoder in Hugging Face's layout."""
    from transformers import AutoConfig, AutoModelForCausalLM

    file = pair / manifest.decoder.path
    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    # transformers does not read it from the file, and takes the architecture's usual one.
    config.head_dim = _head_size(file) or config.head_dim
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, config=config)
    model.save_pretrained(directory)
    own = file.with_name("tokenizer.json")
    if not own.is_file() and not manifest.shared_vocabulary:
        raise DataError(f"{manifest.id} has no tokenizer.json of its decoder")
    tokenizer = own if own.is_file() else pair / manifest.reasoner.path / "tokenizer.json"
    (directory / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    # Without it, the architecture's own class would add tokens that the model does not have.
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": manifest.decoder.end_of_answer[0],
    }
    (directory / "tokenizer_config.json").write_text(json_text(settings), "utf-8")


def _head_size(file: Path) -> int | None:
    """Read the size of a head of attention from a GGUF file; None if it names none."""
    from gguf import GGUFReader

    fields = GGUFReader(file).fields
    architecture = fields["general.architecture"].contents()
    found = fields.get(f"{architecture}.attention.key_length")
    return int(found.contents()) if found else None


def _description(pair: Path, manifest: Manifest, out: Path) -> dict[str, Any]:
    reasoner, decoder = manifest.reasoner, manifest.decoder

    def parts(prompt: Any) -> list[dict[str, str]]:
        return [part.model_dump() for part in prompt]

    return {
        "reasoner": {
            "path": str(pair / reasoner.path),
            "prompt": parts(reasoner.prompt),
            "end_of_reasoning": reasoner.end_of_reasoning,
            # Serving stops there.
            "end_of_text": [reasoner.end_of_reasoning],
        },
        "decoder": {
            "path": str(out / "decoder"),
            "prompt_with_signal": parts(decoder.prompt_with_signal),
            "prompt_alone": parts(decoder.prompt_alone),
            "end_of_answer": list(decoder.end_of_answer),
        },
    }


def _settings(manifest: Manifest, out: Path, result: Path) -> list[str]:
    limits = manifest.limits
    return [
        f"pair={out / 'pair.yaml'}",
        f"data.train={out / 'test.parquet'}",
        f"out={result}",
        *("method=signal", "temperature=0", "objective.stop_at_end_of_reasoning=true"),
        f"data.max_prompt={limits.question + 50}",
        f"tokens.response={manifest.defaults.budget}",
        f"tokens.answer={limits.answer}",
        f"tokens.decoder_prompt={manifest.decoder.context - limits.answer}",
    ]
