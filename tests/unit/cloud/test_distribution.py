"""`PairService` over real gRPC: what it hands out, and all that it does not."""

import asyncio
import hashlib
import json
import shutil
import threading
import time

import grpc
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from duet_cloud import distribution, logs
from duet_cloud.reasoner import PairReasoner
from duet_cloud.server import CloudServer
from duet_contract.channels import open_aio_channel
from duet_contract.integrity import describe_file
from duet_contract.signature import sign_pair
from duet_contract.v1.pairs_pb2 import FetchFileRequest, GetPairRequest
from duet_contract.v1.pairs_pb2_grpc import PairServiceStub
from tests.doubles.refusals import refused
from tests.doubles.small_pairs import write_gguf


@pytest.fixture
def directory(toy_pair, tmp_path):
    """The toy pair with a decoder of several chunks, signed."""
    pair = tmp_path / "pair"
    shutil.copytree(toy_pair, pair)
    (pair / "decoder").mkdir()
    write_gguf(pair / "decoder" / "m.gguf", values=200_000)
    data = json.loads((pair / "manifest.json").read_text())
    data["decoder"]["files"] = [describe_file(pair, pair / "decoder" / "m.gguf").model_dump()]
    (pair / "manifest.json").write_text(json.dumps(data))
    sign_pair(pair, Ed25519PrivateKey.generate())
    return pair


@pytest_asyncio.fixture
async def stub(directory, options):
    logs.configure("json")
    server = CloudServer(options, PairReasoner.load(directory))
    await server.start()  # no engine: a decoder can be fetched while the reasoner is loaded
    async with open_aio_channel(f"127.0.0.1:{server.port}") as channel:
        yield PairServiceStub(channel)
    await server.stop()


def request(directory, **changes):
    entry = describe_file(directory, directory / "decoder" / "m.gguf")
    values = {"pair": "toy@1.2.3", "path": entry.path, "sha256": bytes.fromhex(entry.sha256)}
    return FetchFileRequest(**{**values, **changes})


@pytest.mark.parametrize("pair", ["", "toy", "toy@1.2.3"])
async def test_manifest_and_signature_byte_for_byte(stub, directory, pair):
    found = await stub.GetPair(GetPairRequest(pair=pair))
    assert found.manifest == (directory / "manifest.json").read_bytes()
    assert found.signature == (directory / "model.sig").read_bytes()


async def test_a_pair_without_signature(stub, directory):
    (directory / "model.sig").unlink()
    assert (await stub.GetPair(GetPairRequest())).signature == b""


@pytest.mark.parametrize("offset", [0, 1, 262_144, 800_000, -1, None])
async def test_a_file_from_any_byte_on(stub, directory, offset):
    content = (directory / "decoder" / "m.gguf").read_bytes()
    offset = len(content) + (offset or 0) if offset in (-1, None) else offset
    chunks = [r.data async for r in stub.FetchFile(request(directory, offset=offset))]
    assert b"".join(chunks) == content[offset:]
    assert all(len(chunk) <= distribution.CHUNK_BYTES for chunk in chunks)


@pytest.mark.parametrize(
    "path",
    ["", "manifest.json", "reasoner/tokenizer.json", "/etc/passwd", "../pair/decoder/m.gguf",
     "decoder/../decoder/m.gguf", "decoder"],
)  # fmt: skip
async def test_nothing_but_the_decoders_files(stub, directory, path):
    error = await refused(stub.FetchFile(request(directory, path=path)))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "path" in error.details()


async def test_another_file_than_the_device_knows(stub, directory):
    other = hashlib.sha256(b"other").digest()
    error = await refused(stub.FetchFile(request(directory, sha256=other)))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION


async def test_beyond_the_end(stub, directory):
    error = await refused(stub.FetchFile(request(directory, offset=1 << 40)))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_pair_that_is_not_served(stub, directory):
    error = await refused(stub.FetchFile(request(directory, pair="toy@9.9.9")))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    error = await refused(stub.GetPair(GetPairRequest(pair="other")))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "toy@1.2.3 is" in error.details()


@pytest.mark.parametrize("change", ["gone", "shorter"])
async def test_a_file_that_is_not_what_it_was(stub, directory, change):
    file = directory / "decoder" / "m.gguf"
    wanted = request(directory)
    if change == "gone":
        file.unlink()
    else:
        file.write_bytes(b"short")
    error = await refused(stub.FetchFile(wanted))
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert str(directory) not in error.details()


async def test_not_everybody_fetches_at_once(stub, directory, monkeypatch):
    monkeypatch.setattr(distribution, "MOST_FETCHES", 1)
    opened, go_on = threading.Event(), threading.Event()

    def held(*arguments):
        # A small file would be gone into the sockets' buffers, whole, before the second call.
        opened.set()
        go_on.wait(60)
        return open_file(*arguments)

    open_file = distribution._open
    monkeypatch.setattr(distribution, "_open", held)
    first = stub.FetchFile(request(directory))
    assert await asyncio.to_thread(opened.wait, 60)
    error = await refused(stub.FetchFile(request(directory)))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    go_on.set()
    size = (directory / "decoder" / "m.gguf").stat().st_size
    assert sum([len(r.data) async for r in first]) == size
    assert sum([len(r.data) async for r in stub.FetchFile(request(directory))]) == size


async def test_a_fetch_that_is_given_up_leaves_its_place(stub, directory, monkeypatch):
    monkeypatch.setattr(distribution, "MOST_FETCHES", 1)
    first = stub.FetchFile(request(directory))
    await first.read()
    first.cancel()
    ended = time.monotonic() + 60
    while time.monotonic() < ended:
        try:
            chunks = [r.data async for r in stub.FetchFile(request(directory))]
            break
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.01)
    assert sum(map(len, chunks)) == (directory / "decoder" / "m.gguf").stat().st_size


async def test_the_log_names_what_is_here_not_what_was_asked_for(stub, directory, capfd):
    long = 100_000 * "x"
    for changes in ({"path": long}, {"pair": long}):
        await refused(stub.FetchFile(request(directory, **changes)))
    assert [r async for r in stub.FetchFile(request(directory, pair=""))]
    logged = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    named = [(line["pair"], line["path"]) for line in logged if line["event"] == "fetched"]
    assert named == [("toy@1.2.3", ""), ("", ""), ("toy@1.2.3", "decoder/m.gguf")]


async def test_downloads_of_a_last_byte_fill_no_log(stub, directory, capfd):
    size = (directory / "decoder" / "m.gguf").stat().st_size
    for _ in range(30):
        found = [each.data async for each in stub.FetchFile(request(directory, offset=size - 1))]
        assert [len(each) for each in found] == [1]
    assert capfd.readouterr().err.count('"fetched"') == 1
