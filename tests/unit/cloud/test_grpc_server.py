"""One malformed call does not end the service."""

import asyncio
import gc
import struct

import grpc
import pytest

from duet_contract.v1.inference_pb2 import ReasonRequest
from tests.doubles.unread import until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def call(path: bytes) -> bytes:
    """A connection with one call, as RFC 9113 and RFC 7541 (literal fields) have it."""
    fields = {
        b":method": b"POST", b":scheme": b"http", b":path": path, b":authority": b"x",
        b"te": b"trailers", b"content-type": b"application/grpc",
    }  # fmt: skip
    block = b"".join(
        b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
        for name, value in fields.items()
    )
    return PREFACE + frame(4, 0, 0, b"") + frame(1, 4, 1, block) + frame(0, 1, 1, bytes(5))


async def send(port: int, data: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    await asyncio.wait({asyncio.ensure_future(reader.read())}, timeout=0.2)
    writer.close()


# No frame (RFC 9113, section 4.1): the server closes the connection before it has answered.
GARBAGE = b"\xff" * 60


@pytest.mark.parametrize(("times", "more"), [(1, b""), (3, GARBAGE)], ids=["waits", "gone"])
async def test_a_path_that_is_not_utf8_ends_neither_calls_nor_the_service(
    cloud, times, more, capsys, caplog
) -> None:
    cloud.engine.pause_s = 0.05
    running = cloud.inference.Reason(ReasonRequest(question="What?", budget=20))
    await until(lambda: cloud.server.admission.running == 1)
    for _ in range(times):
        await send(cloud.server.port, call(b"/duet.v1.\xc2/Reason") + more)
        await asyncio.sleep(0.1)
    assert [each async for each in running][-1].end.signal_tokens == 20
    again = cloud.inference.Reason(
        ReasonRequest(question="What?", budget=4), wait_for_ready=True, timeout=60
    )
    assert [each async for each in again][-1].end.signal_tokens == 4
    # Finalizers report exceptions that no one retrieved.
    await asyncio.sleep(0.2)
    gc.collect()
    await asyncio.sleep(0.2)
    assert "Traceback" not in capsys.readouterr().err
    assert not [record for record in caplog.records if record.exc_info]


REFUSED = [
    ("/duet.v1.InferenceService/Reason", ReasonRequest(question="x" * 60_000).SerializeToString()),
    (
        "/duet.v1.InferenceService/Reason",
        ReasonRequest(question="?", pair="no").SerializeToString(),
    ),
    ("/duet.v1.InferenceService/Reason", b"\xff"),
    ("/duet.v1.ControlService/DescribePair", b"\xff"),
]


async def test_refused_calls_leave_nothing_to_the_garbage_collector(cloud) -> None:
    """Their requests are of any size: what waits for the collector is megabytes."""

    async def refuse(count: int) -> None:
        for method, request_bytes in REFUSED * count:
            with pytest.raises(grpc.aio.AioRpcError):
                await cloud.channel.unary_unary(method)(request_bytes)
        await asyncio.sleep(0.1)

    await refuse(1)
    gc.collect()
    gc.disable()
    try:
        before = contexts()
        await refuse(10)
        # The last call may still be ending.
        assert contexts() - before <= 1
    finally:
        gc.enable()


def contexts() -> int:
    return sum(type(each).__name__ == "_ServicerContext" for each in gc.get_objects())
