"""The checks of `duet-device doctor`, a function each."""

import os
import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from duet_contract.errors import ContractError
from duet_contract.integrity import verify_files
from duet_contract.manifest import MANIFEST_NAME
from duet_contract.pairs import pairs_home, pairs_in
from duet_contract.v1.pairs_pb2 import GetPairRequest
from duet_contract.v1.pairs_pb2_grpc import PairServiceStub
from duet_device.decoder.threads import best, measure
from duet_device.doctor.check import Finding, Machine
from duet_device.errors import CloudUnreachable, IdentityExpired, PairMismatch, UntrustedPair
from duet_device.identity.channel import open_channel
from duet_device.identity.credentials import identity_for, parse_address
from duet_device.link_errors import device_error
from duet_device.trust.signatures import check_installed, signature_state
from duet_device.vault.vault import passphrase_wanted

_REBUILD = "pip install --force-reinstall --no-deps --no-binary llama-cpp-python llama-cpp-python"
# llama.cpp's names, and Linux's for the same.
_FEATURES = {"AVX2": "avx2", "FMA": "fma", "F16C": "f16c", "AVX512": "avx512f"}
# The process without a model, and its key-value cache: 148 MB in benchmarks (`duet-bench local`).
_SPARE_BYTES = 150 << 20
_SET_CLOCK = "set the clock, for example: sudo timedatectl set-ntp true"
_CLOCK_SLACK_S = 60
# In gRPC's order; the first one counts.
_PROXY_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
_TIMEOUT_S = 10.0
_CALLS = 3
# So much faster must another number of threads be than the one that is set.
_SLOWER = 1.2


def library(_: Machine) -> Finding:
    """Whether llama.cpp is there, and was built for this processor."""
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        return Finding("error", f"llama.cpp cannot be loaded: {error}", _REBUILD)
    info = llama_cpp.llama_print_system_info().decode("utf-8", "replace")
    built = re.findall(r"(\w+) = 1", info)
    value = f"llama.cpp {llama_cpp.__version__}: {', '.join(built)}; GPU offload: " + (
        "yes" if llama_cpp.llama_supports_gpu_offload() else "no"
    )
    lacking = features_missing(_processor_flags(), built)
    if lacking:
        return Finding("warning", f"{value}; built without {', '.join(lacking)}", _REBUILD)
    return Finding("ok", value)


def features_missing(flags: set[str], built: list[str]) -> list[str]:
    """Return what the processor has and the library does not use.

    Examples:
        >>> features_missing({"avx2", "fma"}, ["FMA"])
        ['AVX2']
    """
    return [name for name, flag in _FEATURES.items() if flag in flags and name not in built]


def _processor_flags() -> set[str]:
    try:
        found = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return set()
    return set(found[1].split()) if found else set()


def memory(machine: Machine) -> Finding:
    """Whether the decoder fits into memory."""
    needed = _SPARE_BYTES + sum(file.bytes for file in machine.pair.manifest.decoder.files)
    free = available_memory()
    if free is None:
        return Finding(
            "ok", f"{needed / 1e6:,.0f} MB needed; this system does not say what is free"
        )
    value = f"{free / 1e6:,.0f} MB free, {needed / 1e6:,.0f} MB needed"
    if free < needed:
        return Finding("error", value, "end other programs, or use a smaller pair")
    return Finding("ok", value)


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that a process may still use; None where the system does not say.

    Args:
        root: the root of the file system.
    """
    try:
        found = re.search(r"MemAvailable:\s*(\d+)", (root / "proc/meminfo").read_text())
    except OSError:
        return None
    if not found:
        return None
    free = int(found[1]) << 10
    group = root / "sys/fs/cgroup"
    try:
        most, used = ((group / f"memory.{name}").read_text() for name in ("max", "current"))
        return min(free, int(most) - int(used))
    except (OSError, ValueError):
        return free


def model(machine: Machine) -> Finding:
    """Whether the decoder's files are what their manifest says."""
    pair = machine.pair
    decoder = pair.manifest.decoder
    try:
        # Hashed again, whatever is remembered of them.
        verify_files(pair.directory, pair.manifest.device_files, gguf=(decoder.path,))
    except ContractError as error:
        built = (pair.directory / pair.manifest.reasoner.path).exists()
        again = f"duet-cloud pairs build {pair.manifest.id}" if built else machine.pull
        return Finding("error", str(error), again)
    size = sum(file.bytes for file in decoder.files)
    return Finding("ok", f"{pair.manifest.reference}, {size / 1e6:,.1f} MB in {pair.directory}")


def signature(machine: Machine) -> Finding:
    """Whether a trusted publisher signed the pair."""
    pair = machine.pair
    try:
        check_installed(pair.directory, pair.manifest, allow_unsigned=False)
    except UntrustedPair as error:
        return Finding("error", str(error))
    return Finding("ok", signature_state(pair.directory, pair.manifest))


