"""One question from end to end, with a scripted cloud and a decoder without a model."""

from collections.abc import Iterator
from dataclasses import replace

import grpc
import pytest

from duet_contract.manifest import Evaluation, Peer
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
    ReasonResponse,
)
from duet_device import Client, session
from duet_device.events import Event, SignalText
from duet_device.pairs.pair import Pair
from tests.doubles.asking import QUESTION, ask, everything_has_arrived, happens, texts
from tests.doubles.cloud import (
    ScriptedCloud,
    done,
    done_text,
    says,
    text,
    tokens,
)
from tests.doubles.decoder import ScriptedDecoder

SIGNAL = "because é"


def test_token_signal_reaches_decoder_and_receipt(pair: Pair, decoder: ScriptedDecoder) -> None:
    data = SIGNAL.encode()
    events: list[Event] = []
    script = says(tokens(*data[:3]), tokens(*data[3:9]), tokens(*data[9:]), done(len(data)))
    outcome, cloud = ask(script, pair, decoder, events, budget=20, seed=7)

    receipt = outcome.receipt
    assert (receipt.answer, receipt.signal, receipt.source) == ("häppy 🙂", SIGNAL, "duet")
    assert receipt.finish == "end"
    assert receipt.tokens.signal == len(data)
    assert receipt.tokens.answer == len("häppy 🙂".encode())
    assert "".join(texts(events, SignalText)) == SIGNAL
    assert bytes(decoder.ids).decode().startswith(f"Q:{QUESTION} S:{SIGNAL} A:")
    request = cloud.requests[0]
    assert request.budget == 20
    assert request.seed == 7
    assert not request.HasField("temperature")
    assert list(request.encodings) == [SIGNAL_ENCODING_TOKEN_IDS, SIGNAL_ENCODING_TEXT]
    assert request.pair == "bytes@1.0.0"
    assert request.request_id == receipt.request_id
    assert receipt.bytes.up == request.ByteSize() + 5
    times = receipt.ms
    assert times.connect is not None
    assert times.first_signal is not None
    assert times.signal is not None
    assert times.first_answer is not None
    assert times.first_signal <= times.signal <= times.first_answer <= times.total


def test_the_receipt_has_the_manifests_tokens_of_the_large_model_alone(
    pair: Pair, decoder: ScriptedDecoder
) -> None:
    script = says(tokens(65), done(1))
    assert ask(script, pair, decoder)[0].receipt.tokens.alone is None
    measured = Evaluation(
        data="d", questions=9, accuracy=0.9, signal_tokens=1, answer_tokens=2,
        reasoner_alone_tokens=121.6,
    )  # fmt: skip
    known = replace(pair, manifest=pair.manifest.model_copy(update={"evaluation": (measured,)}))
    assert ask(script, known, decoder)[0].receipt.tokens.alone == 122
    peer = Peer(name="solutions@1.0.0", questions=10, accuracy=0.2, tokens=44.2)
    known = replace(pair, manifest=pair.manifest.model_copy(update={"peer": peer}))
    assert ask(script, known, decoder)[0].receipt.tokens.peer == 44


def test_text_signal_gives_the_same_sequence(pair: Pair, decoder: ScriptedDecoder) -> None:
    outcome, _ = ask(says(text("beca"), text("use é"), done_text(2)), pair, decoder)
    assert outcome.receipt.signal == SIGNAL
    assert outcome.receipt.tokens.signal == 2
    assert bytes(decoder.ids).decode().startswith(f"Q:{QUESTION} S:{SIGNAL} A:")


def test_empty_signal_is_a_signal(pair: Pair, decoder: ScriptedDecoder) -> None:
    outcome, _ = ask(says(done(0)), pair, decoder)
    assert outcome.receipt.source == "duet"
    assert outcome.receipt.ms.signal is None


def test_budget_cut_shows_in_finish(pair: Pair, decoder: ScriptedDecoder) -> None:
    outcome, _ = ask(says(tokens(65), done(1, finish_reason=FINISH_REASON_BUDGET)), pair, decoder)
    assert outcome.receipt.finish == "end+budget"


def test_last_chunk_and_prompt_end_are_one_batch(pair: Pair, decoder: ScriptedDecoder) -> None:
    def script(_: ReasonRequest, __: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        yield tokens(*b"ab")
        yield tokens(*b"cd")
        yield done(4)

    evaluate = decoder.evaluate

    def slow_prefix(ids: list[int], **options: object) -> None:
        evaluate(ids, **options)  # type: ignore[arg-type]
        assert happens(everything_has_arrived)

    decoder.evaluate = slow_prefix  # type: ignore[method-assign, assignment]
    ask(script, pair, decoder)
    prefix = len(f"Q:{QUESTION} S:")
    # One token of the prefix again, to measure a step.
    assert decoder.evaluations[:3] == [
        (0, prefix),
        (prefix - 1, 1),
        (prefix, 4 + len(" A:")),
    ]


def test_the_cloud_is_asked_while_the_decoder_loads(
    pair: Pair, decoder: ScriptedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedCloud(says(tokens(*b"ab"), done(2))) as cloud:

        def load(_: Pair, __: int | None) -> ScriptedDecoder:
            assert cloud.asked.wait(60)
            return decoder

        monkeypatch.setattr(session, "load_decoder", load)
        with Client(pair, server=cloud.address, require_cloud=True) as asking:
            assert asking.ask(QUESTION).receipt.signal == "ab"
        assert decoder.closed


def test_everything_is_evaluated_on_arrival(pair: Pair, decoder: ScriptedDecoder) -> None:
    """The cloud continues only once the device has evaluated what came before, and what would end
    the prompt. So the end without new tokens costs nothing, and the first token's step is the next.
    """
    prefix = f"Q:{QUESTION} S:".encode()
    seen: list[bool] = []
    evaluated: list[int] = []

    def script(_: ReasonRequest, __: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        seen.append(happens(lambda: decoder.ids == [*prefix]))
        for end in (1, 4, 7):
            yield tokens(*b"because"[max(0, end - 3) : end])
            now = [*prefix, *b"because"[:end], *b" A:"]
            seen.append(happens(lambda now=now: decoder.ids == now))
        evaluated.append(len(decoder.evaluations))
        yield done(7)

    outcome, _ = ask(script, pair, decoder)
    assert seen == [True] * 4
    assert decoder.evaluations[evaluated[0]] == (len(prefix) + len(b"because A:"), 1)
    assert outcome.receipt.signal == "because"


def test_device_only_opens_no_connection(pair: Pair, decoder: ScriptedDecoder) -> None:
    outcome, cloud = ask(says(done(0)), pair, decoder, device_only=True)
    assert outcome.receipt.source == "device"
    assert outcome.receipt.bytes.up == 0
    assert outcome.receipt.ms.connect is None
    assert cloud.requests == []
