"""Tables and figures of runs, compared with the paper's."""

import json

import pytest

from duet_training.errors import DataError
from duet_training.evaluation.report.page import page
from duet_training.evaluation.report.results import UNTRAINED, read, read_result, variant_of
from duet_training.evaluation.report.seeds import interval_over_seeds
from duet_training.evaluation.report.tables import build_tables, everything, paper
from tests.doubles.commands import train_report as main

OBJECTIVE = {
    "budget": 30.0,
    "counted": "response",
    "baseline": "per_signal",
    "length_on_success_only": False,
    "divide_by_std": True,
    "stop_at_end_of_reasoning": False,
    "train_decoder": True,
    "decoder_learns_from": "guided",
    "kl": {"coefficient": 0.001, "kind": "k1"},
    "length_penalty": {"schedule": "dual_ascent", "start": 0.0, "rate": 0.01, "clip": [0.0, 1.0]},
}
CONSTANT = {"schedule": "constant", "start": 1.0, "rate": 0.0, "clip": None}


def _run(home, name, seed=0, step=4, rows=3, train="gym", **objective):
    checkpoint = home / name / "checkpoints" / f"step_{step}"
    checkpoint.mkdir(parents=True)
    settings = {
        "objective": {**OBJECTIVE, **objective},
        "data": {"train": str(home / train / "train.parquet")},
        "seed": seed,
    }
    (checkpoint / "state.json").write_text(json.dumps({"step": step, "settings": settings}))
    lines = [
        {"step": s, "tokens/length": 10.0 - s + seed, "lambda": 0.1, "validation/accuracy": 0.5}
        for s in range(1, rows + 1)
    ]
    (home / name / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return checkpoint


def _result(home, name, method="duet", data="amc23", accuracy=0.8, weights=None, **settings):
    content = {
        "data": data,
        "questions": 40,
        "accuracy": accuracy,
        "accuracy_95": [accuracy - 0.1, accuracy + 0.1],
        "reasoner_tokens": 100.0,
        "decoder_tokens": 10.0,
        "seconds": 12.5,
        "flops": {"reasoner": 8e9, "decoder": 1e9, "total": 9e9},
        "settings": {
            "method": method,
            "seed": 0,
            "cut_at": 4096,
            "weights": str(weights) if weights else None,
            **settings,
        },
    }
    file = home / f"{name}.json"
    file.write_text(json.dumps(content))
    return file


def _row(tables, number, label):
    table = next(table for table in tables if table["number"] == number)
    return next(row for row in table["rows"] if row["label"] == label)


def test_the_papers_numbers_are_there():
    tables = {table["number"]: table for table in paper()["tables"]}
    assert list(tables) == list(range(1, 13))
    for table in tables.values():
        for row in table["rows"]:
            assert row["paper"], row["label"]
            for column, cell in row["paper"].items():
                assert column in table["columns"]
                assert cell.keys() == set(table["figures"])
                if cell.get("ipt") and cell.get("accuracy"):
                    own = 1000 * cell["accuracy"] / cell["reasoner_tokens"]
                    assert cell["ipt"] == pytest.approx(own, abs=0.01), row["label"]
    assert tables[1]["rows"][1]["paper"]["amc23"]["reasoner_tokens"] == 1800
    assert tables[12]["rows"][1]["paper"]["gpqa-diamond"]["reasoner_tokens"] == 1121


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({}, "default"),
        ({"baseline": "none"}, "no-mu"),
        ({"length_penalty": CONSTANT}, "constant"),
        ({"length_penalty": {**CONSTANT, "start": 0.0}}, "no-penalty"),
        ({"length_penalty": {**OBJECTIVE["length_penalty"], "clip": None}}, "no-clip"),
        ({"train_decoder": False}, "fixed-m"),
        (
            {"baseline": "none", "length_penalty": CONSTANT, "kl": {"coefficient": 0}},
            "no-mu+constant+no-kl",
        ),
    ],
)
def test_a_variant_is_named_by_its_switches(changed, name):
    assert variant_of({**OBJECTIVE, **changed}) == name


