"""The decoder with the real llama.cpp and the GGUF of a pair of real size.

Numbers of tiny quantized models shift a little with the size of the batch, so odds are compared
closely and texts only where no near tie decides.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from duet_contract.manifest import Manifest
from duet_contract.prompts import encode_text
from duet_contract.vocabulary import HubTokenizer
from duet_device.client import Client
from duet_device.conversation import Conversation
from duet_device.deadline import Deadline
from duet_device.decoder.generation import Generation
from duet_device.decoder.llama import Decoder
from duet_device.decoder.lookahead import Lookahead
from duet_device.errors import Interrupted, ModelProblem
from duet_device.pairs.pair import load_decoder, open_pair
from duet_device.setting_types import QuestionSettings

TEXT = "The quick brown fox jumps over the lazy dog. It counts 3 apples, then 12 more. " * 3
# Two log-probabilities closer than this may swap with the size of the batch.
TIE = 0.5


@pytest.fixture(scope="module")
def decoder(real_pair: Path) -> Iterator[Decoder]:
    with load_decoder(open_pair(str(real_pair)), threads=1) as decoder:
        decoder.reserve(1024)
        yield decoder


@pytest.fixture(scope="module")
def ids(decoder: Decoder) -> list[int]:
    return decoder.encode_text(TEXT)


def restart(decoder: Decoder, ids: list[int]) -> None:
    decoder.keep(0)
    decoder.evaluate(ids)


def log_probabilities(decoder: Decoder) -> np.ndarray:
    """Of each next token (a copy)."""
    logits = decoder._logits()[-1].astype(np.float64)
    logits -= logits.max()
    return logits - np.log(np.exp(logits).sum())


def close(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two distributions over tokens are the same but for rounding."""
    distance = float(np.abs(np.exp(first) - np.exp(second)).sum() / 2)
    return distance < 0.1


def test_the_hidden_state_costs_no_logits(decoder: Decoder, ids: list[int]) -> None:
    restart(decoder, ids)
    before = log_probabilities(decoder)
    state = decoder.state()
    assert state.shape[0] > 1
    assert np.isfinite(state).all()
    assert decoder.ids == ids
    assert close(before, log_probabilities(decoder))
    assert np.array_equal(state, decoder.state())
    decoder.evaluate(ids[:1])
    assert not np.allclose(state, decoder.state())
    # Later batches compute no states.
    restart(decoder, ids)
    assert close(before, log_probabilities(decoder))


@pytest.mark.parametrize("size", [1, 5, 16, 31])
def test_chunks_give_what_the_whole_gives(decoder: Decoder, ids: list[int], size: int) -> None:
    restart(decoder, ids)
    whole = log_probabilities(decoder)
    decoder.keep(0)
    for start in range(0, len(ids), size):
        decoder.evaluate(ids[start : start + size], want_next=start + size >= len(ids))
    assert decoder.ids == ids
    assert close(whole, log_probabilities(decoder))


def test_roll_back_forgets_what_it_rolls_back(decoder: Decoder, ids: list[int]) -> None:
    restart(decoder, ids)
    whole = log_probabilities(decoder)
    decoder.keep(20)
    decoder.evaluate(decoder.encode_text(" Something else entirely, about stars and boats."))
    decoder.keep(20)
    decoder.evaluate(ids[20:])
    assert decoder.ids == ids
    assert close(whole, log_probabilities(decoder))


def test_become_evaluates_only_what_differs(decoder: Decoder, ids: list[int]) -> None:
    restart(decoder, ids)
    whole = log_probabilities(decoder)
    decoder.become(ids[:30] + ids[:5])
    assert decoder.ids == ids[:30] + ids[:5]
    decoder.become(ids)
    decoder.become(ids)
    assert close(whole, log_probabilities(decoder))


def test_a_larger_context_keeps_the_sequence(real_pair: Path, ids: list[int]) -> None:
    with load_decoder(open_pair(str(real_pair)), threads=1) as decoder:
        decoder.reserve(len(ids))
        decoder.evaluate(ids)
        small, before = decoder.context, log_probabilities(decoder)
        decoder.reserve(small + 1)
        assert decoder.context > small
        assert decoder.ids == ids
        assert close(before, log_probabilities(decoder))


