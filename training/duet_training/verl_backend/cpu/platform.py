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


def _returning(value: Any) -> Any:
    return lambda *_, **__: value


@contextmanager
def _range(*_: Any) -> Iterator[None]:
    yield


@PlatformRegistry.register(platform="cpu")
class CpuPlatform(PlatformBase):  # type: ignore[misc]
    """One device without its own memory; processes communicate over gloo."""

    device_name = vendor_name = "cpu"
    device_module = _device_module()
    is_available = _returning(True)
    is_platform_available = _returning(False)  # only chosen explicitly
    current_device = _returning(torch.device("cpu"))
    device_count = _returning(1)
    get_device_capability = _returning((None, None))
    communication_backend_name = _returning("gloo")
    visible_devices_envvar = _returning("CUDA_VISIBLE_DEVICES")
    ray_resource_name = _returning("GPU")  # never requested: CPU pools have use_gpu=False
    is_ipc_supported = _returning(False)
    nvtx_range = _range
    set_device = synchronize = set_allocator_settings = empty_cache = _nothing
    profiler_start = profiler_stop = cudart = _nothing

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def ray_noset_envvars(self) -> list[str]:
        return []
