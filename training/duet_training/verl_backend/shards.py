"""All weights of a policy's checkpoint from VERL's shards of any number of ranks; nothing rounded."""

import logging
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor
from verl.model_merger.base_model_merger import ModelMergerConfig
from verl.model_merger.fsdp_model_merger import FSDPModelMerger, merge_non_dtensor_shards

Weights = dict[str, torch.Tensor]

# It warns about every shard that is read outside of the process group that wrote it.
logging.getLogger("torch.distributed.device_mesh").setLevel(logging.ERROR)


class _ExactMerger(FSDPModelMerger):  # type: ignore[misc]
    """VERL's merger without its rounding of every weight to bfloat16."""

    def merged(self) -> Weights:
        """All weights as they were saved."""
        world = self._get_world_size()
        first = self._load_rank_zero_state_dict(world)
        mesh, names = self._extract_device_mesh_info(first, world)
        count, _ = self._calculate_shard_configuration(mesh, names)
        where = Path(self.config.local_dir)
        rest = [
            # The run's own checkpoint: VERL pickles shards as distributed tensors.
            torch.load(  # nosec B614
                where / f"model_world_size_{world}_rank_{rank}.pt",
                map_location="cpu",
                weights_only=False,
            )
            for rank in range(1, count)
        ]
        weights = {}
        for name in sorted(first):
            parts = [shard.pop(name) for shard in (first, *rest)]
            if isinstance(parts[0], DTensor):
                # In a mesh with replicas the shards of the first are all there is.
                placement = parts[0].placements[-1]
                local = [part._local_tensor for part in parts]
                weights[name] = self._merge_by_placement(local, placement)
            else:
                weights[name] = merge_non_dtensor_shards(name, parts)
        return weights


def saved_weights(checkpoint: Path, model: Path) -> Weights:
    """Read a checkpoint's weights by the names that the trainer has for them.

    Raises:
        Exception: Of any type: torch raises many for missing or damaged shards.
    """
    config = ModelMergerConfig(
        operation="merge",
        backend="fsdp",
        local_dir=str(checkpoint),
        hf_model_config_path=str(model),
    )
    return _ExactMerger(config).merged()
