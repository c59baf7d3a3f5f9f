"""The stages of the evidence run, in order: the main comparison first, so that an interrupted run
has told most.
"""

from dataclasses import dataclass

from training.evidence.methods import (
    ABLATIONS,
    COMMON,
    FROM_SECOND,
    GREEDILY,
    JOINT,
    MAIN,
    SECOND,
    SEEDS,
    SETS,
    UNTRAINED,
    Trained,
)
from training.evidence.rates import RATES, TRIED_SEED, stage_of
from training.evidence.stage import Stage


@dataclass(frozen=True)
class Scale:
    """How much of everything.

    `size`: of `training.supervised`; `tokens`: of its batches; `overrides`: of every training.
    """

    size: str
    seeds: tuple[int, ...]
    steps: int
    questions: int
    reasoner_steps: int
    decoder_steps: int
    weak_steps: int
    rate_steps: int
    validate: int
    tokens: int = 2048
    overrides: tuple[str, ...] = ()


FULL = Scale(
    size="small",
    seeds=(0, 1, 2),
    steps=32,
    questions=500,
    reasoner_steps=2000,
    # Few: the decoder is to know a part of the answers by itself, not most.
    decoder_steps=1000,
    weak_steps=250,
    rate_steps=16,
    validate=16,
)

# Minutes, not hours: no figure means anything but the direction that lengths and losses take.
REDUCED = Scale(
    size="tiny",
    seeds=(0,),
    steps=10,
    questions=20,
    reasoner_steps=200,
    decoder_steps=100,
    weak_steps=50,
    rate_steps=5,
    validate=10,
    tokens=512,
    overrides=(
        "batch.questions=8",
        "batch.mini_batch=8",
        "batch.answers=2",
        "tokens.response=96",
        "learning_rate.reasoner=2e-3",
        "learning_rate.decoder=1e-3",
    ),
)
SCALES = {"full": FULL, "reduced": REDUCED}

# The reasoner's sampling when it is tested: as in training, and its likeliest answers.
SAMPLED = ("temperature=1", "top_p=1", "top_k=-1")
GREEDY = ("temperature=0",)


def make_plan(scale: Scale) -> list[Stage]:
    """Every stage at this scale; each comes after those that it needs."""
    stages = [
        Stage("mechanism", "mechanism", (), why="what marginal utility does under GRPO"),
        Stage("data", "data", (str(scale.questions),), why="training, validation, test problems"),
        _start("start", scale, scale.decoder_steps, "both models, supervised"),
        _measured("start", scale),
        *[_untrained(name, scale) for name in UNTRAINED],
        *_generalised("original", "original", ("start",), None, scale.questions),
    ]
    stages += [_tried(name, rate, scale) for name in MAIN for rate in RATES]
    for seed in scale.seeds:
        for name, method in MAIN.items():
            stages += _trained(name, method, seed, scale)
    for name, method in MAIN.items():
        run = f"{name}-{scale.seeds[0]}"
        stages += _generalised(name, method.method, (run,), run, scale.questions)
    stages += _greedily(scale)
    weak = _start("weak", scale, scale.weak_steps, "a weaker decoder", reasoner="start")
    stages += [weak, _measured("weak", scale)]
    for name, method in ABLATIONS.items():
        stages += _trained(name, method, scale.seeds[0], scale)
    return [*stages, *_unsolved(scale), *_second(scale)]


def _measured(start: str, scale: Scale) -> Stage:
    arguments = (f"{{work}}/{start}", "--size", scale.size, "--measure", "300")
    why = "what both models can do before joint training"
    return Stage(f"{start}-measured", "measure", arguments, (start,), why=why)


def _greedily(scale: Scale) -> list[Stage]:
    """DUET, and the baseline nearest to it, once more: each model's likeliest answers."""
    questions = scale.questions
    stages = [
        _evaluated(
            name, UNTRAINED[name][0], "easy", ("start",), None, questions, "start", greedy=True
        )
        for name in ("original", "start-split")
    ]
    for seed in scale.seeds:
        stages += [_greedy(name, MAIN[name], seed, scale) for name in GREEDILY]
    return stages


def _greedy(name: str, method: Trained, seed: int, scale: Scale) -> Stage:
    run = f"{name}-{seed}"
    asked = (run, method.method, "easy", (run,), run, scale.questions, method.pair)
    return _evaluated(*asked, greedy=True)


def _unsolved(scale: Scale) -> list[Stage]:
    """What training on problems too hard starts from, and what it does to easy ones."""
    run = f"unsolved-{scale.seeds[0]}"
    before = [
        _evaluated(name, UNTRAINED[name][0], "hard", ("start",), None, scale.questions, "start")
        for name in ("original", "start-split")
    ]
    method = ABLATIONS["unsolved"].method
    return [*before, _evaluated(run, method, "easy", (run,), run, scale.questions, "start")]


