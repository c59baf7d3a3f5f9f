"""What the plans of both pairs share: the held-out sets, and the measurement as served."""

from collections.abc import Mapping
from pathlib import Path

from duet_training.release.stage import ReleaseStage

QUESTIONS = 500
# The evaluation that measures what signals carry.
SIGNAL = "signal"
# Questions unlike those in training: longer ones, held-out templates.
HELD_OUT = ("wide", "wide-long", "wide-other")
PRIVATE_HELD_OUT = ("problems", "problems-other")
"""The same of a pair with private quantities."""


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
