"""Whether the server answers, and how fast."""

import time

import grpc

from duet_contract.v1.pairs_pb2 import GetPairRequest
from duet_contract.v1.pairs_pb2_grpc import PairServiceStub
from duet_device.doctor.check import Finding, Machine
from duet_device.errors import CloudUnreachable
from duet_device.identity.channel import open_channel
from duet_device.link_errors import device_error

_TIMEOUT_S = 10.0
_CALLS = 3


def check(machine: Machine) -> Finding:
    """See `duet_device.doctor.check`."""
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
