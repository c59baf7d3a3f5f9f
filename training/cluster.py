"""Ray, and where each policy's workers run in it."""

import logging
import os
from typing import Any

import ray
from verl.single_controller.ray import RayResourcePool

from training.cpu.platform import ENVIRONMENT
from training.settings import Hardware


def start_ray(hardware: Hardware) -> None:
    """Starts Ray, or joins the cluster in `RAY_ADDRESS`; the platform is set in every process."""
    environment = {
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": str(hardware.threads),
        "VERL_LOGGING_LEVEL": "ERROR",
    }
    if hardware.platform == "cpu":
        environment |= ENVIRONMENT
    os.environ.update(environment)
    joined = "RAY_ADDRESS" in os.environ
    # A worker asks for one CPU and a server for none; logical CPUs are not threads.
    own: dict[str, Any] = (
        {} if joined else {"num_cpus": 8 * hardware.devices, "include_dashboard": False}
    )
    ray.init(
        runtime_env={"env_vars": environment},
        log_to_driver=False,
        logging_level=logging.ERROR,
        **own,
    )


def make_pools(hardware: Hardware) -> dict[str, RayResourcePool]:
    """A pool of `devices` on each of `nodes` for each policy: the same one, or one each."""

    def pool(name: str) -> RayResourcePool:
        return RayResourcePool(
            [hardware.devices] * hardware.nodes,
            use_gpu=hardware.platform != "cpu",
            max_colocate_count=2,
            name_prefix=name,
        )

    if hardware.shared_pool:
        shared = pool("pair")
        return {"reasoner": shared, "decoder": shared}
    return {name: pool(name) for name in ("reasoner", "decoder")}
