"""Vocabularies: fingerprints, and the tokenizers that prompts are built with."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from duet_contract.errors import ManifestError
from duet_contract.manifest import Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer as FastTokenizer


class Tokenizer(Protocol):
    """What prompt building needs of a tokenizer. No call adds tokens of its own (BOS, EOS)."""

    def encode_template(self, text: str) -> list[int]:
        """Return the token ids of `text`, where control tokens written in it are recognized."""
        ...

    def encode_text(self, text: str) -> list[int]:
        """Return the token ids of `text` as plain text. `text` holds no reserved string."""
        ...


def fingerprint(tokens: Mapping[int, str]) -> str:
    """Return the SHA-256 over a vocabulary, as 64 hexadecimal digits.

    `tokens` maps id to the token as tokenizer files write it (`tokenizer.json` and GGUF agree on
    that). Padding that no text produces must be left out by the caller.
    """
    digest = hashlib.sha256()
    for token_id in sorted(tokens):
        digest.update(f"{token_id}\t{json.dumps(tokens[token_id])}\n".encode())
    return digest.hexdigest()


def vocabulary_of(tokenizer_json: Path) -> Vocabulary:
    """Describe the vocabulary of a Hugging Face `tokenizer.json` for a manifest.

    Raises:
        ManifestError: a reserved string of one character, which no text could be kept apart from.
    """
    from tokenizers import Tokenizer as FastTokenizer

    tokenizer = FastTokenizer.from_file(str(tokenizer_json))
    tokens = {i: token for token, i in tokenizer.get_vocab(with_added_tokens=True).items()}
    reserved = [added.content for added in tokenizer.get_added_tokens_decoder().values()]
    return Vocabulary(
        size=max(tokens) + 1,
        sha256=fingerprint(tokens),
        reserved=_reserved(reserved),
        normalization=_normalization(json.loads(tokenizer_json.read_text("utf-8"))),
        missing_bytes=_missing_bytes(tokens.values()),
    )


def gguf_vocabulary(tokens: Sequence[str], types: Sequence[int], like: Vocabulary) -> Vocabulary:
    """Describe a GGUF's vocabulary from `tokenizer.ggml.tokens` and `.token_type`.

    Types as in llama.cpp: 3 control, 4 user defined, 5 unused (padding, left out). llama.cpp
    applies no Unicode normalization, so that of `like`, the tokenizer it was made from, is kept.
    """
    known = {i: t for i, (t, kind) in enumerate(zip(tokens, types, strict=True)) if kind != 5}
    reserved = [tokens[i] for i in known if types[i] in (3, 4)]
    return Vocabulary(
        size=max(known) + 1,
        sha256=fingerprint(known),
        reserved=_reserved(reserved),
        normalization=like.normalization,
        missing_bytes=_missing_bytes(known.values()),
    )


def _reserved(strings: Sequence[str]) -> tuple[str, ...]:
    strings = [string for string in strings if not string.isspace()]
    short = [string for string in strings if len(string) < 2]
    if short:
        raise ManifestError(f"control tokens of one character cannot be kept apart: {short}")
    return tuple(sorted(strings))


def _missing_bytes(tokens: Iterable[str]) -> tuple[int, ...]:
    """Return the UTF-8 bytes that a byte-level vocabulary lacks; empty for other vocabularies.

    Byte-level vocabularies spell a byte as one printable character (GPT-2's table: bytes that print
    map to themselves, the others to U+0100 and up, in order), a space thus as U+0120.
    """
    known = set(tokens)
    if "\u0120" not in known:
        return ()
    printing = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printing]
    spelled = {byte: chr(byte) for byte in printing}
    spelled |= {byte: chr(0x100 + place) for place, byte in enumerate(others)}
    # RFC 3629: these never occur in UTF-8.
    never = {0xC0, 0xC1, *range(0xF5, 0x100)}
    return tuple(b for b in range(256) if b not in never and spelled[b] not in known)


# SentencePiece's spelling of a space in a token, which llama.cpp writes itself.
_SENTENCEPIECE_SPACE = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}


def _normalization(tokenizer: dict[str, Any]) -> Literal["NFC", "NFKC"] | None:
    """Return the Unicode form of tokenizer.json's normalizers; refuse any that change text."""
    normalizer = tokenizer.get("normalizer")
    if normalizer is None:
        return None
    steps = normalizer.get("normalizers", [normalizer])
    kinds = [step["type"] for step in steps if step != _SENTENCEPIECE_SPACE]
    if not kinds:
        return None
    if kinds == ["NFC"]:
        return "NFC"
    if kinds == ["NFKC"]:
        return "NFKC"
    raise ManifestError(f"cannot reproduce the tokenizer's normalization {kinds} in llama.cpp")


# Characters of a text from which on the interpreter's lock is released for it.
_LONG = 2048


class HubTokenizer:
    """Hugging Face's `tokenizers` behind the `Tokenizer` protocol: the cloud's and training's.

    Threads may share it.
    """

    def __init__(self, tokenizer: "FastTokenizer") -> None:
        self._tokenizer = tokenizer
        # Whether control tokens are recognized is a setting of a tokenizer, which a thread must not
        # change while another one encodes.
        self._plain = type(tokenizer).from_str(tokenizer.to_str())
        self._plain.encode_special_tokens = True

    @classmethod
    def from_directory(cls, directory: Path) -> "HubTokenizer":
        """Read `tokenizer.json` from a model's directory."""
        from tokenizers import Tokenizer as FastTokenizer

        return cls(FastTokenizer.from_file(str(directory / "tokenizer.json")))

    def encode_template(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return _encode(self._tokenizer, text)

    def encode_text(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return _encode(self._plain, text)


def _encode(tokenizer: "FastTokenizer", text: str) -> list[int]:
    if len(text) < _LONG:
        encoded = tokenizer.encode(text, add_special_tokens=False)
    else:
        # `encode` keeps the interpreter's lock, which would stop the event loop of a service.
        encoded = tokenizer.encode_batch_fast([text], add_special_tokens=False)[0]
    ids: list[int] = encoded.ids
    return ids
