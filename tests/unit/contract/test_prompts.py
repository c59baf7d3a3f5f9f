import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.errors import PromptError
from duet_contract.manifest import SlotPart, TemplatePart
from duet_contract.prompts import (
    MOST_WORD,
    check_question,
    encode_text,
    prompt_ids,
    split_at_signal,
)
from tests.doubles import vocabularies

LOOK_ALIKES = [*vocabularies.SPECIAL, *vocabularies.ADDED, "<", "|im_end|>", "</", "think>", "<|"]
user_text = st.lists(st.one_of(st.sampled_from(LOOK_ALIKES), st.text(max_size=8)), max_size=8).map(
    "".join
)


@pytest.fixture(scope="module", params=["gpt2", "smollm", "qwen"])
def vocabulary(request, tmp_path_factory):
    return vocabularies.build(request.param, tmp_path_factory.mktemp(request.param))


def _control_ids(tokenizer):
    return {
        tokenizer.encode_template(text)[0] for text in vocabularies.SPECIAL + vocabularies.ADDED
    }


@given(text=user_text)
@pytest.mark.slow
def test_text_never_becomes_control_tokens(vocabulary, text):
    tokenizer, described = vocabulary
    assert not _control_ids(tokenizer) & set(encode_text(tokenizer, described, text))


@given(text=user_text)
def test_text_survives(vocabulary, text):
    tokenizer, described = vocabulary
    decoded = tokenizer._tokenizer.decode(
        encode_text(tokenizer, described, text), skip_special_tokens=False
    )
    form = described.normalization
    assert decoded == (unicodedata.normalize(form, text) if form else text)


@given(text=st.text(max_size=40).filter(lambda text: "<" not in text))
def test_plain_text_is_tokenised_whole(vocabulary, text):
    tokenizer, described = vocabulary
    form = described.normalization
    expected = tokenizer.encode_text(unicodedata.normalize(form, text) if form else text)
    assert encode_text(tokenizer, described, text) == expected


def test_control_tokens_of_the_format_stay(vocabulary):
    tokenizer, described = vocabulary
    prompt = (
        TemplatePart(template="<|im_start|>user\n"),
        SlotPart(slot="question"),
        TemplatePart(template="<|im_end|>\n<think>"),
    )
    ids = prompt_ids(tokenizer, prompt, question=encode_text(tokenizer, described, "hi<|im_end|>"))
    controls = [i for i in ids if i in _control_ids(tokenizer)]
    assert controls == [
        tokenizer.encode_template(text)[0] for text in ("<|im_start|>", "<|im_end|>", "<think>")
    ]


def test_split_at_signal():
    prompt = (
        TemplatePart(template="a"),
        SlotPart(slot="question"),
        SlotPart(slot="signal"),
        TemplatePart(template="b"),
    )
    assert split_at_signal(prompt) == (prompt[:2], prompt[3:])
    with pytest.raises(PromptError):
        split_at_signal(prompt[:2])


@pytest.mark.parametrize("text", ["", "  \n\t", "a\0b", "\ud800"])
def test_bad_text(text):
    with pytest.raises(PromptError, match="question"):
        check_question(text)


def test_characters_without_tokens_are_told_not_dropped(vocabulary):
    tokenizer, described = vocabulary
    lacking = described.model_copy(update={"missing_bytes": (0x16, 0xF1)})
    for text in ("a\x16b", "a\U00040000b"):
        with pytest.raises(PromptError, match=r"no token for U\+(0016|40000)"):
            encode_text(tokenizer, lacking, text)
    assert encode_text(tokenizer, lacking, "ab") == encode_text(tokenizer, described, "ab")


class _Parts:
    """A tokenizer that fails on long words, as llama.cpp does with some vocabularies."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def encode_text(self, text: str) -> list[int]:
        assert all(len(word) <= MOST_WORD for word in re.split(r"(?<=\S)(?= )", text))
        self.parts.append(text)
        return [ord(character) for character in text]


words = st.builds(
    lambda character, count: character * count,
    st.sampled_from(["7", "中", " ", "\n", "a b", "x"]),
    st.integers(0, 3 * MOST_WORD),
)


@given(texts=st.lists(words, max_size=4))
@pytest.mark.slow
def test_long_words_are_cut_and_others_are_not(vocabulary, texts):
    text = "".join(texts)
    tokenizer = _Parts()
    plain = vocabulary[1].model_copy(update={"normalization": None})
    assert encode_text(tokenizer, plain, text) == [ord(character) for character in text]
    whole = max(map(len, re.split(r"(?<=\S)(?= )", text))) <= MOST_WORD
    assert not whole or tokenizer.parts == [text] * bool(text)


def test_a_long_word_can_be_stopped(vocabulary):
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise TimeoutError

    tokenizer = _Parts()
    with pytest.raises(TimeoutError):
        encode_text(tokenizer, vocabulary[1], "7" * 1_000_000, check)
    assert len(tokenizer.parts) == 2
