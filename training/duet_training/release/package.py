"""Packages a finished pair: one decoder, its figures, and a page that shows them."""

import shutil
from pathlib import Path
from typing import Any

import torch

from duet_contract.integrity import sha256_of, verify_files
from duet_contract.json_data import read_json
from duet_contract.manifest import MANIFEST_NAME, Manifest, load_manifest
from duet_training.errors import DataError
from duet_training.files import write_json, write_text
from duet_training.release.page import write_page
from duet_training.release.stage import HELD_OUT, SIGNAL
from duet_training.rl.metrics_log import read_metrics_log

FIGURES, PAGE = "figures.json", "README.md"
# What of an evaluation a reader wants.
_KEPT = ("data", "questions", "accuracy", "accuracy_95", "reasoner_tokens", "decoder_tokens")
_SAMPLE = ("question", "signal", "answer", "score", "step")


def package(out: Path, into: Path) -> None:
    """Copy manifest, models and figures of `out/pair` into `into`, which must hold no other pair.

    The signature is not copied: the user who installs the pair signs it for that machine.

    Raises:
        ContractError: The pair does not match its manifest.
        DataError: `into` holds something else, or figures cannot be read.
    """
    pair = out / "pair"
    manifest = load_manifest(pair)
    verify_files(pair, manifest.files, gguf=(manifest.decoder.path,))
    figures = collect(out)
    if into.exists():
        if not (into / MANIFEST_NAME).is_file():
            raise DataError(f"{into} exists and is not a pair: name another directory")
        shutil.rmtree(into)
    for path in (MANIFEST_NAME, *(file.path for file in manifest.files)):
        (into / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pair / path, into / path)
    _write(into, manifest, figures)
    _write_licence(into)


def renew_figures(out: Path, into: Path) -> None:
    """Rewrite figures and page of `out/pair` in `into`, which holds a copy of that pair.

    Raises:
        ContractError: `out` has no pair.
        DataError: `into` holds another pair or no pair, or figures cannot be read.
    """
    manifest = load_manifest(out / "pair")
    there = into / MANIFEST_NAME
    if not there.is_file() or sha256_of(there) != sha256_of(out / "pair" / MANIFEST_NAME):
        raise DataError(f"{into} does not hold the pair of {out}: its figures are of another")
    _write(into, manifest, collect(out))


def served_of(pair: Path) -> dict[str, Any] | None:
    """Read the serving figures in a pair's directory; None if they are missing.

    Raises:
        ContractError: The pair does not exist.
        DataError: Its figures cannot be read, or are of another pair.
    """
    found = (_read(pair / FIGURES) or {}).get("served")
    if found and found["pair_sha256"] != sha256_of(pair / MANIFEST_NAME):
        raise DataError(f"{pair / FIGURES} was measured with another pair")
    return found or None


def renew(pair: Path, measured: dict[str, Any]) -> None:
    """Rewrite figures and page of a pair with new figures.

    Raises:
        ContractError: The pair does not exist. DataError: Its figures cannot be read.
    """
    figures = _read(pair / FIGURES)
    if figures is None:
        raise DataError(f"{pair} has no {FIGURES}")
    _write(pair, load_manifest(pair), figures | measured)


def tell(out: Path, into: Path) -> None:
    """Write figures, page and license of `out/pair` into `into`, which holds the pair's parts.

    Raises:
        ContractError: `out` has no pair.
        DataError: Figures cannot be read.
    """
    manifest = load_manifest(out / "pair")
    _write(into, manifest, collect_private(out) if _computes(manifest) else collect(out))
    _write_licence(into)


def _computes(manifest: Manifest) -> bool:
    return manifest.answers == "computed"


def collect_private(out: Path) -> dict[str, Any]:
    """Collect the figures of a pair with private quantities; None where it was not measured.

    Raises:
        DataError: A file cannot be read, or is of another pair.
    """
    states = {role: out / "start" / "state" / f"{role}.pt" for role in ("reasoner", "decoder")}
    peer = out / "peer" / "state" / "reasoner.pt"
    states |= {"peer": peer} if peer.is_file() else {}
    try:
        steps = {role: torch.load(file, weights_only=True)["step"] for role, file in states.items()}
    except (OSError, RuntimeError, KeyError) as error:
        raise DataError(f"the training in {out} cannot be read: {error}") from error
    marks = _read(out / "marks.json")
    return {
        "steps": steps,
        "served": _of_this_pair(out, "served.json"),
        "formulas": _read(out / "accuracy.json"),
        "wall_clock": _of_this_pair(out, "wall_clock.json"),
        # Written by `duet-bench marks`, of the pair with its calibration.
        "marks": marks and {name: each for name, each in marks.items() if name != "further"},
    }


def collect(out: Path) -> dict[str, Any]:
    """Collect the trainer's figures of the generated sets, parity, and serving figures.

    A figure that was not measured has the value None or is empty.

    Raises:
        DataError: A file cannot be read, or is of another pair.
    """
    # A pair that is built from parts is in another directory than the export.
    parity = _read(out / "exported" / "parity.json") or _read(out / "pair" / "parity.json")
    try:
        evaluations: dict[str, dict[str, Any]] = {name: {} for name in HELD_OUT}
        for file in sorted((out / "evaluations").glob("*@*.json")):
            method, name = file.stem.split("@")
            if name in evaluations and method != SIGNAL:
                content = read_json(file)
                evaluations[name][method] = {key: content[key] for key in _KEPT}
        if parity:
            compared = {key: parity["data"][key] for key in ("questions", "source")}
            parity = compared | {key: parity[key] for key in ("reasoner", "decoder")}
        carried = _read(out / "evaluations" / f"{SIGNAL}@{HELD_OUT[0]}.json")
        samples = out / "run" / "samples.jsonl"
        rows = read_metrics_log(samples) if samples.is_file() else []
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"figures of {out} cannot be read: {error}") from error
    return {
        "evaluations": {name: found for name, found in evaluations.items() if found},
        "served": _of_this_pair(out, "served.json"),
        "wall_clock": _of_this_pair(out, "wall_clock.json"),
        "parity": parity,
        "signals": carried and {**carried["signal"], "questions": carried["questions"]},
        "samples": [{k: row.get(k) for k in _SAMPLE} for row in (*rows[:1], *rows[1:][-1:])],
    }


def _of_this_pair(out: Path, name: str) -> dict[str, Any] | None:
    """Read figures of the current pair; reject those of an earlier export."""
    found = _read(out / name)
    if found and found.get("pair_sha256") != sha256_of(out / "pair" / MANIFEST_NAME):
        raise DataError(f"{out / name} was measured with another pair: delete it and measure again")
    return found


def _read(file: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = read_json(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    return content


def _write(into: Path, manifest: Manifest, figures: dict[str, Any]) -> None:
    write_json(into / FIGURES, figures)
    write_text(into / PAGE, write_page(manifest, figures))


def _write_licence(into: Path) -> None:
    shutil.copyfile(Path(__file__).with_name("LICENSE.txt"), into / "LICENSE")
