"""One pair as a model of `llm`, for threads and for asyncio."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Literal

import llm
from llm.parts import Message, StreamEvent, TextPart
from pydantic import Field

from duet_contract.described import Described
from llm_duet import PREFIX

if TYPE_CHECKING:
    from duet_contract.manifest import Manifest
    from duet_device import AsyncClient, Client, Event, Question
    from duet_device.setting_types import QuestionSettings
    from duet_device.turns import Past

log = logging.getLogger(__name__)

# Parts of a response.
_REASONING, _TEXT = 0, 1
_OURS = "duet"


class PairOptions(Described, llm.Options):
    """Options of a question."""

    server: str | None = None
    """HOST:PORT of the cloud [$DUET_SERVER]"""
    budget: int | None = Field(None, ge=1)
    """Maximum number of signal tokens"""
    route: Literal["auto", "cloud", "device"] = "auto"
    """auto: the device answers alone without a cloud; cloud: fail then; device: no connection"""
    temperature: float | None = Field(None, ge=0, le=2)
    """Sampling temperature"""
    seed: int | None = Field(None, ge=0)
    """Sampling seed"""
    timeout: float | None = Field(None, gt=0)
    """Total time limit in seconds"""
    rounds: int = Field(1, ge=1, le=16)
    """Most signals: ask for more in doubt"""
    share_history: int = Field(0, ge=0)
    """Earlier turns that are sent as well"""
    redact: bool = False
    """Replace names, addresses and the like in what is sent"""


class _Pair:
    """What both models share."""

    can_stream = True

    def __init__(self, name: str) -> None:
        self.model_id = PREFIX + name
        self._name = name

    def _server(self, options: PairOptions) -> dict[str, Any]:
        server = options.server or os.environ.get("DUET_SERVER")
        return {"server": server} if server else {}


class PairModel(_Pair, llm.Model):
    """A pair for threads. Its decoder and connection are kept from question to question."""

    class Options(PairOptions):
        """See `PairOptions`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._clients: dict[str, Client] = {}

    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.Response,
        conversation: llm.Conversation | None,
    ) -> Iterator[StreamEvent]:
        """See `llm.Model`."""
        from duet_device import Client, DeviceError

        options = _options(prompt)
        try:
            server = self._server(options)
            key = server.get("server", "")
            if key not in self._clients:
                self._clients[key] = Client(self._name, **server)
            client = self._clients[key]
            question = _question(prompt, client.pair.manifest, options)
            with closing(client.stream(question, **_settings(options))) as events:
                for event in events:
                    yield from _stream_events(event, question, response)
        except DeviceError as error:
            raise llm.ModelError(str(error)) from error

    def close(self) -> None:
        """Free decoders and connections."""
        while self._clients:
            self._clients.popitem()[1].close()


class AsyncPairModel(_Pair, llm.AsyncModel):
    """A pair for asyncio. Decoder and connection are kept for the questions of an event loop."""

    class Options(PairOptions):
        """See `PairOptions`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._clients: dict[tuple[asyncio.AbstractEventLoop, str], AsyncClient] = {}

    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """See `llm.AsyncModel`."""
        from duet_device import DeviceError

        options = _options(prompt)
        try:
            client = await self._client(options)
            question = _question(prompt, client.pair.manifest, options)
            async with aclosing(client.stream(question, **_settings(options))) as events:
                async for event in events:
                    for each in _stream_events(event, question, response):
                        yield each
        except DeviceError as error:
            raise llm.ModelError(str(error)) from error

    async def close(self) -> None:
        """Free decoders and connections."""
        while self._clients:
            await self._clients.popitem()[1].close()

    async def _client(self, options: PairOptions) -> "AsyncClient":
        """Return this loop's client of a server; close those of loops that have ended."""
        from duet_device import AsyncClient

        for key in [each for each in self._clients if each[0].is_closed()]:
            if ended := self._clients.pop(key, None):
                await ended.close()
        server = self._server(options)
        key = (asyncio.get_running_loop(), server.get("server", ""))
        if key not in self._clients:
            self._clients[key] = AsyncClient(self._name, **server)
        return self._clients[key]


def _options(prompt: llm.Prompt) -> PairOptions:
    assert isinstance(prompt.options, PairOptions)
    return prompt.options


def _settings(options: PairOptions) -> "QuestionSettings":
    settings: QuestionSettings = {
        "budget": options.budget,
        "temperature": options.temperature,
        "seed": options.seed,
        "rounds": options.rounds,
        "device_only": options.route == "device",
        "require_cloud": options.route == "cloud",
    }
    if options.timeout is not None:
        settings["timeout"] = options.timeout
    return settings


def _question(prompt: llm.Prompt, manifest: "Manifest", options: PairOptions) -> "Question":
    """Return the newest message as a question, with the earlier ones as its conversation.

    Raises:
        llm.ModelError: the newest message is not the user's.
        DeviceError: the question cannot be asked.
    """
    from dataclasses import replace

    from duet_device.conversation import Conversation
    from duet_device.privacy.context import Document

    messages = list(prompt.messages)
    if not messages or messages[-1].role != "user":
        raise llm.ModelError("the last message must be the user's")
    finders = None
    if options.redact:
        from duet_device.privacy.identifiers import load_finders

        finders = load_finders(log.warning)
    talk = Conversation(
        manifest,
        share=options.share_history,
        finders=finders,
        past=_past(messages[:-1], manifest),
    )
    question = talk.ask(_text(messages[-1]))
    system = "\n".join(_text(message) for message in messages if message.role == "system")
    return replace(question, context=(Document("instructions", system),)) if system else question


def _past(messages: list[Message], manifest: "Manifest") -> "list[Past]":
    """Return the earlier turns; those of the same pair as its decoder held them."""
    from duet_device.turns import Past, Turn

    past: list[Past] = []
    asked = ""
    for message in messages:
        if message.role == "user":
            asked = _text(message)
        elif message.role == "assistant" and asked:
            held: dict[str, Any] = {}
            for part in message.parts:
                if isinstance(part, TextPart) and part.provider_metadata:
                    held = part.provider_metadata.get(_OURS, held)
            turn = None
            if held.get("pair") == manifest.reference:
                signal = None if held["signal"] is None else tuple(held["signal"])
                turn = Turn(held["asked"], signal, tuple(held["answer"]))
            past.append(Past(asked, _text(message), turn))
            asked = ""
    return past


def _text(message: Message) -> str:
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


def _stream_events(
    event: "Event", question: "Question", response: llm.Response | llm.AsyncResponse
) -> Iterator[StreamEvent]:
    """Translate an event of the client; the result also fills in the response."""
    from duet_device import AnswerText, Note, Result, SignalText

    match event:
        case SignalText(text):
            yield StreamEvent("reasoning", text, part_index=_REASONING)
        case AnswerText(text):
            yield StreamEvent("text", text, part_index=_TEXT)
        case Note(text):
            log.warning(text)
        case Result(receipt):
            tokens = receipt.tokens
            response.set_resolved_model(receipt.pair)
            response.set_usage(
                input=tokens.question + tokens.context,
                output=tokens.signal + tokens.answer,
                details={"reasoning_tokens": tokens.signal},
            )
            response.response_json = receipt.model_dump(mode="json")
            held = {
                "pair": receipt.pair,
                "request_id": receipt.request_id,
                "asked": question.asked,
                "signal": None if receipt.source == "device" else list(event.signal_ids),
                "answer": list(event.answer_ids),
            }
            yield StreamEvent("text", "", part_index=_TEXT, provider_metadata={_OURS: held})
