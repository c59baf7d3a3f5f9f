"""The evidence's plots: what is drawn is what results say, and nothing else."""

import json
import re
from itertools import pairwise
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from duet_training.experiments.curves import ACCURACY, LENGTH, band, curve
from duet_training.experiments.drawing import (
    GROUPS,
    ablations,
    accuracy_against_tokens,
    lengths,
    price_and_accuracy,
    write_plots,
)
from duet_training.experiments.methods import ABLATIONS, BUDGET, JOINTLY
from duet_training.experiments.results import Results

SVG = "{http://www.w3.org/2000/svg}"
SEEDS = (0, 1, 2)
NAMES = ["accuracy-tokens.svg", "length.svg", "price-accuracy.svg", "ablations.svg"]


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
        curves = {"reward__guided": [0.8, 0.75 + seed / 20], "price": [0.0, 0.1 * (seed + 1)]}
        _ran(results, f"duet-{seed}", [60.0, 40.0 + 3 * seed], **curves)
    _evaluated(results, "single-0", 30.0, 0.9)
    _ran(results, "single-0", [70.0, 50.0], reward__right=[0.6, 0.9], price=[0.0, 0.4])
    _ran(results, "lgrpo-0", [71.0, 51.0], reward__right=[0.5, 0.7], price=[0.0, 0.0])
    _ran(results, "no-kl-0", [61.0, 31.0], reward__guided=[0.4, 0.3], price=[0.0, 0.1])
    _ran(results, "weak-0", [62.0, 32.0], reward__guided=[0.2, 0.1], price=[0.0, 0.1])


def _lines(axes):
    """Points of all lines, by label."""
    return {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}


def test_a_point_for_each_seed_of_each_method(results):
    _everything(results)
    (axes,) = accuracy_against_tokens(results).axes
    drawn = _lines(axes)
    frontier = drawn.pop("frontier of the baselines")
    assert {label: sorted(points) for label, points in drawn.items()} == {
        "duet (3 seeds)": [[15.0, 0.85], [16.0, 0.87], [17.0, 0.89]],
        "single": [[30.0, 0.9]],
        "original": [[80.0, 0.8]],
        "alone": [[0.0, 0.2]],
    }
    # Of baselines alone, though duet lies above; level where more tokens are no better.
    assert frontier[:3] == [[0.0, 0.2], [30.0, 0.9], [80.0, 0.9]]
    assert frontier[3][1] == 0.9
    assert frontier[3][0] == axes.get_xlim()[1] > 80


def test_a_frontier_takes_two_baselines(results):
    _evaluated(results, "duet-0", 15.0, 0.8)
    _evaluated(results, "start-split", 60.0, 0.8)
    _evaluated(results, "original", 80.0, 0.8)
    (axes,) = accuracy_against_tokens(results).axes
    assert set(_lines(axes)) == {"duet", "start-split", "original"}


def test_lengths_are_means_between_the_least_and_the_most(results):
    _everything(results)
    (axes,) = lengths(results, SEEDS).axes
    drawn = _lines(axes)
    assert drawn.pop(f"B = {BUDGET} tokens") == [[0.0, BUDGET], [1.0, BUDGET]]
    assert drawn == {
        "duet (3 seeds)": [[1.0, 60.0], [2.0, 43.0]],
        "single": [[1.0, 70.0], [2.0, 50.0]],
        "lgrpo": [[1.0, 71.0], [2.0, 51.0]],
    }
    # One seed has no band.
    (filled,) = axes.collections
    corners = {tuple(point) for point in filled.get_paths()[0].vertices.tolist()}
    assert corners == {(1.0, 60.0), (2.0, 40.0), (2.0, 46.0)}


def test_steps_that_a_seed_lacks_are_not_drawn(results):
    _ran(results, "duet-0", [60.0, 40.0, 20.0])
    _ran(results, "duet-1", [50.0, 30.0])
    assert band(results, "duet", SEEDS, LENGTH).mean == [55.0, 35.0]
    assert band(results, "duet", (0,), LENGTH).mean == [60.0, 40.0, 20.0]


def test_lambda_of_what_has_one_and_everyone_s_accuracy(results):
    _everything(results)
    price, *accuracies = price_and_accuracy(results, SEEDS).axes
    drawn = _lines(price)
    assert set(drawn) == {"duet (3 seeds)", "single"}
    assert drawn["duet (3 seeds)"][1] == pytest.approx([2, 0.2])
    duet, single, lgrpo = map(_lines, accuracies)
    assert duet["duet (3 seeds)"][1] == pytest.approx([2, 0.8])
    assert single == {"single": [[1.0, 0.6], [2.0, 0.9]]}
    assert lgrpo == {"lgrpo": [[1.0, 0.5], [2.0, 0.7]]}
    assert [axes.get_title("left") for axes in accuracies] == [
        f"accuracy: {name}" for name in ("duet", "single", "lgrpo")
    ]


