"""Turns a model's own chat template into the prompt formats of a manifest.

The template is rendered with marks in place of question, reasoning and answer, and cut at the
marks, so neither cloud nor device ever runs a template on user text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from duet_cloud.errors import PairBuildError
from duet_contract.errors import first_line
from duet_contract.manifest import PromptFormat, SlotPart, TemplatePart

# Private-use characters: no chat template has them, none strips them.
_QUESTION = "\ue000question\ue000"
_REASONING = "\ue000reasoning\ue000"
_ANSWER = "\ue000answer\ue000"

# How templates that do not say it otherwise write a think block.
_OPEN, _CLOSE = "<think>", "</think>"
_CLOSING = f"\n{_CLOSE}\n\n"
# Names under which templates read the reasoning of an earlier turn.
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")

# Templates that write today's date get this one, so that a build is the same on every day. It is
# the date that Llama 3's template writes where it knows none.
TODAY = date(2024, 7, 26)


@dataclass(frozen=True)
class ChatTemplate:
    """A model's chat template."""

    model: str
    """Name of the model in errors."""
    text: str
    """The template in Jinja."""
    reserved: tuple[str, ...]
    """Control tokens of the model's vocabulary."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Values that the template reads, such as `bos_token`."""

    @property
    def writes_the_date(self) -> bool:
        """Whether the template writes today's date into the prompt."""
        return "strftime_now" in self.text

    def render(self, *turns: dict[str, str], thinking: bool) -> str:
        """Render a conversation; after a user's turn, up to where the model's turn begins.

        Raises:
            PairBuildError: the template refuses the conversation, or is malformed.
        """
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        given: dict[str, Any] = {"enable_thinking": thinking, "thinking": thinking, **self.names}
        try:
            rendered, _ = render_jinja_template(
                conversations=[list(turns)],
                chat_template=self.text,
                add_generation_prompt=turns[-1]["role"] == "user",
                strftime_now=TODAY.strftime,
                **given,
            )
        except (TemplateError, TypeError, ValueError, LookupError, RecursionError) as error:
            raise PairBuildError(
                f"the chat template of {self.model} cannot be rendered: {first_line(error)}"
            ) from error
        return str(rendered[0])


@dataclass(frozen=True)
class Formats:
    """What a chat template says about a model's prompts."""

    plain: PromptFormat
    """Prompt of a turn that answers at once."""
    thinking: PromptFormat | None
    """Prompt of a turn that thinks, up to the thoughts; None for a model that does not."""
    after_thinking: str
    """Text between the thoughts and the answer; empty for a model that does not think."""
    end_of_thinking: str | None
    """Control token that ends the thoughts; None for a model that does not think."""
    end_of_turn: str | None
    """Control token that ends the model's turn; None if the template shows none."""

    def with_signal(self, after_signal: str) -> PromptFormat:
        """Return a decoder's prompt with a signal.

        Thinking models read the signal as their own thoughts, plain instruct models as the start of
        their turn, followed by `after_signal`.
        """
        before, after = self.plain, after_signal
        if self.thinking is not None:
            before, after = self.thinking, self.after_thinking
        return (*before, SlotPart(slot="signal"), TemplatePart(template=after))


def derive(template: ChatTemplate, instruction: str) -> Formats:
    """Derive a model's formats for questions that are followed by `instruction`.

    Raises:
        PairBuildError: they cannot be derived.
    """
    question = {"role": "user", "content": _QUESTION + instruction}
    plain = template.render(question, thinking=False)
    end_of_turn = _end_of_turn(template, question)
    block = _think_block(template, question)
    if block is None:
        return Formats(_cut(template, plain), None, "", None, end_of_turn)
    opened, closing, close = block
    # Where the template has no switch for thinking, an empty block is what switches it off.
    if plain == template.render(question, thinking=True):
        plain = opened + closing
    return Formats(
        plain=_cut(template, plain),
        thinking=_cut(template, opened),
        after_thinking=closing,
        end_of_thinking=close,
        end_of_turn=end_of_turn,
    )


def _think_block(template: ChatTemplate, question: dict[str, str]) -> tuple[str, str, str] | None:
    """Return the prompt up to the thoughts, the text that follows them, and the token in it.

    None: the model does not think, or its vocabulary has no token that ends its thoughts.
    """
    prompt = template.render(question, thinking=True)
    for name in _REASONING_FIELDS:
        if name not in template.text:
            continue
        turn = {"role": "assistant", "content": _ANSWER, name: _REASONING}
        before, found, after = template.render(question, turn, thinking=True).partition(_REASONING)
        closing, answered, _ = after.partition(_ANSWER)
        close = _first_token(template, closing)
        if found and answered and close and _REASONING not in after:
            if before.startswith(prompt):
                return before, closing, close
            if prompt.startswith(before):
                return prompt, closing, close
    if _CLOSE in template.text and _CLOSE in template.reserved:
        opened = prompt if prompt.rstrip().endswith(_OPEN) else f"{prompt}{_OPEN}\n"
        return opened, _CLOSING, _CLOSE
    return None


def _end_of_turn(template: ChatTemplate, question: dict[str, str]) -> str | None:
    """Return the control token that follows an answer in the template, if one does."""
    try:
        turn = {"role": "assistant", "content": _ANSWER}
        rendered = template.render(question, turn, thinking=False)
    except PairBuildError:
        return None
    _, _, after = rendered.rpartition(_ANSWER)
    end = _first_token(template, after)
    return end if end and after.lstrip().startswith(end) else None


def _first_token(template: ChatTemplate, text: str) -> str | None:
    """Return the control token that comes first in a text; of two at one place, the longer."""
    found = [
        (text.index(token), -len(token), token) for token in template.reserved if token in text
    ]
    return min(found)[2] if found else None


def _cut(template: ChatTemplate, prompt: str) -> PromptFormat:
    before, *after = prompt.split(_QUESTION)
    if len(after) != 1:
        raise PairBuildError(
            f"the chat template of {template.model} does not hold the user's message exactly once"
        )
    parts = (
        TemplatePart(template=before),
        SlotPart(slot="question"),
        TemplatePart(template=after[0]),
    )
    return tuple(part for part in parts if isinstance(part, SlotPart) or part.template)
