"""Read the requests of OpenAI's API: a question with options, or an error that names the field.

The newest message of the user is the question. The decoder reads instructions as private context, and
earlier turns as turns; neither leaves the device. What would change the answer and is not
supported is refused; what would not is ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from duet_contract.errors import PromptError
from duet_contract.prompts import check_characters
from duet_device.ask_request import AskRequest
from duet_device.serve.api_errors import ApiError
from duet_device.setting_types import QuestionSettings
from duet_device.turns import Past

_ROLES = ("system", "developer", "user", "assistant")
_MOST_BITS = 63
_TEXT_PARTS = ("text", "input_text", "output_text")
# Values that ask for nothing; anything else is refused.
_UNSUPPORTED: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "stop": ("", []),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "modalities": (["text"],),
    "audio": (),
    "response_format": ({"type": "text"},),
    "text": ({"format": {"type": "text"}}, {}),
    "previous_response_id": ("",),
    "conversation": ("",),
    "prompt": (),
    "background": (False,),
}
_DUET_OPTIONS = {
    "budget": int,
    "chunk_tokens": int,
    "route": str,
    "force": bool,
    "stop": str,
    "rounds": int,
    "device_only": bool,
    "require_cloud": bool,
    "timeout": (int, float),
    "redact": bool,
    "redact_numbers": bool,
    "reuse": bool,
}


@dataclass(frozen=True)
class ApiRequest:
    """A request of the API."""

    ask: AskRequest
    """What is answered."""
    model: str
    """The model as the caller named it."""
    stream: bool
    """Whether the response is a stream of events."""
    include_usage: bool
    """Whether a stream of chat completions ends with its usage."""


def read_request(
    body: Mapping[str, Any], turns: list[dict[str, Any]], base: AskRequest
) -> ApiRequest:
    """Return the request of a body.

    Args:
        body: of the request.
        turns: its messages, in order.
        base: pair, server and options that the server was started with.

    Raises:
        ApiError: a field is malformed, or asks for what is not supported.
    """
    _refuse_unsupported(body)
    question, instructions, earlier = _question(turns, "input" if "input" in body else "messages")
    settings: QuestionSettings = {**base.settings}
    for name in ("max_output_tokens", "max_tokens", "max_completion_tokens"):
        if (most := _of(body, name, int)) is not None:
            if most < 1:
                raise ApiError(f"{name} is {most}: give 1 or more", parameter=name)
            settings["answer_tokens"] = most
    if (temperature := _of(body, "temperature", (int, float))) is not None:
        settings["temperature"] = float(temperature)
    if (seed := _of(body, "seed", int)) is not None:
        settings["seed"] = seed
    effort = _of(body, "reasoning_effort", str) or (_of(body, "reasoning", dict) or {}).get(
        "effort"
    )
    if effort == "none":
        settings["device_only"] = True
    ask = base._replace(
        question=question, context=instructions, context_optional=True, earlier=earlier
    )
    ask = _with_options(ask, settings, _of(body, "duet", dict) or {})
    if _of(body, "store", bool) is False:
        ask = ask._replace(store=False)
    options = _of(body, "stream_options", dict) or {}
    return ApiRequest(
        ask=ask,
        model=_of(body, "model", str) or "",
        stream=bool(_of(body, "stream", bool)),
        include_usage=bool(options.get("include_usage")),
    )


def chat_turns(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of a chat completion.

    Raises:
        ApiError: the list is empty, or it holds other things than objects.
    """
    return _turns(body.get("messages"), "messages")


