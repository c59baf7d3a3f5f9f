"""What the experiments were to reach, judged from results that are made up here."""

import pytest

from duet_report.intervals import Interval
from duet_training.experiments.figures import paired
from duet_training.experiments.results import Results
from duet_training.experiments.targets import frontier, targets_table


def _evaluated(results, name, accuracy, tokens, data="easy", right=""):
    result = {
        "accuracy": accuracy,
        "accuracy_95": [accuracy - 0.03, accuracy + 0.03],
        "reasoner_tokens": tokens,
        "questions": 500,
        "by_run": [{"right": right}],
    }
    results.write(f"{name}@{data}", {"stage": f"{name}@{data}", "result": result})


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
        "duet, sampled: at most 0.40 of original's tokens, at most 2 points less accurate": [
            "0.20 of the tokens, -20.0 points, no interval of the difference",
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


def test_a_difference_is_paired_by_question(tmp_path):
    """Where both are right and wrong together, no resample makes a difference."""
    results = Results(tmp_path, tmp_path)
    right = "10" * 50
    _evaluated(results, "original", 0.5, 100, "greedy", right)
    _evaluated(results, "duet-0", 0.5, 20, "greedy", right)
    _evaluated(results, "duet-1", 0.5, 20, "greedy", right)
    assert paired(results, "duet", "original") == Interval(value=0, low=0, high=0)
    # The other way round: as often right, but never on the same questions.
    _evaluated(results, "duet-1", 0.5, 20, "greedy", right[::-1])
    apart = paired(results, "duet", "original")
    assert apart.value == 0
    assert apart.low < -0.05 < 0.05 < apart.high
    assert paired(results, "single", "original") is None
    # Kept without which questions were right.
    results.write("lgrpo-0@greedy", {"result": {"by_run": [{"accuracy": 0.5}]}})
    assert paired(results, "lgrpo", "original") is None


@pytest.mark.parametrize(
    ("right", "met"),
    [("1" * 100, "yes"), ("1" * 80 + "0" * 20, "no"), ("1" * 97 + "0" * 3, "not decided")],
)
def test_a_target_is_judged_by_its_interval(right, met, tmp_path):
    results = Results(tmp_path, tmp_path)
    _evaluated(results, "original", 1, 100, "greedy", "1" * 100)
    _evaluated(results, "duet-0", right.count("1") / 100, 20, "greedy", right)
    (row,) = targets_table(results).splitlines()[2:]
    assert row.startswith("| duet, greedy: at most 0.40")
    assert row.endswith(f" | {met} |")


def test_what_a_second_start_gives_is_held_against_that_start(tmp_path):
    results = Results(tmp_path, tmp_path)
    _evaluated(results, "original", 0.5, 400, "greedy", "10" * 50)
    _evaluated(results, "second-original", 1, 100, "greedy", "1" * 100)
    _evaluated(results, "second-duet-0", 0.99, 30, "greedy", "1" * 99 + "0")
    (row,) = targets_table(results).splitlines()[2:]
    assert row.startswith("| second-duet, greedy: at most 0.40 of second-original's tokens")
    assert "| 0.30 of the tokens, -1.0 points (" in row


@pytest.mark.parametrize(
    ("fixed", "met"), [("1" * 100, "no"), ("0" * 100, "yes"), ("0" * 8 + "1" * 92, "not decided")]
)
def test_teaching_the_decoder_pays_or_does_not(fixed, met, tmp_path):
    results = Results(tmp_path, tmp_path)
    _evaluated(results, "weak-0", 1, 20, "greedy", "1" * 100)
    _evaluated(results, "weak-fixed-0", 0.5, 20, "greedy", fixed)
    (row,) = targets_table(results).splitlines()[2:]
    assert row.startswith("| weak, greedy: training both better by 5 points than a fixed decoder |")
    assert row.endswith(f" | {met} |")


def test_what_joint_training_brings(tmp_path):
    results = Results(tmp_path, tmp_path)
    right = "1" * 80 + "0" * 20
    _evaluated(results, "duet-0", 0.8, 20, right=right)
    _evaluated(results, "decoder-fixed-0", 0.8, 25, right=right)
    _evaluated(results, "neither-0", 0.3, 20)
    text = targets_table(results)
    assert "0.300 at 20.0 tokens, duet 0.800 at 20.0 | yes |" in text
    told = "+0.0 points (+0.0 to +0.0), at 20.0 tokens against 25.0 | yes |"
    assert f"duet, sampled: training both at least as good as a fixed decoder | {told}" in text
