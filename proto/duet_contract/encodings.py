"""Signal encodings: negotiation, and reading a signal chunk by chunk.

Token ids where reasoner and decoder share a vocabulary, UTF-8 text otherwise. Reading any split of
a signal into chunks gives the same decoder tokens as reading it whole.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from duet_contract.errors import EncodingError, PromptError
from duet_contract.manifest import Vocabulary
from duet_contract.prompts import WORD_START, encode_text
from duet_contract.v1.inference_pb2 import (
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    SignalChunk,
    SignalEncoding,
)
from duet_contract.vocabulary import Tokenizer

# Vocabularies have tokens of up to 128 bytes (runs of spaces or dashes). A byte that is not valid
# UTF-8 becomes three bytes.
MOST_SIGNAL_BYTES_PER_TOKEN = 384


def negotiate(
    offered: Sequence[SignalEncoding.ValueType], fingerprint: bytes, vocabulary: Vocabulary
) -> SignalEncoding.ValueType:
    """Return the first offered encoding that both ends can read.

    `fingerprint` is that of the decoder's vocabulary; `vocabulary` is the reasoner's.

    Raises:
        EncodingError: no offered encoding can be used.
    """
    for encoding in offered or (SIGNAL_ENCODING_TEXT,):
        if encoding == SIGNAL_ENCODING_TEXT:
            return encoding
        if encoding == SIGNAL_ENCODING_TOKEN_IDS and fingerprint.hex() == vocabulary.sha256:
            return encoding
    raise EncodingError(
        "no signal encoding in common: token ids need the same vocabulary, and text was not offered"
    )


def encode_signal_text(tokenizer: Tokenizer, vocabulary: Vocabulary, text: str) -> list[int]:
    """Return the decoder tokens of a whole signal given as text; what training uses, too.

    Word by word, so that it is what `TextSignalReader` gives for any split by construction.
    """
    reader = TextSignalReader(tokenizer, vocabulary)
    return reader.feed_text(text) + reader.finish()


class SignalReader(Protocol):
    """Turns chunks into the decoder's token ids."""

    def feed(self, chunk: SignalChunk) -> list[int]:
        """Return the token ids that `chunk` completes.

        Raises:
            EncodingError: the chunk is of another encoding, or has ids outside the vocabulary.
        """
        ...

    def held(self) -> list[int]:
        """Return the token ids held back until now, which may still change by what follows."""
        ...

    def finish(self) -> list[int]:
        """Return the token ids held back until now; the signal is complete."""
        ...


class TokenSignalReader:
    """Reads chunks of token ids: nothing to hold back."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._size = vocabulary.size

    def feed(self, chunk: SignalChunk) -> list[int]:
        """See `SignalReader`."""
        if chunk.WhichOneof("content") != "tokens":
            raise EncodingError("the cloud sent a chunk that is not token ids, as agreed")
        ids = list(chunk.tokens.ids)
        if ids and max(ids) >= self._size:
            raise EncodingError(
                f"the cloud sent token id {max(ids)}, the vocabulary ends at {self._size - 1}"
            )
        return ids

    def held(self) -> list[int]:
        """See `SignalReader`."""
        return []

    def finish(self) -> list[int]:
        """See `SignalReader`."""
        return []


class TextSignalReader:
    """Reads chunks of text; holds back the last word, which could still merge with what follows.

    A word starts at a space that follows a character other than white space. Tokenizers start a new
    word there, whatever comes later. Time is linear in the text, however it is split.

    Args:
        tokenizer: the decoder's.
        vocabulary: the decoder's.
        check: called before each word, and each part of a long one, is encoded; what it raises
            ends the reading.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        vocabulary: Vocabulary,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._check = check
        self._held: list[str] = []

    def feed(self, chunk: SignalChunk) -> list[int]:
        """See `SignalReader`."""
        if chunk.WhichOneof("content") != "text":
            raise EncodingError("the cloud sent a chunk that is not text, as agreed")
        return self.feed_text(chunk.text)

    def feed_text(self, text: str) -> list[int]:
        """`feed`, for the text itself."""
        ids: list[int] = []
        start = 0
        for place in self._word_starts(text):
            self._held.append(text[start:place])
            start = place
            ids += self.finish()
        if start < len(text):
            self._held.append(text[start:])
        return ids

    def held(self) -> list[int]:
        """See `SignalReader`."""
        held = "".join(self._held)
        return self._encode(held) if held else []

    def finish(self) -> list[int]:
        """See `SignalReader`."""
        ids = self.held()
        self._held.clear()
        return ids

    def _word_starts(self, text: str) -> Iterator[int]:
        if self._held and text.startswith(" ") and not self._held[-1][-1].isspace():
            yield 0
        for match in WORD_START.finditer(text):
            yield match.start()

    def _encode(self, text: str) -> list[int]:
        try:
            return encode_text(self._tokenizer, self._vocabulary, text, self._check)
        except PromptError as error:
            raise EncodingError(f"the signal cannot be tokenized: {error}") from error


def signal_reader(
    encoding: SignalEncoding.ValueType,
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    check: Callable[[], None] = lambda: None,
) -> SignalReader:
    """Return the reader for a negotiated encoding.

    Args:
        encoding: token ids, or else text.
        tokenizer: the decoder's.
        vocabulary: the decoder's.
        check: called between words of a text; what it raises ends the reading.
    """
    if encoding == SIGNAL_ENCODING_TOKEN_IDS:
        return TokenSignalReader(vocabulary)
    return TextSignalReader(tokenizer, vocabulary, check)
