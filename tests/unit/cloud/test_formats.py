"""Prompt formats derived from chat templates, written here in the style of known families."""

import pytest

from duet_cloud.errors import PairBuildError
from duet_cloud.pairs.formats import decoder_formats, end_of_reasoning, reasoner_format
from duet_contract.manifest import SlotPart

PLAIN = (
    "{% for m in messages %}{{ '[' + m.role + ']' + m.content + '[/]' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
)
# As Qwen3: the think block is the model's to open, unless thinking is switched off.
SWITCHED = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
# As models that always think: the template opens the block itself.
ALWAYS = (
    "{% for m in messages %}{{ '<u>' + m.content.split('</think>')[-1] }}{% endfor %}"
    "{{ '<a><think>\n' }}"
)


def _text(prompt):
    return "".join(
        "{" + part.slot + "}" if isinstance(part, SlotPart) else part.template for part in prompt
    )


def test_plain_instruct():
    assert _text(reasoner_format(PLAIN, " Think.")) == "[user]{question} Think.[/][assistant]"
    formats = decoder_formats(PLAIN, " Think.", "\n\nAnswer:")
    assert _text(formats.alone) == "[user]{question} Think.[/][assistant]"
    assert _text(formats.with_signal) == (
        "[user]{question} Think.[/][assistant]{signal}\n\nAnswer:"
    )
    assert end_of_reasoning(PLAIN, "[/]") == "[/]"


def test_thinking_opens_for_the_reasoner_and_closes_for_the_decoder():
    user = "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    assert _text(reasoner_format(SWITCHED, "")) == user + "<think>\n"
    formats = decoder_formats(SWITCHED, "", "unused")
    assert _text(formats.alone) == user + "<think>\n\n</think>\n\n"
    assert _text(formats.with_signal) == user + "<think>\n{signal}\n</think>\n\n"
    assert end_of_reasoning(SWITCHED, "<|im_end|>") == "</think>"


def test_a_template_that_opens_the_block_itself():
    assert _text(reasoner_format(ALWAYS, "")) == "<u>{question}<a><think>\n"


@pytest.mark.parametrize("template", ["nothing", "{{ messages[0].content * 2 }}"])
def test_templates_without_the_message_once(template):
    with pytest.raises(PairBuildError, match="exactly once"):
        reasoner_format(template, "")
