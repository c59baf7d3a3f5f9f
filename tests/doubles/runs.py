"""A run's checkpoint in VERL's layout, as if tiny models had been trained for a step."""

import json
from pathlib import Path

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import AutoModelForCausalLM

from duet_training.pair.tiny import make_tiny_pair

LIMITS = {"response": 24, "answer": 16, "decoder_prompt": 200}


def write_run(home: Path, data: Path, *, alike: bool = True, ranks: int = 1) -> Path:
    """Writes `home/pair` and `home/run`, whose newest checkpoint is of step 3; returns the run."""
    pair_file = make_tiny_pair(home / "pair", alike=alike)
    for name in ("reasoner", "decoder"):
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_pretrained(home / "pair" / name)
        for weight in model.parameters():
            # Further apart than random models are, so that the most likely token is a clear one.
            weight.data.add_(0.2 * torch.randn_like(weight))
        write_shards(home / "run/checkpoints/step_3" / name, dict(model.state_dict()), ranks)
    settings = {
        "pair": str(pair_file),
        "data": {"train": str(data), "max_prompt": 150},
        "tokens": LIMITS,
    }
    state = {"step": 3, "lambda": 0.1, "settings": settings}
    (home / "run/checkpoints/step_3/state.json").write_text(json.dumps(state))
    return home / "run"


def write_shards(directory: Path, weights: dict[str, torch.Tensor], ranks: int) -> None:
    """What VERL's FSDP engine saves: a file a rank, sharded by rows if there are several."""
    directory.mkdir(parents=True)
    (directory / "fsdp_config.json").write_text(
        json.dumps({"FSDP_version": 2, "world_size": ranks})
    )
    for rank in range(ranks):
        shard = {k: v.detach() for k, v in weights.items()}
        if ranks > 1:
            shard = _sharded(shard, rank, ranks)
        torch.save(shard, directory / f"model_world_size_{ranks}_rank_{rank}.pt")
        if ranks > 1:
            torch.distributed.destroy_process_group()


def _sharded(weights: dict[str, torch.Tensor], rank: int, ranks: int) -> dict[str, torch.Tensor]:
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=rank, world_size=ranks)
    mesh = init_device_mesh("cpu", (ranks,), mesh_dim_names=("fsdp",))
    shards = {}
    for name, weight in weights.items():
        chunks = torch.chunk(weight, ranks, dim=0)
        local = (chunks[rank] if rank < len(chunks) else weight[:0]).clone()
        shards[name] = DTensor.from_local(
            local, mesh, [Shard(0)], shape=weight.shape, stride=weight.stride(), run_check=False
        )
    return shards
