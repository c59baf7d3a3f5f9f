import json
import operator
from importlib.resources import files

import pytest

from duet_cloud.errors import PairBuildError
from duet_cloud.pairs.recipe import Source, built_in_recipes, load_recipe
from duet_cloud.pairs.released import released_manifest, released_pairs
from duet_cloud.pairs.sources import locate, own_peer
from tests.doubles.commands import cloud_pairs as main


def test_every_built_in_recipe_is_sound():
    assert {"smollm2-135m", "qwen3-4b-0.6b"} <= set(built_in_recipes())
    for name in built_in_recipes():
        assert load_recipe(name).id == name


def test_a_decoder_answers_alone_where_that_is_worth_something():
    """The figures of released pairs decide; base models that were instructed answer by themselves."""
    for home in files("duet_pairs").iterdir():
        if not (figures := home / "figures.json").is_file():
            continue
        content = json.loads(figures.read_text("utf-8"))
        if "evaluations" in content:
            alone, split = (content["evaluations"]["wide"][name] for name in ("alone", "duet"))
        else:
            alone, split = (
                content["served"]["sets"]["problems"][name] for name in ("device", "split")
            )
        made = released_manifest if home.name in released_pairs() else load_recipe
        is_useful = alone["accuracy"] > 0.5 * split["accuracy"]
        assert (made(home.name).alone == "useful") == is_useful, home.name
    for name in ("smollm2-135m", "qwen3-4b-0.6b"):
        assert load_recipe(name).alone == "useful"


def test_the_peer_of_a_pair_is_that_of_its_figures(tmp_path):
    """The mean weighs every question alike."""
    recipe = load_recipe("private-sums-135m")
    served = json.loads((files("duet_pairs") / recipe.id / "figures.json").read_text())["served"]
    peer = own_peer(recipe)
    assert peer is not None
    counts = [each["questions"] for each in served["sets"].values()]
    tokens = [each["peer"]["large_tokens"] for each in served["sets"].values()]
    assert (peer.name, peer.questions) == (served["peer"], sum(counts))
    assert peer.tokens == pytest.approx(
        sum(map(operator.mul, counts, tokens)) / sum(counts), abs=0.005
    )
    assert own_peer(load_recipe("smollm2-135m")) is None
    for content in ("{", "[]", '{"served": {"peer": "p", "sets": {}}}', '{"served": {"sets": []}}'):
        (tmp_path / "figures.json").write_text(content)
        broken = recipe.model_copy(update={"figures": Source(local=tmp_path)})
        with pytest.raises(PairBuildError, match=r"figures\.json has no figures of a peer"):
            own_peer(broken)


def test_unknown_recipe_names_those_there_are(capsys):
    assert main(["build", "nope"]) == 6
    printed = capsys.readouterr().err
    assert "no recipe 'nope'" in printed
    assert "smollm2-135m" in printed
    assert "stories-5m" in printed
    assert "Traceback" not in printed


def test_a_released_pair_takes_no_models(tmp_path, capsys):
    arguments = ["build", "stories-5m", "--out", str(tmp_path / "out"), "--reasoner", "/nowhere"]
    assert main(arguments) == 2
    assert "takes no --reasoner" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


PROMPT = """
id = "i"
version = "1.0.0"
description = "d"
licence = "l"
base_models = ["b"]
limits = { question = 1, budget = 1, answer = 1 }
defaults = { budget = 1, answer = 1 }
[reasoner]
source = { local = "r" }
REASONER
[decoder]
source = { local = "d" }
DECODER
"""


@pytest.mark.parametrize(
    ("reasoner", "decoder", "told"),
    [
        ('prompt = [{ slot = "question" }]', "", "a prompt needs end_of_reasoning"),
        ('end_of_reasoning = "e"', "", "a prompt needs end_of_reasoning"),
        (
            'prompt = [{ slot = "question" }]\nend_of_reasoning = "e"\ninstruction = "i"',
            "",
            "write it into the prompt",
        ),
        ("", 'prompt_alone = [{ slot = "question" }]', "prompt_with_signal needs prompt_alone"),
    ],
)
def test_half_a_prompt_is_refused(tmp_path, reasoner, decoder, told):
    path = tmp_path / "r.toml"
    path.write_text(PROMPT.replace("REASONER", "").replace("DECODER", ""))
    assert load_recipe(str(path)).reasoner.prompt is None
    path.write_text(PROMPT.replace("REASONER", reasoner).replace("DECODER", decoder))
    with pytest.raises(PairBuildError, match=told):
        load_recipe(str(path))


@pytest.mark.parametrize("text", ["not toml [", "id = 'x'", "[reasoner]\nsource = {}"])
def test_malformed_recipe(tmp_path, text):
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(PairBuildError, match="malformed"):
        load_recipe(str(path))


def test_package_that_is_not_installed():
    with pytest.raises(PairBuildError, match="pip install no-such-package"):
        locate(Source(package="no_such_package", gguf="x.gguf"))


def test_local_file_that_is_not_there(tmp_path):
    with pytest.raises(PairBuildError, match="does not exist"):
        locate(Source(local=tmp_path / "x.gguf", gguf="x.gguf"))


def _hub_cache(root, repo, files):
    """A repository in the layout of the hub's cache: blobs, links to them, a reference."""
    base, commit = root / f"models--{repo.replace('/', '--')}", "c" * 40
    for number, (name, content) in enumerate(files.items()):
        blob = base / "blobs" / f"{number:040d}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_text(content)
        link = base / "snapshots" / commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text(commit)


def test_hub_from_its_cache_offline(tmp_path, monkeypatch):
    from huggingface_hub import constants

    _hub_cache(tmp_path, "Org/Model", {"config.json": "{}", "model.safetensors": "w"})
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    directory = locate(Source(hub="Org/Model"))
    assert (directory / "model.safetensors").read_text() == "w"
    with pytest.raises(PairBuildError, match="cannot fetch Org/Other.*--reasoner"):
        locate(Source(hub="Org/Other"))
