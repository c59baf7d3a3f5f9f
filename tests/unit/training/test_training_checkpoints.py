"""Checkpoints: whole or absent, the last ones kept, other runs' refused."""

import errno
import json
import shutil

import pytest

from duet_training.errors import CheckpointError
from duet_training.rl.checkpoints import Checkpoints, State, load_policies
from duet_training.settings.run import CheckpointSettings


class _Policy:
    """Writes one file; `full` stands for a disk that is."""

    full = False

    def save(self, directory, step):
        directory.mkdir()
        (directory / "weights").write_text(str(step))
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")

    def load(self, directory):
        self.loaded = (directory / "weights").read_text()


def _checkpoints(tmp_path, binding=None, keep=2, milestones=()):
    settings = CheckpointSettings(every=1, keep=keep, milestones=milestones)
    return Checkpoints(tmp_path / "checkpoints", binding or {"a": {"b": 1}}, settings)


def test_the_last_ones_are_kept(tmp_path):
    checkpoints, policies = _checkpoints(tmp_path), {"reasoner": _Policy()}
    assert checkpoints.last() is None
    for step in (2, 4, 10):
        checkpoints.save(State(step, 0.5), policies)
    assert checkpoints.steps() == [4, 10]
    state, directory = checkpoints.last()
    assert state == State(10, 0.5)
    load_policies(directory, policies)
    assert policies["reasoner"].loaded == "10"


def test_milestones_are_kept_in_addition(tmp_path):
    checkpoints = _checkpoints(tmp_path, milestones=(3, 6))
    for step in range(1, 9):
        checkpoints.save(State(step, 0.5), {"reasoner": _Policy()})
    assert checkpoints.steps() == [3, 6, 7, 8]
    assert checkpoints.last()[0].step == 8


def test_when_a_checkpoint_is_due():
    settings = CheckpointSettings(every=4, keep=2, milestones=(3, 6, 20))
    assert [step for step in range(1, 11) if settings.due(step, 10)] == [3, 4, 6, 8, 10]
    assert settings.kept(10) == 4
    assert settings.kept(20) == 5


def test_a_full_disk_leaves_the_last_good_one(tmp_path):
    checkpoints, policy = _checkpoints(tmp_path), _Policy()
    checkpoints.save(State(2, 0.0), {"reasoner": policy})
    policy.full = True
    with pytest.raises(
        CheckpointError, match=r" GiB free\): .*No space left.*checkpoint is of step 2"
    ):
        checkpoints.save(State(4, 0.0), {"reasoner": policy})
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_2"]


def test_what_a_killed_run_saved_in_part_is_no_checkpoint(tmp_path):
    checkpoints = _checkpoints(tmp_path)
    checkpoints.save(State(2, 0.0), {"reasoner": _Policy()})
    partial = tmp_path / "checkpoints/step_4.partial"
    shutil.copytree(tmp_path / "checkpoints/step_2", partial)
    assert checkpoints.steps() == [2]
    assert checkpoints.last()[0].step == 2
    (partial / "left-over").touch()
    saved = checkpoints.save(State(4, 0.0), {"reasoner": _Policy()})
    assert not partial.exists()
    assert {path.name for path in saved.iterdir()} == {"reasoner", "state.json"}


def test_another_configuration_is_named(tmp_path):
    _checkpoints(tmp_path).save(State(2, 0.0), {})
    with pytest.raises(CheckpointError, match=r"a\.b is 1 there and 2 here"):
        _checkpoints(tmp_path, {"a": {"b": 2}}).last()


def test_hardware_is_compared_where_a_checkpoint_names_it(tmp_path):
    """Checkpoints of earlier versions are bound to no hardware."""
    ours = {"a": {"b": 1}, "hardware": {"verl": {"actor.clip_ratio": "0.2"}}}
    _checkpoints(tmp_path).save(State(2, 0.0), {})
    assert _checkpoints(tmp_path, ours).last()[0].step == 2
    _checkpoints(tmp_path, ours).save(State(4, 0.0), {})
    other = {**ours, "hardware": {"verl": {"actor.clip_ratio": "0.3"}}}
    with pytest.raises(CheckpointError, match=r"hardware\.verl\.actor\.clip_ratio is '0\.2' there"):
        _checkpoints(tmp_path, other).last()


def test_a_damaged_one_is_one_line(tmp_path):
    checkpoints = _checkpoints(tmp_path)
    directory = checkpoints.save(State(2, 0.0), {"reasoner": _Policy()})
    (directory / "reasoner/weights").unlink()
    with pytest.raises(CheckpointError, match="cannot load"):
        load_policies(directory, {"reasoner": _Policy()})
    (directory / "state.json").write_text(json.dumps({"step": "two"}))
    with pytest.raises(CheckpointError, match="cannot read"):
        checkpoints.last()
