"""Ranks of one policy's worker over gloo without Ray: one process each, forked after the imports.

    python -m tests.doubles.gloo_ranks PAIR CHECKPOINT OUT RANKS...

For each number of ranks the worker reads the checkpoint's weights, computes log-probs of a batch
and learns from it. OUT is JSON: what the ranks found, by their number.
"""

import json
import multiprocessing
import os
import socket
import sys
from pathlib import Path
from typing import Any

from duet_training.verl_backend.cpu.platform import ENVIRONMENT

os.environ |= {**ENVIRONMENT, "VERL_LOGGING_LEVEL": "ERROR", "OMP_NUM_THREADS": "1"}

import numpy as np
import torch
from verl.utils import tensordict_utils as tu

from duet_training.settings.run import settings_from
from duet_training.verl_backend.config import policy_config
from duet_training.verl_backend.generation import Response
from duet_training.verl_backend.policy import Policy
from duet_training.verl_backend.worker import PolicyWorker

LENGTHS = [7, 3, 12, 5, 9, 4, 16, 6, 2, 11, 8, 3, 14, 5, 6, 10]
MINI_BATCH = 8


def batch_of(temperature: float = 1.0) -> tuple[Policy, Any, list[list[int]], list[list[int]]]:
    """A policy without processes, a batch of random tokens, and its prompts and responses."""
    policy = Policy.__new__(Policy)
    policy._temperature = temperature
    rng = np.random.default_rng(0)
    prompts = [rng.integers(10, 200, 3 + row % 4).tolist() for row in range(len(LENGTHS))]
    tokens = [rng.integers(10, 200, length).tolist() for length in LENGTHS]
    responses = [Response(ids, [0.0] * len(ids), True) for ids in tokens]
    return policy, policy.batch(prompts, responses), prompts, tokens


class Group:
    """Stands for VERL's worker group in one rank: gives it its rows, and collects the results."""

    def __init__(self, worker: PolicyWorker, rank: int, ranks: int) -> None:
        self._worker, self._rank, self.world_size = worker, rank, ranks

    def _mine(self, data: Any) -> Any:
        each = len(data) // self.world_size
        rows = list(range(self._rank * each, (self._rank + 1) * each))
        return tu.index_select_tensor_dict(data, rows)

    def compute_log_prob(self, data: Any) -> Any:
        mine = tu.get(self._worker.compute_log_prob(self._mine(data)), "log_probs").unbind()
        parts: list[Any] = [None] * self.world_size
        torch.distributed.all_gather_object(parts, list(mine))
        rows = [row for part in parts for row in part]
        return tu.get_tensordict(
            {"log_probs": torch.nested.as_nested_tensor(rows, layout=torch.jagged)}
        )

    def update_actor(self, data: Any) -> Any:
        return self._worker.update_actor(self._mine(data))


def rank_of(rank: int, ranks: int, port: int, pair: Path, checkpoint: Path, found: Any) -> None:
    """One rank: what `duet-train` does with its worker, from the weights on."""
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    needed = [f"pair={pair}/pair.yaml", "out=o", "data.train=t", "learning_rate.reasoner=1e-2"]
    settings = settings_from([*needed, f"hardware.devices={ranks}"])
    config = policy_config(settings, "reasoner", str(pair / "reasoner"))
    worker = PolicyWorker(config.actor_rollout_ref, "actor_rollout")
    worker.init_model()
    worker.load_weights(str(checkpoint / "reasoner"))
    read = worker.digest()
    policy, batch, *_ = batch_of()
    policy.name, policy._config, policy._adds_to_initial = "reasoner", config, False
    policy.workers = Group(worker, rank, ranks)
    log_probs = policy.log_probs(batch)
    advantages = torch.linspace(-1, 1, len(LENGTHS))[:, None].expand(-1, max(LENGTHS)).contiguous()
    metrics = policy.update(batch, advantages, log_probs, MINI_BATCH)
    again = policy.log_probs(batch)
    if rank == 0:
        rows = [row.tolist() for row in log_probs.unbind()]
        moved = [row.tolist() for row in again.unbind()]
        found.put({"read": read, "log_probs": rows, "after": moved, "metrics": metrics})
    torch.distributed.barrier()


def run(ranks: int, pair: Path, checkpoint: Path) -> dict[str, Any]:
    """Run so many ranks, and return what the first found."""
    fork = multiprocessing.get_context("fork")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    found = fork.Queue()
    processes = [
        fork.Process(target=rank_of, args=(rank, ranks, port, pair, checkpoint, found))
        for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    result: dict[str, Any] = found.get(timeout=600)
    for process in processes:
        process.join(timeout=60)
    return result


if __name__ == "__main__":
    pair_, checkpoint_, out, *counts = sys.argv[1:]
    results = {count: run(int(count), Path(pair_), Path(checkpoint_)) for count in counts}
    Path(out).write_text(json.dumps(results))
