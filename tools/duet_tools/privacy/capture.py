"""Ask questions of a real client through a recorder, and judge every request."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from itertools import islice

from duet_contract.manifest import Manifest
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_device.client import Client
from duet_device.conversation import Conversation
from duet_device.errors import DeviceError, UsageProblem
from duet_device.events import Sent
from duet_device.pairs.pair import Pair, load_decoder
from duet_device.privacy.context import Document
from duet_device.privacy.identifiers import load_finders
from duet_device.privacy.redaction import redact
from duet_device.question import Question
from duet_device.setting_types import QuestionSettings
from duet_device.turns import Past
from duet_tools.errors import BenchError
from duet_tools.privacy.cloud import FORMULA, FormulaCloud
from duet_tools.privacy.judge import numbers_in, relations_in
from duet_tools.privacy.questions import Twins
from duet_tools.privacy.recorder import RequestRecorder, SentRequest
from duet_tools.results.privacy import Captured

_PATH = "/duet.v1.InferenceService/Reason"
# Headers whose values are not of a question by construction: time left, random ids.
_FREE = {
    "grpc-timeout": re.compile(r"[0-9]{1,8}[HMSmun]"),
    "traceparent": re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
}
_FRAMING = 5
_LATE_S = 0.1
"""For requests that were cancelled, to arrive."""
_BATCH = 100
_REQUEST_ID = re.compile(r"[0-9a-f]{32}")
# Of a redaction: the count of names so far, not of the question's numbers.
_PLACEHOLDER = re.compile(r"\[[A-Z]+_[0-9]+\]")


@dataclass(frozen=True)
class Way:
    """A way in which questions are asked."""

    name: str
    """For people."""
    question: Callable[[str, Manifest], Question] = lambda text, _: Question(text)
    """Makes the question of a text."""
    settings: QuestionSettings | None = None
    """Of the client."""
    refuses: bool = False
    """Whether the first call is refused."""
    cuts: bool = False
    """Whether the first call breaks after a part of the signal."""
    around: Callable[[str], AbstractContextManager[object]] = lambda _: nullcontext()
    """What is entered while a text is asked."""
    compares: bool = True
    """Whether questions that differ in their numbers alone must be sent alike."""
    in_flight: int = 1
    """Questions asked at a time."""


def _with_notes(text: str, _: Manifest) -> Question:
    note = f"# Costs\npens: {text}\nThe pens of {text}.\n| pens | {text} |\n"
    return Question(f"How many pens are there? {text}", notes=(Document("note", note),))


def _shared(text: str, manifest: Manifest) -> Question:
    past = [Past(text, f"The answer is {text}."), Past(f"And {text}?", "It is.")]
    return Conversation(manifest, share=2, past=past).ask(text)


def _redacted(text: str, _: Manifest) -> Question:
    text = f"Maria Lopez has: {text}"
    return Question(text, redaction=redact(text, load_finders(lambda _: None)))


def _traced(text: str) -> AbstractContextManager[object]:
    """Return a span, as a program that asks has one; with baggage, which is not sent."""
    from opentelemetry import baggage, context
    from opentelemetry.sdk.trace import TracerProvider

    stack = ExitStack()
    span = TracerProvider().get_tracer("capture").start_as_current_span(text[:50])
    stack.enter_context(span).set_attribute("question", text)
    token = context.attach(baggage.set_baggage("question", text))
    stack.callback(context.detach, token)
    return stack


PLAIN = Way("asked once", in_flight=16)
OTHERS = (
    Way("refused, asked again (retry)", refuses=True),
    Way("cut, continued (`signal_prefix`)", cuts=True),
    Way("`--rounds 3`", settings={"rounds": 3}),
    Way("`--notes`, the numbers in the note as well", _with_notes),
    Way("chat with `--share-history 2`", _shared),
    # What looks like a telephone number or a card is distinguished from other numbers, by design.
    Way("`--redact`", _redacted, compares=False),
    Way("in a program's trace, with baggage", around=_traced),
)


class Capture:
    """Asks with one pair and its decoder, in ways that it is given.

    Args:
        pair: with private quantities; it need not be signed.
    """

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._decoder = load_decoder(pair, threads=1)

    def close(self) -> None:
        """Free the decoder."""
        self._decoder.close()

    def run(
        self,
        way: Way,
        source: str,
        twins: Iterable[Twins],
        step: Callable[[int], None] = lambda _: None,
    ) -> Captured:
        """Ask both of each pair of questions, and judge what was sent.

        `source`: where the questions are from. `step`: called with the number of pairs done since.

        Raises:
            BenchError: what was sent is not what the contract says, or nothing was.
        """
        count = dict.fromkeys(Captured.model_fields.keys() - {"way", "source"}, 0)
        settings: QuestionSettings = {"answer_tokens": 1, "timeout": 60.0, "require_cloud": True}
        settings.update(way.settings or {})
        asked = iter(twins)
        with (
            FormulaCloud(refuses=way.refuses, cuts=way.cuts) as cloud,
            RequestRecorder(cloud.address) as recorder,
            Client(
                self._pair, decoder=self._decoder, server=recorder.address, **settings
            ) as client,
        ):
            while some := list(islice(asked, _BATCH if way.in_flight > 1 else 1)):
                texts = [text for each in some for text in (each.question, each.other)]
                sent = self._ask(client, recorder, way, texts)
                for text, requests in zip(texts, sent, strict=True):
                    count["questions"] += 1
                    count["with_numbers"] += bool(numbers_in(text))
                    count["with_relations"] += bool(relations_in(text))
                    count["requests"] += len(requests)
                    count["bytes"] += sum(_size(request) for request in requests)
                    count["numbers_sent"] += sum(map(_numbers_in, requests))
                for pair in zip(sent[::2], sent[1::2], strict=True) if way.compares else ():
                    own, other = ([_normal(request) for request in each] for each in pair)
                    count["twins"] += 1
                    count["twins_told_apart"] += any(
                        a != b for a, b in zip(own, other, strict=False)
                    )
                    count["twins_asked_differently"] += len(own) != len(other)
                step(len(some))
            count["numbers_sent"] += sum(len(numbers_in(text)) for text in recorder.texts)
        return Captured(way=way.name, source=source, **count)

    def _ask(
        self, client: Client, recorder: RequestRecorder, way: Way, texts: Sequence[str]
    ) -> list[list[SentRequest]]:
        """Return the requests of each question, distinguished by the ids that the client reports.

        One at a time, a request without such an id, of a retry, is the present question's.
        """
        sent: list[list[SentRequest]] = [[] for _ in texts]
        numbers: dict[str, int] = {}
        refused = set()

        def take(present: int) -> None:
            for request in recorder.taken():
                sent[numbers.get(_message(request).request_id, present)].append(request)

        size = len(texts) if way.in_flight > 1 else 1
        for start in range(0, len(texts), size):
            questions = [self._question(way, text) for text in texts[start : start + size]]
            with way.around(texts[start]):
                for number, event in client.stream_all(questions, in_flight=way.in_flight):
                    if isinstance(event, Sent):
                        numbers[event.request.request_id] = start + number
                    elif isinstance(event, UsageProblem):
                        # It is too long; the decoder may say so when it was sent.
                        refused.add(start + number)
                    elif isinstance(event, DeviceError):
                        raise BenchError(str(event))
            take(start)
        if refused:
            time.sleep(_LATE_S)
            take(len(texts) - 1)
        if any(not found and number not in refused for number, found in enumerate(sent)):
            raise BenchError("the device sent nothing that was recorded")
        return sent

    def _question(self, way: Way, text: str) -> Question | DeviceError:
        try:
            return way.question(text, self._pair.manifest)
        except UsageProblem as error:
            return error


def _message(request: SentRequest) -> ReasonRequest:
    """Return the one message of a request, all of whose bytes are known fields."""
    size = int.from_bytes(request.body[1:_FRAMING])
    if request.body[:1] != b"\0" or len(request.body) != _FRAMING + size:
        raise BenchError("the device sent something else than one message in the clear")
    message = ReasonRequest.FromString(request.body[_FRAMING:])
    if message.SerializeToString(deterministic=True) != request.body[_FRAMING:]:
        raise BenchError("the device sent fields that the contract does not have")
    return message


def _normal(request: SentRequest) -> tuple[tuple[tuple[str, str], ...], bytes]:
    """Return headers and body without what is random or a time, which is checked to be that."""
    headers = []
    for name, value in request.headers:
        free = _FREE.get(name)
        if name == ":path" and value != _PATH:
            raise BenchError(f"the device called {value}")
        if free and not free.fullmatch(value):
            raise BenchError(f"the device sent {name}: {value}")
        headers.append((name, "" if free else value))
    message = _message(request)
    if not _REQUEST_ID.fullmatch(message.request_id):
        raise BenchError(f"the device sent the request id {message.request_id!r}")
    return tuple(headers), request.body.replace(message.request_id.encode(), b"")


def _size(request: SentRequest) -> int:
    return len(request.body) + sum(len(name) + len(value) for name, value in request.headers)


def _numbers_in(request: SentRequest) -> int:
    """Count the numbers in a question as sent, and in a signal that the cloud did not send so."""
    message = _message(request)
    held = message.signal_prefix.text
    foreign = [] if "".join(FORMULA).startswith(held) else numbers_in(held)
    return len(numbers_in(_PLACEHOLDER.sub("", message.question))) + len(foreign)
