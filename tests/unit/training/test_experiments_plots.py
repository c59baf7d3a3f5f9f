"""Plots of the experiments: what is drawn is what results say, and nothing else."""

from xml.etree import ElementTree

import pytest

from duet_report.plots import enough, write_plots
from duet_training.experiments.drawing import (
    GROUPS,
    ablations,
    accuracy_against_tokens,
    band,
    lambda_and_accuracy,
    lengths,
    plots,
)
from duet_training.experiments.methods import ABLATIONS, BUDGET, JOINTLY
from duet_training.experiments.results import ACCURACY, LENGTH, Results

SVG = "{http://www.w3.org/2000/svg}"
SEEDS = (0, 1, 2)
NAMES = ["accuracy-tokens.svg", "length.svg", "lambda-accuracy.svg", "ablations.svg"]


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "results", tmp_path)


def _evaluated(results, name, tokens, accuracy, data="easy"):
    content = {"result": {"reasoner_tokens": tokens, "accuracy": accuracy}}
    results.write(f"{name}@{data}", content)


def _ran(results, run, lengths, **curves):
    """`curves`: others by step, `__` in their names for `/`."""
    named = {name.replace("__", "/"): values for name, values in curves.items()}
    named["tokens/response"] = lengths
    points = {name: [*map(list, enumerate(values, 1))] for name, values in named.items()}
    results.write(run, {"result": {"curves": points}})


def _everything(results):
    _evaluated(results, "alone", 0.0, 0.2)
    _evaluated(results, "original", 80.0, 0.8)
    for seed in SEEDS:
        _evaluated(results, f"duet-{seed}", 15.0 + seed, 0.85 + seed / 50)
        curves = {"reward__guided": [0.8, 0.75 + seed / 20], "lambda": [0.0, 0.1 * (seed + 1)]}
        _ran(results, f"duet-{seed}", [60.0, 40.0 + 3 * seed], **curves)
    _evaluated(results, "single-0", 30.0, 0.9)
    _ran(results, "single-0", [70.0, 50.0], reward__right=[0.6, 0.9], **{"lambda": [0.0, 0.4]})
    _ran(results, "lgrpo-0", [71.0, 51.0], reward__right=[0.5, 0.7], **{"lambda": [0.0, 0.0]})
    _ran(results, "no-kl-0", [61.0, 31.0], reward__guided=[0.4, 0.3], **{"lambda": [0.0, 0.1]})
    _ran(results, "weak-0", [62.0, 32.0], reward__guided=[0.2, 0.1], **{"lambda": [0.0, 0.1]})


def _points(panel):
    """Points of a panel, by label."""
    return {
        each.label: [[x, y] for x, y in zip(each.x, each.y, strict=True)] for each in panel.series
    }


def test_a_point_for_each_seed_of_each_method(results):
    _everything(results)
    (panel,) = accuracy_against_tokens(results).panels
    drawn = _points(panel)
    frontier = drawn.pop("frontier of the baselines")
    assert {label: sorted(points) for label, points in drawn.items()} == {
        "duet (3 seeds)": [[15.0, 0.85], [16.0, 0.87], [17.0, 0.89]],
        "single": [[30.0, 0.9]],
        "original": [[80.0, 0.8]],
        "alone": [[0.0, 0.2]],
    }
    # Of baselines alone, though duet is above; level where more tokens do not help.
    assert frontier == [[0.0, 0.2], [30.0, 0.9], [80.0, 0.9]]


def test_a_frontier_takes_two_baselines(results):
    _evaluated(results, "duet-0", 15.0, 0.8)
    _evaluated(results, "start-split", 60.0, 0.8)
    _evaluated(results, "original", 80.0, 0.8)
    (panel,) = accuracy_against_tokens(results).panels
    assert set(_points(panel)) == {"duet", "start-split", "original"}


def test_lengths_are_means_between_the_least_and_the_most(results):
    _everything(results)
    (panel,) = lengths(results, SEEDS).panels
    drawn = _points(panel)
    assert drawn.pop(f"B = {BUDGET} tokens") == [[1, BUDGET], [2, BUDGET]]
    assert drawn == {
        "duet (3 seeds)": [[1.0, 60.0], [2.0, 43.0]],
        "single": [[1.0, 70.0], [2.0, 50.0]],
        "lgrpo": [[1.0, 71.0], [2.0, 51.0]],
    }
    # One seed has no band.
    bands = [(each.low, each.high) for each in panel.series if each.low]
    assert bands == [([60.0, 40.0], [60.0, 46.0])]


