"""The API with OpenAI's own client: chat completions, responses, models, errors."""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import openai
import pytest

from duet_contract.manifest import PRIVATE_SCHEMA
from duet_contract.receipt import Receipt
from duet_device.ask_request import AskRequest
from duet_device.errors import ModelProblem
from duet_device.history.store import History
from duet_device.privacy import identifiers
from duet_device.privacy.names import find_names
from duet_device.serve.files import token
from duet_device.serve.run import _bind, _http
from duet_device.serve.service import Service
from tests.doubles import loopback
from tests.doubles.cloud import ScriptedCloud, abort, done, tokens
from tests.doubles.decoder import ScriptedDecoder
from tests.unit.device.serve.conftest import Api

ANSWER = "häppy 🙂"
ASKED: Any = {"model": "bytes", "messages": [{"role": "user", "content": "why?"}]}


def test_a_chat_completion(api: Api, cloud: ScriptedCloud) -> None:
    completion = api.client().chat.completions.create(**ASKED)
    message = completion.choices[0].message
    assert (message.content, message.role) == (ANSWER, "assistant")
    assert message.model_extra == {"reasoning": "because", "reasoning_content": "because"}
    assert completion.choices[0].finish_reason == "stop"
    usage = completion.usage
    assert usage
    assert usage.completion_tokens_details
    assert usage.completion_tokens_details.reasoning_tokens == 7
    assert (usage.prompt_tokens, usage.completion_tokens) == (4, 7 + len(ANSWER.encode()))
    extra = dict((completion.model_extra or {})["duet"])
    assert (extra.pop("stored"), extra.pop("notes")) == (None, [])
    receipt = Receipt.model_validate(extra)
    assert receipt.answer == ANSWER
    assert receipt.bytes.up > 0
    assert [request.question for request in cloud.requests] == ["why?"]


def test_a_streamed_chat_completion(api: Api) -> None:
    options: Any = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(api.client().chat.completions.create(**ASKED, **options))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    for name in ("reasoning", "reasoning_content"):
        assert "".join((d.model_extra or {}).get(name, "") for d in deltas) == "because"
    assert [delta.content for delta in deltas if delta.content] == list(ANSWER)
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-2].model_extra or {})["duet"]["answer"] == ANSWER
    assert chunks[-1].usage
    assert chunks[-1].usage.total_tokens == 4 + 7 + len(ANSWER.encode())
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_response(api: Api) -> None:
    response = api.client().responses.create(model="bytes", input="why?")
    assert response.output_text == ANSWER
    reasoning, message = response.output
    assert reasoning.type == "reasoning"
    assert reasoning.content
    assert reasoning.content[0].text == "because"
    assert (message.type, response.status) == ("message", "completed")
    assert response.usage
    assert response.usage.output_tokens_details.reasoning_tokens == 7
    assert (response.model_extra or {})["duet"]["source"] == "duet"


def test_a_streamed_response(api: Api) -> None:
    with api.client().responses.stream(model="bytes", input="why?") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    texts = {"response.reasoning_text.delta": "", "response.output_text.delta": ""}
    for event in events:
        if event.type in texts:
            texts[event.type] += event.delta  # type: ignore[union-attr]
    assert list(texts.values()) == ["because", ANSWER]
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert final.output_text == ANSWER


def test_earlier_turns_and_instructions_stay_on_the_device(
    api: Api, cloud: ScriptedCloud, decoder: ScriptedDecoder
) -> None:
    messages: Any = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "who?"}]},
        {"role": "assistant", "content": "Ann", "reasoning": "r", "reasoning_content": "r"},
        {"role": "user", "content": "why?"},
    ]
    completion = api.client().chat.completions.create(model="bytes", messages=messages)
    assert completion.choices[0].message.content == ANSWER
    assert [request.question for request in cloud.requests] == ["why?"]
    read = bytes(token for token in decoder.ids if token < 256).decode()
    for private in ("Be kind.", "who?", "Ann"):
        assert private in read
    items: Any = [*messages[1:], {"type": "reasoning", "summary": []}]
    items[1] = {"type": "message", "role": "assistant", "content": "Ann"}
    response = api.client().responses.create(model="bytes", input=items, instructions="Be kind.")
    assert response.output_text == ANSWER


