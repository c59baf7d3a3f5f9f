"""`python -m training.evaluate`: one method on one data set, as JSON (`conf/evaluate.yaml`)."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import ray
from pydantic import Field

from duet_contract.errors import ContractError
from training.checkpoints import load_policies
from training.cluster import make_pools, start_ray
from training.data.lengths import fitting
from training.data.rows import Problem, read_rows
from training.errors import ConfigError, TrainingError
from training.methods.alone import Alone
from training.methods.base import Method, Outcome
from training.methods.duet import Duet
from training.methods.original import Original
from training.methods.prompted import Prompted
from training.methods.truncated import Truncated
from training.metrics import bootstrap_interval, generation_flops, intelligence_per_token
from training.pair import load_pair
from training.policy import Policy, Response, Sampling
from training.prompting import PairPrompts
from training.sampling import fit_signal, score, seeds
from training.settings import Count, Settings, compose_settings
from training.verifiers import make_verifier
from training.verl_config import policy_config


class EvaluationSettings(Settings):
    """Settings of an evaluation; `data.train` is the set, `out` the JSON file."""

    method: Literal["duet", "original", "prompted", "truncated", "alone"]
    weights: Path | None
    runs: Count
    limit: Count | None
    cut_at: Count
    temperature: Annotated[float, Field(ge=0)]

    def make_method(self) -> Method:
        """The method by its name."""
        if self.method == "truncated":
            return Truncated(self.cut_at)
        if self.method == "duet":
            return Duet(to_end=not self.objective.stop_at_end_of_reasoning)
        methods: dict[str, type[Method]] = {
            "original": Original,
            "prompted": Prompted,
            "alone": Alone,
        }
        return methods[self.method]()


class Serving:
    """Both models behind `Models`; `run` and the number of the call make the seeds."""

    def __init__(
        self, settings: EvaluationSettings, prompts: PairPrompts, policies: dict[str, Policy]
    ) -> None:
        self.prompts = prompts
        self._settings, self._policies = settings, policies
        self.run, self._calls = 0, 0

    def reason(
        self, prompts: Sequence[list[int]], limit: int | None = None, *, to_end: bool = True
    ) -> list[Response]:
        """See `Models`."""
        tokens = limit or self._settings.tokens.response
        stops = self.prompts.end_of_text
        if not to_end:
            stops = [*stops, self.prompts.end_of_reasoning]
        return self._generate("reasoner", prompts, tokens, stops)

    def decode(self, prompts: Sequence[list[int]]) -> list[Response]:
        """See `Models`."""
        tokens = self._settings.tokens.answer
        return self._generate("decoder", prompts, tokens, self.prompts.end_of_answer)

    def guided_prompt(self, question: str, signal: list[int]) -> list[int]:
        """See `Models`."""
        return fit_signal(self.prompts, question, signal, self._settings.tokens.decoder_prompt)[0]

    def _generate(
        self, name: str, prompts: Sequence[list[int]], tokens: int, stops: list[int]
    ) -> list[Response]:
        if not prompts:
            return []
        self._calls += 1
        settings, policy = self._settings, self._policies[name]
        sampling = Sampling(tokens, settings.temperature, tuple(stops))
        policy.to_rollout(0)
        numbers = seeds(settings.seed, self.run, self._calls, len(prompts))
        responses = policy.sample(prompts, sampling, numbers)
        policy.rest()
        return responses


def evaluate(settings: EvaluationSettings) -> dict[str, Any]:
    """Answers every question `runs` times; returns what is written as JSON."""
    pair = load_pair(settings.pair)
    prompts = PairPrompts(pair)
    rows = read_rows(settings.data.train)[: settings.limit]
    problems, too_long = fitting(rows, prompts, settings.data.max_prompt)
    weights, data = settings.weights, settings.data
    if weights and not (weights / "state.json").is_file():
        raise ConfigError(f"weights={weights} is no checkpoint: it has no state.json")
    verifiers = {
        name: make_verifier(name, data.verifier_processes, data.verifier_seconds)
        for name in {problem.verifier for problem in problems}
    }
    paths = {"reasoner": pair.reasoner.path, "decoder": pair.decoder.path}
    configs = {name: policy_config(settings, name, str(path)) for name, path in paths.items()}
    start_ray(settings.hardware)
    policies = {}
    for name, pool in make_pools(settings.hardware).items():
        policies[name] = Policy(name, configs[name], pool, reference=False, temperature=1.0)
    for policy in policies.values():
        policy.start()
    if weights:
        load_policies(weights, policies)
    serving, method = Serving(settings, prompts, policies), settings.make_method()
    started = time.monotonic()
    outcomes, scores = [], []
    for run in range(settings.runs):
        serving.run = run
        answered = method.answer(serving, problems)
        outcomes += answered
        scores.append(score(verifiers, problems, [outcome.answer for outcome in answered]))
        print(f"run {run + 1}/{settings.runs}: accuracy {scores[-1].mean():.3f}", flush=True)
    seconds = time.monotonic() - started
    for verifier in verifiers.values():
        verifier.close()
    sizes = {name: parameters(path) for name, path in paths.items()}
    result = summary(problems, outcomes, np.stack(scores, axis=1), sizes)
    chosen = ("method", "seed", "runs", "temperature", "cut_at", "weights")
    dumped = settings.model_dump(mode="json", by_alias=True)
    return {
        "data": problems[0].source,
        "too_long": too_long,
        "seconds": seconds,
        **result,
        "settings": {**{key: dumped[key] for key in chosen}, "tokens": dumped["tokens"]},
    }


def summary(
    problems: Sequence[Problem],
    outcomes: Sequence[Outcome],
    scores: np.ndarray[Any, np.dtype[np.float64]],
    sizes: dict[str, int],
) -> dict[str, Any]:
    """Figures from outcomes (runs x questions, flat) and scores (questions, runs)."""
    accuracy = float(scores.mean())
    reasoner = float(np.mean([outcome.reasoner_tokens for outcome in outcomes]))
    decoder = float(np.mean([outcome.decoder_tokens for outcome in outcomes]))
    return {
        "questions": len(problems),
        "accuracy": accuracy,
        "accuracy_95": list(bootstrap_interval(scores)),
        "reasoner_tokens": reasoner,
        "decoder_tokens": decoder,
        "ipt": intelligence_per_token(accuracy, reasoner),
        "unfinished": float(np.mean([not outcome.finished for outcome in outcomes])),
        "flops": {
            "reasoner": generation_flops(sizes["reasoner"], reasoner),
            "decoder": generation_flops(sizes["decoder"], decoder),
        },
        "parameters": sizes,
    }


def parameters(model: Path) -> int:
    """How many weights the model in a directory has, without reading them."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model))
    return sum(weight.numel() for weight in empty.parameters())


def main(overrides: list[str]) -> int:
    """Evaluates and writes JSON; 0, or 1 with one line on standard error."""
    try:
        settings = compose_settings("evaluate", overrides, EvaluationSettings)
        result = evaluate(settings)
        settings.out.parent.mkdir(parents=True, exist_ok=True)
        settings.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    except (TrainingError, ContractError, OSError) as error:
        print(f"training.evaluate: {error}", file=sys.stderr)
        return 1
    except ray.exceptions.RayActorError as error:
        print(f"training.evaluate: a worker died ({type(error).__name__})", file=sys.stderr)
        return 1
    finally:
        if ray.is_initialized():
            ray.shutdown()
    low, high = result["accuracy_95"]
    print(
        f"{settings.method} on {result['data']}: accuracy {result['accuracy']:.3f} "
        f"[{low:.3f}, {high:.3f}], reasoner {result['reasoner_tokens']:.1f} tokens, "
        f"decoder {result['decoder_tokens']:.1f} tokens, {result['seconds']:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
