"""What runs and results of earlier versions hold is read under the names of today."""

import json
from pathlib import Path

from duet_contract.json_data import parse_json
from duet_training.evaluation.report.results import read_run
from duet_training.experiments.plan import FULL, make_plan
from duet_training.experiments.results import LAMBDA, Results
from duet_training.rl.checkpoints import Checkpoints, State
from duet_training.rl.renamed import current_settings
from duet_training.settings.run import CheckpointSettings

COMMITTED = Path(__file__).parents[3] / "training/experiments/results"


def test_committed_results_of_renamed_settings_still_count():
    stages = {stage.name: stage for stage in make_plan(FULL)}
    results = Results(COMMITTED, Path("unused"), {n: s.arguments for n, s in stages.items()})
    renamed = ("duet-0", "constant-0.5-0", "no-clip-0")
    assert all("objective.price" in str(results.read(name)) for name in renamed)
    assert [name for name in renamed if not results.done(name)] == []
    assert results.curve("duet-0", LAMBDA)


def test_a_checkpoint_of_an_earlier_version_has_todays_settings(tmp_path):
    start = {"schedule": "constant", "start": 0.5}
    assert current_settings({"objective": {"budget": 9, "price": start}}) == {
        "objective": {"budget": 9, "length_penalty": start}
    }
    assert current_settings({"a": 1}) == {"a": 1}
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "price": 0.1}\n')
    assert read_run(tmp_path).rows == [parse_json('{"step": 1, "lambda": 0.1}')]


def test_a_checkpoint_of_an_earlier_version_is_resumed(tmp_path):
    settings = CheckpointSettings(every=1, keep=1, milestones=())
    binding = {"objective": {"length_penalty": {"start": 0.5}}}
    checkpoints = Checkpoints(tmp_path, binding, settings)
    checkpoints.save(State(1, 0.25), {})
    earlier = {"step": 1, "price": 0.25, "settings": {"objective": {"price": {"start": 0.5}}}}
    (tmp_path / "step_1" / "state.json").write_text(json.dumps(earlier))
    assert checkpoints.last() == (State(1, 0.25), tmp_path / "step_1")
