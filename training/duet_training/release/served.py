"""`duet-train release served OUT`: measures the built pair in serving, over whole sets.

The bench asks the pair's service and, through vLLM's OpenAI server, the released reasoner alone:
every question of the generated held-out sets and of each given file. The reasoner of a pair that
computes writes formulas instead of answers, so that the decoder alone takes its place. A
question that is rejected or fails counts as wrong. The bench also asks out-of-domain questions
(`out_of_domain.jsonl`), to count the answers that the pair marks. `--peer` asks another pair's reasoner
the same questions; one of many times the size, only the first of each given file. `--of` measures
an existing pair, such as a released one: it skips sets for which the pair has figures of as many
questions, and rewrites its figures and page.
"""

import random
import shutil
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from duet_contract.builder import builder_key
from duet_contract.integrity import sha256_of
from duet_contract.json_data import json_text, rounded
from duet_contract.manifest import MANIFEST_NAME, SIGNATURE_NAME, load_manifest
from duet_contract.pairs import find_pair
from duet_contract.signature import sign_pair
from duet_report.intervals import bounds, difference_of_means
from duet_training.data.jsonl import json_lines
from duet_training.data.story_problems.draw import question_lines
from duet_training.data.word_problems.generate import generated
from duet_training.errors import DataError
from duet_training.evaluation.signal_content import answer_spans
from duet_training.files import write_json, write_text
from duet_training.release.bench import (
    ALONE,
    DEVICE,
    LARGE_LIMIT,
    SPLIT,
    BenchRun,
    condition,
    recorded,
    run_bench,
)
from duet_training.release.package import renew, served_of
from duet_training.release.stage import HELD_OUT, PRIVATE_HELD_OUT, QUESTIONS

STREAMS = 16
# Questions of each given file for a peer that is more than LARGE times the size of the pair.
PEER_QUESTIONS, LARGE = 50, 2
# Questions about facts, languages and small talk, without a numeric answer.
OUT_OF_DOMAIN = Path(__file__).with_name("out_of_domain.jsonl")
_LIMIT_S = 6 * 3600.0


def read_sets(given: list[str]) -> dict[str, Path]:
    """Parse `NAME=FILE` arguments to files by name.

    Raises:
        DataError: An argument is malformed, a name is repeated, or a file is missing.
    """
    found: dict[str, Path] = {}
    for each in given:
        name, separator, file = each.partition("=")
        path = Path(file).resolve()
        if not (name.replace("_", "").replace("-", "").isalnum() and separator and file):
            raise DataError(f"--set {each!r} is not NAME=FILE")
        if name in found or name in (*HELD_OUT, *PRIVATE_HELD_OUT, OUT_OF_DOMAIN.stem):
            raise DataError(f"--set {each!r}: there is already a set {name}")
        if not path.is_file():
            raise DataError(f"--set {each!r}: there is no such file")
        found[name] = path
    return found


def measure_served(
    out: Path, python: Path, real: Mapping[str, Path], peer: str | None, of: Path | None = None
) -> dict[str, Any]:
    """Write `out/served.json`; skip sets that are complete in `out/served`.

    `of` is a pair with figures: the run skips its measured sets and updates its figures.

    Returns:
        The content of the file.

    Raises:
        TrainingError: A server or the bench failed; a second call continues.
        KeyboardInterrupt: The run was interrupted; its processes have ended, answers are stored.
    """
    work = out / "served"
    told = served_of(of) if of else None
    pair = _signed(of, work) if of else out / "pair"
    computes = load_manifest(pair).answers == "computed"
    held_out = PRIVATE_HELD_OUT if computes else HELD_OUT
    modes = (SPLIT, DEVICE if computes else ALONE)
    sets: dict[str, Any] = dict(told["sets"]) if told else {}
    machine = told["machine"] if told else None
    (work / "sets").mkdir(parents=True, exist_ok=True)
    is_large = bool(peer) and _large(str(peer), pair)
    for name in (*held_out, *real):
        file = real[name] if name in real else _generated(name, work / "sets")
        count = _count(real[name]) if name in real else QUESTIONS
        if name not in sets or sets[name]["questions"] != count:
            asked = BenchRun(str(pair), file, count, modes, STREAMS, work / name)
            report = run_bench(asked, python, _LIMIT_S, resume=True)
            sets[name] = of_report(report) | {"generated": name in held_out}
            if computes:
                sets[name]["answer_in_signal"] = stated_answers(work / name, file)
            machine = report["machine"]
        if peer and (name in real or not is_large):
            questions = min(count, PEER_QUESTIONS) if is_large else count
            sets[name]["peer"] = _peer(peer, file, questions, work / name, python)
        print(f"{name}: {_line(sets[name])}", flush=True)
    out_of_domain = told.get("out_of_domain") if told else None
    if out_of_domain is None or out_of_domain["questions"] != _count(OUT_OF_DOMAIN):
        out_of_domain = _out_of_domain(pair, work / OUT_OF_DOMAIN.stem, python)
    content = {
        "pair": load_manifest(pair).reference,
        "pair_sha256": sha256_of(pair / MANIFEST_NAME),
        "machine": machine,
        "streams": STREAMS,
        "large_limit": LARGE_LIMIT,
        "peer": next((s["peer"]["pair"] for s in sets.values() if "peer" in s), None),
        "sets": sets,
        "out_of_domain": out_of_domain,
    }
    write_json(out / "served.json", rounded(content))
    if of:
        renew(of, {"served": content})
    return content


