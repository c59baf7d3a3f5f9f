"""What makes `private-sums-135m`: formulas over labels, and the peer that it is compared with.

The reasoner is a model of others with an adapter, the decoder is from scratch. The pair is built
from what the first stage packs. The peer is the same base taught whole solutions in words; it is
built as a pair (`solutions.toml`), so that the bench serves it like any other.
"""

from collections.abc import Mapping
from pathlib import Path

from duet_training.release.stage import ReleaseStage, served, wall_clock
from duet_training.sft import PRIVATE_PAIR

NAME = PRIVATE_PAIR
REASONER_STEPS, DECODER_STEPS, PEER_STEPS = 4500, 3000, 850
_PEER = Path(__file__).with_name("solutions.toml")
GENERATED = 500
"""Generated problems of each kind that accuracy is measured on."""


def make_plan(
    out: Path,
    base: Path,
    annotated: Path,
    into: Path,
    serving_python: Path,
    real: Mapping[str, Path],
) -> list[ReleaseStage]:
    """List every stage, in order.

    The adapter is of the model in `base`, taught on `annotated`, GSM8K's training set; it is packed
    with decoder and recipe `into` a directory. `real` are files of problems to measure on, by name.
    """
    start, taught, accuracy = out / "start", out / "peer", out / "accuracy.json"
    given = ("--base", str(base), "--annotated", str(annotated))
    files = [str(file) for file in real.values()]
    return [
        ReleaseStage(
            "formulas",
            "duet_training sft formulas",
            (
                *(str(start), "--reasoner-steps", str(REASONER_STEPS)),
                *("--decoder-steps", str(DECODER_STEPS)),
            ),
            start / "formulas.done",
            locations=(*given, "--into", str(into)),
        ),
        ReleaseStage(
            "build",
            "duet_cloud pairs",
            ("build", str(into / "recipe.toml"), "--out", str(out / "pair")),
            out / "pair" / "manifest.json",
            python=serving_python,
        ),
        ReleaseStage(
            "accuracy",
            "duet_training sft formula-accuracy",
            (
                *(str(start), *files, "--base", str(base), "--generated", str(GENERATED)),
                *("--results", str(accuracy)),
            ),
            accuracy,
            replaces=(accuracy,),
        ),
        ReleaseStage(
            "peer",
            "duet_training sft solutions",
            (str(taught), "--steps", str(PEER_STEPS)),
            taught / "solutions.done",
            locations=given,
        ),
        ReleaseStage(
            "peer pair",
            "duet_cloud pairs",
            (
                *("build", str(_PEER), "--reasoner", str(taught / "reasoner")),
                *("--decoder", str(out / "pair" / "decoder"), "--out", str(taught / "pair")),
            ),
            taught / "pair" / "manifest.json",
            python=serving_python,
        ),
        served(out, real, serving_python, str(taught / "pair")),
        wall_clock(out, serving_python, next(iter(real.values()), None)),
    ]
