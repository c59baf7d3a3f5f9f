"""Tables of the loss aggregations at small scale, and of the driver's share of a step."""

import math

import numpy as np
import pytest
import torch

from duet_training.evaluation.report.tables import NOT_RUN
from duet_training.experiments.aggregations import aggregation_table, driver_table, policy_table
from duet_training.experiments.results import Results
from duet_training.experiments.stopping_policy import LIMIT, NEEDED, _expected, _loss, measured
from duet_training.rl.timing import Clock

SEEDS = (0, 1)


def _rows(table):
    return {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ") for line in table}


def _run(results, name, right, tokens, driver=0.1):
    for seed in SEEDS:
        curves = {
            "validation/response_tokens": [[2, 40.0], [4, tokens[seed]]],
            "seconds/step": [[1, 1.0], [2, 3.0], [3, 1.0], [4, 3.0]],
            "seconds/validation": [[2, 2.0], [4, 2.0]],
            "seconds/driver": [[step, driver * (1 + seed)] for step in (1, 2, 3, 4)],
        }
        results.write(f"{name}-{seed}", {"result": {"steps": 4, "curves": curves}})
        accuracy = right.count("1") / len(right)
        found = {"accuracy": accuracy, "accuracy_95": [accuracy, accuracy], "questions": 4}
        found |= {"reasoner_tokens": tokens[seed], "by_run": [{"right": right}]}
        for data in ("easy", "greedy"):
            results.write(f"{name}-{seed}@{data}", {"result": found})


def test_aggregations_are_compared_with_the_token_mean_of_the_same_seed(tmp_path):
    results = Results(tmp_path, tmp_path)
    _run(results, "reward-sampled", "1110", (20.0, 10.0))
    _run(results, "aggregation-micro-batch", "1111", (10.0, 5.0))
    rows = _rows(aggregation_table(results, SEEDS).splitlines()[2:])
    base, ours = rows["reward-sampled"], rows["aggregation-micro-batch"]
    assert base[2:6] == ["0.750 (0.750 to 0.750)", "15.0", "0.750 0.750", "20.0 10.0"]
    assert base[6:8] == ["", ""]
    assert ours[6].startswith("+25.0 points")
    assert ours[7] == "-50% (-50 to -50)"
    # Validations of steps 2 and 4, of 4.
    assert ours[-2:] == ["40.0", "7.5"]
    assert rows["aggregation-response"][2] == NOT_RUN


def test_without_an_arm_there_is_no_table(tmp_path):
    results = Results(tmp_path, tmp_path)
    _run(results, "reward-sampled", "1110", (20.0, 10.0))
    assert aggregation_table(results, SEEDS) == policy_table(results) == ""


def test_what_a_policy_is_expected_to_do_by_hand():
    """It stops with chance 1/2 after each token: 2 tokens in the mean."""
    points = torch.zeros(len(NEEDED), LIMIT // 8 + 1)
    tokens, accuracy = _expected(points)
    assert tokens == pytest.approx(2)
    by_hand = [
        sum(0.5**n * (0.35 + 0.62 / (1 + math.exp(needed - n))) for n in range(1, 60))
        for needed in NEEDED
    ]
    assert accuracy == pytest.approx(sum(by_hand) / 3)


@pytest.mark.parametrize(
    ("rule", "by_hand"),
    [
        # Log-probs are log 1/2; a response of 1 token with advantage 2, one of 3 with 1.
        ("token-mean", (2 + 3) / 4),
        ("seq-mean-token-mean", (2 + 1) / 2),
        ("seq-mean-token-sum-norm", (2 + 3) / 2 / LIMIT),
    ],
)
def test_the_loss_is_verls(rule, by_hand):
    weights = torch.tensor([[2.0], [1.0]])
    loss = _loss(rule, torch.zeros(2, LIMIT), np.array([1.0, 3.0]), weights)
    assert float(loss) == pytest.approx(by_hand * math.log(2), rel=1e-5)


def test_rules_are_compared_on_the_same_draws(tmp_path):
    found = measured(seeds=2, steps=12)
    assert len(found) == 6
    again = measured(seeds=2, steps=12)
    assert found == again
    lengths = {row["rule"]: row["tokens"][0][0] for row in found}
    assert all(20 < length < 55 for length in lengths.values())
    # Adam takes no notice of a constant factor.
    one, other = (lengths[f"seq-mean-token-sum{end}"] for end in ("", "-norm"))
    assert one == pytest.approx(other, rel=0.01)
    results = Results(tmp_path, tmp_path)
    results.write("aggregation", {"result": {"rules": found}})
    assert "| `token-mean` | " in policy_table(results)


def test_the_drivers_share_is_of_a_step_without_its_validation(tmp_path):
    results = Results(tmp_path, tmp_path)
    assert driver_table(results, SEEDS) == ""
    _run(results, "aggregation-micro-batch", "1", (1.0, 1.0))
    (row,) = _rows(driver_table(results, SEEDS).splitlines()[2:]).values()
    assert row[1:] == ["2", "1.00", "0.15", "15.0% (10.0% to 20.0%)", "yes"]
    _run(results, "aggregation-micro-batch", "1", (1.0, 1.0), driver=0.11)
    assert driver_table(results, SEEDS).strip().endswith("| no |")


def test_the_driver_has_what_the_models_leave(monkeypatch):
    # Start; generation from 1 to 4, weights from 4 to 4.5, an update from 5 to 7; the end.
    now = iter([0.0, 1.0, 4.0, 4.0, 4.5, 5.0, 7.0, 8.0])
    monkeypatch.setattr("duet_training.rl.timing.time.monotonic", lambda: next(now))
    clock = Clock()
    for phase in ("generate", "weights", "update"):
        with clock(phase):
            pass
    seconds = clock.seconds()
    assert seconds["seconds/weights"] == 0.5
    assert seconds["seconds/driver"] == pytest.approx(3.0)
    assert seconds["seconds/step"] == 8.0
