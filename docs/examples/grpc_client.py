"""A gRPC client of its own: asks the cloud for a signal without a decoder.

Needs `duet_contract` alone (`pip install ./proto`). DUET_SERVER names the cloud, which has to listen
on this machine without TLS. For a remote cloud, pass credentials to `open_channel`.
"""

import os
import sys

import grpc

from duet_contract.channels import open_channel
from duet_contract.v1.inference_pb2 import (
    SIGNAL_ENCODING_TEXT,
    FinishReason,
    ReasonRequest,
)
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub

SERVER = os.environ.get("DUET_SERVER", "127.0.0.1:50151")
QUESTION = (
    "There are 14 adults and 19 children. They form rows of 11 people. How many rows are there?"
)

request = ReasonRequest(question=QUESTION, budget=64, encodings=[SIGNAL_ENCODING_TEXT])
with open_channel(SERVER) as channel:
    try:
        for response in InferenceServiceStub(channel).Reason(request, timeout=30):
            if response.HasField("chunk"):
                print(f"chunk: {response.chunk.text!r}")
            else:
                end = response.end
                reason = FinishReason.Name(end.finish_reason)
                print(
                    f"end: {end.signal_tokens} tokens, {reason}, {end.decode_ms:.0f} ms of decoding"
                )
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        sys.exit(f"{error.code().name}: {error.details()}")
