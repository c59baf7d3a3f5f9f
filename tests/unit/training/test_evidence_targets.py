"""What the evidence run was to reach, judged from results that are made up here."""

import pytest

from training.evidence.results import Results
from training.evidence.targets import frontier, targets_table


def _evaluated(results, name, accuracy, tokens):
    result = {
        "accuracy": accuracy,
        "accuracy_95": [accuracy - 0.03, accuracy + 0.03],
        "reasoner_tokens": tokens,
        "questions": 500,
    }
    results.write(f"{name}@easy", {"stage": f"{name}@easy", "result": result})


def test_the_frontier_is_what_a_mixture_reaches():
    points = [(0.0, 0.2), (30.0, 0.8), (60.0, 0.7), (100.0, 0.9)]
    assert frontier(points, 0) == pytest.approx(0.2)
    assert frontier(points, 15) == pytest.approx(0.5)
    # More tokens are never worse than fewer.
    assert frontier(points, 30) == pytest.approx(0.8)
    assert frontier(points, 65) == pytest.approx(0.85)
    assert frontier(points, 500) == pytest.approx(0.9)
    assert frontier(points[1:], 10) == 0


def test_targets_are_judged_seed_by_seed(tmp_path):
    results = Results(tmp_path, tmp_path)
    _evaluated(results, "original", 0.9, 100)
    _evaluated(results, "alone", 0.2, 0)
    _evaluated(results, "single-0", 0.88, 40)
    _evaluated(results, "duet-0", 0.9, 20)
    _evaluated(results, "duet-1", 0.5, 20)
    rows = [line.strip("| ").split(" | ") for line in targets_table(results).splitlines()[2:]]
    told = {row[0]: row[1:] for row in rows}
    assert told == {
        "duet: at most 0.40 of original's tokens, at most 2 points less accurate": [
            "0.20 of the tokens, +20.0 points lost",
            "no",
        ],
        "duet: small model alone at most half as accurate as the pair": [
            "0.200 against 0.700",
            "yes",
        ],
        # Between the small model alone and the single model: 0.54 at 20 tokens.
        "duet: on or above the accuracy-token frontier of all baselines, every seed": [
            "+36.0, -4.0 points, by seed",
            "no",
        ],
    }


def test_what_joint_training_brings(tmp_path):
    results = Results(tmp_path, tmp_path)
    for name, accuracy in (("duet", 0.8), ("neither", 0.3), ("decoder-fixed", 0.85)):
        _evaluated(results, f"{name}-0", accuracy, 20)
    text = targets_table(results)
    assert "constant lambda collapse | 0.300 at 20.0 tokens | yes |" in text
    assert "0.800 at 20.0 tokens against 0.850 at 20.0 | no |" in text