def test_steps_that_a_seed_lacks_are_not_drawn(results):
    _ran(results, "duet-0", [60.0, 40.0, 20.0])
    _ran(results, "duet-1", [50.0, 30.0])
    assert band(results, "duet", SEEDS, LENGTH).mean == [55.0, 35.0]
    assert band(results, "duet", (0,), LENGTH).mean == [60.0, 40.0, 20.0]


def test_lambda_of_what_has_one_and_everyone_s_accuracy(results):
    _everything(results)
    lambdas, *accuracies = lambda_and_accuracy(results, SEEDS).panels
    drawn = _points(lambdas)
    assert set(drawn) == {"duet (3 seeds)", "single"}
    assert drawn["duet (3 seeds)"][1] == pytest.approx([2, 0.2])
    duet, single, lgrpo = map(_points, accuracies)
    assert duet["duet (3 seeds)"][1] == pytest.approx([2, 0.8])
    assert single == {"single": [[1.0, 0.6], [2.0, 0.9]]}
    assert lgrpo == {"lgrpo": [[1.0, 0.5], [2.0, 0.7]]}
    assert [panel.title for panel in accuracies] == [
        f"accuracy: {name}" for name in ("duet", "single", "lgrpo")
    ]


def test_ablations_are_next_to_duet_of_the_same_seed(results):
    _everything(results)
    panels = ablations(results, SEEDS).panels
    assert [_points(each) for each in panels] == [
        {"duet": [[1.0, 60.0], [2.0, 40.0]], "weak": [[1.0, 62.0], [2.0, 32.0]]},
        {"duet": [[1.0, 0.8], [2.0, 0.75]], "weak": [[1.0, 0.2], [2.0, 0.1]]},
        {"duet": [[1.0, 60.0], [2.0, 40.0]], "no-kl": [[1.0, 61.0], [2.0, 31.0]]},
        {"duet": [[1.0, 0.8], [2.0, 0.75]], "no-kl": [[1.0, 0.4], [2.0, 0.3]]},
    ]
    assert [each.title for each in panels[::2]] == ["decoder", "others"]
    # DUET is grey, and no two others of a panel look alike.
    assert [each.colour for each in panels[0].series] == [None, 0]


def test_every_ablation_is_drawn_once(results):
    names = sorted((*ABLATIONS, *JOINTLY))
    for name in names:
        _ran(results, f"{name}-0", [60.0, 40.0])
    panels = ablations(results, SEEDS).panels
    for half in (panels[::2], panels[1::2]):
        labels = [each.label for panel in half for each in panel.series]
        assert sorted(label for label in labels if label != "duet") == names
    assert {name for group in GROUPS.values() for name in group} <= set(names)


def test_files_show_what_is_done(results, tmp_path):
    _everything(results)
    drawn = write_plots(plots(results, SEEDS), tmp_path)
    assert [each.file for each in drawn] == NAMES
    assert all(each.caption for each in drawn)
    for name in NAMES:
        content = (tmp_path / name).read_text()
        texts = [element.text for element in ElementTree.fromstring(content).iter(f"{SVG}text")]
        assert any(str(each).startswith("duet") for each in texts)


def test_what_is_not_done_is_not_drawn(results):
    assert enough(plots(results, SEEDS)) == []
    _evaluated(results, "duet-0", 15.0, 0.8, data="long")
    _ran(results, "rate-duet-2e-4", [60.0, 40.0, 30.0])
    _ran(results, "duet-7", [60.0, 40.0, 30.0])
    assert enough(plots(results, SEEDS)) == []
    _ran(results, "duet-0", [60.0, 40.0, 30.0])
    # No lambda, no scores, and nothing next to which DUET would be an ablation's measure.
    assert [plot.file for plot in enough(plots(results, SEEDS))] == ["length.svg"]


def test_a_result_of_other_settings_is_not_drawn(results, tmp_path):
    _everything(results)
    planned = Results(results.directory, tmp_path, {"duet-1": ["seed=1"], "original@easy": ["x"]})
    for stage in ("duet-1", "original@easy"):
        results.write(stage, results.read(stage) | {"arguments": ["other"]})
    assert planned.curve("duet-1", ACCURACY) == {}
    (panel,) = lengths(planned, SEEDS).panels
    assert "duet (2 seeds)" in _points(panel)
    (panel,) = accuracy_against_tokens(planned).panels
    assert "original" not in _points(panel)