def _second(scale: Scale) -> list[Stage]:
    """A second start, and what is trained from it; sampled and greedily."""
    steps, another = scale.decoder_steps, ("--seed", "1")
    stages = [
        _start("second", scale, steps, "both models, another seed", others=another),
        _measured("second", scale),
        _start(
            "concluded",
            scale,
            steps,
            "a decoder that reads no bare equations",
            reasoner="second",
            others=(*another, "--lessons", "concluded"),
        ),
        _measured("concluded", scale),
    ]
    for name, (untrained, pair) in SECOND.items():
        asked = (name, UNTRAINED[untrained][0], "easy", (pair,), None, scale.questions, pair)
        stages += [_evaluated(*asked), _evaluated(*asked, greedy=True)]
    for index, seed in enumerate(scale.seeds):
        for name, method in FROM_SECOND.items():
            if index < SEEDS.get(name, 1):
                stages += _trained(name, method, seed, scale)
                stages.append(_greedy(name, method, seed, scale))
    return stages


def _start(
    name: str,
    scale: Scale,
    decoder_steps: int,
    why: str,
    *,
    reasoner: str | None = None,
    others: tuple[str, ...] = (),
) -> Stage:
    """`reasoner`: the start whose reasoner it has."""
    arguments: tuple[str, ...] = (
        f"{{work}}/{name}",
        *("--size", scale.size, "--tokens", str(scale.tokens)),
        *("--reasoner-steps", str(scale.reasoner_steps)),
        *("--decoder-steps", str(decoder_steps)),
    )
    if reasoner:
        arguments = (*arguments, "--reasoner-from", f"{{work}}/{reasoner}/reasoner")
    return Stage(name, "start", (*arguments, *others), (reasoner,) if reasoner else (), why=why)


def _tried(name: str, rate: str, scale: Scale) -> Stage:
    """A few steps at a learning rate, on a seed of their own."""
    method, steps = MAIN[name], scale.rate_steps
    run = stage_of(name, rate)
    arguments = _training(run, method, "easy", TRIED_SEED, steps, scale, rate)
    why = f"the learning rate of {name}"
    return Stage(run, "train", arguments, ("data", method.pair), (), why, TRIED_SEED)


def _trained(name: str, method: Trained, seed: int, scale: Scale) -> tuple[Stage, Stage]:
    """Training, and the test of what came out."""
    run = f"{name}-{seed}"
    data = "hard" if name == "unsolved" else "easy"
    # Ablations are of DUET, at its rate.
    rated = name if name in MAIN else "duet"
    rate = method.rate or f"{{rate:{rated}}}"
    steps = int(method.times * scale.steps)
    arguments = _training(run, method, data, seed, steps, scale, rate)
    reads = () if method.rate else tuple(stage_of(rated, each) for each in RATES)
    train = Stage(run, "train", arguments, ("data", method.pair), reads, method.why, seed)
    asked = (run, method.method, data, (run,), run, scale.questions, method.pair)
    return train, _evaluated(*asked)


def _training(
    run: str, method: Trained, data: str, seed: int, steps: int, scale: Scale, rate: str
) -> tuple[str, ...]:
    every = min(scale.validate, steps)
    return (
        f"pair={{work}}/{method.pair}/pair.yaml",
        f"out={{work}}/runs/{run}",
        f"data.train={{work}}/data/{data}/train.parquet",
        f"data.validation={{work}}/data/{data}/validation.parquet",
        f"seed={seed}",
        f"steps={steps}",
        f"validate.every={every}",
        f"validate.questions={min(200, scale.questions)}",
        "validate.temperature=1",
        f"checkpoint.every={every}",
        "checkpoint.keep=1",
        f"learning_rate.reasoner={rate}",
        f"learning_rate.decoder={rate}",
        *method.switches,
        *scale.overrides,
    )


def _untrained(name: str, scale: Scale) -> Stage:
    method, switches = UNTRAINED[name]
    return _evaluated(name, method, "easy", ("start",), None, scale.questions, "start", switches)


def _generalised(
    name: str, method: str, needs: tuple[str, ...], run: str | None, questions: int
) -> list[Stage]:
    others = [data for data in SETS if data != "easy"]
    return [_evaluated(name, method, data, needs, run, questions, "start") for data in others]


def _evaluated(
    name: str,
    method: str,
    data: str,
    needs: tuple[str, ...],
    run: str | None,
    questions: int,
    pair: str,
    switches: tuple[str, ...] = (),
    *,
    greedy: bool = False,
) -> Stage:
    """Answers to a test set, sampled as in training unless `greedy`, whose answers are kept.

    `run`: whose last checkpoint; None is the start itself.
    """
    stage = f"{name}@{'greedy' if greedy else data}"
    common = [c for c in (*COMMON, *JOINT) if c.startswith(("data.", "tokens.", "objective.stop"))]
    weights = [f"weights={{checkpoint:{run}}}"] if run else []
    kept = [f"answers={{work}}/evaluations/{stage}.jsonl"] if greedy else []
    return Stage(
        stage,
        "evaluate",
        (
            f"pair={{work}}/{pair}/pair.yaml",
            f"data.train={{work}}/data/{data}/test.parquet",
            f"limit={questions}",
            f"method={method}",
            *(GREEDY if greedy else SAMPLED),
            *common,
            *weights,
            *switches,
            *kept,
        ),
        ("data", *needs),
    )
