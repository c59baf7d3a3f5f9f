"""The host: versions, GPUs, disk, Ray."""

import os
import resource
import shutil
import socket
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from duet_training.preflight.findings import Finding, Status
from duet_training.preflight.memory import GIB, ModelShape, adapter_sizes
from duet_training.settings.hardware import Hardware
from duet_training.settings.run import Settings

# VERL's extras whose pins a platform needs.
_EXTRAS = {"cpu": (), "cuda": ("vllm", "flash-attn-cu130torch211")}
_SHOWN = ("torch", "vllm", "transformers", "flash-attn", "tensordict", "numpy")


def versions(platform: str) -> Iterator[Finding]:
    """The distributions that VERL names a version of, as it names them."""
    pins = [Requirement(line) for line in requires("verl") or ()]
    wanted = [
        pin
        for pin in pins
        if pin.specifier
        and (
            pin.marker is None
            or any(pin.marker.evaluate({"extra": extra}) for extra in _EXTRAS[platform])
        )
    ]
    good = [f"verl {version('verl')}"]
    if version("verl") != "0.9.1":
        yield Finding("fail", "verl", f"{version('verl')} is installed, 0.9.1 is what this is for")
    install = f"pip install './training[{'gpu' if platform == 'cuda' else 'cpu'}]'"
    for pin in wanted:
        try:
            found = version(pin.name)
        except PackageNotFoundError:
            yield Finding("fail", pin.name, f"missing, VERL wants {pin.specifier}: {install}")
            continue
        if pin.specifier.contains(found, prereleases=True):
            if pin.name in _SHOWN:
                good.append(f"{pin.name} {found}")
        else:
            yield Finding("fail", pin.name, f"{found}, VERL wants {pin.specifier}: {install}")
    yield Finding("ok", "versions", ", ".join(good))


def gpus(hardware: Hardware) -> Iterator[Finding]:
    """Number, memory and compute capability of this host's GPUs."""
    if hardware.platform == "cpu":
        yield Finding("ok", "GPUs", "none needed")
        return
    import torch

    wanted = hardware.devices
    if not hardware.shared_pool:
        wanted += hardware.devices_of("decoder")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if there < wanted:
        built = torch.version.cuda or "no CUDA"
        yield Finding(
            "fail", "GPUs", f"{wanted} needed on each node, {there} here (torch built for {built})"
        )
    if not there:
        return
    kinds = [torch.cuda.get_device_properties(i) for i in range(there)]
    memory = min(kind.total_memory for kind in kinds) / GIB
    capability = min((kind.major, kind.minor) for kind in kinds)
    text = f"{there} x {kinds[0].name}, {memory:.1f} GiB, compute capability {capability}"
    if capability < (8, 0):
        yield Finding("fail", "GPU kind", f"{text}: bfloat16 and flash-attn need 8.0")
    elif memory < 0.98 * hardware.device_memory:
        yield Finding(
            "warn", "GPU kind", f"{text}: hardware.device_memory says {hardware.device_memory}"
        )
    else:
        yield Finding("ok", "GPU kind", text)


def checkpoint_gib(
    shapes: dict[str, ModelShape], adapters: Mapping[str, int] | None = None
) -> float:
    """GiB of one checkpoint: float32 weights of each model, and two Adam moments of those trained.

    `adapters`: weights of each model's adapter, which alone is trained; 0 where all are.
    """
    added = {name: (adapters or {}).get(name, 0) for name in shapes}
    held = sum(shape.parameters + added[name] for name, shape in shapes.items())
    trained = sum(added[name] or shape.parameters for name, shape in shapes.items())
    return (4 * held + 8 * trained) / GIB


def disk(settings: Settings, shapes: dict[str, ModelShape]) -> Iterator[Finding]:
    """Room for the checkpoints that are kept and the one being written."""
    place = settings.out.absolute()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        yield Finding("fail", "disk", f"{place} cannot be written to")
        return
    each = checkpoint_gib(shapes, adapter_sizes(settings, shapes))
    count = settings.checkpoint.kept(settings.steps) + 1
    free = shutil.disk_usage(place).free / GIB
    text = f"{free:.1f} GiB free in {place}, {each * count:.1f} needed ({count} x {each:.2f})"
    if free < each * count:
        advice = "lower checkpoint.keep, name fewer checkpoint.milestones, or choose another `out`"
        yield Finding("fail", "disk", f"{text}: {advice}")
    else:
        yield Finding("warn" if free < 1.2 * each * count else "ok", "disk", text)


def cluster(hardware: Hardware) -> Iterator[Finding]:
    """Ray: a cluster to join if one is named, ports and shared memory for one of its own if not."""
    address = os.environ.get("RAY_ADDRESS", "")
    if hardware.nodes > 1 and not address:
        yield Finding(
            "fail", "Ray", f"{hardware.nodes} nodes need a cluster to join: set RAY_ADDRESS"
        )
    elif address and address not in ("auto", "local"):
        yield _reachable(address)
    else:
        yield _port()
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < 4096:
        yield Finding("warn", "open files", f"limit {files}: Ray wants more, `ulimit -n 65536`")
    # Where Ray keeps its objects.
    shared = Path("/dev/shm")  # noqa: S108 # nosec B108
    if hardware.platform == "cuda" and shared.is_dir():
        size = shutil.disk_usage(shared).total / GIB
        status: Status = "ok" if size >= 16 else "warn"
        yield Finding(status, "shared memory", f"{shared} of {size:.0f} GiB, 16 for Ray's objects")


def _reachable(address: str) -> Finding:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except (OSError, ValueError) as error:
        return Finding("fail", "Ray", f"no cluster answers at RAY_ADDRESS={address} ({error})")
    return Finding("ok", "Ray", f"a cluster answers at {address}")


def _port() -> Finding:
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
    except OSError as error:
        return Finding("fail", "Ray", f"no port of 127.0.0.1 can be opened ({error})")
    return Finding("ok", "Ray", f"a cluster of its own; ports can be opened ({port})")
