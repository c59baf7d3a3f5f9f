"""One evaluation: one method on one data set, as JSON (`conf/evaluate.yaml`)."""

import time
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import ray
from pydantic import model_validator

from duet_contract.json_data import json_text, read_json, rounded
from duet_report.intervals import bootstrap_mean, bounds
from duet_training.data.rows import Problem, read_rows
from duet_training.data.selection import fitting, judged_by
from duet_training.data.sets import default_runs
from duet_training.errors import CheckpointError, ClusterError, ConfigError
from duet_training.evaluation import signal_measure
from duet_training.evaluation.methods import METHODS, Method, Outcome
from duet_training.evaluation.metrics import (
    generation_flops,
    intelligence_per_token,
    spread,
)
from duet_training.evaluation.model_cache import ModelCache
from duet_training.evaluation.scoring import Scores, Verifiers
from duet_training.evaluation.serving import Serving
from duet_training.files import write_json
from duet_training.pair.description import Pair, load_pair, parameters
from duet_training.pair.prompting import PairPrompts
from duet_training.settings.compose import compose_settings
from duet_training.settings.run import Adapters, Settings
from duet_training.settings.types import Count, Part, Share, Temperature, TopK
from duet_training.verl_backend.cluster import worker_failed
from duet_training.verl_backend.generation import Sampling


class DecoderSampling(Part):
    """How evaluation samples the decoder."""

    temperature: Temperature
    """Sampling temperature; 0 is greedy."""
    top_p: Share
    """Share of the probability that the sampled tokens hold; 1 allows all tokens."""
    top_k: TopK
    """Number of most likely tokens that may be sampled; -1 allows all tokens."""


class EvaluationSettings(Settings):
    """Settings of an evaluation; `data.train` is the set, `out` the JSON file."""

    methods: ClassVar[Collection[str]] = METHODS
    trains: ClassVar[bool] = False

    weights: Path | None
    """Checkpoint to evaluate; None: the models of the pair as they are."""
    answers: Path | None
    """File to which every answer is written; None: no file."""
    runs: Count | None
    """Samples of each question; None: the default of the set (`duet_training.data.sets`)."""
    limit: Count | None
    """Number of questions, from the first one; None: all questions."""
    cut_at: Count
    """Tokens after which method `truncated` cuts signals."""
    temperature: Temperature
    """Sampling temperature of the reasoner; 0 is greedy."""
    decoder: DecoderSampling
    """Sampling of the decoder."""

    @model_validator(mode="after")
    def _check_cut(self) -> Self:
        if self.method == "truncated" and self.cut_at >= self.tokens.response:
            raise ValueError(
                f"cut_at ({self.cut_at}) leaves nothing of tokens.response "
                f"({self.tokens.response}) for the answer"
            )
        return self

    def how(self) -> dict[str, Sampling]:
        """Temperature, top_p and top_k of each model."""
        own, m = self, self.decoder
        return {
            "reasoner": Sampling(1, own.temperature, (), own.top_p, own.top_k),
            "decoder": Sampling(1, m.temperature, (), m.top_p, m.top_k),
        }


def evaluate(settings: EvaluationSettings, models: ModelCache) -> dict[str, Any]:
    """Answer every question once in each of `runs` runs; return the content of the JSON file.

    `models` are restarted if they do not match the settings, and left running.
    """
    pair = load_pair(settings.pair)
    prompts = PairPrompts(pair)
    rows = judged_by(read_rows(settings.data.train)[: settings.limit], settings.data.verifier)
    problems, too_long = fitting(rows, prompts, settings.data.max_prompt)
    runs = settings.runs or default_runs({problem.source for problem in problems})
    settings = settings.model_copy(update={"runs": runs})
    method, data = METHODS[settings.method](settings), settings.data
    if settings.weights:
        adapters = _check_weights(settings.weights, method)
        settings = settings.model_copy(update={"lora": adapters})
    limits = data.verifier_processes, data.verifier_seconds
    with closing(Verifiers.of(problems, *limits, computed=prompts.computed)) as verifiers:
        policies = models.with_weights(settings, pair, method.uses, settings.weights)
        serving = Serving(policies, prompts, settings.tokens, settings.how(), settings.seed)
        outcomes, scores, seconds = [], [], []
        for run in range(runs):
            serving.begin(run)
            began = time.monotonic()
            answered = method.answer(serving, problems)
            seconds.append(time.monotonic() - began)
            outcomes.append(answered)
            texts = [outcome.answer for outcome in answered]
            scores.append(verifiers.score(problems, texts))
            print(f"run {run + 1}/{runs}: accuracy {scores[-1].mean():.3f}", flush=True)
        signal = None
        if settings.method == "signal":
            signal = _signal(settings, pair, models, serving, problems, outcomes[0], verifiers)
    stacked = np.stack(scores, axis=1)
    if settings.answers:
        write_answers(settings.answers, problems, outcomes, stacked)
    chosen = ("method", "seed", "runs", "temperature", "top_p", "top_k", "decoder", "cut_at")
    dumped = settings.model_dump(mode="json", by_alias=True)
    return {
        "data": problems[0].source,
        "too_long": too_long,
        **summary(problems, outcomes, stacked, seconds, _sizes(pair)),
        **({"signal": signal} if signal else {}),
        "settings": {key: dumped[key] for key in (*chosen, "weights", "tokens")},
    }


