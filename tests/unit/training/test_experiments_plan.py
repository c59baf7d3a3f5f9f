"""The experiments: their plan, resuming after an interruption, and the report."""

import json
import re
import shlex
from pathlib import Path

import pytest

from duet_training.errors import CommandError, DataError
from duet_training.evaluation.run import EvaluationSettings
from duet_training.experiments import runner as running
from duet_training.experiments import stopping_policy
from duet_training.experiments.methods import (
    ABLATIONS,
    FROM_SECOND,
    JOINTLY,
    MAIN,
    OTHERS,
    UNTRAINED,
)
from duet_training.experiments.plan import FULL, make_plan
from duet_training.experiments.rates import RATES, chosen, stage_of
from duet_training.experiments.report import write_report
from duet_training.experiments.results import Results, of_run
from duet_training.experiments.reward_ablation import QUESTIONS, measured, pressure
from duet_training.experiments.runner import ExperimentRunner
from duet_training.experiments.stage import Stage
from duet_training.experiments.stage_runner import MOST_TOGETHER
from duet_training.experiments.stopping_policy import measured as compared
from duet_training.experiments.tables import LENGTHS, ablation_table, by_length, ran
from duet_training.rl.objective.rewards import UtilityBaseline
from duet_training.settings.compose import compose_settings
from duet_training.settings.run import Settings
from tests.doubles.commands import train_experiments as main

FEW = ("data", "start", "rate-duet-", "duet-0")


@pytest.fixture
def plan():
    return make_plan(FULL)


def _evaluation(accuracy, tokens):
    return {
        "accuracy": accuracy,
        "accuracy_95": [accuracy - 0.03, accuracy + 0.03],
        "reasoner_tokens": tokens,
        "questions": 500,
        "by_run": [{"right": "1" * round(20 * accuracy) + "0" * round(20 * (1 - accuracy))}],
    }


def _rates(results):
    """As if every rate had been tried, and the last one were the best for all."""
    for method in MAIN:
        for rate in RATES:
            curves = {
                "validation/accuracy": [[30, 0.9 if rate == RATES[1] else 0.8]],
                "validation/response_tokens": [[30, 50.0]],
                "tokens/response": [[1, 100.0]],
            }
            results.write(stage_of(method, rate), {"result": {"curves": curves}})


def test_the_rate_that_is_worth_most_is_chosen(tmp_path):
    results = Results(tmp_path, tmp_path)
    _rates(results)
    assert chosen(results, "duet") == RATES[1]
    curves = {
        "validation/accuracy": [[30, 0.88]],
        "validation/response_tokens": [[30, 5.0]],
        "tokens/response": [[1, 100.0]],
    }
    results.write(stage_of("duet", RATES[0]), {"result": {"curves": curves}})
    assert chosen(results, "duet") == RATES[0]


def test_a_stage_whose_rate_is_not_known_is_not_begun(plan, tmp_path, monkeypatch):
    called = _pretend(monkeypatch)
    runner = ExperimentRunner(Results(tmp_path / "results", tmp_path / "work"), lambda _: None)
    with pytest.raises(CommandError, match="duet-0 needs the result of rate-duet-1e-4"):
        runner.run(plan, 1e18, {"duet-0"})
    assert called == []