def test_results_find_their_rows_and_seeds_are_averaged(tmp_path):
    for seed, accuracy in enumerate((0.5, 0.6, 0.7)):
        checkpoint = _run(tmp_path, f"run{seed}", seed)
        _result(tmp_path, f"duet{seed}", accuracy=accuracy, weights=checkpoint)
    _result(tmp_path, "no_mu", weights=_run(tmp_path, "no_mu_run", baseline="none"))
    _result(
        tmp_path, "constant", weights=_run(tmp_path, "c", length_penalty=CONSTANT), data="gym:x"
    )
    _result(tmp_path, "original", "original")
    _result(tmp_path, "cut", "truncated", cut_at=12)
    results, runs = read([tmp_path])
    tables = build_tables(results)

    duet = _row(tables, 1, "DUET")["measured"]["amc23"]
    assert duet["seeds"] == 3
    assert duet["accuracy"] == pytest.approx(0.6)
    assert duet["spread"] == pytest.approx(0.1)
    # Student's t with two degrees of freedom: 0.6 -+ 4.303 * 0.1 / sqrt(3).
    assert duet["accuracy_95"] == pytest.approx((0.3516, 0.8484), abs=1e-3)
    assert _row(tables, 1, "Original model")["measured"]["amc23"]["seeds"] == 1
    assert _row(tables, 1, "ThinkPrune")["measured"] == {}
    assert _row(tables, 6, "- MU")["measured"]["amc23"]["accuracy"] == pytest.approx(0.8)
    assert _row(tables, 4, "Truncation at 12")["measured"]["amc23"]["seeds"] == 1
    assert _row(tables, 8, "B = 30")["measured"]["amc23"]["seeds"] == 3
    assert "gym:x" in _row(tables, 10, "Constant, lambda = 1")["measured"]
    assert len(everything(results)) == 5
    assert len(runs) == 5


VARIANTS = {
    "default": {},
    "no-mu": {"baseline": "none"},
    "no-kl": {"kl": {"coefficient": 0.0}},
    "constant": {"length_penalty": CONSTANT},
    "no-penalty": {"length_penalty": {**CONSTANT, "start": 0.0}},
}


def _result_for(home, match):
    """A result that a row of the paper's tables asks for."""
    weights = None
    if match["method"] not in UNTRAINED:
        variant = match.get("variant", "default").split("+")
        objective = {key: value for name in variant for key, value in VARIANTS[name].items()}
        objective["budget"] = match.get("budget", 30.0)
        train = match.get("train", "gym")
        weights = _run(home, "run", step=match.get("step", 4), train=train, **objective)
    cut = {"cut_at": match["cut_at"]} if "cut_at" in match else {}
    return _result(home, "result", match["method"], weights=weights, **cut)


ROWS = [
    (table["number"], row["label"], row["match"])
    for table in paper()["tables"]
    for row in table["rows"]
    if "match" in row
]


@pytest.mark.parametrize(("number", "label", "match"), ROWS)
def test_every_row_of_every_table_finds_its_result_and_no_other_does(
    tmp_path, number, label, match
):
    results, _ = read([_result_for(tmp_path, match).parent])
    table = build_tables(results)[number - 1]
    assert [row["label"] for row in table["rows"] if row["measured"]] == [label]
    cell = _row([table], number, label)["measured"]["amc23"]
    assert (cell["accuracy"], cell["reasoner_tokens"]) == (0.8, 100)
    part = page([table], [], [], {}).split(f"## Table {number}:")[1]
    measured = [line for line in part.splitlines() if "| measured |" in line]
    shown = {"ipt": "8", "accuracy": "0.800 [0.700, 0.900]", "reasoner_tokens": "100"}
    shown |= {"decoder_tokens": "10"}
    text = ", ".join(shown[figure] for figure in table["figures"])
    assert sum(text in line for line in measured) == 1


@pytest.mark.parametrize(
    ("number", "match", "label"),
    [
        (2, {"method": "duet"}, "trained on gym"),
        (3, {"method": "duet", "step": 7}, "7 steps"),
        (4, {"method": "truncated", "cut_at": 12}, "Truncation at 12"),
        (7, {"method": "single", "variant": "no-penalty"}, "trained on gym"),
        (8, {"method": "duet"}, "B = 30"),
        (9, {"method": "duet", "train": "deepscaler"}, "B = 30"),
        (10, {"method": "duet", "variant": "constant"}, "Constant, lambda = 1"),
    ],
)
def test_what_the_paper_did_not_run_has_a_row_of_its_own(tmp_path, number, match, label):
    results, _ = read([_result_for(tmp_path, match).parent])
    row = _row(build_tables(results), number, label)
    assert row["paper"] == {}
    assert row["measured"]["amc23"]["accuracy"] == 0.8


def test_a_row_takes_the_last_step(tmp_path):
    for step in (2, 4):
        checkpoint = _run(tmp_path, f"run{step}", step=step)
        _result(tmp_path, f"r{step}", accuracy=step / 10, weights=checkpoint)
    tables = build_tables(read([tmp_path])[0])
    cell = _row(tables, 1, "DUET")["measured"]["amc23"]
    assert (cell["step"], cell["accuracy"], cell["others"]) == (4, 0.4, 0)
    assert _row(tables, 3, "2 steps")["measured"]["amc23"]["accuracy"] == pytest.approx(0.2)


