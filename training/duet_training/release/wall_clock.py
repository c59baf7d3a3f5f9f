"""`duet-train release wall-clock OUT`: seconds of the split and of the reasoner alone.

The same questions, one at a time, on one machine, no link between: the split through its service,
and a reasoner that answers by itself through vLLM's OpenAI server: the pair's own as it was before
joint training; of a pair that computes, the peer that was taught whole solutions. The bench starts
both, with the same engine flags in the same environment, one at a time, and asks; with one question
at once the device answers while the cloud works, so that the seconds hold both models. Which of
the two is first alternates from repeat to repeat.
"""

import shutil
from pathlib import Path
from statistics import fmean, median
from typing import Any

from duet_contract.integrity import describe_directory, sha256_of
from duet_contract.json_data import rounded
from duet_contract.manifest import MANIFEST_NAME, load_manifest
from duet_training.data.story_problems.draw import question_lines
from duet_training.errors import DataError
from duet_training.files import write_json
from duet_training.release.bench import ALONE, SPLIT, BenchRun, condition, run_bench, whole_report

REPEATS = 5
QUESTIONS = 60
# All that the bench would choose for both, written out; both in the precision they were trained in.
ENGINE = (
    *("--dtype", "float32", "--enforce-eager", "--no-enable-prefix-caching"),
    *("--max-num-seqs", "64", "--max-num-batched-tokens", "4096"),
)
_MODES = {"split": SPLIT, "original": ALONE}
# One engine's start, and its questions; minutes where nothing else runs.
_LIMIT_S = 3600.0


def measure_wall_clock(out: Path, python: Path, data: Path | None = None) -> None:
    """Write `out/wall_clock.json`; repeats that are whole in `out/wall_clock` are not run again.

    The first questions of `data` are asked, or generated problems.

    Raises:
        TrainingError: a server or the bench failed, or a report is not whole.
        KeyboardInterrupt: The run was interrupted; all its processes have ended.
    """
    work = out / "wall_clock"
    work.mkdir(parents=True, exist_ok=True)
    questions = data or work / "questions.jsonl"
    if not data:
        questions.write_text(question_lines("wide", "test", QUESTIONS, 0), "utf-8")
    computes = load_manifest(out / "pair").answers == "computed"
    original = out / "peer" / "pair" if computes else _before(out, work / "before")
    pairs = {"split": out / "pair", "original": original}
    reports = []
    for number in range(REPEATS):
        turns = {
            name: BenchRun(
                pair=str(pairs[name]),
                data=questions,
                questions=QUESTIONS,
                modes=(mode,),
                streams=1,
                folder=work / f"{number}-{name}",
                engine=ENGINE,
                no_failures=True,
            )
            for name, mode in _MODES.items()
        }
        reports.append(_repeat(turns, number, python))
        shown = {
            name: condition(reports[-1][name], mode)["seconds"] for name, mode in _MODES.items()
        }
        print(f"{number + 1}/{REPEATS}", *(f"{k} {v:.1f} s" for k, v in shown.items()), flush=True)
    found = summarize(reports)
    found["pair_sha256"] = sha256_of(out / "pair" / MANIFEST_NAME)
    write_json(out / "wall_clock.json", rounded(found))


def summarize(reports: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Of the bench's whole reports, by name for each repeat: the seconds that all questions took
    together, and the split's share of the other's, repeat by repeat; median, least and most.

    Raises:
        DataError: the engines were not run with the same flags.
    """
    conditions = {
        name: [condition(each[name], mode) for each in reports] for name, mode in _MODES.items()
    }
    shares = [s["seconds"] / o["seconds"] for s, o in zip(*conditions.values(), strict=True)]
    engines = {name: reports[0][name]["settings"]["engine_flags"] for name in _MODES}
    for each in reports:
        if any(each[name]["settings"]["engine_flags"] != engines["split"] for name in _MODES):
            raise DataError("the engines of the repeats were not run with the same flags")
    return {
        "questions": QUESTIONS,
        "repeats": len(reports),
        "machine": reports[0]["split"]["machine"],
        "engines": engines,
        "share_of_seconds": _spread(shares),
        **{
            name: {
                "seconds": _spread([each["seconds"] for each in found]),
                "accuracy": fmean(each["accuracy"]["value"] for each in found),
                "reasoner_tokens": fmean(c["metrics"]["large_tokens"]["mean"] for c in found),
            }
            for name, found in conditions.items()
        },
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "least": min(values), "most": max(values)}


def _repeat(turns: dict[str, BenchRun], number: int, python: Path) -> dict[str, dict[str, Any]]:
    """Both of a repeat, one right after the other; both again where either is not whole."""
    found = {name: whole_report(asked) for name, asked in turns.items()}
    if whole := {name: report for name, report in found.items() if report is not None}:
        if len(whole) == len(turns):
            return whole
        for name in whole:
            shutil.rmtree(turns[name].folder)
    order = list(turns) if number % 2 == 0 else list(reversed(turns))
    return {name: run_bench(turns[name], python, _LIMIT_S, resume=False) for name in order}


def _before(out: Path, pair: Path) -> Path:
    """The pair with the reasoner as it was before joint training, for the bench; unsigned.

    Its decoder is only described: the reasoner answers by itself.
    """
    shutil.rmtree(pair, ignore_errors=True)
    manifest = load_manifest(out / "pair")
    reasoner = pair / manifest.reasoner.path
    shutil.copytree(out / "start" / "reasoner", reasoner)
    described = manifest.reasoner.model_copy(update={"files": describe_directory(pair, reasoner)})
    before = manifest.model_copy(
        update={"id": f"{manifest.id}-before", "reasoner": described, "evaluation": ()}
    )
    (pair / MANIFEST_NAME).write_text(before.to_json(), "utf-8")
    return pair
