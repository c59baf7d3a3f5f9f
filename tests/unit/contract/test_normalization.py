import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract import normalization
from duet_contract.normalization import normalize
from duet_contract.prompts import encode_text
from tests.doubles import vocabularies
from tests.doubles.growth import assert_linear

FORMS = ["NFC", "NFKC"]
# Out of order; and of class 0, but made of such as are not.
MARKS = "\u0301\u0323\u0345\u0308\u0327\u3099\u0f71\u0f73\u0f75\u0f81\u0344\uff9e\u1161\u11a8"
texts = st.text(st.one_of(st.sampled_from(MARKS + "aeoω각가ﷺ "), st.characters()), max_size=60)


@pytest.mark.parametrize("form", FORMS)
@given(text=texts)
def test_it_is_what_unicode_says(form, text):
    expected = unicodedata.normalize(form, text)
    assert normalize(form, text) == expected
    long = text * (normalization._SHORT // max(1, len(text)) + 2)
    assert normalize(form, long) == unicodedata.normalize(form, long)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.slow
def test_each_character_among_marks_is_what_unicode_says(form):
    text = "".join(f"\u0301{chr(code)}\u0323" for code in range(0x300, sys.maxunicode + 1, 7))
    assert normalize(form, text) == unicodedata.normalize(form, text)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pattern", ["\u0301\u0323", "\u0f73", "\u0301\uff9e", "a", "각", "é"])
def test_time_is_linear_in_the_text(form, pattern):
    assert_linear(lambda text: normalize(form, text), pattern)


def test_a_question_of_combining_characters_alone_is_tokenised_in_linear_time(tmp_path):
    tokenizer, vocabulary = vocabularies.build("qwen", tmp_path)
    assert vocabulary.normalization == "NFC"
    assert_linear(lambda text: encode_text(tokenizer, vocabulary, text), "\u0301\u0323")
