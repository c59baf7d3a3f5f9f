"""Write an answer or a draft behind a prompt, with the odds of its tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from duet_contract.answers import final_answer
from duet_contract.manifest import Manifest
from duet_device.answer_text import AnswerWriter, computed_answer
from duet_device.decoder.generation import Generation
from duet_device.decoder.llama import Decoder
from duet_device.decoder.odds import Odds
from duet_device.decoder.prompts import check_room
from duet_device.question import Question


@dataclass(frozen=True)
class Written:
    """An answer or a draft."""

    text: str
    """Its text; of a pair that computes, the computed answer."""
    value: str | None
    """Its final value; None if it has none."""
    trace: tuple[Odds, ...]
    """Odds of its tokens, the one that ended it included."""


class Writer:
    """Writes answers that no user sees.

    Args:
        decoder: its sequence becomes a prompt and what is written behind it.
        manifest: the pair's.
        check: called between steps; what it raises ends the answer.
    """

    def __init__(
        self, decoder: Decoder, manifest: Manifest, check: Callable[[], None] = lambda: None
    ) -> None:
        self._decoder = decoder
        self._manifest = manifest
        self._check = check
        texts = manifest.decoder.end_of_answer
        self._ends = frozenset(i for text in texts for i in decoder.encode_template(text))

    def read(self, prompt: Sequence[int]) -> None:
        """Make a prompt the decoder's sequence, evaluating only what differs from the one before.

        Raises:
            ModelProblem: it does not fit, or there is not enough memory.
        """
        manifest = self._manifest
        check_room(manifest, len(prompt))
        room = len(prompt) + manifest.defaults.answer
        self._decoder.reserve(min(room, manifest.decoder.context))
        self._decoder.become(prompt, self._check)

    def write(
        self,
        question: Question,
        *,
        signal: str | None = None,
        cut: bool = False,
        limit: int | None = None,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> Written:
        """Write behind the prompt that was read.

        Args:
            question: fitted to the pair; a pair that computes takes its quantities.
            signal: text of the signal in the prompt; None without one.
            cut: whether the end of the signal is missing.
            limit: most tokens; the pair's own limit, if None.
            temperature: 0 takes the most likely token each time.
            seed: of the sampling.
        """
        most = self._manifest.defaults.answer
        generation = Generation(
            self._decoder,
            ends=self._ends,
            limit=most if limit is None else min(limit, most),
            temperature=temperature,
            seed=seed,
            judge=True,
            check=self._check,
        )
        writer = AnswerWriter(self._decoder, None)
        for token in generation:
            writer.feed(token)
        writer.finish()
        trace = tuple(generation.trace)
        if self._manifest.answers == "computed":
            computed = computed_answer(question, signal, writer.text, cut=cut)
            return Written(computed.text, computed.value or None, trace)
        final = final_answer(writer.text)
        return Written(writer.text, final.text if final else None, trace)
