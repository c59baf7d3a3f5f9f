"""Dense and prefix rewards, and withheld results, against values computed by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from duet_training.data.rows import Problem
from duet_training.errors import ConfigError, DataError
from duet_training.evaluation.scoring import Verifiers
from duet_training.rl.dense import DenseScores, dense_scores, log_likelihoods
from duet_training.rl.objective.advantages import advantages, reasoner_groups
from duet_training.rl.objective.reads import Read, prefix_lengths, without_last_result
from duet_training.rl.objective.rewards import UtilityBaseline, reasoner_reward
from duet_training.rl.sampling import Sampler, Samples
from duet_training.rl.timing import Clock
from duet_training.settings.binding import binding
from duet_training.settings.run import settings_from
from duet_training.verl_backend.generation import Sampling
from tests.doubles.policies import ScriptedPolicy
from tests.doubles.verifiers import DigitVerifier

PROBLEMS = [Problem("1", "1+1?", "2", "own", "digit"), Problem("2", "2+2?", "14", "own", "digit")]
WRITTEN = r"\boxed{ANSWER}"


class Reader:
    """A decoder that gives each token of an answer -0.01 nats a token of its prompt."""

    def __init__(self):
        self.rows = 0

    def batch(self, prompts, responses):
        self.rows = len(prompts)
        return list(zip(prompts, responses, strict=True))

    def log_probs(self, batch):
        rows = [torch.full((len(r.tokens),), -0.01 * len(prompt)) for prompt, r in batch]
        return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def _samples(prompts, reads):
    """Two questions with two signals and two answers each; `reads`: what the 8 answers read."""
    asked = [problem for problem in PROBLEMS for _ in range(4)]
    guided = [prompts.guided(p.question, read) for p, read in zip(asked, reads, strict=True)]
    empty = np.zeros((2, 2, 0))
    return Samples(PROBLEMS, [], [], [], guided, [], [], [], np.zeros((2, 2, 2)), empty, 0)


def _dense(prompts, samples, ranks=1, *, each_answer=False, limit=40, decoder=None):
    return dense_scores(
        decoder or Reader(),
        samples,
        prompts,
        answer=WRITTEN,
        limit=limit,
        ranks=ranks,
        each_answer=each_answer,
    )


def test_log_likelihoods_by_hand():
    rows = [np.array([-0.5, -1.25], np.float32), np.array([-0.125], np.float32)]
    assert log_likelihoods(rows).tolist() == [-1.75, -0.125]


def test_the_dense_reward_of_a_batch_by_hand(prompts):
    signals = [
        prompts._reasoner.encode(t, add_special_tokens=False).ids for t in ("ab", "ccc", "d")
    ]
    signals.append([])
    reads = [signal for signal in signals for _ in range(2)]
    samples = _samples(prompts, reads)
    found = _dense(prompts, samples)
    # y* is \boxed{2} or \boxed{14} and the end token, one token a byte: 10 and 11 tokens.
    lengths = [[len(samples.guided_prompts[i]) for i in row] for row in ((0, 2), (4, 6))]
    alone = [len(prompts.alone(problem.question)) for problem in PROBLEMS]
    expected = [
        [-0.01 * n * tokens for n in row] for row, tokens in zip(lengths, (10, 11), strict=True)
    ]
    assert found.guided == pytest.approx(np.array(expected), abs=1e-6)
    expected_alone = [[-0.1 * alone[0]] * 2, [-0.11 * alone[1]] * 2]
    assert found.alone == pytest.approx(np.array(expected_alone), abs=1e-6)


def test_dense_rewards_and_advantages_by_hand():
    dense = DenseScores(np.array([[-1.0, -3.0]]), np.array([[-4.0, -4.0]]))
    tokens = np.array([[50.0, 10.0]])
    reward = reasoner_reward(
        dense.guided, dense.baseline(UtilityBaseline.PER_SIGNAL), tokens, penalty=0.5, budget=20
    )
    # -1 + 4 - 0.5 x 50 / 20 and -3 + 4 - 0.5 x 10 / 20
    assert reward == pytest.approx(np.array([[1.75, 0.75]]), abs=1e-6)
    groups, mask = reasoner_groups(1, 2), torch.ones(2, 1)
    found = advantages(reward.reshape(-1), groups, mask, divide_by_std=False)
    assert found[:, 0].tolist() == pytest.approx([0.5, -0.5], abs=1e-6)
    # The deviation (n - 1) of both is 0.70711, and VERL adds 1e-6 to it.
    found = advantages(reward.reshape(-1), groups, mask)
    assert found[:, 0].tolist() == pytest.approx([0.7071058, -0.7071058], abs=1e-6)
    none = dense.baseline(UtilityBaseline.NONE)
    assert none.tolist() == [[0.0, 0.0]]


def test_prefixes_of_a_signal_are_averaged(prompts):
    ids = prompts._reasoner.encode("abcd", add_special_tokens=False).ids
    samples = _samples(prompts, [ids[:k] for k in (0, 4, 1, 1, 2, 4, 3, 3)])
    found = _dense(prompts, samples, each_answer=True)
    first = len(prompts.guided("1+1?", []))
    assert found.guided[0] == pytest.approx(-0.1 * np.array([first + 2, first + 1]), abs=1e-6)
    second = len(prompts.guided("2+2?", []))
    assert found.guided[1] == pytest.approx(-0.11 * np.array([second + 3, second + 3]), abs=1e-6)


@pytest.mark.parametrize("ranks", [1, 4, 5])
def test_every_rank_gets_as_many_rows(prompts, ranks):
    samples, decoder = _samples(prompts, [[]] * 8), Reader()
    found = _dense(prompts, samples, ranks, decoder=decoder)
    assert decoder.rows % ranks == 0
    assert found.guided == pytest.approx(_dense(prompts, samples).guided)


def test_a_reference_longer_than_an_answer_is_one_line(prompts):
    with pytest.raises(DataError, match=r"the reference of 2 has 11 tokens, tokens.answer is 10"):
        _dense(prompts, _samples(prompts, [[]] * 8), limit=10)


def test_prefix_lengths_are_uniform_and_follow_from_the_seed():
    drawn = prefix_lengths([4] * 5000, 4, [0, 1, 2])
    assert drawn.shape == (5000, 4)
    assert np.bincount(drawn.reshape(-1)) / 20000 == pytest.approx(np.full(5, 0.2), abs=0.02)
    assert (drawn == prefix_lengths([4] * 5000, 4, [0, 1, 2])).all()
    assert (drawn != prefix_lengths([4] * 5000, 4, [0, 2, 2])).any()
    assert prefix_lengths([0, 1], 2, [0]).max() <= 1


@pytest.mark.parametrize(
    ("signal", "read"),
    [
        ("12-6=6.", "12-6="),
        ("3*4 = 12; 12 + 5 = 17. The answer is 17.", "3*4 = 12; 12 + 5 ="),
        ("So 12 = 12. Then 5+7=12.", "So 12 ="),
        (r"$3 \cdot 4 = \boxed{12}$", r"$3 \cdot 4 ="),
        ("1,000 + 24 = 1,024. Or 2^10 = 1024.", "1,000 + 24 ="),
        ("x = y", "x = y"),
        ("", ""),
    ],
)
def test_the_last_result_is_withheld(signal, read):
    assert without_last_result(signal) == read


@given(st.text("12+=. x", max_size=30))
def test_what_is_withheld_is_an_end(signal):
    kept = without_last_result(signal)
    assert signal.startswith(kept)
    assert kept == signal or kept.endswith("=")


def test_a_signal_is_withheld_at_a_whole_token(prompts):
    ids = prompts._reasoner.encode("the 1+1=2. in", add_special_tokens=False).ids
    assert prompts.signal_text(prompts.withheld(ids)) == "the 1+1="
    ids = prompts._reasoner.encode("the answer", add_special_tokens=False).ids
    assert prompts.withheld(ids) == ids


def _draw(prompts, read, *, alone=True):
    events = []
    reasoner, decoder = (
        ScriptedPolicy(name, getattr(prompts, f"_{name}").encode, texts, events)
        for name, texts in (("reasoner", ["1+1=2</think>", "2</think>"]), ("decoder", ["7", "no"]))
    )
    sampler = Sampler(
        reasoner,
        decoder,
        prompts,
        Verifiers({"digit": DigitVerifier()}),
        signal=Sampling(20, 1.0, ()),
        answer=Sampling(20, 1.0, ()),
        decoder_prompt=200,
        read=read,
        answers_alone=alone,
    )
    return sampler.draw(PROBLEMS, 2, 4, run=3, step=5, clock=Clock())


def test_answers_are_to_prefixes_and_length_is_of_the_whole(prompts):
    samples = _draw(prompts, Read.PREFIX)
    kept = prefix_lengths([5, 1, 5, 1], 4, [3, 5, 2]).reshape(-1)
    assert len(set(kept.tolist())) > 2
    asked = [problem for problem in PROBLEMS for _ in range(8)]
    signals = [signal for signal in samples.signals for _ in range(4)]
    assert samples.guided_prompts == [
        prompts.guided(problem.question, signal[:count])
        for problem, signal, count in zip(asked, signals, kept, strict=True)
    ]
    assert [len(signal) for signal in samples.signals] == [5, 1, 5, 1]
    # Every other answer is right, whatever it read.
    assert samples.guided.mean(axis=2).tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_answers_do_not_read_what_is_withheld(prompts):
    samples = _draw(prompts, Read.WITHHELD)
    signal = prompts._reasoner.encode("1+1=", add_special_tokens=False).ids
    assert samples.guided_prompts[:4] == [prompts.guided("1+1?", signal)] * 4
    assert [prompts.signal_text(s) for s in samples.signals] == ["1+1=2", "2"] * 2


def test_without_sampled_r_m_only_guided_answers_are_sampled(prompts):
    samples = _draw(prompts, Read.WHOLE, alone=False)
    assert (len(samples.guided_responses), samples.alone_responses) == (16, [])
    assert (samples.guided.shape, samples.alone.shape) == ((2, 2, 4), (2, 2, 0))
    whole = _draw(prompts, Read.WHOLE)
    assert (whole.guided == samples.guided).all()
    assert whole.alone.shape == (2, 2, 4)


NEEDED = ["pair=p", "out=o", "data.train=t"]


def test_the_reward_is_part_of_the_runs_identity():
    plain = binding(settings_from(NEEDED))["objective"]
    assert not {"reward", "read", "dense_answer"} & plain.keys()
    dense = settings_from([*NEEDED, "objective.reward=dense", "objective.read=prefix"])
    bound = binding(dense)["objective"]
    assert (bound["reward"], bound["read"], bound["dense_answer"]) == ("dense", "prefix", WRITTEN)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["objective.reward=dense", "objective.length_on_success_only=true"], "scores from 0 to 1"),
        (["objective.dense_answer=x"], "dense_answer"),
        (["objective.reward=best"], "objective.reward"),
    ],
)
def test_a_reward_that_cannot_be_is_one_line(more, said):
    with pytest.raises(ConfigError, match=said) as caught:
        settings_from([*NEEDED, *more])
    assert "\n" not in str(caught.value)
