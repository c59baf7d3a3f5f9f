"""The objective against hand-computed examples and an independent NumPy version."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from duet_training.rl.objective.advantages import (
    advantages,
    decoder_groups,
    reasoner_groups,
    tied_groups,
)
from duet_training.rl.objective.kl import kl_of_responses
from duet_training.rl.objective.rewards import (
    Counted,
    UtilityBaseline,
    alone_reward,
    guided_reward,
    length_penalty,
    reasoner_reward,
    signal_lengths,
)
from duet_training.rl.objective.schedule import dual_ascent

# One question, two signals, two answers each.
GUIDED = np.array([[[1.0, 1.0], [1.0, 0.0]]])
ALONE = np.array([[[0.0, 1.0], [0.0, 0.0]]])
LENGTHS = np.array([[500.0, 2000.0]])


def test_reward_by_hand():
    guided = guided_reward(GUIDED)
    assert guided.tolist() == [[1.0, 0.5]]
    alone = alone_reward(ALONE, UtilityBaseline.PER_SIGNAL)
    assert alone.tolist() == [[0.5, 0.0]]
    reward = reasoner_reward(guided, alone, LENGTHS, penalty=0.2, budget=1000)
    # 1 - 0.5 - 0.2 * 0.5 and 0.5 - 0 - 0.2 * 2
    assert reward == pytest.approx(np.array([[0.4, 0.1]]))


def test_length_is_paid_on_success_only():
    guided = guided_reward(GUIDED)
    cost = length_penalty(LENGTHS, 0.2, 1000, guided, on_success_only=True)
    # Half of the second signal's answers are right, so half of 0.4 is paid.
    assert cost == pytest.approx(np.array([[0.1, 0.2]]))


def test_which_tokens_count():
    responses, signals = [[5, 6, 7, 8]], [[5, 6]]
    assert signal_lengths(responses, signals, Counted.RESPONSE).tolist() == [4.0]
    assert signal_lengths(responses, signals, Counted.SIGNAL).tolist() == [2.0]


def test_schedule_by_hand():
    move = partial(dual_ascent, budget=1000, rate=0.01)
    assert move(0.0, 3000) == pytest.approx(0.02)
    assert move(0.02, 500) == pytest.approx(0.015)
    assert move(0.0, 500) == 0.0
    assert move(0.999, 9000) == 1.0
    assert move(0.0, 500, clip=None) == pytest.approx(-0.005)
    assert move(0.999, 9000, clip=None) == pytest.approx(1.079)


def test_groups():
    assert reasoner_groups(2, 3).tolist() == [0, 0, 0, 1, 1, 1]
    assert decoder_groups(2, 1, 2).tolist() == [0, 0, 1, 1]


def test_advantage_by_hand():
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    result = advantages(np.array([1.0, 0.0]), np.array([0, 0]), mask)
    # mean 0.5, std (n - 1) = 0.7071068, and VERL adds 1e-6 to it: 0.5 / 0.7071078 = 0.7071058
    one = 0.7071058
    expected = torch.tensor([[one, one, 0.0], [-one, -one, -one]])
    assert torch.allclose(result, expected, rtol=0, atol=1e-6)
    plain = advantages(np.array([1.0, 0.0]), np.array([0, 0]), mask, divide_by_std=False)
    assert plain[0].tolist() == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("divide", [True, False])
def test_all_equal_rewards_teach_nothing(divide):
    rewards = np.full(3, 0.7)
    mask = torch.ones(3, 2)
    result = advantages(rewards, np.zeros(3, dtype=np.int64), mask, divide_by_std=divide)
    assert result.abs().max() < 1e-6
    assert tied_groups(rewards, np.zeros(3, dtype=np.int64)) == 1.0


def test_kl_ignores_padding():
    log_probs = torch.tensor([[-1.0, -2.0, float("nan")]])
    reference = torch.tensor([[-1.5, -1.0, 0.0]])
    mask = torch.tensor([[1, 1, 0]])
    assert kl_of_responses(log_probs, reference, mask).tolist() == [pytest.approx(-0.5)]


def _advantages_again(rewards, groups, divide):
    """GRPO written a second time, with loops, from the formula."""
    out = np.zeros(len(rewards))
    for i, group in enumerate(groups):
        members = [r for r, g in zip(rewards, groups, strict=True) if g == group]
        mean = sum(members) / len(members)
        out[i] = rewards[i] - mean
        if divide:
            variance = sum((r - mean) ** 2 for r in members) / (len(members) - 1)
            out[i] /= variance**0.5 + 1e-6
    return out


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    questions=st.integers(1, 4),
    signals=st.integers(2, 5),
    answers=st.integers(1, 4),
    penalty=st.floats(0, 2),
    on_success_only=st.booleans(),
    divide=st.booleans(),
    baseline=st.sampled_from(list(UtilityBaseline)),
)
def test_random_batches_match_a_second_version(
    seed, questions, signals, answers, penalty, on_success_only, divide, baseline
):
    rng = np.random.default_rng(seed)
    shape = (questions, signals, answers)
    guided_scores = rng.integers(0, 2, shape).astype(float)
    alone_scores = rng.integers(0, 2, shape).astype(float)
    lengths = rng.integers(1, 3000, shape[:2]).astype(float)

    expected = np.zeros(shape[:2])
    for q in range(questions):
        for s in range(signals):
            right = sum(guided_scores[q, s]) / answers
            if baseline is UtilityBaseline.PER_SIGNAL:
                alone = sum(alone_scores[q, s]) / answers
            elif baseline is UtilityBaseline.PER_QUESTION:
                alone = sum(map(sum, alone_scores[q])) / (signals * answers)
            else:
                alone = 0.0
            paid = penalty * lengths[q, s] / 700 * (right if on_success_only else 1)
            expected[q, s] = right - alone - paid

    reward = reasoner_reward(
        guided_reward(guided_scores),
        alone_reward(alone_scores, baseline),
        lengths,
        penalty=penalty,
        budget=700,
        on_success_only=on_success_only,
    )
    assert reward == pytest.approx(expected, abs=1e-12)

    groups = reasoner_groups(questions, signals)
    flat = reward.reshape(-1)
    got = advantages(flat, groups, torch.ones(len(flat), 1), divide_by_std=divide)
    second = _advantages_again(expected.reshape(-1), groups, divide)
    assert got[:, 0].numpy() == pytest.approx(second, rel=1e-6, abs=1e-6)
