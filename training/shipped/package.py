"""What is shipped of a finished pair: one decoder, its figures, and a page that tells them."""

import json
import shutil
from pathlib import Path
from typing import Any

from duet_contract.integrity import verify_files
from duet_contract.manifest import MANIFEST_NAME, load_manifest
from training.errors import DataError
from training.journal import read_journal
from training.shipped.page import write_page
from training.shipped.peer import peer_name
from training.shipped.plan import peer_file

FIGURES = "figures.json"
# What of an evaluation a reader wants.
_KEPT = ("data", "questions", "accuracy", "accuracy_95", "reasoner_tokens", "decoder_tokens")


def package(out: Path, into: Path) -> None:
    """Copies manifest, models and figures of `out/pair` into `into`, which must hold no other pair.

    The signature stays behind: whoever installs the pair signs it for that machine.

    Raises:
        ContractError: the pair is not what its manifest says.
        DataError: `into` holds something else, or figures are missing.
    """
    pair = out / "pair"
    manifest = load_manifest(pair)
    described = (*manifest.reasoner.files, *manifest.decoder.files)
    verify_files(pair, described, gguf=(manifest.decoder.path,))
    figures = collect(out)
    if into.exists():
        if not (into / MANIFEST_NAME).is_file():
            raise DataError(f"{into} exists and is no pair: name another directory")
        shutil.rmtree(into)
    for path in (MANIFEST_NAME, *(file.path for file in described)):
        (into / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pair / path, into / path)
    (into / FIGURES).write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    (into / "README.md").write_text(write_page(manifest, figures), "utf-8")
    licence = Path(__file__).with_name("LICENSE.txt")
    shutil.copyfile(licence, into / "LICENSE")


def collect(out: Path) -> dict[str, Any]:
    """Figures of every evaluation, by method and set, and of parity.

    Raises:
        DataError: a file is not there, or is no JSON.
    """
    try:
        evaluations: dict[str, dict[str, Any]] = {}
        for file in sorted((out / "evaluations").glob("*@*.json")):
            method, name = file.stem.split("@")
            content = json.loads(file.read_text("utf-8"))
            evaluations.setdefault(name, {})[method] = {key: content[key] for key in _KEPT}
        parity = json.loads((out / "pair" / "parity.json").read_text("utf-8"))
        samples = read_journal(out / "run" / "samples.jsonl")
        first, last = samples[0], samples[-1]
        # Measured only where there is a vLLM.
        clock = out / "wall_clock.json"
        wall_clock = json.loads(clock.read_text("utf-8")) if clock.is_file() else None
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise DataError(f"{out} lacks figures: {error}") from error
    kept = ("question", "signal", "answer", "score", "step")
    return {
        "evaluations": evaluations,
        "peer": peer_name(peer_file(out)),
        "parity": {"reasoner": parity["reasoner"], "decoder": parity["decoder"]},
        "wall_clock": wall_clock,
        "samples": [{key: sample.get(key) for key in kept} for sample in (first, last)],
    }
