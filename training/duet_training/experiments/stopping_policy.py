"""What each loss aggregation does to lengths, measured on a policy that only decides when to stop.

A question needs some tokens of a signal; a signal with fewer is mostly not enough. The policy is a
probability of stopping after each token, for each kind of question. Rewards, lambda, advantages and
aggregation are the trainer's and VERL's own functions, batches and budget those of the experiments.
No language is learned, so the figures say how aggregations weigh short and long responses and
nothing else.
"""

from typing import Any, get_args

import numpy as np
import torch
from verl.trainer.ppo.core_algos import agg_loss

from duet_report.intervals import bounds, mean_of_runs
from duet_training.rl.objective.advantages import advantages, reasoner_groups
from duet_training.rl.objective.aggregation import LossAggregation, micro_batch_weights, verl_mode
from duet_training.rl.objective.rewards import (
    UtilityBaseline,
    alone_reward,
    guided_reward,
    reasoner_reward,
)
from duet_training.rl.objective.schedule import dual_ascent

LIMIT, BUDGET = 256, 24.0
QUESTIONS, SIGNALS, ANSWERS, MICRO_BATCH = 8, 4, 4, 2
# The rate shortens about as fast as joint training at small scale does, with the token mean.
STEPS, RATE, SEEDS = 60, 0.1, 20
# Tokens that a signal needs, by kind of question, and the chance of a right answer without and with.
NEEDED = (8.0, 13.0, 18.0)
ALONE, GUIDED = 0.35, 0.97
# Of stopping after each token: the mean length is its inverse, as before joint training.
FIRST = 1 / 55
# Tokens between the points that a probability is interpolated from.
APART = 8
AFTER = (12, 24, 36)


def measured(seeds: int = SEEDS, steps: int = STEPS) -> list[dict[str, Any]]:
    """Train with every rule; return means over seeds, each with its bounds.

    `tokens` and `accuracy` are those after the steps in `after`; `steps_to_budget` and
    `accuracy_at_budget` those of the first step with at most B tokens, of the seeds that reach it.
    """
    rows = []
    for rule in get_args(LossAggregation):
        runs = [train(rule, seed, steps) for seed in range(seeds)]
        tokens, accuracy = (np.array([run[key] for run in runs]) for key in ("tokens", "accuracy"))
        after = [step for step in AFTER if step <= steps]
        below = [int(np.argmax(each <= BUDGET)) for each in tokens]
        within = [(seed, at) for seed, at in enumerate(below) if tokens[seed, at] <= BUDGET]
        row: dict[str, Any] = {"rule": rule, "after": after, "seeds": seeds}
        row["tokens"] = [_with_bounds(tokens[:, step - 1]) for step in after]
        row["accuracy"] = [_with_bounds(accuracy[:, step - 1]) for step in after]
        if within:
            row["steps_to_budget"] = _with_bounds([at + 1 for _, at in within])
            row["accuracy_at_budget"] = _with_bounds([accuracy[place] for place in within])
        rows.append(row)
    return rows


def _with_bounds(values: Any) -> list[float]:
    interval = mean_of_runs([float(value) for value in values])
    return [round(each, 4) for each in (interval.value, *bounds(interval))]


