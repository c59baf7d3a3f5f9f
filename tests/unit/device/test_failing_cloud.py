"""What a question becomes when the cloud is broken, busy, elsewhere, or refuses."""

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from duet_contract.v1.inference_pb2 import (
    ReasonRequest,
    ReasonResponse,
)
from duet_device.errors import CloudBusy, CloudRefused, CloudUnreachable, ExitCode, PairMismatch
from duet_device.pairs.pair import Pair
from duet_tools.faults.cutting import Cut, CuttingRelay
from tests.doubles.asking import answer, ask
from tests.doubles.cloud import (
    Script,
    ScriptedCloud,
    abort,
    done,
    says,
    tokens,
)
from tests.doubles.decoder import ScriptedDecoder


def refusing(code: grpc.StatusCode, message: str, *details: object) -> Script:
    def script(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        abort(context, code, message, *details)  # type: ignore[arg-type]
        yield ReasonResponse()

    return script


def test_refusals_are_errors_with_the_cloud_s_words(pair: Pair, decoder: ScriptedDecoder) -> None:
    fault = BadRequest.FieldViolation(field="question", description="the question is too long")
    bad = BadRequest(field_violations=[fault])
    with pytest.raises(CloudRefused, match="the question is too long") as caught:
        ask(refusing(grpc.StatusCode.INVALID_ARGUMENT, "bad", bad), pair, decoder)
    assert caught.value.exit_code == ExitCode.REFUSED
    with pytest.raises(CloudRefused, match="does not know this device"):
        ask(refusing(grpc.StatusCode.UNAUTHENTICATED, "who?"), pair, decoder)


@pytest.mark.parametrize(
    ("served", "offered"),
    [
        ("other@1.0.0", "other@1.0.0"),
        ("other@1.0.0,bytes@2.0.0", "bytes@2.0.0"),
        ("", None),
        ("; rm -rf /", None),
        ("$(reboot)@1.0.0,other@1.0.0", "other@1.0.0"),
    ],
)
def test_server_of_another_pair_offers_its_decoder(
    pair: Pair, decoder: ScriptedDecoder, served: str, offered: str | None
) -> None:
    facts = {"device": "bytes@1.0.0", "cloud": served}
    reason = ErrorInfo(reason="PAIR_MISMATCH", domain="duet", metadata=facts)
    script = refusing(grpc.StatusCode.FAILED_PRECONDITION, "no such pair", reason)
    with pytest.raises(PairMismatch) as caught:
        ask(script, pair, decoder)
    said = str(caught.value).partition("fetch its decoder with: duet-device pull ")[2]
    assert said.partition(" --server ")[0] == (offered or "")


def retry_in(seconds: float) -> RetryInfo:
    return RetryInfo(retry_delay=Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9)))


def test_busy_cloud_is_asked_once_more(pair: Pair, decoder: ScriptedDecoder) -> None:
    tries: list[int] = []

    def script(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        tries.append(1)
        if len(tries) == 1:
            abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry_in(0.01))
        yield tokens(65)
        yield done(1)

    outcome, cloud = ask(script, pair, decoder)
    assert outcome.receipt.source == "duet"
    assert outcome.receipt.bytes.up == 2 * (cloud.requests[0].ByteSize() + 5)


def test_a_second_try_has_an_id_of_its_own(pair: Pair, decoder: ScriptedDecoder) -> None:
    """A cloud that has not seen that the first call's link broke still works on that one."""
    known: set[str] = set()

    def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        if request.request_id in known:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "a request with that id is in flight")
        known.add(request.request_id)
        if len(known) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the link broke")
        yield tokens(65)
        yield done(1)

    outcome, cloud = ask(script, pair, decoder, require_cloud=True)
    assert outcome.receipt.source == "duet"
    assert outcome.receipt.request_id == cloud.requests[1].request_id


def test_cloud_that_stays_busy(pair: Pair, decoder: ScriptedDecoder) -> None:
    script = refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry_in(0.01))
    outcome, cloud = ask(script, pair, decoder)
    assert outcome.receipt.source == "device"
    assert len(cloud.requests) == 2
    with pytest.raises(CloudBusy) as caught:
        ask(script, pair, decoder, require_cloud=True)
    assert caught.value.exit_code == ExitCode.REFUSED


@pytest.mark.parametrize(
    "how",
    [
        "Socket closed",
        "recvmsg:Connection reset by peer",
        "getsockopt(SO_ERROR): Broken pipe",
    ],
)
def test_a_cloud_that_closes_a_plaintext_link_may_want_an_identity(
    how: str, pair: Pair, decoder: ScriptedDecoder
) -> None:
    said = f"failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: {how}"
    with pytest.raises(CloudUnreachable, match="duet-device enroll HOST:PORT CODE"):
        ask(refusing(grpc.StatusCode.UNAVAILABLE, said), pair, decoder, require_cloud=True)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("after", [1, 9, 30, 45])
def test_a_link_that_breaks_while_it_connects_is_tried_again(
    after: int, reset: bool, pair: Pair, decoder: ScriptedDecoder
) -> None:
    with (
        ScriptedCloud(says(tokens(65), done(1))) as cloud,
        CuttingRelay(cloud.address, Cut(bytes=after, reset=reset)) as relay,
    ):
        outcome = answer(pair, decoder, server=relay.address, require_cloud=True)
    assert relay.is_cut
    assert outcome.receipt.source == "duet"
    assert outcome.receipt.signal == "A"
