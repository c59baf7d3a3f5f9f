"""Prompts and signals of a pair, as token ids: built by the contract, exactly as when serving."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from tokenizers import Tokenizer as FastTokenizer

from duet_contract.encodings import encode_signal_text
from duet_contract.manifest import PromptFormat, SlotPart
from duet_contract.prompts import check_question, encode_text, prompt_ids
from duet_contract.quantities import ComputedAnswer, Masked, answer_of, mask
from duet_contract.vocabulary import HubTokenizer, vocabulary_of
from duet_training.data.rows import Problem
from duet_training.errors import ConfigError
from duet_training.pair.description import Pair
from duet_training.rl.objective.reads import without_last_result


class PairPrompts:
    """Builds every prompt of a pair, and cuts signals and answers out of responses."""

    def __init__(self, pair: Pair) -> None:
        """Read both tokenizers.

        Raises:
            ConfigError: An end token is not a single token of its vocabulary.
        """
        self._pair = pair
        files = [model.path / "tokenizer.json" for model in (pair.reasoner, pair.decoder)]
        self._reasoner, self._decoder = (FastTokenizer.from_file(str(file)) for file in files)
        self._reasoner_text, self._decoder_text = map(HubTokenizer, (self._reasoner, self._decoder))
        self._reasoner_words, self._decoder_words = map(vocabulary_of, files)
        reasoner, decoder = pair.reasoner, pair.decoder
        self.end_of_reasoning = _id(self._reasoner, reasoner.end_of_reasoning, "end_of_reasoning")
        self.end_of_text = [_id(self._reasoner, t, "end_of_text") for t in reasoner.end_of_text]
        self.end_of_answer = [_id(self._decoder, t, "end_of_answer") for t in decoder.end_of_answer]
        begin = reasoner.begin_of_reasoning
        self._begin = _id(self._reasoner, begin, "begin_of_reasoning") if begin else None
        self._control = {
            self._reasoner.token_to_id(token) for token in self._reasoner_words.reserved
        }

    @property
    def shared_vocabulary(self) -> bool:
        """Whether the decoder reads the reasoner's token ids, as on the wire."""
        return self._reasoner_words.sha256 == self._decoder_words.sha256

    @property
    def private(self) -> bool:
        """Whether models read labels in place of numbers."""
        return self._pair.quantities == "private"

    @property
    def computed(self) -> bool:
        """Whether numbers in answers must be computed; False if the device computes them."""
        return self._pair.answers != "computed"

    def check_instruction(self, problems: Sequence[Problem]) -> None:
        """Check that either the pair or each row has the instruction to the models.

        Raises:
            ConfigError: Both have one, or neither has.
        """
        by_data = self._pair.instruction == "data"
        if wrong := [p for p in problems if (p.asks is not None) != by_data]:
            theirs, wanted = ("no", "data") if by_data else ("its own", "pair")
            raise ConfigError(
                f"{wrong[0].id} has {theirs} instruction, and the pair's `instruction` is "
                f"{self._pair.instruction!r}: run `duet-train data prepare` with "
                f"--instruction {wanted}"
            )

    def check_reward(self, reward: Literal["sampled", "dense"]) -> None:
        """Check that answers can be rewarded so.

        Raises:
            ConfigError: `dense`, for a pair whose decoder never writes the reference.
        """
        if self.private and reward == "dense":
            raise ConfigError(
                "objective.reward=dense has no reference of a pair with quantities: private, whose "
                "decoder never writes the answer: use objective.reward=sampled"
            )

    def reasoner(self, question: str) -> list[int]:
        """Build the reasoner's prompt."""
        check_question(question)
        question = self._shown(question)
        if self._pair.tokenized == "whole":
            return _whole(self._reasoner_text, self._pair.reasoner.prompt, question=question)
        ids = encode_text(self._reasoner_text, self._reasoner_words, question)
        return prompt_ids(self._reasoner_text, self._pair.reasoner.prompt, question=ids)

    def alone(self, question: str) -> list[int]:
        """Build the decoder's prompt without a signal."""
        question = self._shown(question)
        if self._pair.tokenized == "whole":
            return _whole(self._decoder_text, self._pair.decoder.prompt_alone, question=question)
        ids = encode_text(self._decoder_text, self._decoder_words, question)
        prompt = self._pair.decoder.prompt_alone
        return prompt_ids(self._decoder_text, prompt, question=ids)

    def guided(self, question: str, signal: Sequence[int]) -> list[int]:
        """Build the decoder's prompt with a signal, given as the reasoner's token ids."""
        question = self._shown(question)
        if self._pair.tokenized == "whole":
            prompt, text = self._pair.decoder.prompt_with_signal, self.signal_text(signal)
            return _whole(self._decoder_text, prompt, question=question, signal=text)
        ids = encode_text(self._decoder_text, self._decoder_words, question)
        prompt = self._pair.decoder.prompt_with_signal
        read = self._read(signal)
        return prompt_ids(self._decoder_text, prompt, question=ids, signal=read)

    def signal(self, response: Sequence[int]) -> list[int]:
        """Extract the signal from a response of the reasoner, as its token ids.

        The signal is the text between the tokens that begin and end the reasoning. It is all text
        before the end token if the begin token is missing, and the whole response if both are
        missing (arXiv 2605.01111). It contains no control token, because a slot never holds one.
        """
        ids = list(response)
        if self.end_of_reasoning in ids:
            ids = ids[: ids.index(self.end_of_reasoning)]
        if self._begin is not None and self._begin in ids:
            ids = ids[ids.index(self._begin) + 1 :]
        return [token for token in ids if token not in self._control]

    def withheld(self, signal: Sequence[int]) -> list[int]:
        """Cut a signal before the result of its last computation, at a whole token."""
        text = self.signal_text(signal)
        kept = len(without_last_result(text))
        if kept == len(text):
            return list(signal)
        count = bisect_right(
            range(len(signal) + 1), kept, key=lambda end: len(self.signal_text(signal[:end]))
        )
        return list(signal[: count - 1])

    def signal_ids(self, text: str) -> list[int]:
        """Tokenize the text of a signal by the reasoner's vocabulary."""
        return encode_signal_text(self._reasoner_text, self._reasoner_words, text)

    def whole_answer(self, text: str) -> list[int]:
        """Build an answer of the decoder as its token ids, with the token that ends it."""
        return [
            *encode_text(self._decoder_text, self._decoder_words, text),
            self.end_of_answer[0],
        ]

    def signal_text(self, signal: Sequence[int]) -> str:
        """Decode a signal to text."""
        text: str = self._reasoner.decode(list(signal), skip_special_tokens=False)
        return text

    def answer(
        self,
        question: str,
        signal: Sequence[int] | None,
        response: Sequence[int],
        *,
        whole: bool = True,
    ) -> str:
        """Return the answer of the decoder's response as the device gives it, for verifiers.

        Args:
            question: as in the data.
            signal: what the decoder read, as the reasoner's token ids; None without a signal.
            response: of the decoder.
            whole: whether the reasoner ended the signal, and the decoder read all of it.
        """
        text = self.answer_text(response)
        if not self.private:
            return text
        formula = None if signal is None else self.signal_text(signal)
        return _boxed(answer_of(_masked(question), formula, text, whole=whole))

    def answer_text(self, response: Sequence[int]) -> str:
        """Decode the decoder's response to text, without its end token."""
        text: str = self._decoder.decode(list(response), skip_special_tokens=True)
        return text

    def own_answer(self, question: str, response: Sequence[int]) -> str:
        """Return the answer of the reasoner's whole response, for verifiers.

        Of a pair with private quantities that is the result of its formula.
        """
        if self.private:
            formula = self.signal_text(self.signal(response))
            return _boxed(answer_of(_masked(question), formula))
        return self.response_text(response)

    def response_text(self, response: Sequence[int]) -> str:
        """Decode the reasoner's whole response to text."""
        text: str = self._reasoner.decode(list(response), skip_special_tokens=True)
        return text

    def _shown(self, question: str) -> str:
        """Return a question as the models read it."""
        return _masked(question).text if self.private else question

    def _read(self, signal: Sequence[int]) -> list[int]:
        if self.shared_vocabulary:
            return list(signal)
        text = self.signal_text(signal).replace("\0", "")
        return encode_signal_text(self._decoder_text, self._decoder_words, text)


@lru_cache(maxsize=1024)
def _masked(question: str) -> Masked:
    """Mask a question; one that is masked already stays as it is."""
    return mask(question)


def _boxed(found: ComputedAnswer) -> str:
    r"""Return a computed answer as verifiers read answers: `\boxed{16}`, or what is wrong with it."""
    return rf"\boxed{{{found.value}}}" if found.value else found.text


def _whole(tokenizer: HubTokenizer, prompt: PromptFormat, **slots: str) -> list[int]:
    """Tokenize a prompt at once; control tokens in slots are control tokens."""
    parts = (slots[p.slot] if isinstance(p, SlotPart) else p.template for p in prompt)
    return tokenizer.encode_template("".join(parts))


def _id(tokenizer: FastTokenizer, token: str, what: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise ConfigError(f"{what} {token!r} is not a token of the model's vocabulary")
    return int(found)