def test_nothing_is_evaluated_beyond_the_context(real_pair: Path, ids: list[int]) -> None:
    with load_decoder(open_pair(str(real_pair)), threads=1) as decoder:
        decoder.reserve(1)
        with pytest.raises(ModelProblem, match="do not fit"):
            decoder.evaluate(ids * 10)


def test_next_token_only_where_it_was_wanted(decoder: Decoder, ids: list[int]) -> None:
    decoder.keep(0)
    decoder.evaluate(ids, want_next=False)
    with pytest.raises(ModelProblem):
        decoder.most_likely()


PROMPTS = [
    "Count from one to twenty in words.",
    "Repeat: the cat sat on the mat, the cat sat on the mat, the cat sat on the mat.",
    "A shop has 12 boxes of 30 apples and sells 100 apples. How many are left?",
]


@pytest.mark.parametrize("question", PROMPTS)
def test_prompt_lookup_equals_plain_greedy_up_to_ties(decoder: Decoder, question: str) -> None:
    prompt = decoder.encode_template(
        f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    )
    answers = []
    for lookup in (False, True):
        restart(decoder, prompt)
        answers.append(list(Generation(decoder, ends=frozenset(), limit=60, prompt_lookup=lookup)))
    plain, guessed = answers
    # None is where an answer has ended.
    for index, (one, other) in enumerate(zip_longest(plain, guessed)):
        if one != other:
            restart(decoder, prompt + plain[:index])
            odds = log_probabilities(decoder)
            likeliest = [int(each) for each in np.argsort(odds)[-2:]]
            # Nearly alike: which comes first depends on the batch's size.
            assert {None if decoder.is_end(each) else each for each in likeliest} == {one, other}
            assert abs(odds[likeliest[0]] - odds[likeliest[1]]) < TIE
            return


def test_confidence_is_the_models_own(decoder: Decoder, ids: list[int]) -> None:
    restart(decoder, ids)
    generation = Generation(decoder, ends=frozenset(), limit=12, judge=True)
    told = list(generation)
    lowest = 1.0
    for index, token in enumerate(told):
        restart(decoder, [*ids, *told[:index]])
        lowest = min(lowest, float(np.exp(log_probabilities(decoder)[token])))
    assert generation.confidence == pytest.approx(lowest, rel=0.05)


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    steps=st.integers(0, 6),
    most=st.integers(1, 6),
)
def test_looking_ahead_changes_nothing(
    decoder: Decoder, ids: list[int], sizes: list[int], steps: int, most: int
) -> None:
    prompt, signal = ids[:10], ids[10 : 10 + sum(sizes)]
    suffix = decoder.encode_text(" So the answer is")
    restart(decoder, prompt)
    ahead = Lookahead(decoder, suffix, frozenset(), most)
    rest = signal
    for size in sizes:
        ahead.evaluate(ahead.arrive(rest[:size]), want_next=False)
        rest = rest[size:]
        for _ in range(steps):
            ahead.step()
    if left := ahead.arrive(suffix, last=True):
        ahead.evaluate(left, want_next=True)
    whole = prompt + signal + suffix
    assert decoder.ids == whole + [token for token, _ in ahead.draft[:-1]]
    draft = ahead.draft
    for index, (token, odds) in enumerate(draft):
        restart(decoder, whole + [token for token, _ in draft[:index]])
        logs = log_probabilities(decoder)
        # The likeliest, but for a near tie, which the batch's size decides.
        assert logs.max() - logs[token] < TIE
        assert odds.probability == pytest.approx(float(np.exp(logs[token])), abs=0.1)


def test_a_rollback_is_far_cheaper_than_a_step(decoder: Decoder, ids: list[int]) -> None:
    restart(decoder, ids)
    steps, rollbacks = [], []
    for _ in range(8):
        began = time.thread_time()
        decoder.evaluate(ids[:1])
        evaluated = time.thread_time()
        decoder.keep(len(ids))
        rollbacks.append(time.thread_time() - evaluated)
        steps.append(evaluated - began)
    assert decoder.rolls_back
    assert min(rollbacks) < min(steps) / 10


def test_sampling_is_reproducible_with_a_seed(decoder: Decoder, ids: list[int]) -> None:
    def sampled(seed: int | None) -> list[int]:
        restart(decoder, ids)
        steps = Generation(decoder, ends=frozenset(), limit=30, temperature=1.0, seed=seed)
        return list(steps)

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)


