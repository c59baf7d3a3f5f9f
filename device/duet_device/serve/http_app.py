"""The HTTP interface of the local server: OpenAI's API, and the page with an API of its own."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Coroutine
from contextlib import aclosing
from dataclasses import replace
from importlib.resources import files
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import Route

from duet_contract.errors import ContractError
from duet_contract.json_data import parse_json
from duet_contract.pairs import pairs_home, pairs_in
from duet_device.ask_request import AskRequest
from duet_device.deadline import Deadline
from duet_device.errors import DeviceError
from duet_device.events import AnswerText, AskEvent, Result, Sent, SignalText, Stored
from duet_device.pairs.pair import chosen_pair
from duet_device.serve.api_errors import ApiError, api_error
from duet_device.serve.api_request import ApiRequest, chat_turns, read_request, response_turns
from duet_device.serve.chat_completions import ChatCompletion
from duet_device.serve.guard import Guard
from duet_device.serve.messages import message_of
from duet_device.serve.renderer import Renderer
from duet_device.serve.responses import Response
from duet_device.serve.service import Service, stream, whole
from duet_device.settings import Settings

_Made = TypeVar("_Made")
_MOST_BODY_BYTES = 8 << 20
_SHOWN = (SignalText, AnswerText, Result)
_NO_STORE = {"cache-control": "no-store"}
# The page loads nothing, is not framed, and sends its questions here alone.
_PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    "content-security-policy": _PAGE_POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    **_NO_STORE,
}


class HttpInterface:
    """Requests over HTTP.

    Args:
        service: answers.
        base: pair, server and options of a request that names none.
    """

    def __init__(self, service: Service, base: AskRequest) -> None:
        self._service = service
        self._base = base

    def app(self, port: int, token: str, origins: Collection[str] = ()) -> Starlette:
        """Return the application; see `duet_device.serve.guard.Guard` for the arguments."""
        middleware = [Middleware(Guard, port=port, token=token, origins=origins)]
        if origins:
            cors = Middleware(
                CORSMiddleware,
                allow_origins=list(origins),
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
            )
            # First, so that a page of these origins can read why it is refused.
            middleware.insert(0, cors)
        return Starlette(
            routes=[
                Route("/", _page),
                Route("/health", _health),
                Route("/v1/models", self._models),
                Route("/v1/models/{model:path}", self._model),
                Route("/v1/chat/completions", self._chat_completions, methods=["POST"]),
                Route("/v1/responses", self._responses, methods=["POST"]),
                Route("/duet/ask", self._ask, methods=["POST"]),
            ],
            middleware=middleware,
            exception_handlers={
                ApiError: _show_error,
                ClientDisconnect: _left,
                404: _not_found,
                405: _not_found,
                Exception: _failed,
            },
        )

    def models(self) -> dict[str, str]:
        """Return the pairs that can be asked, by model name; the server's own is the first."""
        own = chosen_pair(self._base.pair)
        try:
            installed = pairs_in(pairs_home())
        except ContractError:
            installed = {}
        return {own: own, **{name: name for name in installed}}

    async def _models(self, _: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": [_model(name) for name in self.models()]})

    async def _model(self, request: Request) -> JSONResponse:
        name = request.path_params["model"]
        self._find(name)
        return JSONResponse(_model(name))

    def _find(self, name: str) -> str:
        own = chosen_pair(self._base.pair)
        if name == own:
            # The usual one, for which no directory is listed.
            return own
        known = self.models()
        if name not in known:
            raise ApiError(
                f"the model {name!r} is not installed: there are {', '.join(known)}",
                404,
                "model_not_found",
                "model",
            )
        return known[name]

    async def _chat_completions(self, request: Request) -> HttpResponse:
        body = await _body(request)
        asked = self._with_pair(read_request(body, chat_turns(body), self._base))
        return await self._answer(request, asked, ChatCompletion(asked), named=False)

    async def _responses(self, request: Request) -> HttpResponse:
        body = await _body(request)
        asked = self._with_pair(read_request(body, response_turns(body), self._base))
        return await self._answer(request, asked, Response(asked), named=True)

    def _with_pair(self, asked: ApiRequest) -> ApiRequest:
        if not asked.model:
            raise ApiError("model is missing", parameter="model")
        return replace(asked, ask=asked.ask._replace(pair=self._find(asked.model)))

    async def _answer(
        self, request: Request, asked: ApiRequest, renderer: Renderer, *, named: bool
    ) -> HttpResponse:
        """Answer in OpenAI's shape.

        Args:
            request: stops the question when it is disconnected.
            asked: the question.
            renderer: of the events.
            named: whether each event of a stream has its type as its name, and there is no `[DONE]`.
        """
        if asked.stream:
            events = await _unless_disconnected(request, _begun(self._events(asked.ask), _SHOWN))
            lines = _server_sent(events, renderer, named=named)
            return StreamingResponse(lines, media_type="text/event-stream", headers=_NO_STORE)

        work = whole(self._service, asked.ask, _deadline(asked.ask))
        for event in await _unless_disconnected(request, work):
            for _ in renderer.feed(event):
                pass
        for _ in renderer.end():
            pass
        return JSONResponse(renderer.whole())

    async def _ask(self, request: Request) -> StreamingResponse:
        """Answer the page, with one event a line, as they happen."""
        body = await _body(request)
        question = body.pop("question", None)
        turns = [{"role": "user", "content": question}]
        asked = read_request({**body, "model": body.get("model")}, turns, self._base)
        ask = asked.ask._replace(pair=self._find(asked.model)) if asked.model else asked.ask
        lines = _lines(await _unless_disconnected(request, _begun(self._events(ask), object)))
        return StreamingResponse(lines, media_type="application/x-ndjson", headers=_NO_STORE)

    def _events(self, ask: AskRequest) -> AsyncGenerator[AskEvent]:
        return stream(self._service, ask, _deadline(ask))


def _deadline(ask: AskRequest) -> Deadline:
    return Deadline(ask.settings.get("timeout", Settings.timeout))


async def _page(_: Request) -> HTMLResponse:
    page = files("duet_device.serve").joinpath("page.html").read_text("utf-8")
    return HTMLResponse(page, headers=_PAGE_HEADERS)


async def _health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "duet"}


