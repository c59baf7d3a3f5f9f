import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from duet_cloud import logs
from duet_cloud.options import ServeOptions
from duet_cloud.reasoner import PairReasoner
from duet_cloud.server import CloudServer
from duet_contract.channels import open_aio_channel
from duet_contract.integrity import describe_file
from duet_contract.manifest import MANIFEST_NAME
from duet_contract.v1.control_pb2_grpc import ControlServiceStub
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from tests.doubles import vocabularies
from tests.doubles.engine import ScriptedEngine
from tests.doubles.manifests import manifest_data


@dataclass
class Cloud:
    """A served toy pair on a scripted engine, and stubs to call it with."""

    server: CloudServer
    """The running server."""
    engine: ScriptedEngine
    """Its engine."""
    channel: grpc.aio.Channel
    """Channel of the stubs."""
    inference: InferenceServiceStub
    """Stub of `InferenceService`."""
    control: ControlServiceStub
    """Stub of `ControlService`."""
    vocabulary: bytes
    """SHA-256 of the reasoner's vocabulary."""


@pytest.fixture(scope="session")
def toy_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair whose reasoner has a real tokenizer and no weights."""
    directory = tmp_path_factory.mktemp("toy")
    _, vocabulary = vocabularies.build("smollm", directory / "reasoner")
    data = manifest_data(
        limits={"question": 64, "budget": 40, "answer": 30},
        defaults={"budget": 10, "answer": 20, "temperature": 0.5},
    )
    described = json.loads(vocabulary.model_dump_json())
    tokenizer = directory / "reasoner" / "tokenizer.json"
    entry = describe_file(directory, tokenizer).model_dump()
    data["reasoner"] |= {
        "vocabulary": described,
        "end_of_reasoning": "</think>",
        "files": [entry],
        "context": 400,
    }
    data["decoder"] |= {"vocabulary": described, "context": 400}
    (directory / MANIFEST_NAME).write_text(json.dumps(data))
    return directory


@pytest.fixture
def options() -> ServeOptions:
    return ServeOptions(
        port=0, max_running=2, max_waiting=1, chunk_tokens=8, chunk_ms=1e6, grace_s=30
    )


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest_asyncio.fixture
async def cloud(
    toy_pair: Path, options: ServeOptions, engine: ScriptedEngine
) -> AsyncIterator[Cloud]:
    logs.configure("json")
    pair = PairReasoner.load(toy_pair)
    server = CloudServer(options, pair)
    await server.start()
    await server.open(engine)
    async with open_aio_channel(f"127.0.0.1:{server.port}") as channel:
        yield Cloud(
            server,
            engine,
            channel,
            InferenceServiceStub(channel),
            ControlServiceStub(channel),
            bytes.fromhex(pair.manifest.reasoner.vocabulary.sha256),
        )
    await server.stop()
