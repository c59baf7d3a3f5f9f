"""`python -m duet_tools.faults.unread ADDRESS REQUEST COUNT`: clients that ask and read nothing.

Each has a connection of its own, whose HTTP/2 flow-control window no message of ours fits into.
REQUEST is a `ReasonRequest`, serialized, in hexadecimal. Runs until it is killed.
"""

import signal
import sys

from duet_contract.channels import open_channel
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub

# The smallest window that gRPC's core announces.
_CLOSED_WINDOW = [
    ("grpc.http2.lookahead_bytes", 5),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.use_local_subchannel_pool", 1),
]


def main() -> None:
    """Ask, and wait."""
    address, asked, count = sys.argv[1:]
    request = ReasonRequest.FromString(bytes.fromhex(asked))
    channels = [open_channel(address, options=_CLOSED_WINDOW) for _ in range(int(count))]
    # Messages are read when they are asked for.
    calls = [InferenceServiceStub(channel).Reason(request, timeout=60) for channel in channels]
    assert calls
    signal.pause()


if __name__ == "__main__":
    main()
