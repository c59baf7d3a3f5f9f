"""What makes the pair: commands in order, each skipped once what it leaves is there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NAME, VERSION = "stories-5m", "1.1.0"
DESCRIPTION = "a 5M reasoner and a 2M decoder, trained for the split on generated word problems"
# Role, lessons, and the steps of that role when they end.
SUPERVISED = (
    ("reasoner", "broad", 3400),
    ("reasoner", "terse", 4600),
    ("reasoner", "at-length", 5000),
    ("decoder", "broad", 2100),
    ("decoder", "terse", 2500),
)
JOINT_STEPS = 40
QUESTIONS = 500
# Questions in other words than those trained on: longer ones, other plots.
HELD_OUT = ("wide", "wide-long", "wide-other")
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
    "objective.price.rate=0.02",
    "objective.stop_at_end_of_reasoning=true",
    # Length is paid for by what was right, and advantages keep their size (EVIDENCE.md).
    "objective.length_on_success_only=true",
    "objective.divide_by_std=false",
    "validate.every=20",
    "checkpoint.every=20",
    "checkpoint.keep=2",
    "track=[]",
    "hardware.threads=2",
)


@dataclass(frozen=True)
class Command:
    """`python -m module arguments told`.

    `leaves`: what is there when it is done. `told`: arguments that say where something is, and
    change nothing of what is made. `replaces`: what goes when it is made again, with other
    arguments; empty: it is not made again in the same place.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    leaves: Path
    told: tuple[str, ...] = ()
    replaces: tuple[Path, ...] = ()


def make_plan(
    out: Path, real: Mapping[str, Path], serving_python: Path | None, peer: str | None = None
) -> list[Command]:
    """Every command.

    `real`: JSONL files of real questions, by name, and `peer`: a pair whose reasoner answers those,
    too. What is served is measured where there is an interpreter that has vLLM.
    """
    pair = out / "start" / "pair.yaml"
    commands = [
        Command(
            f"supervised {role} {lessons}",
            "training.supervised",
            (
                *(str(out / "start"), "--size", "shipped", "--role", role),
                *("--lessons", lessons, f"--{role}-steps", str(steps)),
            ),
            out / "start" / f"{role}-{lessons}.done",
        )
        for role, lessons, steps in SUPERVISED
    ]
    commands += [_stories(out, scope) for scope in HELD_OUT]
    data = out / "data" / "wide"
    commands.append(
        Command(
            "joint training",
            "training.train",
            (
                *(f"pair={pair}", f"out={out / 'run'}", f"steps={JOINT_STEPS}"),
                f"data.train={data / 'train.parquet'}",
                f"data.validation={data / 'validation.parquet'}",
                *JOINT,
            ),
            out / "run" / "checkpoints" / f"step_{JOINT_STEPS}" / "state.json",
        )
    )
    commands += [_evaluation(out, pair, "wide", name) for name in ("original", "duet", "alone")]
    commands.append(_export(out, serving_python))
    for name in HELD_OUT[1:]:
        commands += [_evaluation(out, pair, name, method) for method in ("original", "duet")]
    if serving_python:
        commands += [_served(out, real, serving_python, peer), _wall_clock(out, serving_python)]
    return commands


def _stories(out: Path, scope: str) -> Command:
    directory = out / "data" / scope
    size = "6000" if scope == "wide" else "0"
    counts = ("--size", size, "--validation", "200", "--test", str(QUESTIONS))
    arguments = (f"stories:{scope}", "--out", str(directory), *counts)
    # What joint training has seen is not drawn anew under it.
    replaces = (
        ()
        if scope == "wide"
        else (directory, *(out / "evaluations" / f"{m}@{scope}.json" for m in ("original", "duet")))
    )
    return Command(
        f"data {scope}", "training.data", arguments, directory / "report.json", replaces=replaces
    )


def _evaluation(out: Path, pair: Path, name: str, method: str) -> Command:
    """The reasoner by itself is the one before joint training: what the split is compared with."""
    result = out / "evaluations" / f"{method}@{name}.json"
    trained = (f"weights={out / 'run' / 'checkpoints' / f'step_{JOINT_STEPS}'}",)
    return Command(
        f"{method} on {name}",
        "training.evaluate",
        (
            *(
                f"pair={pair}",
                f"data.train={out / 'data' / name / 'test.parquet'}",
                f"out={result}",
            ),
            *(f"method={method}", "temperature=0", *LENGTHS, DECODER_PROMPT),
            *("objective.stop_at_end_of_reasoning=true", "hardware.threads=2"),
            *(trained if method != "original" else ()),
        ),
        result,
        replaces=(result,),
    )


def _served(out: Path, real: Mapping[str, Path], serving_python: Path, peer: str | None) -> Command:
    result = out / "served.json"
    sets = [part for name, file in real.items() for part in ("--set", f"{name}={file}")]
    return Command(
        "served",
        "training.shipped.served",
        (str(out), *sets, *(("--peer", peer) if peer else ())),
        result,
        told=("--serving-python", str(serving_python)),
        replaces=(result,),
    )


def _wall_clock(out: Path, serving_python: Path) -> Command:
    result = out / "wall_clock.json"
    return Command(
        "wall clock",
        "training.shipped.wall_clock",
        (str(out),),
        result,
        told=("--serving-python", str(serving_python)),
        replaces=(result,),
    )


def _export(out: Path, serving_python: Path | None) -> Command:
    evaluations = out / "evaluations"
    return Command(
        "export",
        "training.export",
        (
            *(str(out / "run"), str(out / "pair"), f"id={NAME}", f"version={VERSION}"),
            *(f"description='{DESCRIPTION}'", "licence=Apache-2.0", "quantizations=[F16,Q8_0]"),
            *("default.budget=128", f"parity.data={out / 'data' / 'wide' / 'test.parquet'}"),
            "parity.questions=500",
            "parity.batch=32",
            f"figures.split={evaluations / 'duet@wide.json'}",
            f"figures.alone={evaluations / 'original@wide.json'}",
        ),
        out / "pair" / "manifest.json",
        told=((f"parity.serving_python={serving_python}",) if serving_python else ()),
    )
