"""A rollout server for CPUs: Hugging Face `generate` behind VERL's server protocol.

VERL uses the same protocol with vLLM, so the trainer has one code path: `HubServer` answers
`generate`, `HubReplica` launches it, and `HubAdapter`, inside the training worker, sends weights.
"""

import asyncio
import os
import zlib
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import ray
import torch
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica, TokenOutput

NAME = "hub_cpu"
_Request = tuple[list[int], dict[str, Any], "asyncio.Future[TokenOutput]"]


def server_name(replica_rank: int) -> str:
    """Name of a replica's actor in Ray."""
    return f"duet_rollout_{replica_rank}"


def _shared(request: _Request) -> tuple[int, float, float, int, list[int]]:
    """Return the parameters that must be equal within a batch."""
    settings = request[1]
    truncation = settings["top_p"], settings["top_k"]
    return settings["max_tokens"], settings["temperature"], *truncation, settings["stop_token_ids"]


def digest(weights: Iterator[tuple[str, torch.Tensor]]) -> dict[str, int]:
    """CRC-32 of each weight's bytes: equal only for equal weights."""
    return {
        name: zlib.crc32(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().data)
        for name, tensor in weights
    }


class HubServer:
    """Holds a copy of one model, and answers requests in batches."""

    def __init__(self, path: str, rows: int, threads: int) -> None:
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(threads)
        self._model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        self._rows = rows
        self._waiting: list[_Request] = []
        self._busy = asyncio.Lock()

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any
    ) -> TokenOutput:
        """VERL's call: token ids and their log-probs for one prompt."""
        future: asyncio.Future[TokenOutput] = asyncio.get_running_loop().create_future()
        self._waiting.append((list(prompt_ids), sampling_params, future))
        async with self._busy:
            if not future.done():
                await self._all_arrived()
                await self._answer_waiting()
        return await future

    async def _all_arrived(self) -> None:
        """Wait until requests stop arriving: whole batches cost no more than single rows."""
        count = 0
        while count != len(self._waiting):
            count = len(self._waiting)
            await asyncio.sleep(0.02)

    async def _answer_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        # Sorted, so that batches are the same whichever request came first; and rows of like
        # length together, since a batch is padded to its longest prompt.
        waiting.sort(key=lambda request: (_shared(request), len(request[0]), request[1]["seed"]))
        alike = [list(requests) for _, requests in groupby(waiting, key=_shared)]
        rows = range(0, max(map(len, alike), default=0), self._rows)
        for batch in [group[i : i + self._rows] for group in alike for i in rows]:
            if not batch:
                continue
            try:
                outputs = await asyncio.to_thread(self._run, batch)
            except Exception as error:
                for *_, future in batch:
                    future.set_exception(error)
            else:
                for (*_, future), output in zip(batch, outputs, strict=True):
                    future.set_result(output)

    def _run(self, batch: list[_Request]) -> list[TokenOutput]:
        from duet_training.verl_backend.cpu.batch import respond
        from duet_training.verl_backend.cpu.sampler import SeededSampler

        settings = batch[0][1]
        numbers = [one["seed"] for _, one, _ in batch]
        how = settings["temperature"], settings["top_p"], settings["top_k"]
        stops: list[int] = settings["stop_token_ids"]
        responses = respond(
            self._model,
            [prompt for prompt, *_ in batch],
            SeededSampler(numbers, *how),
            settings["max_tokens"],
            stops,
        )
        return [
            TokenOutput(
                token_ids=tokens,
                log_probs=log_probs,
                stop_reason="completed" if tokens[-1] in stops else "length",
            )
            for tokens, log_probs in responses
        ]

    async def update_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Load the trainer's weights."""
        async with self._busy:
            result = self._model.load_state_dict(weights, strict=False)
        if result.unexpected_keys:
            raise ValueError(f"the rollout's model has no weights {result.unexpected_keys[:3]}")

    async def digest(self) -> dict[str, int]:
        """Return the digest of the server's weights, see `digest`."""
        return digest(iter(self._model.state_dict().items()))

    async def nothing(self, *_: Any, **__: Any) -> None:
        """Do nothing: there is no cache to free between steps, and no memory to release."""

    sleep = wake_up = clear_kv_cache = release_kv_cache = resume_kv_cache = nothing
    abort_all_requests = resume_generation = start_profile = stop_profile = nothing


class HubReplica(RolloutReplica):  # type: ignore[misc]
    """Launches a `HubServer` next to the training workers."""

    async def launch_servers(self) -> None:
        """See VERL's `RolloutReplica`."""
        name = server_name(self.replica_rank)
        actor = ray.remote(HubServer).options(name=name, num_cpus=0, max_concurrency=10_000)
        threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        server = actor.remote(self.model_config["path"], self.config.max_num_seqs, threads)
        await server.nothing.remote()
        self.servers = [server]
        self._server_handle, self._server_address = server, name


class HubAdapter(BaseRollout):  # type: ignore[misc]
    """In the training worker: sends its weights to the replica's server."""

    def __init__(self, config: Any, model_config: Any, device_mesh: Any, **_: Any) -> None:
        super().__init__(config, model_config, device_mesh)
        self.replica_rank = int(os.environ["RANK"])

    async def resume(self, tags: list[str]) -> None:
        """Nothing to resume."""

    async def release(self) -> None:
        """Nothing to release."""

    @torch.no_grad()
    async def update_weights(self, weights: Iterator[tuple[str, torch.Tensor]], **_: Any) -> None:
        """See VERL's `BaseRollout`."""
        # Every rank takes part in collecting the shards.
        full = {name: tensor.detach().to("cpu", torch.float32) for name, tensor in weights}
        await ray.get_actor(server_name(self.replica_rank)).update_weights.remote(full)


def register() -> None:
    """Register `rollout.name=hub_cpu` with VERL in this process."""
    from verl.workers.rollout import base
    from verl.workers.rollout.replica import RolloutReplicaRegistry

    # VERL offers no public way to register an adapter.
    base._ROLLOUT_REGISTRY[(NAME, "async")] = f"{__name__}.HubAdapter"
    RolloutReplicaRegistry.register(NAME, lambda: HubReplica)
