"""Stages that the plans of both pairs share: data, joint training, evaluation, serving."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from duet_training.release.stage import ReleaseStage

QUESTIONS = 500
# The evaluation that measures what signals carry.
SIGNAL = "signal"
# Questions unlike those in training: longer ones, held-out templates.
HELD_OUT = ("wide", "wide-long", "wide-other")
PRIVATE_HELD_OUT = ("problems", "problems-other")
"""The same of a pair with private quantities."""


def generated_problems(out: Path, scope: str) -> ReleaseStage:
    """Generated problems of a scope; of "wide" also those that are trained on."""
    directory = out / "data" / scope
    size = "6000" if scope == "wide" else "0"
    counts = ("--size", size, "--validation", "200", "--test", str(QUESTIONS))
    arguments = (f"stories:{scope}", "--out", str(directory), *counts)
    # Training data must not change after joint training has read it.
    replaces = (
        ()
        if scope == "wide"
        else (directory, *(evaluation_file(out, method, scope) for method in ("original", "duet")))
    )
    return ReleaseStage(
        f"data {scope}",
        "duet_training data prepare",
        arguments,
        directory / "report.json",
        replaces=replaces,
    )


def joint_training(
    out: Path, pair: Path, steps: int, train: Sequence[Path], settings: tuple[str, ...]
) -> ReleaseStage:
    """Joint training of `pair` on the files `train`."""
    files = str(train[0]) if len(train) == 1 else f"[{','.join(map(str, train))}]"
    return ReleaseStage(
        "joint training",
        "duet_training run",
        (
            *(f"pair={pair}", f"out={out / 'run'}", f"steps={steps}"),
            f"data.train={files}",
            f"data.validation={out / 'data' / 'wide' / 'validation.parquet'}",
            *settings,
        ),
        checkpoint(out, steps) / "state.json",
    )


def checkpoint(out: Path, steps: int) -> Path:
    """Return the last checkpoint of joint training."""
    return out / "run" / "checkpoints" / f"step_{steps}"


def evaluation_file(out: Path, method: str, name: str) -> Path:
    """Return the result file of a method on a generated set."""
    return out / "evaluations" / f"{method}@{name}.json"


def evaluation(
    out: Path,
    name: str,
    method: str,
    *,
    before: Path,
    pair: Path,
    weights: Path,
    lengths: tuple[str, ...],
) -> ReleaseStage:
    """The reasoner by itself is the one before joint training: what the split is compared with.

    `before`: that pair's file. `pair`, `weights`: the file that joint training began with, and
    where it ended.
    """
    result = evaluation_file(out, method, name)
    original = method == "original"
    return ReleaseStage(
        f"{method} on {name}",
        "duet_training evaluate",
        (
            *(
                f"pair={before if original else pair}",
                f"data.train={out / 'data' / name / 'test.parquet'}",
                f"out={result}",
            ),
            *(f"method={method}", "temperature=0", *lengths),
            *("objective.stop_at_end_of_reasoning=true", "hardware.threads=2"),
            *(() if original else (f"weights={weights}",)),
        ),
        result,
        replaces=(result,),
    )


def export(
    out: Path,
    into: Path,
    settings: tuple[str, ...],
    serving_python: Path | None,
    compared: str = "wide",
) -> ReleaseStage:
    """The run as a pair in `into`, compared with the trained weights.

    `compared`: on which generated set; its right answers also set the threshold of confidence.
    """
    return ReleaseStage(
        "export",
        "duet_training export",
        (
            *(str(out / "run"), str(into), *settings, "quantizations=[F16,Q8_0]"),
            *("default.budget=128", f"parity.data={out / 'data' / compared / 'test.parquet'}"),
            "parity.questions=500",
            "parity.batch=32",
            f"figures.split={evaluation_file(out, 'duet', 'wide')}",
            f"figures.alone={evaluation_file(out, 'original', 'wide')}",
        ),
        into / "manifest.json",
        locations=((f"parity.serving_python={serving_python}",) if serving_python else ()),
    )


def served(
    out: Path, real: Mapping[str, Path], serving_python: Path, peer: str | None
) -> ReleaseStage:
    """Whole sets, as the pair in `out/pair` is served."""
    result = out / "served.json"
    sets = [part for name, file in real.items() for part in ("--set", f"{name}={file}")]
    return ReleaseStage(
        "served",
        "duet_training release served",
        (str(out), *sets, *(("--peer", peer) if peer else ())),
        result,
        locations=("--serving-python", str(serving_python)),
        replaces=(result,),
    )


def wall_clock(out: Path, serving_python: Path, data: Path | None = None) -> ReleaseStage:
    """Seconds of the split, and of a reasoner that answers `data` by itself."""
    result = out / "wall_clock.json"
    return ReleaseStage(
        "wall clock",
        "duet_training release wall-clock",
        (str(out), *(("--data", str(data)) if data else ())),
        result,
        locations=("--serving-python", str(serving_python)),
        replaces=(result,),
    )
