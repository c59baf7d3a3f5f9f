"""A policy without engines: what its servers and its workers are asked, and in which order."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from verl.utils import tensordict_utils as tu

from duet_training.verl_backend.balance import balanced_order
from duet_training.verl_backend.generation import Response, Sampling
from duet_training.verl_backend.policy import _MEANS, _PEAKS, Policy

RANKS = 2


class Client:
    """Answers with the prompt's last token, and notes request ids."""

    def __init__(self):
        self.asked = []

    async def generate(self, request_id, *, prompt_ids, sampling_params):
        self.asked.append((request_id, tuple(prompt_ids), sampling_params["seed"]))
        return SimpleNamespace(token_ids=[prompt_ids[-1]], log_probs=[0.0])


class Workers:
    """Two ranks; a token's log-prob is its id, a tenth of it in the initial model."""

    world_size = RANKS

    def __init__(self):
        self.data = None

    def compute_log_prob(self, data, factor=1.0):
        self.data = data
        rows = [ids.float() * factor for ids in data["input_ids"].unbind()]
        # VERL's outputs are shifted: the value at a token is of the next one.
        shifted = [torch.cat([row[1:], row[:1]]) for row in rows]
        values = torch.nested.as_nested_tensor(shifted, layout=torch.jagged)
        return tu.get_tensordict({"log_probs": values})

    def compute_ref_log_prob(self, data):
        return self.compute_log_prob(data, 0.1)

    def update_actor(self, data):
        self.data = data
        metrics = {key: [1.0, 3.0] for key in (*_MEANS.values(), *_PEAKS.values())}
        return tu.get_tensordict({}, {"metrics": metrics})

    def peak_memory(self):
        return [1.5, 2.5]


@pytest.fixture
def policy():
    made = Policy.__new__(Policy)
    actor = SimpleNamespace(ulysses_sequence_parallel_size=1)
    made._config = SimpleNamespace(actor_rollout_ref=SimpleNamespace(actor=actor))
    made.name, made._temperature, made._seeded, made._calls = "reasoner", 1.0, True, 0
    made._adds_to_initial = False
    made._client, made.workers = Client(), Workers()
    return made


def test_answers_to_one_prompt_have_one_request_id(policy):
    """VERL's balancer sends them to one server, whose cache holds the prompt."""
    sampling = Sampling(4, 1.0, (9,))
    prompts = [[1, 2], [1, 2], [3, 4], [1, 2], [3, 4]]
    for _ in range(2):
        responses = policy.sample(prompts, sampling, [10, 11, 12, 13, 14])
    assert [response.tokens for response in responses] == [[2], [2], [4], [2], [4]]
    first, second = policy._client.asked[:5], policy._client.asked[5:]
    for asked in (first, second):
        ids = [request for request, *_ in asked]
        assert ids[0] == ids[1] == ids[3] != ids[2] == ids[4]
        assert [seed for *_, seed in asked] == [10, 11, 12, 13, 14]
    # Another step's requests are free to go elsewhere.
    assert not {request for request, *_ in first} & {request for request, *_ in second}


ROWS = [3, 1, 9, 2, 8, 4, 1, 6]


def _batch(policy):
    tokens = [[100 * row + i for i in range(n)] for row, n in enumerate(ROWS, 1)]
    prompts = [[7] * (1 + n % 2) for n in ROWS]
    return tokens, policy.batch(prompts, [Response(t, [0.0] * len(t), True) for t in tokens])


@pytest.mark.parametrize(("reference", "factor"), [(False, 1.0), (True, 0.1)])
def test_log_probs_come_back_in_the_order_of_the_batch(policy, reference, factor):
    tokens, batch = _batch(policy)
    found = policy.log_probs(batch, reference=reference)
    for row, ids in zip(found.unbind(), tokens, strict=True):
        assert row.tolist() == pytest.approx([factor * token for token in ids])
    lengths = batch["input_ids"].offsets().diff().tolist()
    order = balanced_order(lengths, len(ROWS), RANKS)
    assert order != list(range(len(ROWS)))
    sent = policy.workers.data["input_ids"].offsets().diff().tolist()
    assert sent == [lengths[row] for row in order]


def test_ranks_learn_from_the_mini_batches_of_the_batch(policy):
    tokens, batch = _batch(policy)
    advantages = torch.arange(8.0)[:, None].expand(-1, max(ROWS)).contiguous()
    log_probs = torch.nested.as_nested_tensor(
        [torch.tensor(ids).float() for ids in tokens], layout=torch.jagged
    )
    metrics = policy.update(batch, advantages, log_probs, 4)
    data = policy.workers.data
    rows = [int(values[0]) for values in data["advantages"].unbind()]
    shares = np.array(rows).reshape(RANKS, 2, 2)  # rank, mini-batch, row
    assert sorted(shares[:, 0].ravel()) == [0, 1, 2, 3]
    assert sorted(shares[:, 1].ravel()) == [4, 5, 6, 7]
    for row, ids, old in zip(
        rows, data["responses"].unbind(), data["old_log_probs"].unbind(), strict=True
    ):
        assert ids.tolist() == tokens[row]
        assert old.tolist() == tokens[row]
    assert metrics["ppo_kl"] == 2.0  # the mean over mini-batches
    assert metrics["perf/memory_allocated_gib"] == 3.0  # their peak
    assert {"loss", "clipped", "grad_norm", "perf/mfu", "perf/host_memory_gib"} <= metrics.keys()
    assert policy.peak_memory() == 2.5
