"""What the signals of a finished pair carry: which models are read, how, and where figures go."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from duet_contract.manifest import MANIFEST_NAME
from duet_training.data.rows import read_rows
from duet_training.evaluation.run import EvaluationSettings
from duet_training.experiments.processes import Processes
from duet_training.pair.description import load_pair
from duet_training.settings.compose import compose_settings
from tests.doubles.commands import train_release_signals as main
from tests.doubles.manifests import PRIVATE_PAIR, manifest_data

READ = {"accuracy": 0.5, "accuracy_95": [0.4, 0.6], "accuracy_where_stated": 0.25}
NAMES = ("100%", "75%", "50%", "25%", "removed", "question mark", "mask", "placebo")
SIGNAL = {
    "stated": 0.75,
    "stated_of_right": 1.0,
    "decoder": dict.fromkeys(NAMES, READ),
    "untouched": None,
}


@pytest.fixture
def pair(tmp_path, pair_file):
    """A pair's directory with the tiny reasoner, and an empty GGUF file."""
    directory = tmp_path / "pair"
    shutil.copytree(pair_file.parent / "reasoner", directory / "reasoner")
    (directory / "decoder").mkdir()
    (directory / "decoder" / "m.gguf").write_bytes(b"GGUF")
    (directory / MANIFEST_NAME).write_text(json.dumps(manifest_data(id="stories-5m")))
    return directory


@pytest.fixture
def asked(monkeypatch, pair_file):
    """Commands that were run; loading a GGUF file gives the tiny decoder."""
    ran = []

    class Loaded:
        def save_pretrained(self, directory):
            shutil.copytree(pair_file.parent / "decoder", directory)

    def configured(directory, *, gguf_file):
        return SimpleNamespace(head_dim=128)

    def load(directory, *, gguf_file, config):
        assert (Path(directory) / gguf_file).is_file()
        assert config.head_dim == 16
        return Loaded()

    def run(self, name, command, log, *, limit_s):
        ran.append(command[3:])
        (out,) = (w.removeprefix("out=") for w in command if w.startswith("out="))
        Path(out).write_text(json.dumps({"signal": SIGNAL, "questions": 5}))

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", load)
    monkeypatch.setattr("duet_training.release.signals._head_size", lambda file: 16)
    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", configured)
    monkeypatch.setattr(Processes, "run", run)
    return ran


def test_a_pair_is_read_as_it_is_served(pair, asked, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([str(pair), str(out), "--questions", "5"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["stated"], told["questions"], told["pair"]) == (0.75, 5, "stories-5m@1.2.3")
    (words,) = asked
    settings = compose_settings("evaluate", words[1:], EvaluationSettings)
    assert (settings.method, settings.temperature) == ("signal", 0.0)
    assert (settings.tokens.response, settings.tokens.answer) == (10, 30)
    assert settings.objective.stop_at_end_of_reasoning
    described = load_pair(settings.pair)
    assert described.reasoner.path == pair / "reasoner"
    assert described.reasoner.end_of_text == ("<|end|>",)
    assert len(read_rows(settings.data.train)) == 5
    tokenizer = json.loads((out / "decoder" / "tokenizer_config.json").read_text())
    assert tokenizer == {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"}
    # What is measured is not measured again.
    assert main([str(pair), str(out)]) == 0
    assert len(asked) == 1


def test_figures_go_to_the_released_pair_and_its_page(pair, asked, tmp_path):
    released = tmp_path / "released"
    shutil.copytree(pair, released)
    empty = dict.fromkeys(("served", "parity", "wall_clock", "samples"))
    (released / "figures.json").write_text(json.dumps({**empty, "evaluations": {}}))
    assert main([str(pair), str(tmp_path / "out"), "--into", str(released)]) == 0
    assert json.loads((released / "figures.json").read_text())["signals"]["stated"] == 0.75
    page = (released / "README.md").read_text()
    assert "What signals carry" in page
    assert "| 75.0% | 100.0% | 50.0% |" in page


def test_signals_that_are_formulas_are_refused(pair, asked, tmp_path, capsys):
    (pair / MANIFEST_NAME).write_text(json.dumps(manifest_data(id="toy", **PRIVATE_PAIR)))
    assert main([str(pair), str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "toy: its signals are formulas of labels" in error
    assert error.count("\n") == 1
    assert asked == []