@pytest.mark.parametrize("options", [{}, {"redact": True}, {"redact": False}])
def test_a_program_cannot_switch_off_the_redaction_of_the_server(
    options: dict[str, bool],
    service: Service,
    request_to: Callable[..., AskRequest],
    cloud: ScriptedCloud,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(identifiers, "load_finders", lambda _: [find_names])
    listener = _bind(0)
    with _http(listener, service, request_to("", redact=True), token(), []):
        api = Api(f"http://127.0.0.1:{listener.getsockname()[1]}", token())
        messages = [{"role": "user", "content": "Does Mr. Berg know?"}]
        body = {"model": "bytes", "messages": messages, "duet": options}
        assert api.post("/v1/chat/completions", body).status_code == 200
    assert [request.question for request in cloud.requests] == ["Does Mr. [NAME_1] know?"]


def test_a_pair_that_reads_the_question_alone_says_what_it_left_out(
    api: Api, installed: Path, cloud: ScriptedCloud
) -> None:
    manifest = installed.parent / "pairs" / "bytes" / "manifest.json"
    data = json.loads(manifest.read_text()) | {"schema": PRIVATE_SCHEMA, "quantities": "private"}
    manifest.write_text(json.dumps(data))
    messages = [{"role": "system", "content": "Be kind."}, *ASKED["messages"]]
    completion = api.client().chat.completions.create(model="bytes", messages=messages)
    (note,) = (completion.model_extra or {})["duet"]["notes"]
    assert "left out: instructions" in note


def test_settings_reach_device_and_cloud(api: Api, cloud: ScriptedCloud) -> None:
    completion = api.client().chat.completions.create(
        **ASKED,
        seed=7,
        temperature=0,
        top_p=0.9,
        max_tokens=3,
        stop=None,
        extra_body={"duet": {"budget": 9, "timeout": 20}},
    )
    (request,) = cloud.requests
    assert (request.seed, request.temperature, request.budget) == (7, 0.0, 9)
    assert completion.choices[0].finish_reason == "length"
    assert completion.choices[0].message.content == ANSWER[:2]
    alone = api.client().chat.completions.create(**ASKED, reasoning_effort="none")
    assert (alone.model_extra or {})["duet"]["source"] == "device"
    assert len(cloud.requests) == 1


def test_models(api: Api) -> None:
    assert [model.id for model in api.client().models.list()] == ["bytes"]
    assert api.client().models.retrieve("bytes").owned_by == "duet"
    with pytest.raises(openai.NotFoundError):
        api.client().models.retrieve("../bytes")


BAD: dict[str, tuple[dict[str, Any], str | None]] = {
    "n": ({"n": 2}, "n"),
    "tools": ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    "json": ({"response_format": {"type": "json_object"}}, "response_format"),
    "stop": ({"stop": "x"}, "stop"),
    "top_p": ({"temperature": 1, "top_p": 0.5}, "top_p"),
    "type": ({"seed": "x"}, "seed"),
    "top_p type": ({"top_p": "x"}, "top_p"),
    "effort": ({"reasoning_effort": 5}, "reasoning_effort"),
    "tool choice": ({"tool_choice": "required"}, "tool_choice"),
    "size": ({"temperature": 10**400}, "temperature"),
    "bool": ({"max_tokens": True}, "max_tokens"),
    "seed": ({"seed": -1}, "seed"),
    "messages": ({"messages": []}, "messages"),
    "role": ({"messages": [{"role": "tool", "content": "x"}]}, "messages"),
    "order": ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
    "image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "messages",
    ),
    "content": ({"messages": [{"role": "user", "content": 3}]}, "messages"),
    "empty": ({"messages": [{"role": "user", "content": ""}]}, None),
    "part": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": {}}]}]},
        "messages",
    ),
    "NUL": ({"messages": [{"role": "user", "content": "a\0b"}, *ASKED["messages"]]}, "messages"),
    "no answer": ({"max_tokens": 0}, "max_tokens"),
    "option": ({"extra_body": {"duet": {"bugdet": 9}}}, "duet.bugdet"),
    "budget": ({"extra_body": {"duet": {"budget": 999}}}, "duet.budget"),
    "option size": ({"extra_body": {"duet": {"timeout": 10**400}}}, "duet.timeout"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_gets_openais_error(case: str, api: Api, cloud: ScriptedCloud) -> None:
    changes, parameter = BAD[case]
    with pytest.raises(openai.BadRequestError) as caught:
        api.client().chat.completions.create(**{**ASKED, **changes})
    assert caught.value.type == "invalid_request_error"
    assert caught.value.param == parameter
    assert "\n" not in caught.value.message
    assert cloud.requests == []


@pytest.mark.parametrize(
    ("message", "options", "parameter"),
    [
        (r'{"role": "system", "content": "\ud800"}', "{}", "messages"),
        (r'{"role": "\ud800", "content": "a"}', "{}", "messages"),
        (r'{"role": "user", "content": "a"}', r'{"\ud800": 9}', r"duet.\ud800"),
    ],
)
def test_what_is_not_unicode_gets_openais_error(
    message: str, options: str, parameter: str, api: Api
) -> None:
    body = f'{{"model": "bytes", "duet": {options}, "messages": [{message}, {message}]}}'
    answered = api.post("/v1/chat/completions", content=body.encode())
    assert answered.status_code == 400
    assert answered.json()["error"]["param"] == parameter


def test_a_bad_response_request_gets_openais_error(api: Api) -> None:
    bad: list[tuple[Any, str]] = [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": [{"type": "function_call"}]}, "input"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input"),
    ]
    for changes, parameter in bad:
        with pytest.raises(openai.BadRequestError) as caught:
            api.client().responses.create(**{"model": "bytes", "input": "why?", **changes})
        assert caught.value.param == parameter