def test_ablations_stand_beside_duet_of_the_same_seed(results):
    _everything(results)
    axes = ablations(results, SEEDS).axes
    assert [_lines(each) for each in axes] == [
        {"duet": [[1.0, 60.0], [2.0, 40.0]], "weak": [[1.0, 62.0], [2.0, 32.0]]},
        {"duet": [[1.0, 0.8], [2.0, 0.75]], "weak": [[1.0, 0.2], [2.0, 0.1]]},
        {"duet": [[1.0, 60.0], [2.0, 40.0]], "no-kl": [[1.0, 61.0], [2.0, 31.0]]},
        {"duet": [[1.0, 0.8], [2.0, 0.75]], "no-kl": [[1.0, 0.4], [2.0, 0.3]]},
    ]
    assert [each.get_title("left") for each in axes[::2]] == ["decoder", "others"]


def test_every_ablation_is_drawn_once(results):
    names = sorted((*ABLATIONS, *JOINTLY))
    for name in names:
        _ran(results, f"{name}-0", [60.0, 40.0])
    axes = ablations(results, SEEDS).axes
    assert sorted(label for each in axes for label in _lines(each)) == names
    # Beside accuracies, though these runs have none.
    named = [text.get_text() for each in axes[1::2] for text in each.get_legend().get_texts()]
    assert sorted(named) == names
    assert {name for group in GROUPS.values() for name in group} <= set(names)


def test_files_show_the_points_where_they_belong(results, tmp_path):
    """Up to how the axes are stretched: the same for every point."""
    _everything(results)
    write_plots(results, SEEDS, tmp_path / "plots")
    root = ElementTree.parse(tmp_path / "plots/accuracy-tokens.svg").getroot()
    groups = [group for group in root.iter(f"{SVG}g") if group.get("clip-path")]
    marks = [use for group in groups for use in group.findall(f"{SVG}use")]
    drawn = sorted((float(mark.get("x")), -float(mark.get("y"))) for mark in marks)
    measured = [(0, 0.2), (15, 0.85), (16, 0.87), (17, 0.89), (30, 0.9), (80, 0.8)]
    assert len(drawn) == len(measured)
    for axis in (0, 1):
        steps = [b[axis] - a[axis] for a, b in pairwise(drawn)]
        meant = [b[axis] - a[axis] for a, b in pairwise(measured)]
        scale = steps[0] / meant[0]
        assert scale > 0
        assert steps == pytest.approx([scale * step for step in meant], abs=0.05)


def test_files_are_the_same_twice_and_can_be_read(results, tmp_path):
    _everything(results)
    drawn = write_plots(results, SEEDS, tmp_path / "one")
    with mpl.rc_context({"font.size": 20, "svg.hashsalt": None, "axes.facecolor": "black"}):
        assert write_plots(results, SEEDS, tmp_path / "two") == drawn
    assert [name for name, _ in drawn] == NAMES
    assert all(caption for _, caption in drawn)
    assert sorted(file.name for file in (tmp_path / "one").iterdir()) == sorted(NAMES)
    for name in NAMES:
        content = (tmp_path / "one" / name).read_bytes()
        assert content == (tmp_path / "two" / name).read_bytes()
        assert len(content) < 60_000
        text = content.decode()
        assert "<dc:date>" not in text
        texts = [element.text for element in ElementTree.fromstring(text).iter(f"{SVG}text")]
        assert any(str(each).startswith("duet") for each in texts)
        # The first thing drawn: white on everything.
        assert re.search(r'<path d="[^"]*" style="(.*?)"', text)[1] == "fill: #ffffff"


def test_what_is_not_done_is_not_drawn(results, tmp_path):
    out = tmp_path / "plots"
    assert write_plots(results, SEEDS, out) == []
    assert not out.exists()
    _evaluated(results, "duet-0", 15.0, 0.8, data="long")
    _ran(results, "rate-duet-2e-4", [60.0, 40.0])
    _ran(results, "duet-7", [60.0, 40.0])
    assert write_plots(results, SEEDS, out) == []
    _ran(results, "duet-0", [60.0, 40.0])
    # No price, no scores, and nothing beside which DUET would be an ablation's measure.
    assert [name for name, _ in write_plots(results, SEEDS, out)] == ["length.svg"]


def test_a_result_of_other_settings_is_not_drawn(results, tmp_path):
    _everything(results)
    planned = Results(results.directory, tmp_path, {"duet-1": ["seed=1"], "original@easy": ["x"]})
    for stage in ("duet-1", "original@easy"):
        results.write(stage, results.read(stage) | {"arguments": ["other"]})
    assert curve(planned, "duet-1", ACCURACY) == {}
    (axes,) = lengths(planned, SEEDS).axes
    assert "duet (2 seeds)" in _lines(axes)
    (axes,) = accuracy_against_tokens(planned).axes
    assert "original" not in _lines(axes)


def test_a_plot_that_has_lost_its_results_goes(results, tmp_path):
    _everything(results)
    out = tmp_path / "plots"
    write_plots(results, SEEDS, out)
    for name in ("weak-0", "no-kl-0"):
        (results.directory / f"{name}.json").unlink()
    assert [name for name, _ in write_plots(results, SEEDS, out)] == NAMES[:3]
    assert sorted(file.name for file in out.iterdir()) == sorted(NAMES[:3])


def test_one_step_is_seen(results):
    """A run that was stopped after it: a line of one point shows nothing."""
    _ran(results, "duet-0", [60.0])
    (axes,) = lengths(results, SEEDS).axes
    assert axes.get_lines()[0].get_marker() == "."
    assert json.dumps(_lines(axes)["duet"]) == "[[1.0, 60.0]]"