def train(rule: LossAggregation, seed: int, steps: int) -> dict[str, list[float]]:
    """Train one policy; return the expected tokens and accuracy after each step."""
    rng = np.random.default_rng(seed)
    points = torch.full((len(NEEDED), LIMIT // APART + 1), float(np.log(FIRST / (1 - FIRST))))
    points.requires_grad_()
    optimizer = torch.optim.Adam([points], lr=RATE)
    penalty, found = 0.0, {"tokens": list[float](), "accuracy": list[float]()}
    for _ in range(steps):
        kinds = np.repeat(rng.integers(len(NEEDED), size=QUESTIONS), SIGNALS)
        stops = _stopping(points)
        lengths = _drawn(stops.detach(), kinds, rng)
        weights = _weights(rule, lengths, kinds, penalty, rng)
        loss = _loss(rule, stops[torch.as_tensor(kinds)], lengths, weights)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([points], 1.0)
        optimizer.step()
        penalty = dual_ascent(penalty, float(lengths.mean()), budget=BUDGET, rate=0.05, clip=(0, 1))
        for name, value in zip(found, _expected(points), strict=True):
            found[name].append(value)
    return found


def _stopping(points: torch.Tensor) -> torch.Tensor:
    """Logits of stopping after each token, (kinds, LIMIT)."""
    whole = torch.nn.functional.interpolate(
        points[:, None], size=LIMIT, mode="linear", align_corners=True
    )
    return whole[:, 0]


def _drawn(stops: torch.Tensor, kinds: "np.ndarray[Any, Any]", rng: np.random.Generator) -> Any:
    chances = torch.sigmoid(stops).numpy()[kinds]
    ended = rng.random(chances.shape) < chances
    ended[:, -1] = True
    return ended.argmax(axis=1) + 1.0


def _right(lengths: Any, needed: Any) -> Any:
    """Chance of a right answer from a signal of some length."""
    return ALONE + (GUIDED - ALONE) / (1 + np.exp(needed - lengths))


def _weights(
    rule: LossAggregation, lengths: Any, kinds: Any, penalty: float, rng: np.random.Generator
) -> torch.Tensor:
    """Advantages as the trainer computes them, with the factors of micro-batches."""
    shape = (QUESTIONS, SIGNALS, ANSWERS)
    likely = _right(lengths, np.array(NEEDED)[kinds]).reshape(QUESTIONS, SIGNALS, 1)
    right, alone = ((rng.random(shape) < chance).astype(np.float64) for chance in (likely, ALONE))
    rewards = reasoner_reward(
        guided_reward(right),
        alone_reward(alone, UtilityBaseline.PER_SIGNAL),
        lengths.reshape(QUESTIONS, SIGNALS),
        penalty=penalty,
        budget=BUDGET,
        on_success_only=False,
    )
    groups = reasoner_groups(QUESTIONS, SIGNALS)
    weights = advantages(rewards.reshape(-1), groups, _mask(lengths))
    if rule == "micro-batch-token-mean":
        factors = micro_batch_weights(lengths.tolist(), len(lengths), MICRO_BATCH)
        weights = weights * torch.as_tensor(factors, dtype=weights.dtype)[:, None]
    return weights


def _mask(lengths: Any) -> torch.Tensor:
    return (torch.arange(LIMIT) < torch.as_tensor(lengths)[:, None]).float()


def _loss(
    rule: LossAggregation, stops: torch.Tensor, lengths: Any, weights: torch.Tensor
) -> torch.Tensor:
    """The policy's loss at the policy that has sampled, where PPO's ratio is 1."""
    last = torch.as_tensor(lengths, dtype=torch.long)[:, None] - 1
    signs = torch.full_like(stops, -1.0).scatter(1, last, 1.0)
    log_probs = torch.nn.functional.logsigmoid(signs * stops)
    loss: torch.Tensor = agg_loss(
        -log_probs * weights, _mask(lengths), verl_mode(rule), loss_scale_factor=LIMIT
    )
    return loss


def _expected(points: torch.Tensor) -> tuple[float, float]:
    """Mean tokens and accuracy of the policy over the kinds of questions, exactly."""
    with torch.no_grad():
        chances = torch.sigmoid(_stopping(points)).double().numpy()
    chances[:, -1] = 1
    reached = np.cumprod(np.hstack([np.ones((len(NEEDED), 1)), 1 - chances[:, :-1]]), axis=1)
    ends = reached * chances
    lengths = np.arange(1, LIMIT + 1)
    right = _right(lengths, np.array(NEEDED)[:, None])
    return float((ends * lengths).sum(1).mean()), float((ends * right).sum(1).mean())
