"""`duet-train paper`: its plan against the paper's tables, its estimates, and resuming."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from duet_training.data.rows import read_rows
from duet_training.errors import CommandError
from duet_training.evaluation.batch_run import read_batch
from duet_training.evaluation.report.results import Result, Training, variant_of
from duet_training.evaluation.report.tables import attribute, matches, paper
from duet_training.experiments.paper.estimate import (
    QWEN,
    Assumed,
    Estimates,
    response_tokens,
    totals,
)
from duet_training.experiments.paper.plan import AGGREGATION, PaperRecipe, make_plan
from duet_training.experiments.paper.runner import PaperRunner
from duet_training.experiments.paper.trainings import TRAININGS
from duet_training.experiments.processes import Processes
from duet_training.settings.compose import compose_settings
from duet_training.settings.run import Settings
from tests.doubles.commands import train_data
from tests.doubles.commands import train_paper as main

RECIPE = PaperRecipe(Path("/out"), "qwen3-4b-0.6b-released", "data", 1, trains=("hardware=h100x4",))
NEEDED = ["pair=p", "out=o", "data.train=t", "hardware=h100x4"]
BY_NAME = {training.name: training for training in TRAININGS}


@pytest.fixture(scope="module")
def plan():
    return make_plan(RECIPE)


def test_each_stage_comes_after_what_it_waits_for_and_has_a_name(plan):
    names = [stage.name for stage in plan]
    assert len(set(names)) == len(names)
    for index, stage in enumerate(plan):
        assert set(stage.waits_for) <= set(names[:index])
    assert len(make_plan(replace(RECIPE, seeds=3))) == len(plan) + 2 * sum(
        stage.kind in ("train", "evaluate") for stage in plan
    )
    outs = [w for s in plan if s.kind == "evaluate" for w in s.arguments if w.startswith("out=")]
    assert len(set(outs)) == len(outs)


def _results(plan):
    """What the report would read of the planned evaluations, by their settings."""
    base = OmegaConf.create(compose_settings("train", NEEDED, Settings).model_dump(mode="json"))
    found = []
    for stage in plan:
        training = None
        if stage.kind == "evaluate" and stage.training:
            changes = OmegaConf.from_dotlist([AGGREGATION, *stage.training.overrides])
            objective = OmegaConf.to_container(OmegaConf.merge(base, changes))["objective"]
            penalty = objective["length_penalty"]
            constant = float(penalty["start"]) if penalty["schedule"] == "constant" else None
            training = Training(
                *(Path("run"), stage.training.data, 0, variant_of(objective)),
                *(float(objective["budget"]), constant),
            )
        for line in stage.lines if stage.kind == "evaluate" else ():
            words = dict(word.split("=", 1) for word in line)
            method = "duet" if words["method"] == "signal" else words["method"]
            data = Path(words["data.train"]).parent.name
            cut = int(words["cut_at"]) if method == "truncated" else None
            out = Path(words["out"])
            found.append(
                Result(
                    *(out, method, data, 1, 0.5, (0.4, 0.6), 1.0, 1.0, 0, cut, stage.step),
                    *(stage.training is not None, training, None, None),
                )
            )
    return found


def test_every_row_of_every_table_of_the_paper_is_planned(plan):
    results = _results(plan)
    missing = []
    for table in paper()["tables"]:
        for row in table["rows"]:
            for column in table["columns"]:
                there = any(
                    r.data == column and matches(r, row["match"]) for r in results if "match" in row
                )
                if "match" in row and not there:
                    missing.append((table["number"], row["label"], column))
        if vary := table.get("vary"):
            # Rows whose values the text lost: ours, as many as the paper has or more.
            varied = {
                attribute(r, vary["by"])
                for r in results
                if r.training and matches(r, vary["match"])
            }
            assert len(varied) >= sum("match" not in row for row in table["rows"])
    assert missing == []


def test_lengths_are_the_papers_between_its_steps():
    duet, single, plain = (BY_NAME[n] for n in ("duet-deepscaler", "single", "plain-deepscaler"))
    assert response_tokens(duet, 0) == 4358
    assert response_tokens(duet, 50) == 1946
    assert response_tokens(duet, 75) == pytest.approx((1946 + 1106) / 2)
    assert response_tokens(duet, 150) == response_tokens(duet, 200) == 753
    assert response_tokens(single, 50) == pytest.approx((4358 + 1139) / 2)
    assert response_tokens(plain, 100) == 4739


def _estimates(phases=None, assumed=Assumed()):  # noqa: B008 (frozen)
    settings = compose_settings("train", NEEDED, Settings)
    return Estimates(settings, QWEN, phases or {}, assumed)


def test_hours_of_a_training_by_hand(plan):
    assumed = Assumed(start=0, step=0, tail=1, answer=0)
    stage = next(stage for stage in plan if stage.name == "duet-deepscaler-seed0")
    short = replace(stage, training=replace(stage.training, at=(1,)))
    length = 4358 + (1946 - 4358) / 50
    four, small = QWEN["reasoner"].parameters, QWEN["decoder"].parameters
    # 256 signals on 4 GPUs, all as long as the mean: 64 run at a time, and read the weights
    # (2 bytes each) and half of their cache (4 x 36 x 1024 bytes a token) at each token.
    cache = 64 * (length / 2 + 150) * 4 * 36 * 1024
    seconds = length * (2 * four + cache) / (3.35e12 * 0.5)
    flops = 12 * four * 256 * (length + 150) + 10 * small * 1024 * (150 + length)
    seconds += flops / (4 * 989e12 * 0.35)
    assert _estimates(assumed=assumed).of(short).hours == pytest.approx(seconds / 3600)


def test_disk_and_memory_of_a_training(plan):
    phases = {
        "reasoner generates": {"awake server": 50.0, "decoder's masters": 5.0},
        "reasoner learns": {"reasoner's masters": 40.0, "contexts": 2.0},
        "decoder generates": {"awake server": 70.0},
    }
    estimates = _estimates(phases)
    costs = {stage.name: estimates.of(stage) for stage in plan}
    joint, alone = costs["duet-deepscaler-seed0"], costs["single-seed0"]
    # 12 bytes a weight; two milestones and the newest are there while the last is written.
    assert joint.disk == pytest.approx(4 * 12 * (4_022_272_000 + 595_984_384) / 2**30)
    assert alone.disk == pytest.approx(2 * 12 * 4_022_272_000 / 2**30)
    assert (joint.memory, alone.memory) == (70.0, 50.0)
    assert costs["original-seed0"].memory == 50.0
    assert costs["duet-deepscaler-seed0@100"].memory == 70.0
    whole = totals(plan, costs, kept=False)
    assert whole.disk == pytest.approx(joint.disk + 0.9)
    assert totals(plan, costs, kept=True).disk > 2000
    assert whole.hours == pytest.approx(sum(cost.hours for cost in costs.values()))


TINY = (
    *("batch.questions=2", "batch.mini_batch=2", "batch.signals=2", "batch.answers=2"),
    *("tokens.response=64", "tokens.answer=32", "tokens.decoder_prompt=400"),
)


def test_a_dry_run_tells_hours_disk_and_memory(pair_file, tmp_path, capsys):
    out = tmp_path / "out"
    command = [str(out), "--pair", str(pair_file), "--seeds", "2", "--dry-run"]
    command += ["--only", "single", "--only", "original"]
    assert main([*command, *TINY]) == 0
    text = capsys.readouterr().out
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in text.splitlines()}
    assert {"single-seed0", "single-seed1@100", "original-seed1", "data-deepscaler"} <= rows.keys()
    assert "duet-deepscaler-seed0" not in rows
    hours, disk, memory = (float(cell.strip(" |")) for cell in rows["single-seed0"][3:])
    assert hours > 0
    assert disk == 0.0  # some 800 kB
    assert 0 < memory < 79.1
    count = text.count(" | to do | ")
    assert rows["**left**"][2] == f"{count} of {count}"
    assert "All figures are estimates; none was measured on a GPU." in text
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--only", "dueet"], "--only dueet: there is no such part"),
        (["--pair", "nowhere.yaml"], "cannot read the pair"),
        (["objective.budgett=3"], "single-seed0: cannot read the settings"),
        (["--hardware", "h200"], "single-seed0: cannot read the settings"),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_runs(pair_file, tmp_path, capsys, more, said):
    out = tmp_path / "out"
    command = [str(out), "--pair", str(pair_file), "--only", "single", "--dry-run"]
    assert main([*command, *more]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_stages_are_what_their_commands_take(pair_file, tmp_path):
    """Data is prepared where evaluations and trainings look for it, and all settings are known."""
    hub = tmp_path / "hub" / "math500"
    hub.mkdir(parents=True)
    rows = [{"problem": f"What is {i}+1?", "answer": str(i + 1)} for i in range(4)]
    (hub / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    recipe = PaperRecipe(
        *(tmp_path, str(pair_file), "pair", 1, tmp_path / "hub", ("hardware=cpu", *TINY)),
    )
    stages = {stage.name: stage for stage in make_plan(recipe)}
    assert train_data(list(stages["data-math500"].arguments)) == 0
    found = read_rows(tmp_path / "data" / "math500" / "test.parquet")
    assert [problem.asks for problem in found] == [None] * 4
    file = tmp_path / "asked.txt"
    for name in ("prompted-seed0", "duet-deepscaler-seed0@150"):
        file.write_text("\n".join(shlex.join(line) for line in stages[name].lines))
        asked = read_batch(file)
        assert [settings.runs for settings in asked] == [1, 16, 16, 16, 1]
        assert asked[0].data.train == tmp_path / "data" / "math500" / "test.parquet"
    assert [settings.method for settings in asked] == ["signal", *["duet"] * 4]
    assert asked[0].weights == tmp_path / "runs/duet-deepscaler-seed0/checkpoints/step_150"
    words = list(stages["duet-deepscaler-seed0"].arguments)
    trained = compose_settings("train", words, Settings)
    assert trained.out == tmp_path / "runs" / "duet-deepscaler-seed0"
    assert trained.objective.loss_aggregation == "micro-batch-token-mean"
    assert trained.steps == 150
    # Hours of training are not lost with an interruption; what is evaluated stays.
    kept = trained.checkpoint
    assert (kept.every, kept.keep, kept.milestones) == (10, 1, (50, 100, 150))


class _Commands:
    """Commands that leave what the real ones leave; `fails`: the name of one that does not."""

    def __init__(self, out):
        self.out, self.ran, self.fails = out, [], None

    def run(self, processes, name, command, log, *, limit_s=None, environment=None):
        self.ran.append(name)
        if name == self.fails:
            raise CommandError(f"{name} failed")
        words = command[3:]
        if words[0] == "run":
            checkpoint = self.out / "runs" / name / "checkpoints" / "step_100"
            for policy in ("reasoner", "decoder"):
                (checkpoint / policy).mkdir(parents=True, exist_ok=True)
            (checkpoint / "state.json").write_text("{}")
        self.words = words


@pytest.fixture
def runner(tmp_path, monkeypatch):
    recipe = replace(RECIPE, out=tmp_path, only=("single", "no-kl"))
    commands = _Commands(tmp_path)
    monkeypatch.setattr(Processes, "run", lambda self, *a, **k: commands.run(self, *a, **k))
    plan = make_plan(recipe)
    return PaperRunner(plan, tmp_path, keep_weights=False), commands, plan


def test_an_interrupted_plan_continues_and_weights_go_when_they_were_evaluated(runner, tmp_path):
    papers, commands, plan = runner
    commands.fails = "single-seed0@100"
    with pytest.raises(CommandError, match="single-seed0@100 failed"):
        papers.run()
    weights = tmp_path / "runs/single-seed0/checkpoints/step_100/reasoner"
    assert weights.is_dir()
    commands.fails, before = None, list(commands.ran)
    papers.run()
    assert commands.ran[len(before) :][0] == "single-seed0@100"
    assert sorted({*before, *commands.ran}) == sorted(stage.name for stage in plan)
    assert not weights.exists()
    assert (weights.parent / "state.json").is_file()
    assert all(map(papers.done, plan))
    count = len(commands.ran)
    papers.run()
    assert len(commands.ran) == count
    # Other arguments are another stage: its record does not count.
    other = make_plan(replace(RECIPE, out=tmp_path, only=("no-kl",), trains=("steps=3",)))
    again = PaperRunner(other, tmp_path, keep_weights=False)
    assert not again.done(next(s for s in other if s.kind == "train"))


def test_a_begun_training_resumes_and_evaluations_share_a_process(runner, tmp_path):
    papers, commands, plan = runner
    (tmp_path / "runs/single-seed0/checkpoints").mkdir(parents=True)
    by_name = {stage.name: stage for stage in plan}
    papers._run([by_name["single-seed0"]], True)
    assert commands.words[-1] == "resume=true"
    papers._run([by_name["no-kl-seed0"]], True)
    assert "resume=true" not in commands.words
    papers._run([by_name["no-kl-seed0@100"]], True)
    assert commands.words[:2] == ["evaluate", "--batch"]
    lines = [shlex.split(line) for line in Path(commands.words[2]).read_text().splitlines()]
    assert [tuple(line) for line in lines] == list(by_name["no-kl-seed0@100"].lines)
    record = json.loads((tmp_path / "stages/no-kl-seed0@100.json").read_text())
    assert record["kind"] == "evaluate"