def response_turns(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of a response; reasoning items of earlier ones are left out.

    Raises:
        ApiError: the list is empty, or it holds other things than messages.
    """
    given = body.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    turns = [turn for turn in _turns(given, "input") if turn.get("type") != "reasoning"]
    for turn in turns:
        if (kind := turn.get("type") or "message") != "message":
            raise ApiError(f"input of type {kind!r} is not supported", parameter="input")
    if instructions := _of(body, "instructions", str):
        turns.insert(0, {"role": "system", "content": instructions})
    return turns


def _turns(given: object, name: str) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not given or not all(isinstance(t, dict) for t in given):
        raise ApiError(f"{name} must be a list of messages, at least one", parameter=name)
    return given


_Texts = tuple[tuple[str, str], ...]


def _question(turns: list[dict[str, Any]], name: str) -> tuple[str, _Texts, tuple[Past, ...]]:
    """Return the question, the document of the instructions, and the earlier turns.

    Args:
        turns: the messages.
        name: of the field that holds them.
    """
    texts: list[tuple[str, str]] = []
    for turn in turns:
        role = turn.get("role")
        if role not in _ROLES:
            raise ApiError(
                f"a message's role is {role!r}: one of {', '.join(_ROLES)} is supported",
                parameter=name,
            )
        texts.append((role, _text(turn.get("content"), name)))
    if not texts or texts[-1][0] != "user":
        raise ApiError("the last message must be the user's", parameter=name)
    instructions = "\n".join(text for role, text in texts if role in ("system", "developer"))
    earlier: list[Past] = []
    asked = ""
    for role, text in texts[:-1]:
        if role == "user":
            asked = f"{asked}\n{text}".strip()
        elif role == "assistant" and asked:
            earlier.append(Past(asked, text))
            asked = ""
    if asked:
        # No one answered it; the decoder reads it all the same.
        earlier.append(Past(asked, ""))
    document = (("instructions", instructions),) if instructions.strip() else ()
    return texts[-1][1], document, tuple(earlier)


def _text(content: object, name: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return _checked(content, name)
    if not isinstance(content, list):
        raise ApiError("a message's content must be text", parameter=name)
    parts = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") not in _TEXT_PARTS:
            raise ApiError("content of messages other than text is not supported", parameter=name)
        text = part.get("text")
        if not isinstance(text, str | None):
            raise ApiError("the text of a message's content must be a string", parameter=name)
        parts.append(_checked(text or "", name))
    return "".join(parts)


def _checked(text: str, name: str) -> str:
    """Return text that the decoder can read."""
    try:
        return check_characters(text, "message's content")
    except PromptError as error:
        raise ApiError(str(error), parameter=name) from None


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    for name, harmless in _UNSUPPORTED.items():
        value = body.get(name)
        if value is not None and value not in harmless and not _is_text_format(name, value):
            raise ApiError(f"{name} is not supported", code="unsupported_parameter", parameter=name)
    # Greedy answers do not depend on it.
    if _of(body, "top_p", (int, float)) not in (None, 1) and body.get("temperature"):
        raise ApiError(
            "top_p is not supported with a temperature above 0",
            code="unsupported_parameter",
            parameter="top_p",
        )


def _is_text_format(name: str, value: object) -> bool:
    """Return whether `text` of a response asks for plain text; clients add a verbosity."""
    if name != "text" or not isinstance(value, dict):
        return False
    return (value.get("format") or {"type": "text"}) == {"type": "text"}


def _with_options(
    ask: AskRequest, settings: QuestionSettings, options: Mapping[str, Any]
) -> AskRequest:
    """Take over the options of DUET's own."""
    for name, value in options.items():
        kind = _DUET_OPTIONS.get(name)
        if kind is None:
            known = ", ".join(_DUET_OPTIONS)
            raise ApiError(f"duet.{name} is unknown: there are {known}", parameter=f"duet.{name}")
        if not _is(value, kind):
            raise ApiError(
                f"duet.{name} is of the wrong type, or too large", parameter=f"duet.{name}"
            )
    own = {name: options[name] for name in ("redact", "redact_numbers", "reuse") if name in options}
    changes: Any = {name: value for name, value in options.items() if name not in own}
    # A program does not switch off what the server was started with.
    own = {name: value or getattr(ask, name) for name, value in own.items()}
    return ask._replace(settings={**settings, **changes}, **own)


def _of(body: Mapping[str, Any], name: str, kind: Any) -> Any:
    """Return a field, None if it is absent."""
    value = body.get(name)
    if value is not None and not _is(value, kind):
        raise ApiError(
            f"{name} is of the wrong type, or too large", code="invalid_type", parameter=name
        )
    return value


def _is(value: object, kind: Any) -> bool:
    # In Python, true is a number, and a number has any size.
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return False
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