async def _body(request: Request) -> dict[str, Any]:
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > _MOST_BODY_BYTES:
            raise ApiError(f"the request has more than {_MOST_BODY_BYTES} bytes", 413, "too_large")
    try:
        body = parse_json(data)
    except ValueError as error:
        raise ApiError(f"the request is not JSON: {error}", code="invalid_json") from error
    if not isinstance(body, dict):
        raise ApiError("the request is not a JSON object", code="invalid_json")
    return body


async def _begun(events: AsyncGenerator[AskEvent], kinds: Any) -> AsyncGenerator[AskEvent]:
    """Wait for the first event of these kinds: an error before it has a status of its own."""
    first: list[AskEvent] = []
    while not first or not isinstance(first[-1], kinds):
        first.append(await anext(events))

    async def all_events() -> AsyncGenerator[AskEvent]:
        async with aclosing(events):
            for event in first:
                yield event
            async for event in events:
                yield event

    return all_events()


async def _server_sent(
    events: AsyncGenerator[AskEvent], renderer: Renderer, *, named: bool
) -> AsyncIterator[str]:
    def line(data: dict[str, Any]) -> str:
        name = f"event: {data['type']}\n" if named else ""
        return f"{name}data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"

    async with aclosing(events):
        try:
            for data in renderer.begin():
                yield line(data)
            async for event in events:
                for data in renderer.feed(event):
                    yield line(data)
            for data in renderer.end():
                yield line(data)
        except DeviceError as error:
            yield line(renderer.failed(api_error(error)))
    if not named:
        yield "data: [DONE]\n\n"


async def _lines(events: AsyncGenerator[AskEvent]) -> AsyncIterator[str]:
    async with aclosing(events):
        try:
            async for event in events:
                yield json.dumps(_shown(event), ensure_ascii=False) + "\n"
        except DeviceError as error:
            yield json.dumps(api_error(error).body()) + "\n"


def _shown(event: AskEvent) -> dict[str, Any]:
    """Return an event as the page shows it."""
    if isinstance(event, Sent):
        return {"sent": json.loads(event.as_json())}
    if isinstance(event, Result):
        return {"result": event.receipt.model_dump(mode="json")}
    if isinstance(event, Stored):
        return {"stored": event.id, "enabled": event.enabled}
    return message_of(event)


async def _unless_disconnected(request: Request, work: Coroutine[Any, Any, _Made]) -> _Made:
    """Do the work, and return what it makes; stop it when the caller has gone."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    except DeviceError as error:
        raise api_error(error) from error
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _show_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body(), error.status, headers=error.headers())


async def _left(_request: Request, _error: Exception) -> HttpResponse:
    # No one reads it; without a response it would be a fault in the log.
    return HttpResponse(status_code=499)


async def _failed(_request: Request, _error: Exception) -> JSONResponse:
    # Starlette raises it again, for the log.
    error = ApiError("the local server failed; its log says why", 500, "internal_error")
    return JSONResponse(error.body(), error.status)


async def _not_found(request: Request, _: Exception) -> JSONResponse:
    error = ApiError(f"there is no {request.method} {request.url.path}", 404, "unknown_url")
    return JSONResponse(error.body(), error.status)