def test_a_message_that_was_not_answered_is_read(api: Api, decoder: ScriptedDecoder) -> None:
    messages: Any = [{"role": "user", "content": "I am Bo."}, *ASKED["messages"]]
    api.client().chat.completions.create(model="bytes", messages=messages)
    assert b"I am Bo." in bytes(token for token in decoder.ids if token < 256)


def test_an_unknown_model_is_404(api: Api) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        api.client().chat.completions.create(**{**ASKED, "model": "other"})
    assert caught.value.code == "model_not_found"


STATUSES = [
    (grpc.StatusCode.PERMISSION_DENIED, 403, "invalid_request_error"),
    (grpc.StatusCode.RESOURCE_EXHAUSTED, 429, "rate_limit_error"),
    (grpc.StatusCode.UNAVAILABLE, 503, "server_error"),
]


@pytest.mark.parametrize(("code", "status", "kind"), STATUSES)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_of_the_cloud_has_its_status(
    code: grpc.StatusCode,
    status: int,
    kind: str,
    stream: bool,
    api: Api,
    cloud: ScriptedCloud,
) -> None:
    cloud.script = lambda _, context: abort(context, code, "no")  # type: ignore[assignment, return-value]
    required = {"duet": {"require_cloud": True}}
    with pytest.raises(openai.APIStatusError) as caught:
        api.client().chat.completions.create(**ASKED, extra_body=required, stream=stream)
    assert (caught.value.status_code, caught.value.type) == (status, kind)


def test_an_error_within_a_stream_is_an_event(api: Api, decoder: ScriptedDecoder) -> None:
    follows = decoder.most_likely

    def fail() -> int:
        if decoder.ids[-1:] == list(b"p"):
            raise ModelProblem("llama.cpp cannot evaluate")
        return follows()

    decoder.most_likely = fail  # type: ignore[method-assign]
    with pytest.raises(openai.APIError, match=r"llama\.cpp cannot"):
        list(api.client().chat.completions.create(**ASKED, stream=True))
    events = list(api.client().responses.create(model="bytes", input="why?", stream=True))
    last = events[-1]
    assert last.type == "error"
    assert (last.code, last.sequence_number) == ("model", len(events) - 1)
    assert "llama.cpp cannot" in last.message


@pytest.fixture
def waiting(cloud: ScriptedCloud) -> ScriptedCloud:
    def script(_: object, context: grpc.ServicerContext):  # type: ignore[no-untyped-def]
        over = threading.Event()
        context.add_callback(over.set)
        yield tokens(*b"be")
        over.wait(60)

    cloud.script = script
    return cloud


def silent(_: object, context: grpc.ServicerContext):  # type: ignore[no-untyped-def]
    over = threading.Event()
    context.add_callback(over.set)
    over.wait(30)
    yield done(0)


def test_a_client_that_leaves_stops_the_question(
    api: Api, service: Service, waiting: ScriptedCloud, caplog: pytest.LogCaptureFixture
) -> None:
    with api.client().chat.completions.create(**ASKED, stream=True) as stream:
        next(iter(stream))
    assert waiting.ended.wait(60)
    # Also before anything of the answer is there, whatever was asked for.
    waiting.script = silent
    asked = [("/v1/chat/completions", ASKED), ("/v1/chat/completions", {**ASKED, "stream": True})]
    for path, body in [*asked, ("/duet/ask", {"question": "why?"})]:
        waiting.ended.clear()
        with pytest.raises(httpx.ReadTimeout):
            api.post(path, body, timeout=1)
        assert waiting.ended.wait(60)
    assert [each.message for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_answers_are_stored_where_the_user_wants_it(history: History, api: Api) -> None:
    api.client().chat.completions.create(**ASKED, store=False)
    assert history.ids() == []
    stored = api.client().chat.completions.create(**ASKED)
    assert history.ids() == [(stored.model_extra or {})["duet"]["stored"]]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 200_000])
def test_a_body_that_is_no_object_is_an_error(body: bytes, api: Api) -> None:
    with loopback.client() as client:
        response = client.post(
            f"{api.url}/v1/chat/completions",
            content=body,
            headers={"authorization": f"Bearer {api.key}"},
        )
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_json"


def test_a_body_without_end_is_refused(api: Api) -> None:
    def parts():  # type: ignore[no-untyped-def]
        for _ in range(16):
            yield b" " * (1 << 20)

    with loopback.client() as client:
        response = client.post(
            f"{api.url}/v1/chat/completions",
            content=parts(),
            headers={"authorization": f"Bearer {api.key}"},
        )
    assert response.status_code == 413


def test_the_page_gets_every_event(api: Api) -> None:
    lines = api.post("/duet/ask", {"question": "why?", "model": "bytes"}).text.splitlines()
    events = [json.loads(line) for line in lines]
    assert [next(iter(event)) for event in events] == [
        "sent",
        *["signal"] * 2,
        *["answer"] * len(ANSWER),
        "result",
        "stored",
    ]
    assert events[0]["sent"]["question"] == "why?"
    assert events[-2]["result"]["answer"] == ANSWER
