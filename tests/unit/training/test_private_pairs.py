"""A pair with private quantities in training: it reads labels, and its answers are computed."""

import re
from types import SimpleNamespace

import pytest

from duet_contract.manifest import Manifest
from duet_training.data.rows import Problem
from duet_training.errors import ConfigError
from duet_training.evaluation.methods import METHODS
from duet_training.evaluation.scoring import Verifiers
from duet_training.evaluation.signal_measure import read
from duet_training.export.manifest import build_manifest
from duet_training.export.settings import ExportSettings
from duet_training.export.source import Lengths, Trained
from duet_training.pair.description import Pair, load_pair
from duet_training.pair.prompting import PairPrompts
from duet_training.rl.sampling import Sampler
from duet_training.rl.timing import Clock
from duet_training.rl.trainer import Trainer
from duet_training.settings.compose import compose_settings
from duet_training.settings.run import settings_from
from duet_training.verl_backend.generation import Response, Sampling
from tests.doubles.manifests import manifest_data
from tests.doubles.policies import ScriptedPolicy

QUESTION = "Nina had 40 euros. She bought 3 books for 8 euros each. How many euros are left?"
MASKED = "Nina had [a] euros. She bought [b] books for [c] euros each. How many euros are left?"
PROBLEM = Problem("1", QUESTION, "16", "own", "number")
RIGHT, WRONG = "b*c=A;a-A", "b*c"
PRIVATE = {"quantities": "private", "answers": "computed"}


@pytest.fixture(scope="module")
def private(pair_file):
    return load_pair(pair_file).model_copy(update=PRIVATE)


@pytest.fixture(scope="module")
def asked(private):
    return PairPrompts(private)


def _ids(prompts, text, model="_reasoner"):
    return getattr(prompts, model).encode(text, add_special_tokens=False).ids


def test_no_model_reads_a_number(asked, prompts):
    signal = _ids(prompts, RIGHT)
    assert asked.reasoner(QUESTION) == prompts.reasoner(MASKED)
    assert asked.alone(QUESTION) == prompts.alone(MASKED)
    assert asked.guided(QUESTION, signal) == prompts.guided(MASKED, signal)
    # Examples of SFT are masked already.
    assert asked.reasoner(MASKED) == prompts.reasoner(MASKED)


@pytest.mark.parametrize(
    ("signal", "sentence", "answer"),
    [
        (RIGHT, "Nina has {=} euros left.", r"\boxed{16}"),
        (RIGHT, "unfinished {", r"\boxed{16}"),
        (WRONG, "Nina has {=} euros left.", r"\boxed{24}"),
        (WRONG, "Nina has {a-b*c} euros left.", r"\boxed{24}"),
        (None, "Nina has {a-b*c} euros left.", r"\boxed{16}"),
        ("b*", "", "No answer: "),
    ],
)
def test_an_answer_is_what_the_device_computes(asked, signal, sentence, answer):
    ids = None if signal is None else _ids(asked, signal)
    given = asked.answer(QUESTION, ids, _ids(asked, f"{sentence}<|end|>", "_decoder"))
    assert given.startswith(answer)


def test_a_sentence_has_the_step_that_a_part_of_a_signal_lacks(asked):
    signal, sentence = _ids(asked, WRONG), _ids(asked, "{a-A} euros<|end|>", "_decoder")
    assert asked.answer(QUESTION, signal, sentence, whole=False) == r"\boxed{16}"


def test_the_reasoners_own_answer_is_its_formulas_result(asked):
    assert asked.own_answer(QUESTION, _ids(asked, f"<think>{RIGHT}</think>")) == r"\boxed{16}"
    assert asked.own_answer(QUESTION, _ids(asked, f"{WRONG}<|end|>")) == r"\boxed{24}"


def _verifiers():
    return Verifiers.of([PROBLEM], 1, 5.0, computed=False)


def _policy(prompts, name, *texts):
    return ScriptedPolicy(name, getattr(prompts, f"_{name}").encode, texts, [])


def test_rewards_are_of_computed_answers(asked):
    sampler = Sampler(
        _policy(asked, "reasoner", f"{RIGHT}</think>", f"{WRONG}</think>"),
        _policy(asked, "decoder", "Nina has {=} euros left."),
        asked,
        _verifiers(),
        signal=Sampling(40, 1.0, ()),
        answer=Sampling(40, 1.0, ()),
        decoder_prompt=400,
    )
    samples = sampler.draw([PROBLEM], 2, 2, run=0, step=1, clock=Clock())
    assert samples.guided.tolist() == [[[1.0, 1.0], [0.0, 0.0]]]
    # Without a signal there is no result to put into the sentence.
    assert samples.alone.tolist() == [[[0.0, 0.0], [0.0, 0.0]]]


class _Models:
    """Both models, each of which always writes the same."""

    def __init__(self, prompts, reason, decode):
        self.prompts, self._reason, self._decode = prompts, reason, decode

    def reason(self, prompts, limit=None, *, to_end=True):
        return [Response(_ids(self.prompts, self._reason)[:limit], [], True) for _ in prompts]

    def decode(self, prompts):
        return [Response(_ids(self.prompts, self._decode, "_decoder"), [], True) for _ in prompts]

    def guided_prompt(self, question, signal):
        return self.prompts.guided(question, signal)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_is_judged_by_computed_answers(asked, method):
    settings = SimpleNamespace(objective=SimpleNamespace(stop_at_end_of_reasoning=False), cut_at=40)
    sentence = f"Nina has {{{RIGHT}}} euros left." if method == "alone" else "{=}"
    models = _Models(asked, f"{RIGHT}</think>", sentence)
    (outcome,) = METHODS[method](settings).answer(models, [PROBLEM])
    assert outcome.answer == r"\boxed{16}"


def test_parts_of_a_signal_are_judged_by_computed_answers(asked):
    models, verifiers = _Models(asked, RIGHT, "{=}"), _verifiers()
    found = read(models, [PROBLEM], [RIGHT], lambda answers: verifiers.score([PROBLEM], answers))
    assert (found["100%"]["accuracy"], found["25%"]["accuracy"]) == (1.0, 0.0)


def _exported(pair):
    manifest = Manifest.model_validate(manifest_data())
    trained = Trained(None, 1, pair, (), Lengths(20, 40, 20, 100))
    settings = compose_settings("export", [], ExportSettings)
    return build_manifest("own", trained, settings, manifest.reasoner, manifest.decoder, ())


def test_an_exported_pair_says_that_it_is_private(private, pair_file):
    exported = _exported(private)
    assert (exported.quantities, exported.answers, exported.schema_) == ("private", "computed", 3)
    usual = _exported(load_pair(pair_file))
    assert (usual.quantities, usual.answers, usual.schema_) == (None, None, 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answers": None}, "quantities: private needs answers: computed"),
        ({"instruction": "data"}, "quantities: private needs instruction: pair"),
    ],
)
def test_what_private_quantities_need_is_said(private, change, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        Pair.model_validate({**private.model_dump(), **change})


def test_a_dense_reward_has_no_reference(private, pair_file, tmp_path, monkeypatch):
    monkeypatch.setattr("duet_training.rl.trainer.load_pair", lambda _: private)
    given = [f"pair={pair_file}", "data.train=no.parquet", f"out={tmp_path / 'run'}"]
    with pytest.raises(ConfigError, match=r"objective\.reward=dense has no reference"):
        Trainer(settings_from([*given, "objective.reward=dense"]))
    assert not (tmp_path / "run").exists()