# Characters that control tokens are written with, and any other.
texts = st.text(st.sampled_from("<|im_startend>/ \n") | st.characters(codec="utf-8"), max_size=60)


@given(chunks=st.lists(texts | st.sampled_from(["<|im_end|>", "<|im_start|>", "<|endoftext|>"])))
@settings(max_examples=150, deadline=None)
def test_text_never_gives_control_tokens(
    decoder: Decoder, real_manifest: Manifest, chunks: list[str]
) -> None:
    text = "".join(chunks).replace("\0", "")
    vocabulary = real_manifest.decoder.vocabulary
    assume(set(text.encode()).isdisjoint(vocabulary.missing_bytes))
    control = {i for string in vocabulary.reserved for i in decoder.encode_template(string)}
    found = encode_text(decoder, vocabulary, text)
    assert not control & set(found)
    assert b"".join(decoder.detokenize(i) for i in found).decode() == text


@pytest.fixture(scope="module")
def reasoner(real_pair: Path, real_manifest: Manifest) -> HubTokenizer:
    return HubTokenizer.from_directory(real_pair / real_manifest.reasoner.path)


@given(text=texts)
@settings(max_examples=150, deadline=None)
def test_same_tokens_as_the_reasoner_s_tokenizer(
    decoder: Decoder, reasoner: HubTokenizer, real_manifest: Manifest, text: str
) -> None:
    text = text.replace("\0", "")
    vocabulary = real_manifest.decoder.vocabulary
    assume(set(text.encode()).isdisjoint(vocabulary.missing_bytes))
    assert encode_text(decoder, vocabulary, text) == encode_text(reasoner, vocabulary, text)


def test_evaluation_stops_between_chunks(decoder: Decoder, ids: list[int]) -> None:
    decoder.keep(0)
    calls: list[int] = []

    def check() -> None:
        calls.append(len(decoder.ids))
        if len(calls) == 2:
            raise Interrupted("stop")

    with pytest.raises(Interrupted):
        decoder.evaluate(ids * 3, check=check)
    assert calls == [0, 32]
    assert len(decoder.ids) == 32
    # The evaluated tokens can be continued.
    decoder.evaluate(ids[:4])


def test_stop_ends_an_answer_within_a_step(real_pair: Path, decoder: Decoder) -> None:
    stop = threading.Event()
    client = Client(real_pair, decoder=decoder, device_only=True, prompt_lookup=False)
    with (
        client,
        closing(client.stream("Tell me a story.", deadline=Deadline(60, None, stop))) as it,
    ):
        next(it)
        stop.set()
        with pytest.raises(Interrupted):
            next(it)


def test_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ModelProblem, match="cannot load"):
        Decoder(tmp_path / "model.gguf", 1)


def test_a_later_turn_evaluates_its_own_tokens_alone(
    decoder: Decoder, real_pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is kept gives the same odds as a new evaluation of all turns."""
    evaluated: list[int] = []
    decode = Decoder._decode

    def counted(self: Decoder, ids: Sequence[int], outputs: int) -> None:
        evaluated.append(len(ids))
        decode(self, ids, outputs)

    monkeypatch.setattr(Decoder, "_decode", counted)
    pair = open_pair(str(real_pair))
    defaults = pair.manifest.defaults.model_copy(update={"answer": 8})
    pair = replace(pair, manifest=pair.manifest.model_copy(update={"defaults": defaults}))
    options: QuestionSettings = {"device_only": True, "prompt_lookup": False}
    with Client(pair, decoder=decoder, **options) as client:
        talk = Conversation(pair.manifest)
        sizes = []
        for number in range(6):
            question = talk.ask(f"Name river number {number}.")
            evaluated.clear()
            result = client.ask(question)
            talk.add(question, result)
            sizes.append(sum(evaluated) - result.receipt.tokens.answer)
    assert max(sizes[1:]) - min(sizes[1:]) <= 1
    assert max(sizes[1:]) < sizes[0]
    ids = list(decoder.ids)
    assert len(ids) > 200
    decoder.become(ids)
    odds = log_probabilities(decoder)
    restart(decoder, ids)
    assert close(odds, log_probabilities(decoder))
