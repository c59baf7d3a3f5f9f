"""Which checkpoint is exported, and which pair it belongs to."""

import json
from pathlib import Path

import pytest

from duet_contract.manifest import TemplatePart
from duet_training.errors import CheckpointError, ConfigError
from duet_training.export.source import Lengths, find_trained, served_pair
from duet_training.pair.description import load_pair, read_pair

SIZES = {"4B": "reasoner", "0.6B": "decoder"}


@pytest.fixture
def run(tmp_path, pair_file):
    for step in (2, 10):
        directory = tmp_path / "run" / "checkpoints" / f"step_{step}"
        for policy in SIZES.values():
            (directory / policy).mkdir(parents=True)
        settings = {
            "pair": str(pair_file),
            "data": {"max_prompt": 10, "train": "train.parquet"},
            "tokens": {"response": 8, "answer": 9, "decoder_prompt": 20},
        }
        content = {"step": step, "lambda": 0, "settings": settings}
        (directory / "state.json").write_text(json.dumps(content))
    (tmp_path / "run" / "checkpoints" / "step_12.partial").mkdir()
    return tmp_path / "run"


def test_the_newest_or_the_one_named(run):
    newest = find_trained(run, None, None)
    assert newest.step == 10
    assert newest.lengths == Lengths(10, 8, 9, 20)
    assert find_trained(run, "step_2", None).step == 2
    assert find_trained(run, "2", None).step == 2
    assert find_trained(run / "checkpoints" / "step_2", None, None).step == 2


def test_a_run_on_several_files(run):
    assert [file.name for file in find_trained(run, None, None).data] == ["train.parquet"]
    state = run / "checkpoints" / "step_10" / "state.json"
    state.write_text(state.read_text().replace('"train.parquet"', '["a.parquet", "b.parquet"]'))
    assert [f.name for f in find_trained(run, None, None).data] == ["a.parquet", "b.parquet"]


def test_one_that_is_not_there_is_named_with_those_that_are(run):
    with pytest.raises(CheckpointError, match=r"no checkpoint step_3; there are: step_2, step_10"):
        find_trained(run, "step_3", None)


def test_a_run_without_checkpoints(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(CheckpointError, match="has no checkpoint"):
        find_trained(tmp_path, None, None)


def test_a_state_that_cannot_be_read(run):
    (run / "checkpoints" / "step_10" / "state.json").write_text('{"step": 10}')
    with pytest.raises(CheckpointError, match="cannot read"):
        find_trained(run, None, None)


def test_initial_weights_are_not_exported_for_those_that_were_deleted(run):
    """`duet-train paper` leaves `state.json` alone; the decoder of a baseline was never trained."""
    checkpoint = run / "checkpoints" / "step_10"
    (checkpoint / "decoder").rmdir()
    with pytest.raises(CheckpointError, match=r"step_10 has no weights of the decoder: .*paper"):
        find_trained(run, None, None)
    state = checkpoint / "state.json"
    state.write_text(state.read_text().replace('"pair":', '"method": "single", "pair":'))
    assert find_trained(run, None, None).step == 10
    (checkpoint / "reasoner").rmdir()
    with pytest.raises(CheckpointError, match="has no weights of the reasoner"):
        find_trained(run, None, None)


def test_a_pair_that_moved_is_asked_for(run, pair_file, tmp_path):
    state = run / "checkpoints" / "step_10" / "state.json"
    state.write_text(state.read_text().replace(str(pair_file), str(tmp_path / "gone.yaml")))
    with pytest.raises(ConfigError, match="pair=FILE"):
        find_trained(run, None, None)
    assert find_trained(run, None, pair_file).step == 10


def test_a_run_of_a_built_in_pair_names_it(run, pair_file, monkeypatch):
    """`pair=qwen3-4b-0.6b` names a built-in pair, not a file of the current directory."""
    models = {f"Qwen/Qwen3-{size}": pair_file.parent / name for size, name in SIZES.items()}
    monkeypatch.setattr("duet_training.pair.description.fetch", models.get)
    state = run / "checkpoints" / "step_10" / "state.json"
    state.write_text(state.read_text().replace(str(pair_file), "qwen3-4b-0.6b"))
    for given in (None, Path("qwen3-4b-0.6b")):
        found = find_trained(run, None, given).pair
        assert found.reasoner.path == pair_file.parent / "reasoner"
        # Its prompt opens the reasoning already.
        assert found.reasoner.prompt == read_pair(Path("qwen3-4b-0.6b")).reasoner.prompt


@pytest.mark.parametrize("more", ["tokenized: whole", "instruction: data"])
def test_prompts_that_no_device_builds_are_not_exported(run, pair_file, more):
    file = pair_file.with_name("released.yaml")
    file.write_text(f"{pair_file.read_text()}\n{more}\n")
    with pytest.raises(ConfigError, match="released code's prompts, which no device builds"):
        find_trained(run, None, file)


def test_reasoning_that_the_reasoner_opens_is_opened_in_its_prompt(pair_file):
    pair = load_pair(pair_file)
    served = served_pair(pair)
    assert served.reasoner.prompt == (*pair.reasoner.prompt, TemplatePart(template="<think>"))
    assert served_pair(served) == served


@pytest.mark.parametrize(
    ("end", "opened"),
    [("<think>", True), ("<think>\n", True), ("<think>\n\n</think>\n", False), ("", False)],
)
def test_whether_a_prompt_opens_the_reasoning(pair_file, end, opened):
    reasoner = load_pair(pair_file).reasoner
    prompt = (*reasoner.prompt, TemplatePart(template=f"assistant\n{end}"))
    assert reasoner.model_copy(update={"prompt": prompt}).opened == opened