def _signal(
    settings: EvaluationSettings,
    pair: Pair,
    models: ModelCache,
    serving: Serving,
    problems: Sequence[Problem],
    outcomes: Sequence[Outcome],
    verifiers: Verifiers,
) -> dict[str, Any]:
    """Measure what the signals of a run carry for its decoder, and for the initial one."""
    signals = [outcome.signal or "" for outcome in outcomes]
    scored = partial(verifiers.score, problems)
    answers = [outcome.answer for outcome in outcomes]
    found = {
        **signal_measure.rates(problems, signals, scored(answers)),
        "decoder": signal_measure.read(serving, problems, signals, scored),
        "untouched": None,
    }
    if settings.weights:
        initial = models.with_weights(settings, pair, ("decoder",), None)
        untouched = Serving(
            initial, serving.prompts, settings.tokens, settings.how(), settings.seed
        )
        found["untouched"] = signal_measure.read(untouched, problems, signals, scored)
    return found


def _check_weights(weights: Path, method: Method) -> Adapters:
    """Check that a checkpoint is readable; return the adapters that its weights are for."""
    file = weights / "state.json"
    if not file.is_file():
        raise ConfigError(f"weights={weights} is not a checkpoint: it has no state.json")
    missing = [name for name in method.uses if not (weights / name).is_dir()]
    if missing:
        raise ConfigError(
            f"weights={weights} has no {missing[0]}: it is of a run that did not train one"
        )
    try:
        settings = read_json(file)["settings"]
        # The weights are the checkpoint's, whatever its run began with.
        lora = {name: {**shape, "path": None} for name, shape in settings.get("lora", {}).items()}
        adapters = Adapters.model_validate(lora)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"cannot read {file}: {error!r}") from error
    return adapters


def summary(
    problems: Sequence[Problem],
    outcomes: Sequence[Sequence[Outcome]],
    scores: Scores,
    seconds: Sequence[float],
    sizes: dict[str, int],
) -> dict[str, Any]:
    """Summarize outcomes (runs, questions), scores (questions, runs) and each run's seconds.

    Token counts and FLOPs are means per question; `accuracy_95` is an interval over questions, and
    `over_runs` is the spread over seeds. A run's `right` has one character per question, in order:
    1 for a right answer, so that two methods can be compared question by question.
    """
    by_run: list[dict[str, Any]] = [
        {
            "accuracy": float(scores[:, run].mean()),
            "reasoner_tokens": float(np.mean([o.reasoner_tokens for o in answered])),
            "decoder_tokens": float(np.mean([o.decoder_tokens for o in answered])),
            "seconds": seconds[run],
            "right": "".join("1" if score == 1 else "0" for score in scores[:, run]),
        }
        for run, answered in enumerate(outcomes)
    ]
    accuracy = float(scores.mean())
    reasoner, decoder = (
        float(np.mean([run[f"{name}_tokens"] for run in by_run]))
        for name in ("reasoner", "decoder")
    )
    flops = {
        "reasoner": generation_flops(sizes["reasoner"], reasoner),
        "decoder": generation_flops(sizes["decoder"], decoder),
    }
    return {
        "questions": len(problems),
        "accuracy": accuracy,
        "accuracy_95": bounds(bootstrap_mean(scores)),
        "reasoner_tokens": reasoner,
        "decoder_tokens": decoder,
        "ipt": intelligence_per_token(accuracy, reasoner),
        "unfinished": float(np.mean([not o.finished for run in outcomes for o in run])),
        "seconds": float(sum(seconds)),
        "flops": {**flops, "total": sum(flops.values())},
        "parameters": sizes,
        "over_runs": {
            key: spread([run[key] for run in by_run])
            for key in ("accuracy", "reasoner_tokens", "decoder_tokens", "seconds")
        },
        "by_run": by_run,
    }


def write_answers(
    file: Path,
    problems: Sequence[Problem],
    outcomes: Sequence[Sequence[Outcome]],
    scores: Scores,
) -> None:
    """Write JSONL of every answer, run by run: question, signal, answer and score."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as output:
        for run, answered in enumerate(outcomes):
            for problem, outcome, score in zip(problems, answered, scores[:, run], strict=True):
                row = {"run": run, "question": problem.question, "reference": problem.answer}
                row |= {**asdict(outcome), "score": float(score)}
                output.write(json_text(row, ensure_ascii=False) + "\n")


def _sizes(pair: Pair) -> dict[str, int]:
    return {name: parameters(path) for name, path in pair.paths.items()}


def evaluated(settings: EvaluationSettings, models: ModelCache) -> dict[str, Any]:
    """Evaluate, and write `out` atomically."""
    result = evaluate(settings, models)
    write_json(settings.out, rounded(result), indent=2)
    return result


def outcome(settings: EvaluationSettings, result: dict[str, Any]) -> str:
    """Summarize an evaluation in one line."""
    low, high = result["accuracy_95"]
    return (
        f"{settings.method} on {result['data']}: accuracy {result['accuracy']:.3f} "
        f"[{low:.3f}, {high:.3f}], reasoner {result['reasoner_tokens']:.1f} tokens, "
        f"decoder {result['decoder_tokens']:.1f} tokens, {result['seconds']:.1f} s"
    )


def run(overrides: list[str]) -> None:
    """Evaluate, write JSON, and print a summary.

    Raises:
        TrainingError: The settings are invalid, or the evaluation fails.
    """
    models = ModelCache()
    try:
        settings = compose_settings("evaluate", overrides, EvaluationSettings)
        result = evaluated(settings, models)
    except ray.exceptions.RayError as error:
        raise ClusterError(worker_failed(error)) from error
    finally:
        models.close()
    print(outcome(settings, result))
