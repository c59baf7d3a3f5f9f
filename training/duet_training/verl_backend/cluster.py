"""Ray, and where each policy's workers run in it."""

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from verl.single_controller.ray import RayResourcePool

from duet_training.errors import ClusterError, ConfigError, one_line
from duet_training.settings.hardware import Hardware
from duet_training.verl_backend.cpu.platform import ENVIRONMENT

# Where Ray writes its logs; until Ray has started, its own link to those of the latest start.
_logs = {"directory": Path(tempfile.gettempdir(), "ray/session_latest/logs")}


def ray_logs() -> str:
    """Name the directory of Ray's logs, which hold what workers and servers print."""
    return f"Ray's logs: {_logs['directory']}"


def worker_failed(error: BaseException, when: str = "") -> str:
    """One line for what Ray raises when a worker or server fails: it died, or raised an error."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException):
        return f"a worker failed{when} ({type(cause).__name__}: {one_line(cause)}; {ray_logs()})"
    verb = "died" if "Actor" in type(error).__name__ else "failed"
    return f"a worker {verb}{when} ({type(error).__name__}; {ray_logs()})"


def start_ray(hardware: Hardware) -> None:
    """Start Ray, or join the cluster in `RAY_ADDRESS`; the platform is set in every process.

    Raises:
        ClusterError: Ray does not start in time, or the cluster does not answer.
    """
    environment = {
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": str(hardware.threads),
        "VERL_LOGGING_LEVEL": "ERROR",
        **hardware.environment,
    }
    if hardware.platform == "cpu":
        environment |= ENVIRONMENT
    os.environ.update(environment)
    joined = "RAY_ADDRESS" in os.environ
    # A worker asks for one CPU and a server for none; logical CPUs are not threads.
    own: dict[str, Any] = (
        {} if joined else {"num_cpus": 8 * hardware.devices, "include_dashboard": False}
    )
    try:
        context = ray.init(
            runtime_env={"env_vars": environment},
            log_to_driver=False,
            logging_level=logging.ERROR,
            **own,
        )
    except Exception as error:  # Ray raises the bare class for a node that is late
        where = (
            f"no cluster answers at RAY_ADDRESS={os.environ['RAY_ADDRESS']}"
            if joined
            else "Ray did not start; is this machine busy with something else?"
        )
        raise ClusterError(f"{where} ({one_line(error)}; {ray_logs()})") from error
    if session := context.address_info.get("session_dir"):
        _logs["directory"] = Path(session, "logs")


def make_pools(hardware: Hardware, names: Sequence[str]) -> dict[str, RayResourcePool]:
    """A pool of devices on each node for each policy in `names`: the same one, or one each.

    Raises:
        ConfigError: Ray has fewer devices than that.
    """
    wanted = 1 if hardware.shared_pool else len(names)

    def pool(name: str, devices: int) -> RayResourcePool:
        return RayResourcePool(
            [devices] * hardware.nodes,
            use_gpu=hardware.platform != "cpu",
            # Both policies' workers on one device; Ray gives each half of it.
            max_colocate_count=2,
            name_prefix=name,
        )

    if hardware.platform != "cpu":
        asked = sum(hardware.ranks_of(name) for name in names[:wanted])
        there = int(ray.cluster_resources().get("GPU", 0))
        if there < asked:
            raise ConfigError(
                f"hardware={hardware.name} needs {asked} GPUs, Ray has {there}: set "
                "hardware.devices and hardware.nodes, or join a larger cluster (RAY_ADDRESS)"
            )
    if hardware.shared_pool:
        shared = pool("pair", hardware.devices)
        return dict.fromkeys(names, shared)
    return {name: pool(name, hardware.devices_of(name)) for name in names}