def _signed(pair: Path, work: Path) -> Path:
    """Make a signed copy for the device: the pair in the repository has no signature.

    Raises:
        ContractError: The pair does not exist, or does not match its manifest.
    """
    if (pair / SIGNATURE_NAME).is_file():
        return pair
    copy = work / "pairs" / pair.name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(find_pair(str(pair)), copy)
    sign_pair(copy, builder_key())
    return copy


def _large(peer: str, pair: Path) -> bool:
    """Return whether the peer's reasoner is many times the size of the pair's."""
    sizes = [load_manifest(find_pair(each)).reasoner.parameters for each in (peer, str(pair))]
    return sizes[0] > LARGE * sizes[1]


def _peer(peer: str, file: Path, count: int, split: Path, python: Path) -> dict[str, Any]:
    """Measure another pair's reasoner alone on a file's first `count` questions.

    `split` is the directory of the pair's own run over the same file. Where both answered the same
    questions, the result has the paired difference in accuracy, split minus peer.
    """
    folder = split.with_name(f"{split.name}-peer")
    found = str(find_pair(peer).resolve())
    report = run_bench(
        BenchRun(found, file, count, (ALONE,), STREAMS, folder), python, _LIMIT_S, resume=True
    )
    figures = _figures(condition(report, ALONE)) | {"pair": report["pair"]}
    ours, theirs = (
        {row["id"]: float(bool(row.get("correct"))) for row in recorded(run, mode)}
        for run, mode in ((split, SPLIT), (folder, ALONE))
    )
    if ours and ours.keys() == theirs.keys():
        both = (np.array([right[key] for key in ours]) for right in (ours, theirs))
        difference = difference_of_means(*both, paired=True)
        figures["difference"], figures["difference_95"] = difference.value, bounds(difference)
    return figures


def stated_answers(folder: Path, questions: Path) -> dict[str, int]:
    """Count the split's signals in a run of the bench (`signals`), and those that state the reference.

    A formula over labels can state the answer by chance alone: by a constant, such as the 2 of
    `a/2`, that equals it. `questions` are the set's, with `answer` and maybe `id`.
    """
    references = {
        str(row.get("id", number)): str(row["answer"])
        for number, (_, row) in enumerate(json_lines(questions), 1)
    }
    asked = recorded(folder, SPLIT)
    stated = sum(bool(answer_spans(row.get("signal", ""), references[row["id"]])) for row in asked)
    return {"signals": len(asked), "stated": stated}


def _out_of_domain(pair: Path, folder: Path, python: Path) -> dict[str, Any]:
    """Count the answers to out-of-domain questions that the device marks.

    Without a confidence threshold the device marks no answer, and the count is null (None).
    """
    count = _count(OUT_OF_DOMAIN)
    asked = BenchRun(str(pair), OUT_OF_DOMAIN, count, (SPLIT,), STREAMS, folder)
    found = condition(run_bench(asked, python, _LIMIT_S, resume=True), SPLIT)
    judged = found.get("marked_low")
    marked = judged["right_marked"] + judged["wrong_marked"] if judged else None
    return {"questions": count, "answered": found["answered"], "marked": marked}


def of_report(report: dict[str, Any]) -> dict[str, Any]:
    """Extract the stored part of a set's report: both modes, and the count of marked answers."""
    split = condition(report, SPLIT)
    others = {"reasoner": ALONE, "device": DEVICE}
    asked = {each["condition"]["mode"] for each in report["conditions"]}
    sent = split["metrics"].get("numbers_sent")
    return {
        "questions": split["asked"],
        "split": _figures(split),
        **{
            name: _figures(condition(report, mode))
            for name, mode in others.items()
            if mode in asked
        },
        "marked_low": split.get("marked_low"),
        **({"numbers_sent": sent["mean"]} if sent else {}),
    }


def _figures(found: dict[str, Any]) -> dict[str, Any]:
    accuracy = found["accuracy"]
    return {
        "questions": found["asked"],
        "failures": found.get("failures", {}),
        # Of all questions asked: the bench counts failures as wrong.
        "accuracy": accuracy["value"],
        "accuracy_95": [accuracy["low"], accuracy["high"]],
        "large_tokens": found["metrics"]["large_tokens"]["mean"],
    }


def _generated(name: str, directory: Path) -> Path:
    """Write the same questions that the trainer's evaluation asks."""
    file = directory / f"{name}.jsonl"
    if name in PRIVATE_HELD_OUT:
        held_out = name == PRIVATE_HELD_OUT[1]
        drawn = generated(random.Random(f"{name}/0"), "test", held_out=held_out)
        answerable = (problem for problem in drawn if problem.answer)
        text = "".join(
            json_text({"question": problem.question, "answer": problem.answer}) + "\n"
            for problem in islice(answerable, QUESTIONS)
        )
    else:
        text = question_lines(name, "test", QUESTIONS, 0)
    write_text(file, text)
    return file


def _count(file: Path) -> int:
    count = sum(1 for _ in json_lines(file))
    if not count:
        raise DataError(f"{file} holds no questions")
    return count


def _line(found: dict[str, Any]) -> str:
    shown = {
        "split": "split",
        "reasoner": "reasoner by itself",
        "device": "decoder by itself",
        "peer": "peer",
    }
    return ", ".join(
        f"{words} {found[name]['accuracy']:.1%} ({found[name]['large_tokens']:.1f} tokens)"
        for name, words in shown.items()
        if name in found
    )
