"""Examples of a pair with private quantities: masked questions, formulas, sentences."""

import random

from duet_contract.quantities import asked, plain_sentence
from duet_contract.vocabulary import HubTokenizer
from duet_training.data.word_problems.generate import generated
from duet_training.data.word_problems.notes import generated_notes
from duet_training.data.word_problems.problem import MaskedProblem
from duet_training.pair.description import Pair
from duet_training.pair.prompting import PairPrompts
from duet_training.sft.examples import Example, in_rounds

ALONE, SHORTENED = 0.2, 0.15
"""Shares of the decoder's examples without a signal, and with one that lacks its last step."""
NOTED = 0.06
"""Share of the generated problems whose numbers are from a note."""
_RESULT = "{=}"


class FormulaTeacher:
    """Draws examples: annotated problems, each once a round, and generated ones."""

    def __init__(
        self, pair: Pair, annotated: list[MaskedProblem], *, generated: float, seed: int
    ) -> None:
        """Read the pair's tokenizers.

        Args:
            pair: its prompts and end tokens.
            annotated: problems of a file.
            generated: share of generated problems among the examples.
            seed: of the order of the annotated ones.
        """
        self._prompts, self._annotated = PairPrompts(pair), annotated
        self._share, self._seed = generated, seed
        self._reasons = HubTokenizer.from_directory(pair.reasoner.path)
        self._answers = HubTokenizer.from_directory(pair.decoder.path)
        self._pair = pair

    def examples(self, role: str, rng: random.Random, count: int, chunk: int) -> list[Example]:
        """`count` of them for "reasoner" or "decoder": those of the `chunk`-th draw."""
        made, notes = generated(rng, "train"), generated_notes(rng, "train")
        noted = (each.problem for each in notes if each.complete)
        real = count - round(count * self._share)
        shown = in_rounds(self._annotated, chunk * real, real, self._seed)
        shown += [next(noted if rng.random() < NOTED else made) for _ in range(count - real)]
        if role == "reasoner":
            return [self.reasoner(problem) for problem in shown]
        return [self.decoder(problem, rng) for problem in shown]

    def reasoner(self, problem: MaskedProblem) -> Example:
        """The masked question, then the formula and the end of reasoning."""
        response = [
            *self._reasons.encode_text(problem.formula),
            *self._reasons.encode_template(self._pair.reasoner.end_of_reasoning),
        ]
        return Example(self._prompts.reasoner(problem.masked.text), response)

    def decoder(self, problem: MaskedProblem, rng: random.Random) -> Example:
        """The masked question and the formula, then the sentence around the result.

        What the signal lacks, the sentence has in braces: the last step, or the whole formula.
        """
        text, signal, dice = problem.masked.text, problem.formula, rng.random()
        sentence = problem.sentence or plain_sentence(text, asked(text))
        steps, _, last = signal.rpartition(";")
        prompt = self._prompts.guided(text, self._reasons.encode_text(signal))
        if dice < ALONE:
            prompt = self._prompts.alone(text)
            sentence = sentence.replace(_RESULT, f"{{{signal}}}")
        elif dice < ALONE + SHORTENED and steps:
            # The last step of a signal has no name.
            shorter = steps.rpartition("=")[0]
            prompt = self._prompts.guided(text, self._reasons.encode_text(shorter))
            sentence = sentence.replace(_RESULT, f"{{{last}}}")
        end = self._answers.encode_template(self._pair.decoder.end_of_answer[0])
        return Example(prompt, [*self._answers.encode_text(sentence), *end])
