"""One trained policy: VERL's worker group, its rollout servers, and the way between them."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from verl.checkpoint_engine import CheckpointEngineManager
from verl.single_controller.ray import RayClassWithInitArgs, RayResourcePool, RayWorkerGroup
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.device import get_device_name
from verl.workers.utils.padding import response_from_nested, response_to_nested

from duet_training.errors import DivergenceError
from duet_training.verl_backend.balance import balanced_order
from duet_training.verl_backend.generation import Response, Sampling
from duet_training.verl_backend.worker import PolicyServers, PolicyWorker

# The metrics of an update by VERL's names: means over mini-batches, and peaks since the start.
_MEANS = {
    "loss": "actor/pg_loss",
    "clipped": "actor/pg_clipfrac",
    "ppo_kl": "actor/ppo_kl",
    "grad_norm": "grad_norm",
    "perf/mfu": "mfu",
}
_PEAKS = {
    "perf/memory_allocated_gib": "perf/max_memory_allocated_gb",
    "perf/memory_reserved_gib": "perf/max_memory_reserved_gb",
    "perf/host_memory_gib": "perf/cpu_memory_used_gb",
}


class Policy:
    """A model that is sampled from and trained. `config` is VERL's (`duet_training.verl_backend.config`).

    Making one only launches its processes, so that those of two policies can load side by side;
    `start` builds the engines in them. Unless `seeded`, responses are drawn from the servers' own
    random state: vLLM samples rows with seeds of their own one by one, without its fused kernels.

    `phase` is entered with the name of each phase, as `duet_training.preflight.memory` names it.
    """

    phase: Callable[[str], AbstractContextManager[Any]] = nullcontext

    def __init__(
        self,
        name: str,
        config: Any,
        pool: RayResourcePool,
        *,
        reference: bool,
        temperature: float,
        seeded: bool = True,
    ) -> None:
        self.name = name
        self._config, self._temperature, self._seeded = config, temperature, seeded
        self._calls = 0
        model = config.actor_rollout_ref.model
        # Without its adapter a model is the initial one, unless the run began with one.
        self._adds_to_initial = model.lora_rank > 0 and not model.lora_adapter_path
        kept = reference and not self._adds_to_initial
        role = "actor_rollout_ref" if kept else "actor_rollout"
        worker = RayClassWithInitArgs(
            cls=ray.remote(PolicyWorker), config=config.actor_rollout_ref, role=role
        )
        self.workers = RayWorkerGroup(
            resource_pool=pool,
            ray_cls_with_init=worker,
            name_prefix=name,
            device_name=get_device_name(),
        )

    def start(self) -> None:
        """Build engines and rollout servers, and let the latter rest."""
        config = self._config
        self.workers.init_model()
        self._servers = PolicyServers.create(config=config, worker_group=self.workers)
        self._client = self._servers.client()
        engine = omega_conf_to_dataclass(config.actor_rollout_ref.rollout.checkpoint_engine)
        replicas = self._servers.get_replicas()
        self._weights = CheckpointEngineManager(engine, self.workers, replicas)
        # Before the other policy's servers take their share of the memory.
        self.rest()

    def to_rollout(self, step: int) -> None:
        """Wakes the rollout servers up with the weights as they are now."""
        with self.phase(f"{self.name}'s weights to its server"):
            self._weights.update_weights(global_steps=step)

    def rest(self) -> None:
        """Let the rollout servers free their memory for training."""
        self._weights.sleep_replicas()

    def check_in_sync(self) -> None:
        """Compare every weight of the rollout servers with the trainer's, byte by byte.

        For servers that can tell (the CPU's). vLLM's are watched by their log-probs alone.

        Raises:
            DivergenceError: they differ.
        """
        servers = [server for replica in self._servers.get_replicas() for server in replica.servers]
        if not all(hasattr(server, "digest") for server in servers):
            return
        trained = self.workers.digest()[0]
        for served in ray.get([server.digest.remote() for server in servers]):
            wrong = [name for name, value in trained.items() if served.get(name) != value]
            if wrong:
                raise DivergenceError(
                    f"the {self.name}'s rollout server has other weights than the trainer: "
                    f"{wrong[0]} and {len(wrong) - 1} more"
                )

    def sample(
        self, prompts: Sequence[list[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Response]:
        """Generate one response for each prompt, each with its own seed.

        VERL sends requests of one id to one server: responses to equal prompts share its cache.
        """
        common = {
            "max_tokens": sampling.tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            # The pair's end tokens alone end a response, not what the model's files say.
            "stop_token_ids": list(sampling.stops),
            "ignore_eos": True,
            "logprobs": True,
        }

        # Not an earlier call's ids: weights differ, and servers' loads do.
        self._calls += 1
        numbers: dict[tuple[int, ...], int] = {}

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(
                *(
                    self._client.generate(
                        f"{self._calls}-{numbers.setdefault(tuple(prompt), len(numbers))}",
                        prompt_ids=prompt,
                        sampling_params={**common, "seed": seed if self._seeded else None},
                    )
                    for prompt, seed in zip(prompts, seeds, strict=True)
                )
            )

        with self.phase(f"{self.name} generates"):
            outputs = asyncio.run(all_of_them())
        return [
            Response(
                list(output.token_ids),
                list(output.log_probs),
                bool(output.token_ids) and output.token_ids[-1] in sampling.stops,
            )
            for output in outputs
        ]

    def batch(self, prompts: Sequence[list[int]], responses: Sequence[Response]) -> Any:
        """VERL's TensorDict without padding; every response token is trained on."""
        tokens = [response.tokens for response in responses]
        whole = [prompt + ids for prompt, ids in zip(prompts, tokens, strict=True)]
        ones = [[1] * len(ids) for ids in tokens]
        fields = {
            "prompts": prompts,
            "responses": tokens,
            "input_ids": whole,
            "position_ids": [list(range(len(ids))) for ids in whole],
            "response_mask": ones,
            "loss_mask": ones,
        }
        return tu.get_tensordict(
            {name: _nested(rows) for name, rows in fields.items()},
            non_tensor_dict={"temperature": self._temperature},
        )

    def log_probs(self, batch: Any, *, reference: bool = False) -> torch.Tensor:
        """Log-probs of the response tokens, nested (N, *), of the trained model or the initial."""
        order = self._order(batch, len(batch))
        data = tu.index_select_tensor_dict(batch, order)
        tu.assign_non_tensor(data, calculate_entropy=False, compute_loss=False)
        compute = self.workers.compute_log_prob
        if reference and self._adds_to_initial:
            tu.assign_non_tensor(data, no_lora_adapter=True)
        elif reference:
            compute = self.workers.compute_ref_log_prob
        with self.phase(f"{self.name}'s log-probs"):
            values = tu.get(compute(data), "log_probs")
        ordered = response_from_nested(values, data["response_mask"]).float().unbind()
        rows: list[torch.Tensor] = [row for _, row in sorted(zip(order, ordered, strict=True))]
        return torch.nested.as_nested_tensor(rows, layout=torch.jagged)

    def update(
        self, batch: Any, advantages: torch.Tensor, log_probs: torch.Tensor, mini_batch: int
    ) -> dict[str, float]:
        """One pass of PPO's clipped loss in mini-batches of `mini_batch` rows; VERL's metrics."""
        data = batch.clone()
        data["advantages"] = response_to_nested(advantages, batch["response_mask"])
        data["old_log_probs"] = log_probs
        tu.assign_non_tensor(
            data,
            calculate_entropy=False,
            distillation_use_topk=False,
            distillation_only=False,
            global_batch_size=mini_batch,
            mini_batch_size=mini_batch,
            epochs=1,
            seed=0,
            dataloader_kwargs={"shuffle": False},
            compute_loss=True,
        )
        data = tu.index_select_tensor_dict(data, self._order(batch, mini_batch))
        with self.phase(f"{self.name} learns"):
            metrics = tu.get(self.workers.update_actor(data), "metrics")
        means = {name: float(np.mean(metrics[key])) for name, key in _MEANS.items()}
        return means | {name: float(np.max(metrics[key])) for name, key in _PEAKS.items()}

    def peak_memory(self) -> float:
        """Peak device memory of this policy's trainer since the last call, in GiB, of any rank."""
        peaks: list[float] = self.workers.peak_memory()
        return max(peaks)

    def _order(self, batch: Any, mini_batch: int) -> list[int]:
        """The order in which the ranks' shares of each mini-batch take about equally long."""
        parallel = self._config.actor_rollout_ref.actor.ulysses_sequence_parallel_size
        lengths = batch["input_ids"].offsets().diff().tolist()
        return balanced_order(lengths, mini_batch, self.workers.world_size // parallel)

    def save(self, directory: Path, step: int) -> None:
        """Write weights, optimizer, schedule and random state."""
        self.workers.save_checkpoint(str(directory), None, step)

    def load(self, directory: Path) -> None:
        """Read what `save` wrote, with as many ranks."""
        self.workers.load_checkpoint(str(directory))

    def load_weights(self, directory: Path) -> None:
        """Read the weights alone of what `save` wrote, with any number of ranks."""
        self.workers.load_weights(str(directory.absolute()))


def _nested(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    return torch.nested.as_nested_tensor(tensors, layout=torch.jagged)
