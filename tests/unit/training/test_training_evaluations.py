"""Several evaluations in one process: their file, and what is started for which of them."""

import pytest

from duet_training.errors import ConfigError
from duet_training.evaluation import batch_run as evaluation_list
from duet_training.evaluation import model_cache as started
from duet_training.evaluation.batch_run import read_batch
from duet_training.evaluation.methods import METHODS
from duet_training.evaluation.model_cache import ModelCache
from tests.doubles.commands import train_batch as main

ONE = "pair=p.yaml data.train=t.parquet"


def _file(tmp_path, *lines):
    file = tmp_path / "asked.txt"
    file.write_text("\n".join(lines))
    return file


def test_a_line_is_an_evaluation_as_one_would_type_it(tmp_path):
    lines = (
        "# two of them",
        f"{ONE} out=a.json method=original",
        "",
        f"{ONE} \"out='b c.json'\" limit=5",
    )
    first, second = read_batch(_file(tmp_path, *lines))
    assert (first.method, first.out.name, first.limit) == ("original", "a.json", None)
    assert (second.method, second.out.name, second.limit) == ("duet", "b c.json", 5)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ((), "holds no evaluation"),
        (("# nothing",), "holds no evaluation"),
        ((f"{ONE} out=a", f"{ONE} out=b method=guess"), "line 2: "),
        ((f"{ONE} 'out=a",), "line 1: No closing quotation"),
        ((f"{ONE} out=x/../a", f"{ONE} out=a"), "two evaluations write "),
    ],
)
def test_a_file_that_is_wrong_is_refused_before_anything_starts(tmp_path, capsys, lines, told):
    assert main([str(_file(tmp_path, *lines))]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("duet-train: ")
    assert told in line


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        read_batch(tmp_path / "none.txt")


@pytest.fixture
def begun(monkeypatch):
    """What was started and loaded, in order."""
    done = []

    def start(settings, pair, names, *, reference):
        assert not reference
        done.append(("start", *names))
        return dict.fromkeys(names, object())

    def load(weights, policies, *, weights_only):
        assert weights_only
        done.append((str(weights), *policies))

    monkeypatch.setattr(started, "start_policies", start)
    monkeypatch.setattr(started, "load_policies", load)
    return done


def _serve(models, settings, weights=None):
    names = METHODS[settings.method](settings).uses
    assert set(models.with_weights(settings, None, names, weights)) == set(names)


def _settings(tmp_path, *overrides):
    lines = [f"{ONE} out=out{index} {each}" for index, each in enumerate(overrides)]
    return read_batch(_file(tmp_path, *lines))


def test_models_are_started_once_for_what_is_alike(tmp_path, begun):
    """Method, sampling, questions and weights may differ; initial weights come first."""
    asked = ("method=original", "method=duet temperature=0 limit=3", "method=alone")
    models = ModelCache({"reasoner", "decoder"})
    for settings in _settings(tmp_path, *asked):
        _serve(models, settings)
    (settings,) = _settings(tmp_path, "method=duet seed=4")
    _serve(models, settings, "a")
    _serve(models, settings, "a")
    assert begun == [("start", "decoder", "reasoner"), ("a", "reasoner", "decoder")]


def test_models_are_started_again_for_what_is_not(tmp_path, begun):
    duet, longer, original = _settings(
        tmp_path, "method=duet", "method=duet tokens.response=9", "method=original"
    )
    models = ModelCache()
    _serve(models, original)
    _serve(models, duet)  # no decoder yet
    _serve(models, longer)  # other limits
    _serve(models, longer, "a")
    _serve(models, longer)  # what was there before "a" is in the files alone
    both = ("start", "decoder", "reasoner")
    assert begun == [("start", "reasoner"), both, both, ("a", "reasoner", "decoder"), both]


@pytest.mark.parametrize(("hardware", "starts"), [("cpu", 1), ("h100x4", 2)])
def test_a_seed_is_of_requests_or_of_the_servers(tmp_path, begun, hardware, starts):
    """Servers whose requests have none are started with it."""
    switch = f"method=original hardware={hardware}"
    models = ModelCache()
    for settings in _settings(tmp_path, f"{switch} seed=1", f"{switch} seed=2"):
        _serve(models, settings)
    assert begun == [("start", "reasoner")] * starts


def test_each_model_has_the_weights_that_are_asked_for(tmp_path, begun):
    """One that another evaluation had no use for keeps older ones only until it is used."""
    duet, original = _settings(tmp_path, "method=duet", "method=original")
    models = ModelCache()
    _serve(models, duet, "a")
    _serve(models, original, "b")
    _serve(models, duet, "b")
    assert begun[1:] == [("a", "reasoner", "decoder"), ("b", "reasoner"), ("b", "decoder")]


def test_one_that_fails_says_which_and_ends_the_rest(tmp_path, monkeypatch, capsys):
    def fail(settings, models):
        raise ConfigError(f"no {settings.method}")

    monkeypatch.setattr(evaluation_list, "evaluated", fail)
    lines = (f"{ONE} out=a method=alone", f"{ONE} out=b")
    assert main([str(_file(tmp_path, *lines))]) == 1
    assert capsys.readouterr().err == "duet-train: no alone (writing a)\n"
