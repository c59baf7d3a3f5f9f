"""Turns a model's own chat template into the prompt formats of a manifest.

The template is rendered once with marks in place of question and signal and cut at the marks, so
neither cloud nor device ever runs a template on user text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from duet_cloud.errors import PairBuildError
from duet_contract.manifest import PromptFormat, SlotPart, TemplatePart

# Private-use characters: no chat template has them, none strips them.
QUESTION_MARK = "\ue000question\ue000"

THINK_OPEN, THINK_CLOSE = "<think>\n", "</think>"
EMPTY_THINKING = "<think>\n\n</think>\n\n"


@dataclass(frozen=True)
class DecoderFormats:
    """A decoder's two prompts."""

    with_signal: PromptFormat
    alone: PromptFormat


def render(chat_template: str, user: str, *, thinking: bool, **names: str) -> str:
    """Render a chat template for one user message, up to where the model's turn begins.

    `thinking` is passed as `enable_thinking`, which templates without thinking ignore.
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    rendered, _ = render_jinja_template(
        conversations=[[{"role": "user", "content": user}]],
        chat_template=chat_template,
        add_generation_prompt=True,
        enable_thinking=thinking,
        **names,
    )
    return str(rendered[0])


def is_thinking(chat_template: str) -> bool:
    """Return whether a chat template knows a think block."""
    return THINK_CLOSE in chat_template


def reasoner_format(chat_template: str, instruction: str) -> PromptFormat:
    """Return the reasoner's prompt.

    A thinking model's think block is opened in it, so that the signal is only the block's content
    (paper: the text between the think tags).
    """
    prompt = render(chat_template, QUESTION_MARK + instruction, thinking=True)
    if is_thinking(chat_template):
        prompt = prompt.removesuffix(EMPTY_THINKING)
        if not prompt.endswith(THINK_OPEN):
            prompt = prompt.removesuffix(THINK_OPEN.strip()) + THINK_OPEN
    return _cut_at_question(prompt)


def end_of_reasoning(chat_template: str, end_token: str) -> str:
    """Return the control token at which the signal ends."""
    return THINK_CLOSE if is_thinking(chat_template) else end_token


def decoder_formats(chat_template: str, instruction: str, after_signal: str) -> DecoderFormats:
    """Return the decoder's prompts.

    Thinking models read the signal in a closed think block, plain instruct models as the start of
    their own turn, followed by `after_signal`.
    """
    alone = render(chat_template, QUESTION_MARK + instruction, thinking=False)
    if is_thinking(chat_template):
        opened = alone.removesuffix(EMPTY_THINKING) + THINK_OPEN
        after = f"\n{THINK_CLOSE}\n\n"
    else:
        opened, after = alone, after_signal
    with_signal = (
        *_cut_at_question(opened),
        SlotPart(slot="signal"),
        TemplatePart(template=after),
    )
    return DecoderFormats(with_signal=with_signal, alone=_cut_at_question(alone))


def _cut_at_question(prompt: str) -> PromptFormat:
    halves: Sequence[str] = prompt.split(QUESTION_MARK)
    if len(halves) != 2:
        raise PairBuildError("the chat template does not hold the user's message exactly once")
    before, after = halves
    parts: list[TemplatePart | SlotPart] = [SlotPart(slot="question")]
    if before:
        parts.insert(0, TemplatePart(template=before))
    if after:
        parts.append(TemplatePart(template=after))
    return tuple(parts)
