"""The plan of `stories-5m`: commands in order, each skipped if its output exists."""

from collections.abc import Mapping
from pathlib import Path

from duet_training.release import stages
from duet_training.release.stage import ReleaseStage

NAME, VERSION = "stories-5m", "1.1.0"
DESCRIPTION = "a 5M reasoner and a 2M decoder, trained for the split on generated word problems"
# Role, data mixture, and the role's total steps at the end of that mixture.
SUPERVISED = (
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
    "objective.price.rate=0.02",
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
    pair, wide = out / "start" / "pair.yaml", out / "data" / "wide"

    def evaluation(name: str, method: str) -> ReleaseStage:
        return stages.evaluation(
            *(out, name, method),
            before=pair,
            pair=pair,
            weights=stages.checkpoint(out, JOINT_STEPS),
            lengths=(*LENGTHS, DECODER_PROMPT),
        )

    about = (f"id={NAME}", f"version={VERSION}", f"description='{DESCRIPTION}'")
    commands = [
        *(_supervised(out, *lessons) for lessons in SUPERVISED),
        *(stages.generated_problems(out, scope) for scope in stages.HELD_OUT),
        stages.joint_training(out, pair, JOINT_STEPS, [wide / "train.parquet"], JOINT),
        *(evaluation("wide", method) for method in ("original", "duet", "alone", stages.SIGNAL)),
        stages.export(out, out / "pair", (*about, "licence=Apache-2.0"), serving_python),
    ]
    for name in stages.HELD_OUT[1:]:
        commands += [evaluation(name, method) for method in ("original", "duet")]
    if serving_python:
        commands.append(stages.served(out, real, serving_python, peer))
        commands.append(stages.wall_clock(out, serving_python))
    return commands


def _supervised(out: Path, role: str, lessons: str, steps: int) -> ReleaseStage:
    return ReleaseStage(
        f"supervised {role} {lessons}",
        "duet_training sft scratch",
        (
            *(str(out / "start"), "--size", "shipped", "--role", role),
            *("--lessons", lessons, f"--{role}-steps", str(steps)),
        ),
        out / "start" / f"{role}-{lessons}.done",
    )
