"""Whether the server serves the pair whose decoder is here."""

import grpc

from duet_contract.manifest import MANIFEST_NAME
from duet_contract.v1.pairs_pb2 import GetPairRequest
from duet_contract.v1.pairs_pb2_grpc import PairServiceStub
from duet_device.doctor.check import Finding, Machine
from duet_device.errors import PairMismatch
from duet_device.identity.channel import open_channel
from duet_device.link_errors import device_error

_TIMEOUT_S = 10.0


def check(machine: Machine) -> Finding:
    """See `duet_device.doctor.check`."""
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
