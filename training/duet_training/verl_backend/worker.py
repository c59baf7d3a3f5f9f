"""VERL's worker, able to share a cluster with another policy's.

VERL 0.9.1 counts rollout replicas from 0 and names their actors by that number, so two policies
would take each other's. Each policy's replicas therefore start at an offset of their own.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from verl.single_controller.base.decorator import (
    Dispatch,
    make_nd_compute_dataproto_dispatch_fn,
    register,
)
from verl.utils.device import get_device_name, get_torch_device
from verl.utils.memory_utils import aggressive_empty_cache
from verl.workers.engine_workers import ActorRolloutRefWorker
from verl.workers.rollout.llm_server import LLMServerClient, LLMServerManager
from verl.workers.rollout.replica import RolloutMode, get_rollout_replica_class

from duet_training.verl_backend.cpu import rollout as cpu_rollout
from duet_training.verl_backend.shards import saved_weights


def _offset(rollout_config: Any) -> int:
    return int((rollout_config.get("custom") or {}).get("first_replica", 0))


@contextmanager
def _freed(worker: Any) -> Iterator[None]:
    """Give the blocks that PyTorch caches back to the device after the block.

    Without offload VERL does so only when the same worker next sends its weights to its servers.
    Until then the other policy's servers wake up on what is left of the device.
    """
    try:
        yield
    finally:
        if worker.config.rollout.custom.empty_cache:
            aggressive_empty_cache(force_sync=True)


class PolicyWorker(ActorRolloutRefWorker):  # type: ignore[misc]
    """One rank of one policy: training engine, reference if it has one, and rollout adapter."""

    def __init__(self, config: Any, role: str, **options: Any) -> None:
        if get_device_name() == "cpu":
            cpu_rollout.register()
            if not torch.distributed.is_initialized():
                # VERL would ask for "cpu:gloo,cpu:gloo", which torch refuses; it keeps an
                # existing group.
                torch.distributed.init_process_group(
                    "cpu:gloo",
                    rank=int(os.environ["RANK"]),
                    world_size=int(os.environ["WORLD_SIZE"]),
                )
        if config.model.lora_rank:
            from duet_training.verl_backend import (
                merging_engine,  # asks for the device as it is imported
            )

            merging_engine.use()
        super().__init__(config, role, **options)

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[untyped-decorator]
    def init_model(self) -> None:
        """Build the engines, then point the rollout adapter at this policy's replicas."""
        if self.config.model.lora_rank:
            # An adapter begins with random weights: the run's, not the process's.
            torch.manual_seed(self.config.rollout.seed)
        super().init_model()
        first = _offset(self.config.rollout)
        old = self.rollout.replica_rank
        self.rollout.replica_rank = old + first
        if hasattr(self.rollout, "zmq_handle"):  # vLLM's adapter names its socket by replica, too
            self.rollout.zmq_handle = self.rollout.zmq_handle.replace(
                f"replica-{old}-", f"replica-{old + first}-"
            )

    @register(dispatch_mode=make_nd_compute_dataproto_dispatch_fn(mesh_name="ref"))  # type: ignore[untyped-decorator]
    def compute_ref_log_prob(self, data: Any) -> Any:
        """See VERL's worker."""
        with _freed(self):
            return super().compute_ref_log_prob(data)

    @register(dispatch_mode=make_nd_compute_dataproto_dispatch_fn(mesh_name="actor"))  # type: ignore[untyped-decorator]
    def compute_log_prob(self, data: Any) -> Any:
        """See VERL's worker."""
        with _freed(self):
            return super().compute_log_prob(data)

    @register(dispatch_mode=make_nd_compute_dataproto_dispatch_fn(mesh_name="actor"))  # type: ignore[untyped-decorator]
    def update_actor(self, data: Any) -> Any:
        """See VERL's worker."""
        with _freed(self):
            return super().update_actor(data)

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[untyped-decorator]
    def load_weights(self, checkpoint: str) -> None:
        """Load a checkpoint's weights alone, whatever number of ranks saved them."""
        first = torch.distributed.get_rank() == 0
        model = Path(self.config.model.path)
        weights: dict[str, Any] = {**saved_weights(Path(checkpoint), model)} if first else {}
        options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
        set_model_state_dict(self.actor.engine.module, weights, options=options)

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[untyped-decorator]
    def peak_memory(self) -> float:
        """Peak of the device memory that this process reserved since the last call, in GiB."""
        device = get_torch_device()
        peak: float = device.max_memory_reserved() / 2**30
        device.reset_peak_memory_stats()
        return peak

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[untyped-decorator]
    def digest(self) -> dict[str, int]:
        """CRC-32 of each weight's bytes in float32."""
        weights, _ = self.actor.engine.get_per_tensor_param()
        return cpu_rollout.digest(
            (name, w.detach().to("cpu", torch.float32)) for name, w in weights
        )


class PolicyServers(LLMServerManager):  # type: ignore[misc]
    """VERL's rollout servers of one policy, numbered from its offset."""

    def __init__(self, config: Any, worker_group: Any) -> None:
        if get_device_name() == "cpu":
            cpu_rollout.register()
        rollout = config.actor_rollout_ref.rollout
        first = _offset(rollout)

        class Replica(get_rollout_replica_class(rollout.name)):  # type: ignore[misc]
            async def init_hybrid(self, worker_group: Any) -> None:
                # VERL's own slices the workers by the replica's number, offset included.
                self.rollout_mode = RolloutMode.HYBRID
                start = self.world_size * (self.replica_rank - first)
                self.workers = worker_group.workers[start : start + self.world_size]
                await self.launch_servers()

        self.rollout_replica_class = Replica
        super().__init__(config, worker_group, start_rank=first)

    async def _init_global_load_balancer(self) -> None:
        if get_device_name() == "cpu":
            # VERL's is a process of its own, five seconds of a small machine's imports, and three
            # messages a prompt.
            self.global_load_balancer = None
        else:
            await super()._init_global_load_balancer()

    def client(self) -> LLMServerClient:
        """Ask the servers, whichever has least to do; on a CPU each in its turn."""
        if self.global_load_balancer is not None:
            return self.get_client()
        return self.get_client(InTurn, servers=self.server_handles)


class InTurn(LLMServerClient):  # type: ignore[misc]
    """Asks the servers one after the other, without a balancer between."""

    def __init__(self, config: Any, load_balancer_handle: None, servers: Sequence[Any]) -> None:
        super().__init__(config, load_balancer_handle)
        self._servers = cycle(servers)

    async def _acquire_server(self, request_id: str, **_: Any) -> tuple[str, Any]:
        return "", next(self._servers)

    def _release_server(self, server_id: str, request_id: str | None = None) -> None:
        pass
