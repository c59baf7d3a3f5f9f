"""A built pair as the trainer reads one, so that its reasoner can be measured beside ours."""

from pathlib import Path

import yaml

from duet_contract.manifest import load_manifest
from training.pair import DecoderModel, Pair, ReasonerModel


def write_peer(pair: Path, file: Path) -> None:
    """Writes a `training.pair` file of the pair in directory `pair`; its reasoner in both places.

    GGUF is not read here, so there is no decoder to measure. What the pair is called is written
    beside it, for `peer_name`.

    Raises:
        ContractError: no such pair, or its manifest is invalid.
    """
    manifest = load_manifest(pair)
    path = (pair / manifest.reasoner.path).resolve()
    ends = manifest.decoder.end_of_answer
    read = Pair(
        reasoner=ReasonerModel(
            path=path,
            prompt=manifest.reasoner.prompt,
            end_of_reasoning=manifest.reasoner.end_of_reasoning,
            end_of_text=ends,
        ),
        decoder=DecoderModel(
            path=path,
            prompt_with_signal=manifest.decoder.prompt_with_signal,
            prompt_alone=manifest.decoder.prompt_alone,
            end_of_answer=ends,
        ),
    )
    content = read.model_dump(mode="json", exclude_none=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    file.with_suffix(".name").write_text(manifest.id, "utf-8")


def peer_name(file: Path) -> str | None:
    """What the pair that `write_peer` wrote into `file` is called; None if it wrote none."""
    name = file.with_suffix(".name")
    return name.read_text("utf-8") if name.is_file() else None
