"""VERL's worker on one rank and on four over gloo: rows are shared, what is learned is the same."""

import json
import subprocess
import sys

import pytest

from duet_training.export.merge import merge_shards
from duet_training.verl_backend.cpu.rollout import digest
from tests.doubles.runs import write_run

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("ranks")
    write_run(home, home / "no.parquet", ranks=2)
    return home


@pytest.fixture(scope="module")
def found(home):
    """What one rank and four found: weights, log-probs before and after, metrics."""
    command = [sys.executable, "-m", "tests.doubles.gloo_ranks", str(home / "pair")]
    command += [str(home / "run/checkpoints/step_3"), str(home / "out.json"), "1", "4"]
    subprocess.run(command, check=True, capture_output=True, timeout=850)
    return json.loads((home / "out.json").read_text())


def _flat(rows):
    return [value for row in rows for value in row]


def test_weights_of_two_ranks_are_read_by_one_and_by_four(home, found):
    saved = merge_shards(home / "run/checkpoints/step_3/reasoner", home / "pair/reasoner")
    assert found["1"]["read"] == found["4"]["read"] == digest(iter(saved.items()))


def test_log_probs_are_the_same_in_the_same_order(found):
    one, four = (_flat(found[ranks]["log_probs"]) for ranks in ("1", "4"))
    assert four == pytest.approx(one, abs=1e-5)


def test_four_ranks_learn_what_one_does(found):
    one, four = found["1"]["metrics"], found["4"]["metrics"]
    for name in ("loss", "grad_norm"):
        assert four[name] == pytest.approx(one[name], rel=1e-4), name
    # VERL takes these means by micro-batch, which are other rows on other ranks.
    assert four["ppo_kl"] == pytest.approx(one["ppo_kl"], rel=0.3)
    before, after = (_flat(found["1"][when]) for when in ("log_probs", "after"))
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) > 1
    assert _flat(found["4"]["after"]) == pytest.approx(after, abs=2e-3)
