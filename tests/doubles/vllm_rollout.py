"""Trains a tiny pair with VERL's own vLLM servers on a CPU, and prints each step's metrics as JSON.

    python -m tests.doubles.vllm_rollout HOME OVERRIDE...

Ray has logical GPUs, from which VERL takes the place of its servers. All else is as on GPUs:
VERL's server adapter in the trainers, its weight transfer, its load balancer, vLLM's engine. One
thing differs: vLLM packs linear layers on a CPU as it loads, so weights are reloaded by vLLM's own
`reload_weights`, all of them at once.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import ray
from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension


class ReloadingExtension(vLLMColocateWorkerExtension):  # type: ignore[misc]
    """In vLLM's worker: receives weights as VERL sends them, and lets vLLM reload its model."""

    def update_weights_from_ipc(self, use_shm: bool = False, **_: Any) -> None:
        """See VERL's extension."""
        from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import (
            BucketedWeightReceiver,
        )

        weights: dict[str, Any] = {}
        receiver = BucketedWeightReceiver(self._get_zmq_handle(), self.device, use_shm)
        receiver.receive_weights(
            lambda bucket, _last: weights.update((name, one.clone()) for name, one in bucket)
        )
        self.model_runner.reload_weights(weights_iterator=iter(weights.items()))


def run(home: Path, overrides: list[str]) -> list[dict[str, Any]]:
    """Train in `home`; return each step's metrics and what the load balancers saw of it."""
    from verl.workers.rollout.llm_server import LLMServerManager
    from verl.workers.rollout.replica import RolloutReplicaRegistry
    from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer, vLLMReplica

    from duet_training.pair.tiny import make_tiny_pair
    from duet_training.rl.trainer import started
    from duet_training.verl_backend import cluster
    from duet_training.verl_backend.worker import PolicyServers
    from tests.doubles.small_runs import settings_of

    class Server(vLLMHttpServer):  # type: ignore[misc]
        def _get_worker_extension_cls(self) -> str:
            return "tests.doubles.vllm_rollout.ReloadingExtension"

    class Replica(vLLMReplica):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.server_class = ray.remote(Server)

    pool = cluster.RayResourcePool
    cluster.RayResourcePool = lambda *a, **named: pool(*a, **{**named, "use_gpu": True})
    PolicyServers._init_global_load_balancer = LLMServerManager._init_global_load_balancer
    RolloutReplicaRegistry.register("vllm", lambda: Replica)
    # vLLM's attention on a CPU wants heads of 32 or more.
    make_tiny_pair(home / "wide", heads=1)
    with started(settings_of(home, "served", *overrides, pair="wide")) as trainer:
        clients = [policy._client for policy in trainer.policies.values()]
        assert all(client._load_balancer is not None for client in clients)
        return [trainer.step() for _ in range(trainer.settings.steps)]


if __name__ == "__main__":
    from ray.cluster_utils import Cluster

    nodes = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 8, "num_gpus": 4, "include_dashboard": False},
    )
    os.environ["RAY_ADDRESS"] = nodes.address
    home_, *overrides_ = sys.argv[1:]
    try:
        print(json.dumps(run(Path(home_), overrides_)))
    finally:
        ray.shutdown()
        nodes.shutdown()
