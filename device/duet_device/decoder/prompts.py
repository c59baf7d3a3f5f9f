"""Build the decoder's prompts for one question, and check that they fit into its window.

The private context, if any, precedes the question. The decoder reads the question as it was sent,
with placeholders, and the same placeholders in the context, since the signal refers to them. Alone,
it reads the original texts, unless the pair's quantities are private.
"""

from collections.abc import Callable
from dataclasses import dataclass

from duet_contract.errors import PromptError
from duet_contract.manifest import Manifest, PromptFormat
from duet_contract.prompts import encode_context, encode_text, prompt_ids, split_at_signal
from duet_contract.vocabulary import Tokenizer
from duet_device.decoder.earlier_turns import earlier_ids, later_format
from duet_device.errors import ModelProblem, UsageProblem
from duet_device.question import Question


@dataclass(frozen=True)
class Prompts:
    """Token ids around the signal, and the token counts of question and context."""

    prefix: list[int]
    """Token ids before the signal."""
    suffix: list[int]
    """Token ids after the signal."""
    alone: Callable[[], list[int]]
    """Builds the prompt of an answer without a signal."""
    question_tokens: int
    """Tokens of the question."""
    context_tokens: int
    """Tokens of the private context and of earlier turns."""


def build_prompts(
    tokenizer: Tokenizer, manifest: Manifest, question: Question, budget: int
) -> Prompts:
    """Build the prompts; `budget`: most tokens of the signal.

    Raises:
        UsageProblem: the question or the context is too long, or has characters that the decoder's
            vocabulary lacks.
    """
    before, after = split_at_signal(manifest.decoder.prompt_with_signal)
    replace = question.redaction.apply if question.redaction else str
    asked = _question(tokenizer, manifest, question.asked)
    sent = asked
    if question.shared:
        sent = _question(tokenizer, manifest, question.sent, "; share fewer earlier turns")
    documents = [(each.name, replace(each.text)) for each in question.context]
    sizes = _context(tokenizer, manifest, documents)
    context = [token for ids in sizes for token in ids]
    suffix = prompt_ids(tokenizer, after)
    room = manifest.decoder.context - budget - len(suffix) - manifest.defaults.answer
    earlier, before = _earlier(tokenizer, manifest, question, before, room - len(context + asked))
    prefix = earlier + prompt_ids(tokenizer, before, question=context + asked)
    if context:
        names = (each.name for each in question.context)
        lengths = list(zip(names, map(len, sizes), strict=True))
        needed = len(prefix) + budget + len(suffix)
        _check_window(manifest, lengths, len(asked), budget, needed)

    def alone() -> list[int]:
        ids = context + asked
        # A masked question's labels are those of the redacted text.
        if question.redaction and not question.masked:
            plain = [(each.name, each.text) for each in question.context]
            ids = [token for each in _context(tokenizer, manifest, plain) for token in each]
            ids += _question(tokenizer, manifest, question.text)
        prompt = manifest.decoder.prompt_alone
        before, prompt = _earlier(tokenizer, manifest, question, prompt, room - len(ids))
        return before + prompt_ids(tokenizer, prompt, question=ids)

    return Prompts(prefix, suffix, alone, len(sent), len(context) + len(earlier))


def check_room(manifest: Manifest, prompt: int) -> None:
    """Refuse a prompt of `prompt` tokens that leaves no room for an answer.

    Raises:
        ModelProblem: it fills the window.
    """
    most = manifest.decoder.context
    if prompt >= most:
        raise ModelProblem(
            f"a prompt of {prompt} tokens leaves no room for an answer: "
            f"the decoder's context has {most}"
        )


def _question(tokenizer: Tokenizer, manifest: Manifest, text: str, advice: str = "") -> list[int]:
    try:
        ids = encode_text(tokenizer, manifest.decoder.vocabulary, text)
    except PromptError as error:
        raise UsageProblem(f"the question cannot be asked: {error}") from error
    most = manifest.limits.question
    if len(ids) > most:
        raise UsageProblem(
            f"the question has {len(ids)} tokens, at most {most} fit this pair{advice}"
        )
    return ids


def _earlier(
    tokenizer: Tokenizer, manifest: Manifest, question: Question, prompt: PromptFormat, room: int
) -> tuple[list[int], PromptFormat]:
    """Return the tokens of earlier turns, and the prompt format of a turn that follows them.

    Args:
        tokenizer: the decoder's.
        manifest: the pair's.
        question: has the turns.
        prompt: the format of a first turn, or its part before the signal.
        room: most tokens of the turns and of `prompt`.
    """
    if not question.earlier:
        return [], prompt
    later = later_format(manifest.decoder, prompt)
    own = len(prompt_ids(tokenizer, later, question=[]))
    try:
        ids = earlier_ids(tokenizer, manifest, question.earlier, room - own)
    except PromptError as error:
        raise UsageProblem(f"the earlier turns cannot be read: {error}") from error
    return (ids, later) if ids else ([], prompt)


def _context(
    tokenizer: Tokenizer, manifest: Manifest, documents: list[tuple[str, str]]
) -> list[list[int]]:
    try:
        return encode_context(tokenizer, manifest.decoder.vocabulary, documents)
    except PromptError as error:
        raise UsageProblem(str(error)) from error


def _check_window(
    manifest: Manifest, lengths: list[tuple[str, int]], question: int, budget: int, prompt: int
) -> None:
    """Refuse a context that does not fit whole next to an answer of the default length."""
    window, answer = manifest.decoder.context, manifest.defaults.answer
    if prompt + answer <= window:
        return
    context = sum(tokens for _, tokens in lengths)
    largest = sorted(lengths, key=lambda item: -item[1])[:3]
    files = ", ".join(f"{name} {tokens}" for name, tokens in largest)
    if len(lengths) > len(largest):
        files += f" and {len(lengths) - len(largest)} more"
    raise UsageProblem(
        f"the context has {context} tokens ({files}); with the question ({question}), the signal "
        f"(up to {budget}), the answer (up to {answer}) and the prompt around them that is "
        f"{prompt + answer}, the decoder's window has {window}: give less, or lower --budget"
    )
