from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.encodings import (
    TextSignalReader,
    TokenSignalReader,
    encode_signal_text,
    negotiate,
    signal_reader,
)
from duet_contract.errors import EncodingError
from duet_contract.manifest import Vocabulary
from duet_contract.v1.inference_pb2 import (
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    SIGNAL_ENCODING_UNSPECIFIED,
    SignalChunk,
    TokenIds,
)
from tests.doubles import vocabularies
from tests.doubles.growth import cpu_seconds

WORDS = [
    " ",
    "\n",
    "\n\n",
    "the",
    "answer",
    "is 42.",
    "(a",
    "é",
    "e\u0301",
    "数",
    "<think>",
    "  ",
    ".",
]
signals = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=6)), max_size=20).map("".join)


@pytest.fixture(scope="module", params=["gpt2", "smollm", "qwen"])
def vocabulary(request, tmp_path_factory):
    return vocabularies.build(request.param, tmp_path_factory.mktemp(request.param))


@given(text=signals, cuts=st.lists(st.integers(0, 200), max_size=12))
def test_any_split_of_text_reads_as_the_whole(vocabulary, text, cuts):
    tokenizer, described = vocabulary
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    reader = TextSignalReader(tokenizer, described)
    ids = []
    for start, end in pairwise(places):
        ids += reader.feed(SignalChunk(text=text[start:end]))
    assert ids + reader.finish() == encode_signal_text(tokenizer, described, text)


@given(text=st.text(alphabet=st.sampled_from(list("ab 1.,\n'é数(")), max_size=60))
def test_reading_word_by_word_is_what_the_tokenizer_gives(vocabulary, text):
    """Training may tokenize a whole signal at once, and gets what the device gets."""
    tokenizer, described = vocabulary
    assert encode_signal_text(tokenizer, described, text) == tokenizer.encode_text(text)


@given(text=signals)
def test_text_is_held_back_no_longer_than_a_word(vocabulary, text):
    tokenizer, described = vocabulary
    reader = TextSignalReader(tokenizer, described)
    reader.feed_text(text + " word next")
    assert "".join(reader._held) == " next"


@given(ids=st.lists(st.integers(0, 299), max_size=40), cut=st.integers(0, 40))
def test_token_ids_pass_through(vocabulary, ids, cut):
    reader = TokenSignalReader(vocabulary[1])
    read = [
        token
        for part in (ids[:cut], ids[cut:])
        for token in reader.feed(SignalChunk(tokens=TokenIds(ids=part)))
    ]
    assert read + reader.finish() == ids


def test_ids_outside_the_vocabulary(vocabulary):
    described = vocabulary[1]
    with pytest.raises(EncodingError, match=f"token id {described.size}"):
        TokenSignalReader(described).feed(SignalChunk(tokens=TokenIds(ids=[1, described.size])))


def test_a_chunk_of_the_other_encoding(vocabulary):
    tokenizer, described = vocabulary
    with pytest.raises(EncodingError):
        signal_reader(SIGNAL_ENCODING_TOKEN_IDS, tokenizer, described).feed(SignalChunk(text="x"))
    with pytest.raises(EncodingError):
        signal_reader(SIGNAL_ENCODING_TEXT, tokenizer, described).feed(
            SignalChunk(tokens=TokenIds(ids=[1]))
        )


def test_negotiation(vocabulary):
    described = vocabulary[1]
    same, other = bytes.fromhex(described.sha256), b"\0" * 32
    both = [SIGNAL_ENCODING_TOKEN_IDS, SIGNAL_ENCODING_TEXT]
    assert negotiate(both, same, described) == SIGNAL_ENCODING_TOKEN_IDS
    assert negotiate(both, other, described) == SIGNAL_ENCODING_TEXT
    assert negotiate(both[::-1], same, described) == SIGNAL_ENCODING_TEXT
    assert negotiate([], b"", described) == SIGNAL_ENCODING_TEXT
    assert negotiate([99, SIGNAL_ENCODING_TEXT], b"", described) == SIGNAL_ENCODING_TEXT
    with pytest.raises(EncodingError):
        negotiate([SIGNAL_ENCODING_TOKEN_IDS], other, described)
    with pytest.raises(EncodingError):
        negotiate([SIGNAL_ENCODING_UNSPECIFIED], same, described)


class CountedTokenizer:
    """Bytes are tokens; counts the bytes that it is asked to encode."""

    def __init__(self) -> None:
        self.encoded = 0

    def encode_template(self, text: str) -> list[int]:
        return self.encode_text(text)

    def encode_text(self, text: str) -> list[int]:
        self.encoded += len(text)
        return list(text.encode())


@pytest.mark.parametrize("text", ["x" * 120_000, "ab " * 40_000, " " * 120_000, "a  b" * 30_000])
@pytest.mark.parametrize("size", [1, 4000, 1_000_000])
def test_reading_is_linear_in_the_text(text, size):
    """A quadratic reader takes minutes here, and copies the text thousands of times."""
    tokenizer = CountedTokenizer()
    reader = TextSignalReader(tokenizer, Vocabulary(size=256, sha256="0" * 64, reserved=()))
    ids = []

    def read():
        for start in range(0, len(text), size):
            ids.extend(reader.feed_text(text[start : start + size]))
        ids.extend(reader.finish())

    assert cpu_seconds(read) < 20
    assert bytes(ids).decode() == text
    assert tokenizer.encoded == len(text)


def test_a_check_ends_the_reading_of_a_long_text():
    def check():
        if tokenizer.encoded > 1000:
            raise TimeoutError

    tokenizer = CountedTokenizer()
    described = Vocabulary(size=256, sha256="0" * 64, reserved=())
    reader = signal_reader(SIGNAL_ENCODING_TEXT, tokenizer, described, check)
    with pytest.raises(TimeoutError):
        reader.feed(SignalChunk(text="ab " * 10_000))
    assert tokenizer.encoded < 1010