def _pretend(monkeypatch, fail=()):
    """Commands that leave what the real ones leave, at once. Returns the names of those run."""
    called = []

    def evaluated(out):
        called.append(out.stem)
        if out.stem in fail:
            raise CommandError(f"{out.stem} failed")
        short = out.stem.split("@")[0].split("-")[0] in MAIN
        found = _evaluation(0.9, 20.0) if short else _evaluation(0.91, 100.0)
        out.write_text(json.dumps(found))
        if out.stem.endswith("@greedy"):
            row = {"question": "How many?", "signal": "1+1=2.", "answer": f"{out.stem}."}
            row |= {"reasoner_tokens": 7, "score": 1.0}
            out.with_suffix(".jsonl").write_text(8 * (json.dumps(row) + "\n"))

    def command(self, stage, module, arguments, threads, limit=None):
        if module == "duet_training evaluate":
            for line in Path(arguments[-1]).read_text().splitlines():
                (out,) = (a for a in shlex.split(line) if a.startswith("out="))
                evaluated(Path(out.removeprefix("out=")))
            return True
        called.append(stage.name)
        if stage.name in fail:
            raise CommandError(f"{stage.name} failed")
        log = self._log(stage)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text('{"reasoner": 0.9, "signal_tokens": 80.5}\n')
        if stage.kind == "start":
            (self._work / stage.name).mkdir(parents=True, exist_ok=True)
        if stage.kind == "train":
            run = self._work / "runs" / stage.name
            checkpoint = run / "checkpoints/step_100"
            checkpoint.mkdir(parents=True, exist_ok=True)
            (checkpoint / "state.json").write_text("{}")
            rows = [
                {"step": 1, "tokens/length": 80.0, "tokens/response": 80.0, "lambda": 0.0},
                {"step": 100, "tokens/length": 20.0, "lambda": 0.5}
                | {"validation/accuracy": 0.9, "validation/response_tokens": 21.0},
            ]
            (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            sample = {"step": 1, "question": "How many?", "signal": "1+1=2.", "response": "2"}
            if not stage.name.startswith("single"):
                sample["answer"] = "It is 2."
            (run / "samples.jsonl").write_text(json.dumps(sample | {"score": 1.0}) + "\n")
        return True

    monkeypatch.setattr(ExperimentRunner, "_command", command)
    monkeypatch.setattr(running, "measured", lambda: measured(10))
    monkeypatch.setattr(stopping_policy, "measured", lambda: compared(seeds=1, steps=12))
    monkeypatch.setattr(running, "TRAINING", 5)
    monkeypatch.setattr(running, "HELD", (("validation", 3), ("test", 3)))
    return called


def test_every_stage_comes_after_what_it_needs(plan):
    names = [stage.name for stage in plan]
    assert len(set(names)) == len(names)
    for index, stage in enumerate(plan):
        assert {*stage.needs, *stage.reads} <= set(names[:index])
    assert all(stage.limit <= 20 for stage in plan if stage.kind == "train")
    for name in (*MAIN, *JOINTLY, *ABLATIONS, *FROM_SECOND):
        assert f"{name}-0" in names
    for name in (*UNTRAINED, *OTHERS):
        assert f"{name}@easy" in names


def test_the_trainer_takes_every_stage_s_settings(plan, tmp_path):
    results = Results(tmp_path, tmp_path)
    _rates(results)
    runner = ExperimentRunner(results)
    # Those that differ in numbers and in what they read alone are like one another.
    kinds = {
        (stage.kind, re.sub(r"\{[^']*|[\d.]+", "", str(stage.arguments))): stage for stage in plan
    }
    for stage in kinds.values():
        if stage.kind == "train":
            settings = compose_settings("train", runner._arguments(stage), Settings)
            assert settings.seed == stage.seed
        elif stage.kind == "evaluate":
            filled = [a.replace("{work}", str(tmp_path)) for a in stage.arguments]
            bare = [a for a in filled if "{checkpoint" not in a]
            compose_settings("evaluate", [*bare, "out=x"], EvaluationSettings)


def test_the_second_start_is_its_own(plan):
    """Another seed, and nothing but the learning rate comes from the first."""
    named = {stage.name: stage for stage in plan}
    of_second = [stage for name, stage in named.items() if name.startswith("second")]
    assert {"second", "second-measured", "second-split@greedy", "second-duet-2"} < {
        stage.name for stage in of_second
    }
    assert all(not {"start", "weak"} & set(stage.needs) for stage in of_second)
    assert " --seed 1 " in " ".join(named["second"].arguments)
    assert " --seed 0 " in " ".join(named["start"].arguments)
    trained = named["second-single-1"]
    assert {"pair={work}/second/pair.yaml", "learning_rate.reasoner={rate:single}"} < set(
        trained.arguments
    )
    assert trained.reads == tuple(stage_of("single", rate) for rate in RATES)
    assert "second-single-2" not in named


def test_the_decoder_that_stays_differs_in_nothing_else(plan):
    named = {stage.name: stage for stage in plan}
    for joint, fixed in (("duet-2", "decoder-fixed-2"), ("weak-1", "weak-fixed-1")):
        both = [
            {a.replace(f"/{run}", "/RUN") for a in named[run].arguments} for run in (joint, fixed)
        ]
        assert both[1] - both[0] == {"objective.train_decoder=false"}
        assert both[0] <= both[1]


def test_an_interrupted_run_goes_on(plan, tmp_path, monkeypatch):
    stages = [
        s
        for s in plan
        if s.name.startswith(FEW) and not s.name.endswith(("@greedy", "@hard", "@signal"))
    ]
    names = {stage.name for stage in stages}
    results = Results(tmp_path / "results", tmp_path / "work")
    first = _pretend(monkeypatch, fail={"duet-0@easy"})
    with pytest.raises(CommandError, match="duet-0@easy failed"):
        ExperimentRunner(results, lambda _: None).run(stages, 1e18, names)
    assert results.done("duet-0")
    assert not results.done("duet-0@easy")
    again = _pretend(monkeypatch)
    assert ExperimentRunner(results, lambda _: None).run(stages, 1e18, names) == []
    assert "duet-0" in first
    assert "duet-0" not in again
    assert again == ["duet-0@easy"]


def test_evaluations_share_a_process_and_what_is_done_of_them_is_kept(plan, tmp_path, monkeypatch):
    """Those that are ready and of one pair; each has its own time, the first one's is the start."""
    names = {s.name for s in plan if s.name in ("data", "start") or s.needs == ("data", "start")}
    stages = [stage for stage in plan if stage.name in names and stage.kind != "train"]
    evaluations = [stage.name for stage in stages if stage.kind == "evaluate"]
    assert len(evaluations) > MOST_TOGETHER
    results = Results(tmp_path / "results", tmp_path / "work")
    failing = evaluations[2]
    asked = []

    def count(self, stage, module, *_):
        asked.append((stage.name, module))
        return command(self, stage, module, *_)

    _pretend(monkeypatch, fail={failing})
    command = ExperimentRunner._command
    monkeypatch.setattr(ExperimentRunner, "_command", count)
    with pytest.raises(CommandError, match=f"{failing} failed"):
        ExperimentRunner(results, lambda _: None).run(stages, 1e18, names)
    assert [results.done(name) for name in evaluations[:4]] == [True, True, False, False]
    assert all(results.read(name)["minutes"] >= 0 for name in evaluations[:2])
    _pretend(monkeypatch)
    command = ExperimentRunner._command
    monkeypatch.setattr(ExperimentRunner, "_command", count)
    asked.clear()
    assert ExperimentRunner(results, lambda _: None).run(stages, 1e18, names) == []
    left = evaluations[2:]
    assert asked == [(name, "duet_training evaluate") for name in left[::MOST_TOGETHER]]


def test_a_result_of_other_settings_does_not_count(tmp_path):
    (stage,) = (each for each in make_plan(FULL) if each.name == "original@easy")
    results = Results(tmp_path / "results", tmp_path, {stage.name: stage.arguments})
    results.write(stage.name, {"arguments": stage.arguments, "result": {}})
    assert results.done(stage.name)
    greedy = [*stage.arguments[:-1], "temperature=0"]
    results.write(stage.name, {"arguments": greedy, "result": {}})
    assert not results.done(stage.name)


def test_what_a_fresh_clone_lacks_is_made_again(plan, tmp_path, monkeypatch):
    """Results are there, weights are not: a new stage makes those that it needs again."""
    stages = [s for s in plan if s.name.startswith(FEW) and not s.name.endswith("@greedy")]
    names = {stage.name for stage in stages}
    results = Results(tmp_path / "results", tmp_path / "work")
    _pretend(monkeypatch)
    ExperimentRunner(results, lambda _: None).run(stages, 1e18, names - {"duet-0@easy"})
    elsewhere = Results(tmp_path / "results", tmp_path / "elsewhere")
    called = _pretend(monkeypatch)
    ExperimentRunner(elsewhere, lambda _: None).run(stages, 1e18, names)
    assert called == ["start", "duet-0", "duet-0@easy"]


def test_the_report_is_made_from_results_alone(plan, tmp_path, monkeypatch):
    stages = [s for s in plan if not s.name.startswith("neither")]
    results = Results(tmp_path / "results", tmp_path / "work")
    _pretend(monkeypatch)
    ExperimentRunner(results, lambda _: None).run(stages, 1e18, {stage.name for stage in stages})
    write_report(plan, results, tmp_path / "one.md")
    write_report(plan, Results(tmp_path / "results", tmp_path / "nowhere"), tmp_path / "two.md")
    text = (tmp_path / "one.md").read_text()
    assert text == (tmp_path / "two.md").read_text()
    assert "| duet | 0.900 (0.870 to 0.930) | 20.0 | 0.20 |" in text
    assert "`neither-0`" in text.split("Not run yet")[1].split("##")[0]
    sampled = next(line for line in text.splitlines() if line.startswith("| duet, sampled:"))
    assert "| 0.20 of the tokens, +0.0 points (" in sampled
    second = text.split("## A second start")[1].split("##")[0]
    assert "| second-duet | the paper's method | 0.910" in second
    assert "| second-split | the second pair, untrained |" in second
    jointly = text.split("## Training both")[1].split("##")[0]
    assert "| duet | both learn | 0.900" in jointly
    assert "| weak-fixed | a weak decoder that stays so |" in jointly
    assert "0.88, 1106" in text
    assert '> duet (7 tokens): "1+1=2."' in text
    assert text.count('> answer (right): "duet-gated-0@greedy."') == 6
    rated = text.split("## Learning rates")[1].split("##")[0]
    assert rated.count("| taken |") == len(MAIN)
    assert "rate-duet-2e-4" not in text.split("Not run yet")[1]
    assert str(tmp_path) not in "".join(f.read_text() for f in (tmp_path / "results").iterdir())


def test_marginal_utility_is_noise_that_tames_a_small_price():
    often, never = QUESTIONS[0], QUESTIONS[1]

    def press(question, baseline, penalty=0.01, **switches):
        usual = {"divided": True, "on_success": False, "draws": 100}
        return pressure(question, penalty, UtilityBaseline(baseline), **(usual | switches))

    # Divided by the standard deviation, any length penalty presses with full force where rewards tie.
    assert press(often, "none") > 2.3
    assert press(often, "per_question") == press(often, "none")
    assert abs(press(often, "per_signal")) < 1
    # Where the decoder never knows, r_m does not vary, and so tames nothing.
    assert press(never, "per_signal") > 2.3
    # Undivided, the pressure is the penalty's: lambda times 60 tokens over B.
    assert press(often, "none", divided=False) == pytest.approx(0.01 * 60 / 24, abs=1e-6)
    # Failing fast gains nothing if only success pays.
    assert press(QUESTIONS[3], "none", on_success=True) == 0
    assert press(QUESTIONS[3], "none") > 2.3


def test_an_ablation_stands_beside_duet_of_its_seed(tmp_path):
    results = Results(tmp_path, tmp_path)
    for name, accuracy in (("duet-0", 0.9), ("duet-1", 0.5), ("no-clip-0", 0.8)):
        results.write(f"{name}@easy", {"result": _evaluation(accuracy, 20.0)})
    results.write("original@hard", {"result": _evaluation(0.1, 200.0)})
    rows = [line.strip("| ").split(" | ") for line in ablation_table(results, 0).splitlines()[2:]]
    assert [(row[0], row[2], row[3][:5]) for row in rows] == [
        ("duet", "easy", "0.900"),
        ("no-clip", "easy", "0.800"),
        ("original", "hard", "0.100"),
    ]


def test_minutes_of_a_run_that_was_interrupted_are_all_of_it(tmp_path):
    stages = [Stage("run", "train", ()), Stage("test", "evaluate", ())]
    results = Results(tmp_path, tmp_path)
    curves = {"seconds/step": [[1, 300.0], [2, 300.0]]}
    results.write("run", {"minutes": 4.0, "whole": True, "result": {"curves": curves}})
    results.write("test", {"minutes": 2.0, "whole": True, "result": {}})
    assert "2 of 2 stages were run: 12 minutes" in ran(stages, results)


def test_steps_are_compared_at_equal_tokens():
    split = {
        "tokens/response": [[1, 80.0], [2, 60.0], [3, 15.0], [4, 300.0], [5, 44.0]],
        "reward/guided": [[1, 0.9], [2, 0.8], [3, 0.5], [4, 0.7]],
    }
    single = {"tokens/response": [[1, 50.0]], "reward/right": [[1, 1.0]]}
    found = dict(zip(LENGTHS, by_length([split, single]), strict=True))
    # The fifth step's answers were not scored.
    assert found == {15: [0.5], 20: [], 30: [], 45: [], 60: [0.8, 1.0], 200: [0.9, 0.7]}


def test_a_dry_run_lists_the_stages_and_does_nothing(tmp_path, capsys):
    assert main(["--dry-run", "--results", str(tmp_path), "--work", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "duet-gated-0" in out
    assert "minutes left" in out
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_result_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "data.json").write_text("{")
    with pytest.raises(DataError, match="cannot read the result"):
        Results(tmp_path, tmp_path).read("data")
    command = ["--report", "--results", str(tmp_path), "--to", str(tmp_path / "x.md")]
    assert main(command) == 1
    assert "duet-train: cannot read the result" in capsys.readouterr().err


def test_curves_hold_what_was_recorded(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "price": 0.12345678}\n')
    assert of_run(tmp_path)["curves"] == {"lambda": [[1, 0.1235]]}
    assert of_run(tmp_path / "none")["steps"] == 0
