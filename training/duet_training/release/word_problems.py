"""The plan of `word-problems-135m`: a public model with an adapter, and a decoder from scratch.

The release contains the adapter and the decoder. Its recipe builds the pair from them, and the
plan measures that pair in serving.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from duet_training.release import stages
from duet_training.release.stage import ReleaseStage

NAME, VERSION = "word-problems-135m", "1.2.1"
REASONER_STEPS, DECODER_STEPS = 2000, 3600
JOINT_STEPS = 20
# Closer to users' questions than templates that both have seen: the decoder is so sure of those
# that a threshold above some of its right answers marks half of the answers to anything else.
COMPARED = "wide-other"
LENGTHS = (
    *("data.max_prompt=200", "tokens.response=160", "tokens.answer=24"),
    # The largest signal and the longest question fit.
    "tokens.decoder_prompt=480",
)
JOINT = (
    "method=duet",
    "batch.questions=8",
    "batch.signals=6",
    "batch.answers=2",
    "batch.mini_batch=8",
    *LENGTHS,
    # At 4e-4 it forgets within five steps how to compute.
    "learning_rate.reasoner=5e-5",
    "learning_rate.decoder=1e-4",
    "objective.budget=15",
    "objective.kl.coefficient=0.005",
    # With so few steps, a length penalty that starts at 0 would have no effect.
    "objective.price.start=0.3",
    "objective.price.rate=0.005",
    "objective.stop_at_end_of_reasoning=true",
    # Length is paid for by what was right, and advantages keep their size (EXPERIMENTS.md).
    "objective.length_on_success_only=true",
    "objective.divide_by_std=false",
    "validate.every=0",
    "checkpoint.every=4",
    "checkpoint.keep=2",
    "track=[]",
    "hardware.threads=2",
)


@dataclass(frozen=True)
class Given:
    """Input directories and files of the plan."""

    base: Path
    """Directory of the public base model of the reasoner."""
    worked: Path
    """JSONL of problems with annotated solutions."""
    into: Path
    """Directory in which the recipe finds adapter and decoder."""


def make_plan(
    out: Path,
    given: Given,
    serving_python: Path,
    real: Mapping[str, Path],
    peer: str | None = None,
) -> list[ReleaseStage]:
    """List every command; `real` and `peer` as in `duet_training.release.stories`."""
    start, data = out / "start", out / "data"
    untouched, exported = start / "base.yaml", out / "exported"
    lora = ("rank=4", "alpha=8", "first_layer=10", f"path={start / 'adapter'}")
    joint = (*JOINT, *(f"lora.reasoner.{each}" for each in lora))
    files = [data / name / "train.parquet" for name in ("wide", "worked")]

    def evaluation(method: str) -> ReleaseStage:
        return stages.evaluation(
            *(out, "wide", method),
            before=start / "pair.yaml",
            pair=untouched,
            weights=stages.checkpoint(out, JOINT_STEPS),
            lengths=LENGTHS,
        )

    return [
        ReleaseStage(
            "supervised",
            "duet_training sft adapter",
            (
                *(str(start), "--reasoner-steps", str(REASONER_STEPS)),
                *("--decoder-steps", str(DECODER_STEPS)),
            ),
            start / "adapted.done",
            locations=("--base", str(given.base), "--worked", str(given.worked)),
        ),
        stages.generated_problems(out, "wide"),
        stages.generated_problems(out, COMPARED),
        ReleaseStage(
            "data worked",
            "duet_training data prepare",
            ("jsonl", "--out", str(data / "worked"), "--validation", "200"),
            data / "worked" / "report.json",
            locations=("--from", str(given.worked)),
        ),
        stages.joint_training(out, untouched, JOINT_STEPS, files, joint),
        *(evaluation(method) for method in ("original", "duet", "alone", stages.SIGNAL)),
        stages.export(
            out, exported, (f"id={NAME}", f"version={VERSION}"), serving_python, COMPARED
        ),
        ReleaseStage(
            "pack",
            "duet_training release pack",
            (str(out), NAME, VERSION),
            out / "packed.done",
            locations=("--into", str(given.into)),
        ),
        ReleaseStage(
            "build",
            "duet_cloud pairs",
            ("build", NAME, "--out", str(out / "pair")),
            out / "pair" / "manifest.json",
            python=serving_python,
        ),
        stages.served(out, real, serving_python, peer),
        stages.wall_clock(out, serving_python),
    ]
