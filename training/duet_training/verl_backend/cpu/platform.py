"""VERL's platform for machines without an accelerator.

VERL imports this module in every process (`VERL_USE_EXTERNAL_MODULES`) and picks the platform by
`VERL_PLATFORM=cpu`. VERL itself has no platform for CPUs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry

ENVIRONMENT = {
    "VERL_PLATFORM": "cpu",
    "VERL_USE_EXTERNAL_MODULES": "duet_training.verl_backend.cpu.platform",
    # The registry of training engines knows cuda and npu only; its FSDP2 engine runs on a CPU.
    "VERL_ENGINE_DEVICE": "cuda",
}


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _device_module() -> ModuleType:
    """Make `torch.cpu` with the functions of `torch.cuda` that VERL calls without a check."""
    module = ModuleType("torch_cpu_for_verl")
    public = {name: getattr(torch.cpu, name) for name in dir(torch.cpu) if name[:2] != "__"}
    module.__dict__.update(public)
    for name in ("empty_cache", "synchronize", "set_device", "ipc_collect"):
        setattr(module, name, _nothing)
    for name in ("allocated", "reserved"):
        setattr(module, f"memory_{name}", lambda *_: 0)
        setattr(module, f"max_memory_{name}", lambda *_: 0)
    module.__dict__.update(
        reset_peak_memory_stats=_nothing,
        is_available=lambda: False,
        mem_get_info=lambda *_: (0, 1),
        get_device_name=lambda *_: "CPU",
        get_rng_state=torch.get_rng_state,
        set_rng_state=torch.set_rng_state,
    )
    return module


@PlatformRegistry.register(platform="cpu")
class CpuPlatform(PlatformBase):  # type: ignore[misc]
    """One device without its own memory; processes communicate over gloo."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _device_module()

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return False  # only chosen explicitly

    def current_device(self) -> Any:
        return torch.device("cpu")

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        pass

    def synchronize(self, device_index: int | None = None) -> None:
        pass

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        pass

    def empty_cache(self) -> None:
        pass

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        pass

    def profiler_stop(self) -> None:
        pass

    def ray_resource_name(self) -> str:
        return "GPU"  # never requested: CPU pools are created with use_gpu=False

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> Any:
        return None
