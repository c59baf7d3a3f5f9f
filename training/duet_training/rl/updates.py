"""One step's learning: rewards, advantages, and the update of a model.

A step of the joint method updates the decoder first. Baselines update the reasoner alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from duet_training.rl.baselines import Baseline
from duet_training.rl.dense import DenseScores
from duet_training.rl.monitors import log_prob_differences
from duet_training.rl.objective.advantages import (
    advantages,
    decoder_groups,
    reasoner_groups,
    tied_groups,
)
from duet_training.rl.objective.aggregation import micro_batch_weights
from duet_training.rl.objective.kl import kl_of_responses
from duet_training.rl.objective.rewards import (
    Array,
    alone_reward,
    guided_reward,
    reasoner_reward,
    signal_lengths,
)
from duet_training.rl.sampling import OwnAnswers, Samples
from duet_training.rl.timing import Clock
from duet_training.settings.run import Objective, Settings
from duet_training.verl_backend.generation import Response
from duet_training.verl_backend.policy import Policy


@dataclass(frozen=True)
class Update:
    """What a step did."""

    metrics: dict[str, float]
    """Metrics of the step, by name."""
    mean_length: float
    """Mean of |z| in tokens, which moves lambda."""


def update_decoder(
    decoder: Policy, samples: Samples, settings: Settings, clock: Clock
) -> dict[str, float]:
    """m step of arXiv 2605.01111: maximise E[r(y)]; KL plays no part.

    A group is all guided answers of a question. With `guided_and_alone` the question's answers
    without a signal are a second group.
    """
    objective = settings.objective
    questions, signals, answers = samples.guided.shape
    groups = decoder_groups(questions, signals, answers)
    prompts, responses = samples.guided_prompts, samples.guided_responses
    rewards = samples.guided.reshape(-1)
    rows = settings.decoder_rows
    if objective.decoder_learns_from == "guided_and_alone":
        # Question by question, so that mini-batches hold whole groups.
        order = _interleaved(questions, signals * answers)
        prompts = [[*prompts, *samples.alone_prompts][i] for i in order]
        responses = [[*responses, *samples.alone_responses][i] for i in order]
        rewards = np.concatenate([rewards, samples.alone.reshape(-1)])[order]
        groups = np.concatenate([groups, groups + questions])[order]
        rows *= 2
    batch = decoder.batch(prompts, responses)
    with clock("log_probs"):
        log_probs = decoder.log_probs(batch)
    metrics = {
        **_named("decoder", log_prob_differences(responses, log_probs)),
        "decoder/tied_groups": tied_groups(rewards, groups),
    }
    if objective.train_decoder:
        weights = advantages(
            rewards, groups, _mask(responses), divide_by_std=objective.divide_by_std
        )
        weights *= _factors(responses, rows, objective, objective.micro_batch.decoder)
        with clock("update"):
            metrics |= _named("decoder", decoder.update(batch, weights, log_probs, rows))
    return metrics


def update_reasoner(
    reasoner: Policy,
    samples: Samples,
    settings: Settings,
    penalty: float,
    clock: Clock,
    dense: DenseScores | None = None,
) -> Update:
    """M step of arXiv 2605.01111: maximise E[(r_Mm - r_m) - lambda |z| / B - beta KL].

    r_Mm and r_m are means of sampled answers' scores, or `dense`.
    """
    objective = settings.objective
    questions, signals, _ = samples.guided.shape
    responses = samples.signal_responses
    lengths = signal_lengths(
        [response.tokens for response in responses], samples.signals, objective.counted
    ).reshape(questions, signals)
    if dense:
        guided, alone = dense.guided, dense.baseline(objective.baseline)
        measured = {
            "reward/dense": float(guided.mean()),
            "reward/dense_alone": float(dense.alone.mean()),
        }
    else:
        guided = guided_reward(samples.guided)
        alone = alone_reward(samples.alone, objective.baseline)
        measured = {"reward/alone": float(samples.alone.mean())}
    rewards = reasoner_reward(
        guided,
        alone,
        lengths,
        penalty=penalty,
        budget=objective.budget,
        on_success_only=objective.length_on_success_only,
    )
    updated = _update(reasoner, samples.signal_prompts, responses, rewards, settings, clock)
    metrics = {
        "reward/guided": float(samples.guided.mean()),
        **measured,
        **updated,
        **_tokens(responses, samples.signals, lengths),
        "tokens/answer": float(np.mean([len(r.tokens) for r in samples.guided_responses])),
        "tokens/unfinished_answers": float(
            np.mean([not r.finished for r in samples.guided_responses])
        ),
        "tokens/signals_cut": float(samples.cut),
        "tokens/generated": float(
            sum(
                len(response.tokens)
                for response in (*responses, *samples.guided_responses, *samples.alone_responses)
            )
        ),
    }
    return Update(metrics, float(lengths.mean()))


def update_alone(
    reasoner: Policy,
    samples: OwnAnswers,
    baseline: Baseline,
    settings: Settings,
    penalty: float,
    clock: Clock,
) -> Update:
    """A baseline's step: maximise E[R(z) - beta KL] with its reward of the model's own answers."""
    responses = samples.responses
    lengths = signal_lengths(
        [response.tokens for response in responses], samples.signals, settings.objective.counted
    ).reshape(samples.right.shape)
    rewards = baseline.rewards(samples.right, lengths, penalty)
    metrics = {
        "reward/right": float(samples.right.mean()),
        **_update(reasoner, samples.prompts, responses, rewards, settings, clock),
        **_tokens(responses, samples.signals, lengths),
        "tokens/limit": float(samples.limit),
    }
    return Update(metrics, float(lengths.mean()))


def _tokens(
    responses: list[Response], signals: list[list[int]], lengths: Array
) -> dict[str, float]:
    return {
        "tokens/length": float(lengths.mean()),
        "tokens/signal": float(np.mean([len(signal) for signal in signals])),
        "tokens/response": float(np.mean([len(r.tokens) for r in responses])),
        "tokens/unfinished_responses": float(np.mean([not r.finished for r in responses])),
    }


def _update(
    reasoner: Policy,
    prompts: list[list[int]],
    responses: list[Response],
    rewards: Array,
    settings: Settings,
    clock: Clock,
) -> dict[str, float]:
    """Updates the reasoner on rewards (Q, S), less beta KL, in groups of a question; metrics."""
    objective = settings.objective
    questions, signals = rewards.shape
    batch = reasoner.batch(prompts, responses)
    with clock("log_probs"):
        log_probs = reasoner.log_probs(batch)
    mask = _mask(responses)
    rewards = rewards.reshape(-1)
    kl = np.zeros(len(rewards))
    if objective.kl.coefficient:
        with clock("log_probs"):
            initial = reasoner.log_probs(batch, reference=True)
        kl = kl_of_responses(_padded(log_probs), _padded(initial), mask, objective.kl.kind)
        rewards = rewards - objective.kl.coefficient * kl
    groups = reasoner_groups(questions, signals)
    weights = advantages(rewards, groups, mask, divide_by_std=objective.divide_by_std)
    rows = settings.batch.mini_batch * signals
    weights *= _factors(responses, rows, objective, objective.micro_batch.reasoner)
    with clock("update"):
        trained = reasoner.update(batch, weights, log_probs, rows)
    return {
        "reward/reasoner": float(rewards.mean()),
        "reasoner/kl": float(kl.mean()),
        **_named("reasoner", log_prob_differences(responses, log_probs)),
        "reasoner/tied_groups": tied_groups(rewards, groups),
        **_named("reasoner", trained),
    }


def _factors(
    responses: list[Response], mini_batch: int, objective: Objective, micro_batch: int
) -> torch.Tensor:
    """Factors of advantages, (N, 1), that the rule of aggregation adds to VERL's own."""
    if objective.loss_aggregation != "micro-batch-token-mean":
        return torch.ones(len(responses), 1)
    lengths = [len(response.tokens) for response in responses]
    weights = micro_batch_weights(lengths, mini_batch, micro_batch)
    return torch.tensor(weights, dtype=torch.float32).unsqueeze(-1)


def _interleaved(questions: int, rows: int) -> list[int]:
    """Positions in [guided, alone], each (Q, rows) flat, such that questions stay together."""
    both = np.arange(2 * questions * rows).reshape(2, questions, rows)
    order: list[int] = both.transpose(1, 0, 2).reshape(-1).tolist()
    return order


def _mask(responses: list[Response]) -> torch.Tensor:
    lengths = torch.tensor([len(response.tokens) for response in responses])
    return (torch.arange(int(lengths.max())) < lengths[:, None]).float()


def _padded(nested: Any) -> torch.Tensor:
    padded: torch.Tensor = nested.to_padded_tensor(0.0)
    return padded


def _named(policy: str, metrics: dict[str, float]) -> dict[str, float]:
    return {f"{policy}/{name}": value for name, value in metrics.items()}