def test_unlike_runs_are_not_averaged(tmp_path):
    for budget in (10.0, 20.0):
        checkpoint = _run(tmp_path, f"b{budget:g}", budget=budget)
        _result(tmp_path, f"result{budget:g}", accuracy=budget / 100, weights=checkpoint)
    cell = _row(build_tables(read([tmp_path])[0]), 1, "DUET")["measured"]["amc23"]
    assert (cell["seeds"], cell["others"]) == (1, 1)


def test_the_command_writes_everything(tmp_path, capsys):
    for seed in (0, 1):
        checkpoint = _run(tmp_path, f"run{seed}", seed)
        _result(tmp_path, f"duet{seed}", weights=checkpoint, data="gym:gsm_symbolic")
    _result(tmp_path, "known", weights=checkpoint, data="amc23")
    out = tmp_path / "report"
    assert main([str(tmp_path), "--out", str(out)]) == 0
    assert "3 results and 2 runs" in capsys.readouterr().out
    page = (out / "report.md").read_text()
    assert page.count("## Table") == 12
    assert "gym:gsm_symbolic" in page
    assert "± 0.000" in page
    # IPT, FLOPs and seconds, and the paper's own.
    assert "| 8 | 9e+09 | 12.5 |" in page
    assert "took 1:03:28 by the original model and 0:41:54 by DUET" in page
    # Every row of the paper that was not run says so.
    table = page.split("## Table 12")[1].split("## ")[0]
    assert table.count("not run") == 2 * 5
    for name in ("accuracy_tokens", "curves", "ablations"):
        assert f"]({name}.svg)" in page
        # What was measured is drawn, not the paper's figures alone.
        drawn = (out / f"{name}.svg").read_text()
        assert {"accuracy_tokens": ">duet<", "curves": ">duet, ", "ablations": ">measured<"}[
            name
        ] in drawn
    content = json.loads((out / "report.json").read_text())
    (curve,) = content["curves"]
    assert curve["series"]["tokens/length"] == {
        "steps": [1, 2, 3],
        "mean": [9.5, 8.5, 7.5],
        "least": [9.0, 8.0, 7.0],
        "most": [10.0, 9.0, 8.0],
        "seeds": 2,
    }


def test_each_named_validation_set_has_a_curve(tmp_path):
    _run(tmp_path, "run", rows=2)
    rows = [
        {"step": s, "validation/accuracy": 0.5, "validation/aime24/accuracy": 0.1 * s,
         "validation/aime24/signal_tokens": 7.0}
        for s in (1, 2, 3)
    ]  # fmt: skip
    (tmp_path / "run/metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert main([str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    (curve,) = json.loads((tmp_path / "report/report.json").read_text())["curves"]
    assert curve["series"]["validation/aime24/accuracy"]["mean"] == pytest.approx([0.1, 0.2, 0.3])
    assert "validation/aime24/signal_tokens" not in curve["series"]
    assert "accuracy (aime24)" in (tmp_path / "report/curves.svg").read_text()


def test_a_run_that_goes_on_is_reported_as_far_as_it_is(tmp_path):
    """Its last row is being written: part of it is there."""
    _run(tmp_path, "running", rows=2)
    with (tmp_path / "running/metrics.jsonl").open("a") as rows:
        rows.write('\n{"step": 3, "tokens/le')
    assert main([str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    (curve,) = json.loads((tmp_path / "report/report.json").read_text())["curves"]
    assert curve["series"]["tokens/length"]["steps"] == [1, 2]


def test_without_runs_there_are_no_curves(tmp_path):
    out = tmp_path / "report"
    assert main([str(_result(tmp_path, "one", "original")), "--out", str(out)]) == 0
    assert "curves.svg" not in (out / "report.md").read_text()
    assert not (out / "curves.svg").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "cannot read"), ("{}", "not a result of"), ("[1]", "not a result of")],
)
def test_what_is_no_result_is_one_line(tmp_path, content, message, capsys):
    file = tmp_path / "bad.json"
    file.write_text(content)
    with pytest.raises(DataError, match=message):
        read_result(file)
    assert main([str(file), "--out", str(tmp_path / "out")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    # In a directory other JSON is passed over; with nothing else there, nothing was run.
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "nothing was run" in capsys.readouterr().err


def test_intervals_stay_shares():
    assert interval_over_seeds([0.0, 0.9]) == (0.0, 1.0)
