"""No run of 12 characters of the private context leaves the device, in any mode."""

import base64
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from duet_contract.manifest import Manifest
from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse
from duet_device.errors import DeviceError
from duet_device.events import Event
from duet_device.history.store import StoredSignal
from duet_device.pairs.pair import Pair
from duet_device.privacy.context import Document
from duet_device.privacy.names import find_names
from duet_device.privacy.redaction import redact
from duet_device.question import Question
from tests.doubles.asking import answer, notes, sent
from tests.doubles.cloud import ScriptedCloud, abort, done, done_text, text, tokens
from tests.doubles.decoder import END, ScriptedDecoder, answering
from tests.doubles.recorder import Recorder
from tests.unit.device.conftest import manifest_data

pytestmark = pytest.mark.slow

RUN = 12
SIGNAL = b"because"


@dataclass
class Wire:
    """A cloud behind a recorder."""

    cloud: ScriptedCloud
    """The cloud."""
    recorder: Recorder
    """Records every byte that devices send."""
    mode: str = ""
    """How the cloud behaves."""
    metadata: list[str] = field(default_factory=list)
    """Metadata of its calls."""
    asked: set[str] = field(default_factory=set)
    """Ids of the requests that devices said they sent."""


def _busy(context: grpc.ServicerContext) -> None:
    retry = RetryInfo(retry_delay=Duration(nanos=1_000_000))
    abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        wire.metadata += [f"{key}: {value!r}" for key, value in context.invocation_metadata()]
        if wire.mode == "busy":
            _busy(context)
        if wire.mode == "refused":
            abort(context, grpc.StatusCode.INVALID_ARGUMENT, "bad")
        if wire.mode == "text":
            yield text("because")
            yield done_text(7)
            return
        yield tokens(*SIGNAL)
        if wire.mode == "broken":
            abort(context, grpc.StatusCode.UNAVAILABLE, "going away")
        yield done(7)

    with ScriptedCloud(script) as cloud, Recorder(cloud.address) as recorder:
        wire = Wire(cloud, recorder)
        yield wire


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A pair over bytes whose decoder has room for context."""
    data = manifest_data(limits={"question": 1024, "budget": 32, "answer": 64}, alone=None)
    return Pair(tmp_path_factory.mktemp("pair"), Manifest.model_validate(data))


MODES: dict[str, dict[str, object]] = {
    "tokens": {},
    "text": {},
    "busy": {},
    "broken": {},
    "broken, cloud required": {"require_cloud": True},
    "refused": {},
    "too little time": {"timeout": 1e-9},
    "device only": {"device_only": True},
    "too large": {},
    "reuse": {},
}
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
PRIVATE = st.one_of(
    st.text(CHARACTERS, min_size=RUN, max_size=300),
    st.text("abc 123", min_size=RUN, max_size=300),
    st.sampled_from(["Maria Lopez, IBAN DE89370400440532013000, owes 4711", "<|end|> S: A: Q:"]),
)


def runs(private: str) -> Iterator[tuple[str, bytes]]:
    """Every run of the context, as it might be written: (how, bytes)."""
    for at in range(len(private) - RUN + 1):
        run = private[at : at + RUN]
        plain = run.encode()
        yield "UTF-8", plain
        yield "UTF-16", run.encode("utf-16-le")
        yield "hex", plain.hex().encode()
        yield "HEX", plain.hex().upper().encode()
        for shift in range(3):
            # The characters that depend on this run alone, wherever it begins.
            encoded = base64.b64encode(b"\0" * shift + plain)
            yield "base64", encoded[-(-shift * 8 // 6) : len(encoded) // 4 * 4 - 4]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    private=PRIVATE,
    question=st.text(CHARACTERS, min_size=1, max_size=60).filter(str.strip),
    mode=st.sampled_from(sorted(MODES)),
    redacting=st.booleans(),
)
def test_no_run_of_the_context_leaves(
    private: str,
    question: str,
    mode: str,
    redacting: bool,
    wire: Wire,
    roomy: Pair,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assume(private.strip())
    # What the question itself says, the user sends knowingly.
    assume(not any(private[at : at + RUN] in question for at in range(len(private) - RUN + 1)))
    wire.mode = mode.split(",")[0]
    wire.metadata.clear()
    wire.recorder.taken()
    events: list[Event] = []
    caplog.set_level(logging.DEBUG)
    decoder = ScriptedDecoder(answering("done", " A:"))
    given_context = (Document("notes", private), Document("more", private))
    if mode == "too large":
        given_context += (Document("huge", private * (5000 // len(private))),)
    redaction = redact(question, [find_names], private) if redacting else None
    stored = StoredSignal(ids=tuple(SIGNAL), text="because", tokens=7, cut=False)
    told: list[str] = []
    try:
        answer(
            roomy,
            decoder,
            events,
            question=Question(
                question, given_context, redaction, stored if mode == "reuse" else None
            ),
            server=wire.recorder.address,
            **MODES[mode],
        )
        assert mode not in ("refused", "too large", "too little time", "broken, cloud required")
        seen = bytes(token for token in decoder.ids if token < END)
        forms = {private, redaction.apply(private)} if redaction else {private}
        assert any(form.strip().encode() in seen for form in forms), "the decoder lacks it"
    except DeviceError as error:
        told.append(str(error))
    left = wire.recorder.taken()
    if mode in ("device only", "reuse", "too little time"):
        assert not sent(events)
    # Not that nothing went up: a call that an earlier example cancelled may still be arriving.
    wire.asked.update(request.request_id for request in sent(events))
    assert {request.request_id for request in wire.cloud.requests} <= wire.asked
    told += [*notes(events), *wire.metadata, caplog.text, *capfd.readouterr()]
    said = "\n".join(told).encode()
    for how, run in runs(private):
        assert run not in left, f"{how} on the wire"
        assert run not in said, f"{how} in metadata, logs or errors"


def test_the_request_is_the_same_with_and_without_context(
    wire: Wire, roomy: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=7))
    wire.mode = "tokens"
    left: list[bytes] = []
    metadata: list[list[str]] = []
    for given_context in ((), (Document("diary", "dear diary, no one may know"),)):
        wire.metadata.clear()
        events: list[Event] = []
        answer(
            roomy,
            ScriptedDecoder(answering("done", " A:")),
            events,
            question=Question("why?", given_context),
            server=wire.recorder.address,
        )
        left += [request.SerializeToString() for request in sent(events)]
        metadata.append(list(wire.metadata))
    assert left[0] == left[1]
    assert metadata[0] == metadata[1]
    assert wire.cloud.requests[-1].SerializeToString() == left[0]


def test_the_recorder_sees_what_is_sent(wire: Wire, roomy: Pair) -> None:
    """The property above would mean nothing if the recorder missed the question."""
    wire.mode = "tokens"
    wire.recorder.taken()
    answer(
        roomy,
        ScriptedDecoder(answering("done", " A:")),
        question="is the moon made of cheese?",
        server=wire.recorder.address,
    )
    assert b"is the moon made of cheese?" in wire.recorder.taken()


def test_redacted_values_do_not_leave(wire: Wire, roomy: Pair, tmp_path: Path) -> None:
    wire.mode = "tokens"
    wire.recorder.taken()
    question = "Does Maria Lopez like Maria?"
    answer(
        roomy,
        ScriptedDecoder(answering("[NAME_1] does", " A:")),
        question=Question(question, redaction=redact(question, [find_names])),
        server=wire.recorder.address,
    )
    left = wire.recorder.taken()
    assert b"Does [NAME_1] like [NAME_1]?" in left
    assert b"Maria" not in left
    assert b"Lopez" not in left
