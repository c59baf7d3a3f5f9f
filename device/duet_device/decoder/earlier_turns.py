"""Earlier turns of a conversation in the decoder's prompt, so that their evaluation is used again.

A conversation is the decoder's own sequence: prompt, signal and answer of each turn, one behind the
other. So a later turn evaluates its own tokens alone, however long the conversation is. Where the
window is full, the oldest turns go, several at once, since all that follows is evaluated again.
"""

from collections.abc import Sequence

from duet_contract.manifest import Decoder, Manifest, PromptFormat, TemplatePart
from duet_contract.prompts import encode_text, prompt_ids
from duet_contract.vocabulary import Tokenizer
from duet_device.turns import Turn

# The part of the window that is freed at once: one of these many.
_STEPS = 4


def later_format(decoder: Decoder, prompt: PromptFormat) -> PromptFormat:
    """Return a prompt format for a turn that is not the first.

    It ends the answer before, and leaves out what the first turn's template says before its own
    first control token, such as a system prompt.
    """
    end = decoder.end_of_answer[0]
    templates = [part.template for part in prompt if isinstance(part, TemplatePart)]
    behind = next((text.partition(end)[2] for text in templates if end in text), "")
    space = behind[: len(behind) - len(behind.lstrip())]
    first = prompt[0]
    if not isinstance(first, TemplatePart):
        return (TemplatePart(template=end + space), *prompt)
    _, system, rest = first.template.rpartition(end)
    opening = end + (rest if system else space + first.template)
    return (TemplatePart(template=opening), *prompt[1:])


def earlier_ids(
    tokenizer: Tokenizer, manifest: Manifest, turns: Sequence[Turn], room: int
) -> list[int]:
    """Return the token ids of the newest turns that fit into `room` tokens.

    Raises:
        PromptError: the vocabulary has no tokens for a character of a turn's text.
    """
    later = [_ids(tokenizer, manifest, turn, first=False) for turn in turns]
    start = _first_kept([len(ids) for ids in later], room)
    if start == len(turns):
        return []
    first = _ids(tokenizer, manifest, turns[start], first=True)
    ids = [token for each in (first, *later[start + 1 :]) for token in each]
    return ids if len(ids) <= room else []


def _ids(tokenizer: Tokenizer, manifest: Manifest, turn: Turn, *, first: bool) -> list[int]:
    decoder = manifest.decoder
    alone = turn.signal is None
    prompt = decoder.prompt_alone if alone else decoder.prompt_with_signal
    if not first:
        prompt = later_format(decoder, prompt)
    question = encode_text(tokenizer, decoder.vocabulary, turn.question)
    ids = prompt_ids(tokenizer, prompt, question=question, signal=list(turn.signal or ()))
    if isinstance(turn.answer, str):
        return ids + encode_text(tokenizer, decoder.vocabulary, turn.answer)
    return ids + list(turn.answer)


def _first_kept(lengths: Sequence[int], room: int) -> int:
    """Return the first turn to keep. The same one for several turns in a row, as they grow."""
    over = sum(lengths) - room
    if over <= 0:
        return 0
    step = max(1, room // _STEPS)
    wanted = -(-over // step) * step
    gone = 0
    for index, length in enumerate(lengths):
        if gone >= wanted:
            return index
        gone += length
    return len(lengths)
