"""Prompts, built here and nowhere else: the same token ids in training, in vLLM and in llama.cpp.

A format is a list of template parts and slots (`duet_contract.manifest`). Each part is tokenized on
its own, so the ids of a slot never depend on the text around it, and the decoder's prefix can be
evaluated before the signal exists. Text in a slot never becomes a control token: wherever it holds
a reserved string, it is cut after that string's first character and the parts are tokenized apart.
The cut, unlike a tokenizer's own switches, works alike in every tokenizer (llama.cpp recognizes
user-defined tokens in plain text, `tokenizers` recognizes added tokens not marked special).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from duet_contract.errors import PromptError
from duet_contract.manifest import PromptFormat, SlotPart, Vocabulary
from duet_contract.normalization import normalize
from duet_contract.vocabulary import Tokenizer

# No vocabulary's tokens spell more bytes than this on average over a whole question, so a longer
# one is refused by its size, before time is spent on tokenizing it.
MOST_BYTES_PER_TOKEN = 16
# Where a word begins: at a space after another character. Tokenizers start a new word there, whatever
# comes later.
WORD_START = re.compile(r"(?<=\S) ")
# Longer words are cut. llama.cpp matches the patterns of some vocabularies (DeepSeek, GPT-NeoX) with
# `std::regex`, which recurses: 2,000 characters without a space overflow a stack of 512 KiB, 32,000
# one of 8 MiB, and the process ends.
MOST_WORD = 1024
# Text around private documents in the question's slot of the decoder's prompt.
_BEFORE_DOCUMENTS = "Documents:\n\n"
_AFTER_DOCUMENTS = "Question: "


@lru_cache(maxsize=16)
def _cuts(reserved: tuple[str, ...]) -> re.Pattern[str] | None:
    if not reserved:
        return None
    # A look-ahead, so that overlapping occurrences are all found.
    return re.compile("(?=" + "|".join(re.escape(string) for string in reserved) + ")")


def check_question(text: str) -> str:
    """Return a question's text if it can be sent and tokenized.

    Raises:
        PromptError: it is empty or only white space, holds a NUL, or is not valid Unicode.
    """
    if not text.strip():
        raise PromptError("the question is empty")
    return check_characters(text, "question")


def check_characters(text: str, what: str) -> str:
    """Return `text` if it can be sent and tokenized, or is empty.

    Raises:
        PromptError: it holds a NUL, or is not valid Unicode.

    Examples:
        >>> check_characters("", "note")
        ''
    """
    if "\0" in text:
        raise PromptError(f"the {what} holds a NUL character")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PromptError(f"the {what} is not valid Unicode: {error.reason}") from error
    return text


def encode_text(
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    text: str,
    check: Callable[[], None] = lambda: None,
) -> list[int]:
    """Return the token ids of external text (question, signal, context), without control tokens.

    Words of more than `MOST_WORD` characters are cut, and their parts are tokenized apart.

    Args:
        tokenizer: of the model that reads the text.
        vocabulary: the same model's.
        text: the text.
        check: called before each part; what it raises ends the work.

    Raises:
        PromptError: the vocabulary has no tokens for a character.
    """
    if vocabulary.normalization:
        text = normalize(vocabulary.normalization, text)
    missing = set(vocabulary.missing_bytes)
    if missing and not missing.isdisjoint(text.encode()):
        unknown = next(char for char in text if not missing.isdisjoint(char.encode()))
        raise PromptError(f"the pair's vocabulary has no token for U+{ord(unknown):04X}")
    pattern = _cuts(vocabulary.reserved)
    starts = [match.start() + 1 for match in pattern.finditer(text)] if pattern else []
    ids: list[int] = []
    for start, end in zip([0, *starts], [*starts, len(text)], strict=True):
        for part in _without_long_words(text[start:end]):
            check()
            ids += tokenizer.encode_text(part)
    return ids


def _without_long_words(text: str) -> Iterator[str]:
    """Yield the parts of a text, none with a word of more than `MOST_WORD` characters."""
    start = word = 0
    if len(text) > MOST_WORD:
        for end in [*(match.start() for match in WORD_START.finditer(text)), len(text)]:
            for cut in range(word + MOST_WORD, end, MOST_WORD):
                yield text[start:cut]
                start = cut
            word = end
    if start < len(text):
        yield text[start:]


def encode_context(
    tokenizer: Tokenizer, vocabulary: Vocabulary, documents: Sequence[tuple[str, str]]
) -> list[list[int]]:
    """Return the token ids of private documents, which precede the question in a decoder's prompt.

    The reasoner never sees them. Names and texts are text from outside, as in `encode_text`.

    Args:
        tokenizer: the decoder's.
        vocabulary: the decoder's.
        documents: name and text of each.

    Returns:
        Ids of each document with the text around it; together they precede the question.

    Raises:
        PromptError: the vocabulary has no tokens for a character of a document, which is named.
    """
    encoded: list[list[int]] = []
    for index, (name, text) in enumerate(documents):
        whole = f"{name}:\n{text.strip()}\n\n"
        if index == 0:
            whole = _BEFORE_DOCUMENTS + whole
        if index == len(documents) - 1:
            whole += _AFTER_DOCUMENTS
        try:
            encoded.append(encode_text(tokenizer, vocabulary, whole))
        except PromptError as error:
            raise PromptError(f"{name} cannot be read by the decoder: {error}") from error
    return encoded


def prompt_ids(tokenizer: Tokenizer, prompt: PromptFormat, **slots: list[int]) -> list[int]:
    """Return a prompt's token ids; `slots` has each slot's ids (`encode_text`, or a signal)."""
    ids: list[int] = []
    for part in prompt:
        if isinstance(part, SlotPart):
            ids += slots[part.slot]
        else:
            ids += tokenizer.encode_template(part.template)
    return ids


def split_at_signal(prompt: PromptFormat) -> tuple[PromptFormat, PromptFormat]:
    """Return the parts of a decoder's prompt before and after the signal.

    Before can be evaluated while the cloud still works; after, once the last chunk is there.
    """
    for index, part in enumerate(prompt):
        if isinstance(part, SlotPart) and part.slot == "signal":
            return prompt[:index], prompt[index + 1 :]
    raise PromptError("the prompt format has no place for a signal")
