"""Loss aggregation through VERL's own loss, on two ranks in micro-batches, against loops by hand."""

from typing import get_args

import numpy as np
import pytest
import torch
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.utils.losses import ppo_loss
from verl.workers.utils.padding import response_to_nested

from duet_training.errors import ConfigError
from duet_training.rl.objective.aggregation import LossAggregation, micro_batch_weights
from duet_training.settings.binding import binding
from duet_training.settings.run import settings_from
from duet_training.verl_backend.config import policy_config
from duet_training.verl_backend.generation import Response
from duet_training.verl_backend.policy import Policy

RULES = get_args(LossAggregation)
NEEDED = ["pair=p", "out=o", "data.train=t.parquet"]
LENGTHS = [3, 1, 5, 2, 4, 4, 1, 6]
RANKS, LIMIT = 2, 16384
RNG = np.random.default_rng(3)
OLD = [RNG.normal(-1, 0.3, n) for n in LENGTHS]
NEW = [old + RNG.normal(0, 0.25, len(old)) for old in OLD]  # some ratios are clipped
ADVANTAGES = RNG.normal(0, 1, len(LENGTHS))


def _token_losses():
    """PPO's clipped loss of every token: 0.2 on both sides, 3 for negative advantages."""
    rows = []
    for old, new, advantage in zip(OLD, NEW, ADVANTAGES, strict=True):
        ratio = np.exp(new - old)
        clipped = np.maximum(-advantage * ratio, -advantage * np.clip(ratio, 0.8, 1.2))
        rows.append(np.minimum(clipped, -3 * advantage) if advantage < 0 else clipped)
    return rows


def _by_hand(rule, micro_batch=2):
    rows = _token_losses()
    sums, counts = np.array([r.sum() for r in rows]), np.array(LENGTHS)
    if rule == "token-mean":
        return sums.sum() / counts.sum()
    if rule == "token-sum":
        return sums.sum()
    if rule == "seq-mean-token-sum":
        return sums.mean()
    if rule == "seq-mean-token-sum-norm":
        return sums.mean() / LIMIT
    if rule == "seq-mean-token-mean":
        return (sums / counts).mean()
    means = []
    for first in range(0, len(rows), micro_batch):
        tokens = np.concatenate(rows[first : first + micro_batch])
        means.append(tokens.mean())
    return np.mean(means)


def _verls(config, weights=1.0):
    """VERL's loss of the mini-batch: rows dealt to ranks and micro-batches regardless of the rule."""
    policy = Policy.__new__(Policy)
    policy._temperature = 1.0
    prompts = [[1] * (1 + row % 3) for row in range(len(LENGTHS))]
    responses = [Response([2] * n, [0.0] * n, True) for n in LENGTHS]
    batch = policy.batch(prompts, responses)
    mask = batch["response_mask"]
    per_token = torch.tensor(ADVANTAGES * weights)[:, None].expand(-1, max(LENGTHS))
    batch["advantages"] = response_to_nested(per_token.contiguous(), mask)
    batch["old_log_probs"] = torch.nested.as_nested_tensor(
        [torch.tensor(row) for row in OLD], layout=torch.jagged
    )
    loss = 0.0
    for rank_rows in ([7, 0, 3, 4], [1, 6, 2, 5]):
        for micro in (rank_rows[:1], rank_rows[1:]):
            data = tu.index_select_tensor_dict(batch, micro)
            tu.assign_non_tensor(
                data,
                dp_size=RANKS,
                batch_num_tokens=sum(LENGTHS),
                global_batch_size=len(LENGTHS),
            )
            # Log-probs of whole sequences, each token's at the place before it.
            whole = [
                torch.tensor([0.0] * (len(prompts[row]) - 1) + [*NEW[row], 0.0]) for row in micro
            ]
            output = {"log_probs": torch.nested.as_nested_tensor(whole, layout=torch.jagged)}
            loss += float(ppo_loss(config, output, data)[0])
    return loss / RANKS  # FSDP averages gradients


def _config(rule):
    settings = settings_from([*NEEDED, f"objective.loss_aggregation={rule}", "hardware=h100x4"])
    return omega_conf_to_dataclass(policy_config(settings, "reasoner", "m").actor_rollout_ref.actor)


@pytest.mark.parametrize("rule", RULES[:-1])
def test_verls_rules_by_hand(rule):
    assert _verls(_config(rule)) == pytest.approx(_by_hand(rule), rel=1e-6)


@pytest.mark.parametrize("micro_batch", [2, 4])
def test_the_released_rule_by_hand(micro_batch):
    """However VERL cuts the mini-batch: factors of the advantages carry the micro-batches."""
    weights = micro_batch_weights(LENGTHS, len(LENGTHS), micro_batch)
    loss = _verls(_config("micro-batch-token-mean"), weights)
    assert loss == pytest.approx(_by_hand("micro-batch-token-mean", micro_batch), rel=1e-6)
    assert loss != pytest.approx(_by_hand("token-mean"), rel=1e-2)


def test_each_mini_batch_has_its_own_factors():
    both = micro_batch_weights([*LENGTHS, *[7] * 8], 8, 2)
    assert both[:8] == pytest.approx(micro_batch_weights(LENGTHS, 8, 2))
    assert both[8:] == pytest.approx(np.ones(8))


def test_rules_are_verls_and_one_more():
    """VERL's own list, from its check of the actor's configuration."""
    config = _config("token-mean")
    for rule in RULES[:-1]:
        object.__setattr__(config, "loss_agg_mode", rule)
        config.__post_init__()
    object.__setattr__(config, "loss_agg_mode", RULES[-1])
    with pytest.raises(ValueError, match="Invalid loss_agg_mode"):
        config.__post_init__()


def test_micro_batches_divide_a_mini_batch():
    released = "objective.loss_aggregation=micro-batch-token-mean"
    with pytest.raises(
        ConfigError, match=r"not a multiple of objective.micro_batch.reasoner \(3\)"
    ):
        settings_from([*NEEDED, released, "objective.micro_batch.reasoner=3"])
    settings_from([*NEEDED, released])
    settings_from([*NEEDED, "objective.micro_batch.reasoner=3"])
    # Of a method without a decoder, the reasoner's alone.
    settings_from([*NEEDED, released, "objective.micro_batch.decoder=3", "method=single"])


def test_a_checkpoint_is_bound_to_the_rule_unless_it_is_verls_default():
    plain = binding(settings_from(NEEDED))
    assert "loss_aggregation" not in plain["objective"]
    assert "verl" not in plain
    other = binding(settings_from([*NEEDED, "objective.loss_aggregation=micro-batch-token-mean"]))
    assert other["objective"]["loss_aggregation"] == "micro-batch-token-mean"
    assert other["objective"]["micro_batch"] == {"reasoner": 2, "decoder": 4}
    clip = settings_from([*NEEDED, "verl=['actor_rollout_ref.actor.clip_ratio=0.3']"])
    assert binding(clip)["verl"] == ["actor_rollout_ref.actor.clip_ratio=0.3"]
    assert policy_config(clip, "decoder", "m").actor_rollout_ref.actor.clip_ratio == 0.3
