"""The plan of `stories-5m`: commands in order, each skipped if its output exists."""

from collections.abc import Mapping
from pathlib import Path

from duet_training.release.stage import (
    HELD_OUT,
    QUESTIONS,
    SIGNAL,
    ReleaseStage,
    served,
    wall_clock,
)

NAME, VERSION = "stories-5m", "1.1.0"
DESCRIPTION = "a 5M reasoner and a 2M decoder, trained for the split on generated word problems"
# Role, data mixture, and the role's total steps at the end of that mixture.
SFT = (
    ("reasoner", "broad", 3400),
    ("reasoner", "terse", 4600),
    ("reasoner", "at-length", 5000),
    ("decoder", "broad", 2100),
    ("decoder", "terse", 2500),
)
JOINT_STEPS = 40
LENGTHS = ("data.max_prompt=200", "tokens.response=320", "tokens.answer=40")
# The largest signal and the longest question fit.
DECODER_PROMPT = "tokens.decoder_prompt=560"
JOINT = (
    "method=duet",
    "batch.questions=8",
    "batch.signals=4",
    "batch.answers=2",
    "batch.mini_batch=8",
    *LENGTHS,
    DECODER_PROMPT,
    "learning_rate.reasoner=1e-4",
    "learning_rate.decoder=1e-4",
    "objective.budget=30",
    "objective.kl.coefficient=0.005",
    "objective.length_penalty.rate=0.02",
    "objective.stop_at_end_of_reasoning=true",
    # Length is paid for by what was right, and advantages keep their size (EXPERIMENTS.md).
    "objective.length_on_success_only=true",
    "objective.divide_by_std=false",
    "validate.every=20",
    "checkpoint.every=20",
    "checkpoint.keep=2",
    "track=[]",
    "hardware.threads=2",
)


def make_plan(
    out: Path, real: Mapping[str, Path], serving_python: Path | None, peer: str | None = None
) -> list[ReleaseStage]:
    """List every command.

    `real` holds JSONL files of real questions by name; `peer` is a pair whose reasoner also answers
    them. The served pair is measured if an interpreter with vLLM is given.
    """
    wide, *others = HELD_OUT
    commands = [
        *(_sft(out, *each) for each in SFT),
        *(_generated_problems(out, scope) for scope in HELD_OUT),
        ReleaseStage(
            "joint training",
            "duet_training run",
            (
                f"pair={_pair(out)}",
                *(f"out={out / 'run'}", f"steps={JOINT_STEPS}"),
                f"data.train={_rows(out, wide, 'train')}",
                f"data.validation={_rows(out, wide, 'validation')}",
                *JOINT,
            ),
            _checkpoint(out) / "state.json",
        ),
        *(_evaluation(out, wide, method) for method in ("original", "duet", "alone", SIGNAL)),
        _export(out, serving_python),
        *(_evaluation(out, name, method) for name in others for method in ("original", "duet")),
    ]
    if serving_python:
        commands += [
            served(out, real, serving_python, peer),
            wall_clock(out, serving_python),
        ]
    return commands


def _pair(out: Path) -> Path:
    return out / "start" / "pair.yaml"


def _rows(out: Path, scope: str, split: str) -> Path:
    return out / "data" / scope / f"{split}.parquet"


def _checkpoint(out: Path) -> Path:
    """Return the last checkpoint of joint training."""
    return out / "run" / "checkpoints" / f"step_{JOINT_STEPS}"


def _evaluated(out: Path, method: str, name: str) -> Path:
    """Return the result file of a method on a generated set."""
    return out / "evaluations" / f"{method}@{name}.json"


def _sft(out: Path, role: str, mixture: str, steps: int) -> ReleaseStage:
    return ReleaseStage(
        f"SFT {role} {mixture}",
        "duet_training sft scratch",
        (
            *(str(out / "start"), "--size", "released", "--role", role),
            *("--mixture", mixture, f"--{role}-steps", str(steps)),
        ),
        out / "start" / f"{role}-{mixture}.done",
    )


def _generated_problems(out: Path, scope: str) -> ReleaseStage:
    """Generated problems of a scope; of the first also those that are trained on."""
    directory, trained = out / "data" / scope, scope == HELD_OUT[0]
    counts = ("--size", "6000" if trained else "0", "--validation", "200", "--test", str(QUESTIONS))
    results = (_evaluated(out, method, scope) for method in ("original", "duet"))
    return ReleaseStage(
        f"data {scope}",
        "duet_training data prepare",
        (f"stories:{scope}", "--out", str(directory), *counts),
        directory / "report.json",
        # Training data must not change after joint training has read it.
        replaces=() if trained else (directory, *results),
    )


def _evaluation(out: Path, name: str, method: str) -> ReleaseStage:
    """Evaluate on a generated set; the split is compared with the reasoner before joint training."""
    result = _evaluated(out, method, name)
    return ReleaseStage(
        f"{method} on {name}",
        "duet_training evaluate",
        (
            *(f"pair={_pair(out)}", f"data.train={_rows(out, name, 'test')}", f"out={result}"),
            *(f"method={method}", "temperature=0", *LENGTHS, DECODER_PROMPT),
            *("objective.stop_at_end_of_reasoning=true", "hardware.threads=2"),
            *(() if method == "original" else (f"weights={_checkpoint(out)}",)),
        ),
        result,
        replaces=(result,),
    )


def _export(out: Path, serving_python: Path | None) -> ReleaseStage:
    """Export the run, compared with the trained weights.

    The right answers of the compared set also set the threshold of confidence.
    """
    wide = HELD_OUT[0]
    return ReleaseStage(
        "export",
        "duet_training export",
        (
            *(str(out / "run"), str(out / "pair"), f"id={NAME}", f"version={VERSION}"),
            *(f"description='{DESCRIPTION}'", "licence=Apache-2.0", "quantizations=[F16,Q8_0]"),
            *("default.budget=128", f"parity.data={_rows(out, wide, 'test')}"),
            *("parity.questions=500", "parity.batch=32"),
            f"figures.split={_evaluated(out, 'duet', wide)}",
            f"figures.alone={_evaluated(out, 'original', wide)}",
        ),
        out / "pair" / "manifest.json",
        locations=((f"parity.serving_python={serving_python}",) if serving_python else ()),
    )