def clock(_: Machine) -> Finding:
    """Whether the clock can be right: certificates are valid from one time to another."""
    now = time.time()
    # The clock cannot be before what was written here.
    written = [Path(__file__), *pairs_in(pairs_home()).values()]
    latest = max(path.stat().st_mtime for path in written)
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now + _CLOCK_SLACK_S < latest:
        wrote = time.strftime("%Y-%m-%d", time.gmtime(latest))
        return Finding("error", f"{shown}, but files here are of {wrote}", _SET_CLOCK)
    return Finding("ok", shown)


def certificate(machine: Machine) -> Finding:
    """Whether this device has a valid identity with the server."""
    address = parse_address(machine.server)
    identity = identity_for(machine.server)
    if identity is None:
        return Finding("ok", f"none is needed for {address}, which is on this machine")
    name = f"{identity.name or 'own certificate'} with {identity.server}"
    if identity.files is None and passphrase_wanted():
        return Finding("warning", f"{name}; its key needs a passphrase", "set DUET_PASSPHRASE")
    try:
        identity.credentials()
    except IdentityExpired as error:
        return Finding("error", str(error))
    if not identity.ends:
        return Finding("ok", name)
    ends = time.strftime("%Y-%m-%d", time.gmtime(identity.ends))
    return Finding("ok", f"{name}, valid until {ends}; it renews itself")


def proxy(machine: Machine) -> Finding:
    """Whether a proxy is between this device and the server."""
    name = next((name for name in _PROXY_VARIABLES if os.environ.get(name)), None)
    address = parse_address(machine.server)
    if name is None:
        return Finding("ok", "none")
    if address.is_loopback:
        return Finding("ok", f"{name} is set; connections to this machine ignore it")
    # gRPC's own name for it is in lower case.
    skipped = os.environ.get("no_grpc_proxy") or os.environ.get("no_proxy") or ""  # noqa: SIM112
    if any(address.host.endswith(name.strip()) for name in skipped.split(",") if name.strip()):
        return Finding("ok", f"{name} is set; no_proxy names {address.host}")
    # A proxy's URL may hold a password.
    where = urlsplit(os.environ[name]).hostname or "?"
    return Finding(
        "warning",
        f"{name} sends the connection through {where}, which must allow CONNECT to {address}",
        f"if the server is not reachable: export no_proxy={address.host}",
    )


def server(machine: Machine) -> Finding:
    """Whether the server answers, and how fast."""
    times = []
    try:
        with open_channel(machine.server) as channel:
            stub = PairServiceStub(channel)
            for _ in range(_CALLS):
                began = time.perf_counter()
                stub.GetPair(GetPairRequest(), timeout=_TIMEOUT_S)
                times.append((time.perf_counter() - began) * 1e3)
    except grpc.RpcError as error:
        failure = device_error(error, machine.server)
        fix = "start it (duet-cloud serve), or choose another: duet-device config set server HOST"
        return Finding("error", str(failure), fix if isinstance(failure, CloudUnreachable) else "")
    first, *rest = times
    return Finding(
        "ok",
        f"{machine.server}: first call {first:.0f} ms with the connection, then {min(rest):.1f} ms",
    )


def match(machine: Machine) -> Finding:
    """Whether the server serves the pair whose decoder is here."""
    reference = machine.pair.manifest.reference
    try:
        with open_channel(machine.server) as channel:
            stub = PairServiceStub(channel)
            found = stub.GetPair(GetPairRequest(pair=reference), timeout=_TIMEOUT_S)
    except grpc.RpcError as error:
        failure = device_error(error, machine.server)
        if isinstance(failure, PairMismatch):
            return Finding("error", str(failure))
        return Finding("skipped", "needs the server; see: duet-device doctor server")
    if found.manifest != (machine.pair.directory / MANIFEST_NAME).read_bytes():
        return Finding("warning", f"{reference} is served with another manifest", machine.pull)
    return Finding("ok", f"{machine.server} serves {reference}")


def threads(machine: Machine) -> Finding:
    """How many threads decode fastest here; the result is stored for later questions."""
    speeds = measure(machine.pair.directory, machine.pair.manifest)
    chosen = best(speeds)
    shown = ", ".join(f"{number}: {speed:,.0f}" for number, speed in speeds.items())
    value = f"{chosen} chosen; tokens/s by threads: {shown}"
    if machine.threads and speeds[chosen] > _SLOWER * speeds.get(machine.threads, speeds[chosen]):
        return Finding(
            "warning",
            f"{value}; threads is set to {machine.threads}",
            "duet-device config set threads",
        )
    return Finding("ok", value)
