"""The stages of the experiments, in order: the main comparison first, so that an interrupted run
has most of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from duet_training.experiments.methods import (
    ABLATIONS,
    AGGREGATIONS,
    COMMON,
    FROM_SECOND,
    GREEDILY,
    JOINT,
    JOINTLY,
    MAIN,
    REWARDS,
    SETS,
    UNTRAINED,
    TrainedMethod,
)
from duet_training.experiments.rates import RATES, TRIED_SEED, stage_of
from duet_training.experiments.stage import Stage


@dataclass(frozen=True)
class Scale:
    """Sizes and durations of the experiments."""

    size: str
    """Size of the models, as `duet-train sft scratch` names it."""
    seeds: tuple[int, ...]
    """Seeds of each method."""
    steps: int
    """Steps of a training."""
    questions: int
    """Number of questions of an evaluation."""
    reasoner_steps: int
    """Steps of the reasoner's SFT."""
    decoder_steps: int
    """Steps of the decoder's SFT."""
    weak_steps: int
    """Steps of the weak decoder's SFT."""
    validate: int
    """Steps between validations."""
    tokens: int = 2048
    """Tokens of a batch of SFT."""
    overrides: tuple[str, ...] = ()
    """Overrides of every training."""


FULL = Scale(
    size="small",
    seeds=(0, 1, 2),
    steps=36,
    questions=500,
    reasoner_steps=2000,
    # Few: the decoder is to know a part of the answers by itself, not most.
    decoder_steps=1250,
    weak_steps=300,
    validate=18,
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


# The stage that compares loss aggregations without a model.
POLICY = "aggregation"
# A few steps of DUET, whose time is compared with the models' alone.
TIMED = "driver-0"
# So many ablations are trained before the first of them is tested: tests share a process.
TESTED = 5


def make_plan(scale: Scale) -> list[Stage]:
    """Every stage at this scale; each comes after those that it needs."""
    stages = [
        Stage("mechanism", "mechanism", (), why="what marginal utility does under GRPO"),
        Stage(POLICY, "mechanism", (), why="what loss aggregation does to lengths"),
        Stage("data", "data", (str(scale.questions),), why="training, validation, test problems"),
        _start("start", scale, scale.decoder_steps, "both models, supervised"),
        _measured("start", scale),
        *[_untrained(name, scale) for name in UNTRAINED],
        *_generalised("original", "original", ("start",), None, scale.questions),
    ]
    stages += [_tried(name, rate, scale) for name in MAIN for rate in RATES]
    for seed in scale.seeds:
        stages += _compared(MAIN, seed, scale)
    for name, method in MAIN.items():
        run = f"{name}-{scale.seeds[0]}"
        stages += _generalised(name, method.method, (run,), run, scale.questions)
    stages += [_untrained(name, scale, greedy=True) for name in ("original", "start-split")]
    weak = _start("weak", scale, scale.weak_steps, "a weaker decoder", reasoner="start")
    stages += [weak, _measured("weak", scale)]
    stages += [_untrained("start-split", scale, "weak", greedy=how) for how in (False, True)]
    for seed in scale.seeds:
        stages += _compared(JOINTLY, seed, scale)
    names = list(ABLATIONS)
    for first in range(0, len(names), TESTED):
        group = {name: ABLATIONS[name] for name in names[first : first + TESTED]}
        stages += _compared(group, scale.seeds[0], scale)
    stages += [*_unsolved(scale), *_second(scale)]
    for group in (REWARDS, AGGREGATIONS):
        for seed in scale.seeds:
            stages += _compared(group, seed, scale)
    timed = replace(MAIN["duet"], times=1 / 6, why="the driver's share of a step")
    stages.append(_trained(TIMED.removesuffix("-0"), timed, scale.seeds[0], scale))
    return [*stages, *_signals(stages, scale)]


def _signals(stages: Sequence[Stage], scale: Scale) -> list[Stage]:
    """What the signals of every split carry, before and after joint training."""
    splits = {**MAIN, **JOINTLY, **ABLATIONS, **FROM_SECOND, **REWARDS, **AGGREGATIONS}
    whole = {"start": "start-split", "weak": "weak-split", "second": "second-split"}
    found = [
        _evaluated(name, "signal", "easy", (pair,), None, scale.questions, pair, how="signal")
        for pair, name in whole.items()
    ]
    for stage in stages:
        method = splits.get(stage.name.removesuffix(f"-{stage.seed}"))
        if stage.kind == "train" and method and method.method == "duet":
            run, pair = stage.name, method.pair
            data = _data(run.removesuffix(f"-{stage.seed}"))
            found.append(
                _evaluated(run, "signal", data, (run,), run, scale.questions, pair, how="signal")
            )
    return found


def _measured(start: str, scale: Scale) -> Stage:
    arguments = (f"{{work}}/{start}", "--size", scale.size, "--measure", "300")
    why = "what both models can do before joint training"
    return Stage(f"{start}-measured", "measure", arguments, (start,), why=why)


def _compared(methods: Mapping[str, TrainedMethod], seed: int, scale: Scale) -> list[Stage]:
    """Training with a seed, of those that have so many, then the tests of what came out."""
    index = scale.seeds.index(seed)
    chosen = {n: m for n, m in methods.items() if m.seeds is None or index < m.seeds}
    trained = [_trained(name, method, seed, scale) for name, method in chosen.items()]
    tested = []
    for name, method in chosen.items():
        run = f"{name}-{seed}"
        asked = (run, method.method, _data(name), (run,), run, scale.questions, method.pair)
        tested.append(_evaluated(*asked))
        if name in GREEDILY:
            tested.append(_evaluated(*asked, greedy=True))
    return [*trained, *tested]


def _data(name: str) -> str:
    """What a method is trained on, and tested."""
    return "hard" if name == "unsolved" else "easy"


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
    why = "both models, another seed"
    stages = [
        _start("second", scale, scale.decoder_steps, why, seed=1),
        _measured("second", scale),
    ]
    for name in ("original", "start-split", "alone"):
        stages += [_untrained(name, scale, "second", greedy=how) for how in (False, True)]
    for seed in scale.seeds:
        stages += _compared(FROM_SECOND, seed, scale)
    return stages


def _start(
    name: str,
    scale: Scale,
    decoder_steps: int,
    why: str,
    *,
    reasoner: str | None = None,
    seed: int = 0,
) -> Stage:
    """`reasoner`: the start whose reasoner it has."""
    arguments: tuple[str, ...] = (
        f"{{work}}/{name}",
        *("--size", scale.size, "--tokens", str(scale.tokens), "--seed", str(seed)),
        *("--reasoner-steps", str(scale.reasoner_steps)),
        # So that the decoder has something to learn with the reasoner.
        *("--decoder-steps", str(decoder_steps), "--mixture", "concluded"),
    )
    if reasoner:
        arguments = (*arguments, "--reasoner-from", f"{{work}}/{reasoner}/reasoner")
    return Stage(name, "start", arguments, (reasoner,) if reasoner else (), why=why)


def _tried(name: str, rate: str, scale: Scale) -> Stage:
    """A method at a learning rate, as long as it will be trained, on a seed of its own."""
    method = MAIN[name]
    run = stage_of(name, rate)
    arguments = _training(run, method, "easy", TRIED_SEED, scale, rate)
    why = f"the learning rate of {name}"
    return Stage(run, "train", arguments, ("data", method.pair), (), why, TRIED_SEED)


def _trained(name: str, method: TrainedMethod, seed: int, scale: Scale) -> Stage:
    run, rate = f"{name}-{seed}", f"{{rate:{method.rated}}}"
    arguments = _training(run, method, _data(name), seed, scale, rate)
    reads = tuple(stage_of(method.rated, each) for each in RATES)
    return Stage(run, "train", arguments, ("data", method.pair), reads, method.why, seed)


def _training(
    run: str, method: TrainedMethod, data: str, seed: int, scale: Scale, rate: str
) -> tuple[str, ...]:
    every = min(method.validate or scale.validate, scale.steps)
    return (
        f"pair={{work}}/{method.pair}/pair.yaml",
        f"out={{work}}/runs/{run}",
        f"data.train={{work}}/data/{data}/train.parquet",
        f"data.validation={{work}}/data/{data}/validation.parquet",
        f"seed={seed}",
        f"steps={int(method.times * scale.steps)}",
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


def _untrained(name: str, scale: Scale, pair: str = "start", *, greedy: bool = False) -> Stage:
    method, switches = UNTRAINED[name]
    called = name if pair == "start" else f"{pair}-{name.removeprefix('start-')}"
    return _evaluated(
        called, method, "easy", (pair,), None, scale.questions, pair, switches, greedy=greedy
    )


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
    how: str | None = None,
) -> Stage:
    """Answers to a test set, sampled as in training unless `greedy`, whose answers are kept.

    `run`: whose last checkpoint; None is the start itself. `how`: the stage's last name, of another
    measurement, which is greedy, too.
    """
    stage = f"{name}@{how or ('greedy' if greedy else data)}"
    likeliest = greedy or how is not None
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
            *(GREEDY if likeliest else SAMPLED),
            *common,
            *weights,
            *switches,
            *kept,
        ),
        ("data", *needs),
    )
