"""Prompt formats derived from chat templates that write as those of known families do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from duet_cloud.errors import PairBuildError
from duet_cloud.pairs.formats import ChatTemplate, derive
from duet_contract.manifest import SlotPart
from tests.doubles.chat_templates import FAMILIES

INSTRUCTION = " Let's think step by step."
ALL = sorted(FAMILIES)


def _template(name, **changes):
    family = FAMILIES[name]
    names = {"bos_token": family.begin} if family.begin else {}
    reserved = (*family.special, *family.added)
    return ChatTemplate(
        name, **{"text": family.template, "names": names, "reserved": reserved, **changes}
    )


DERIVED = {name: derive(_template(name), INSTRUCTION) for name in ALL}


def _text(prompt, **slots):
    return "".join(
        slots.get(part.slot, f"{{{part.slot}}}") if isinstance(part, SlotPart) else part.template
        for part in prompt
    )


def _applied(name, question, *, thinking):
    """What the template itself makes of a question."""
    family = FAMILIES[name]
    rendered, _ = render_jinja_template(
        conversations=[[{"role": "user", "content": question + INSTRUCTION}]],
        chat_template=family.template,
        add_generation_prompt=True,
        enable_thinking=thinking,
        bos_token=family.begin,
        date_string="26 Jul 2024",
    )
    return rendered[0]


USER = "<|im_start|>user\n{question} Let's think step by step.<|im_end|>\n<|im_start|>assistant\n"
HEADER = "<|start_header_id|>{}<|end_header_id|>\n\n"
PLAIN = {
    "qwen3": USER + "<think>\n\n</think>\n\n",
    "llama3": "<|begin_of_text|>" + HEADER.format("system") + "Cutting Knowledge Date: December "
    "2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>" + HEADER.format("user") + "{question} Let's "
    "think step by step.<|eot_id|>" + HEADER.format("assistant"),
    "smollm2": "<|im_start|>system\nYou are a helpful AI assistant named SmolLM<|im_end|>\n" + USER,
    "gemma": "<bos><start_of_turn>user\n{question} Let's think step by step.<end_of_turn>\n"
    "<start_of_turn>model\n",
    "r1": "<|begin_of_sentence|><|User|>{question} Let's think step by step.<|Assistant|><think>\n"
    "\n</think>\n\n",
    "channels": "<|start|>user<|message|>{question} Let's think step by step.<|end|><|start|>"
    "assistant<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|>",
}


@pytest.mark.parametrize("name", ALL)
def test_a_prompt_that_answers_at_once(name):
    assert _text(DERIVED[name].plain) == PLAIN[name]


@pytest.mark.parametrize(
    ("name", "opened", "after", "end"),
    [
        ("qwen3", USER + "<think>\n", "\n</think>\n\n", "</think>"),
        ("r1", PLAIN["r1"].removesuffix("\n</think>\n\n"), "\n</think>\n\n", "</think>"),
        (
            "channels",
            PLAIN["channels"].partition("<|message|><|end|>")[0] + "<|message|>",
            "<|end|><|start|>assistant<|channel|>final<|message|>",
            "<|end|>",
        ),
    ],
)
def test_a_prompt_that_thinks(name, opened, after, end):
    derived = DERIVED[name]
    assert derived.thinking is not None
    assert _text(derived.thinking) == opened
    assert derived.after_thinking == after
    assert derived.end_of_thinking == end
    assert _text(derived.with_signal("unused")) == opened + "{signal}" + after


@pytest.mark.parametrize("name", ["llama3", "smollm2", "gemma"])
def test_plain_models_read_the_signal_as_the_start_of_their_turn(name):
    derived = DERIVED[name]
    assert derived.thinking is None
    assert derived.end_of_thinking is None
    assert _text(derived.with_signal("\n\nAnswer:")) == PLAIN[name] + "{signal}\n\nAnswer:"


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("qwen3", "<|im_end|>"),
        ("llama3", "<|eot_id|>"),
        ("gemma", "<end_of_turn>"),
        ("r1", "<|end_of_sentence|>"),
        ("channels", "<|return|>"),
    ],
)
def test_the_token_that_ends_a_turn(name, end):
    """Gemma's `eos_token` is another one, which it does not write after an answer."""
    assert DERIVED[name].end_of_turn == end


@pytest.mark.parametrize("name", ALL)
@given(question=st.text().map(str.strip).filter(bool))
def test_the_formats_are_the_chat_templates_own(name, question):
    """Any question: the template's text as a whole, where it leaves the message as it is."""
    derived = DERIVED[name]
    applied = _applied(name, question, thinking=False)
    assert _text(derived.plain, question=question).startswith(applied)
    if derived.thinking:
        applied = _applied(name, question, thinking=True)
        assert _text(derived.thinking, question=question).startswith(applied)
    else:
        assert _text(derived.plain, question=question) == applied


def test_no_token_for_the_end_of_thoughts():
    """A block that the vocabulary cannot end in one token would never be seen to end."""
    derived = derive(_template("qwen3", reserved=("<|im_start|>", "<|im_end|>")), "")
    assert derived.thinking is None
    assert _text(derived.plain).endswith("<think>\n\n</think>\n\n")


def test_a_date_is_the_same_on_every_day():
    template = _template("llama3")
    assert template.writes_the_date
    assert not _template("gemma").writes_the_date
    assert "Today Date: 26 Jul 2024" in _text(DERIVED["llama3"].plain)


@pytest.mark.parametrize("text", ["nothing", "{{ messages[0].content * 2 }}"])
def test_templates_without_the_message_once(text):
    with pytest.raises(PairBuildError, match=r"template of qwen3 does not hold .* exactly once"):
        derive(_template("qwen3", text=text), "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ raise_exception('give a system message') }}", "give a system message"),
        ("{% for m in %}", "Expected an expression"),
        ("{{ functions.x }}", "'functions' is undefined"),
        ("{{ messages[7].content }}", "'list object' has no attribute 7|has no element 7"),
        ("{% for t in tools %}{% endfor %}", "'NoneType' object is not iterable"),
    ],
)
def test_templates_that_cannot_be_rendered(text, reason):
    with pytest.raises(PairBuildError, match=f"template of qwen3 cannot be rendered: .*({reason})"):
        derive(_template("qwen3", text=text), "")
