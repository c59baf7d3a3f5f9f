"""A recipe of any two models, from the names on a command line."""

import json

import httpx
import pytest

from duet_cloud.errors import PairBuildError, UsageError
from duet_cloud.pairs.any_two import decoder_source, reasoner_source, recipe_of
from duet_cloud.pairs.gguf_models import GgufInfo, normalization
from duet_cloud.pairs.limits import defaults_for, limits_for
from duet_cloud.pairs.recipe import Source, load_recipe, recipe_text
from duet_contract.manifest import Manifest, parse_manifest
from tests.doubles.commands import cloud_pairs as main
from tests.doubles.manifests import manifest_data


def _manifest(**contexts: int) -> Manifest:
    data = manifest_data()
    for name, context in contexts.items():
        data[name] |= {"context": context}
    return parse_manifest(json.dumps(data))


def test_where_a_reasoner_is(tmp_path):
    assert reasoner_source(str(tmp_path)) == Source(local=tmp_path)
    assert reasoner_source("Qwen/Qwen3-4B") == Source(hub="Qwen/Qwen3-4B")
    for name in ("nowhere", "/no/where", "a/b/c", ""):
        with pytest.raises(UsageError, match="no such directory"):
            reasoner_source(name)


def test_where_a_decoder_is(tmp_path):
    file = tmp_path / "small.gguf"
    file.touch()
    assert decoder_source(str(file)) == Source(local=file, gguf="small.gguf")
    assert decoder_source(str(tmp_path)) == Source(local=tmp_path, gguf="small.gguf")
    named = decoder_source("Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q4_K_M.gguf")
    assert named == Source(hub="Qwen/Qwen3-0.6B-GGUF", gguf="Qwen3-0.6B-Q4_K_M.gguf")
    with pytest.raises(UsageError, match="no such file or directory"):
        decoder_source(str(tmp_path / "other.gguf"))


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (["m-Q4_K_M.gguf", "m-q8_0.gguf", "m-f16.gguf"], "m-q8_0.gguf"),
        (["m-IQ2_M.gguf", "mmproj-m.gguf"], "m-IQ2_M.gguf"),
        (["m-BF16-00001-of-00002.gguf", "m-Q4_0.gguf", "m-Q2_K.gguf"], "m-Q4_0.gguf"),
        (["a-Q8_0.gguf", "b-Q8_0.gguf"], None),
        (["m-IQ2_M.gguf", "m-IQ3_M.gguf"], None),
    ],
)
def test_the_file_that_is_taken_of_several(tmp_path, there, taken):
    for name in there:
        (tmp_path / name).touch()
    if taken:
        assert decoder_source(str(tmp_path)).gguf == taken
        return
    with pytest.raises(PairBuildError, match=rf"name one, --decoder {tmp_path}/FILE"):
        decoder_source(str(tmp_path))


def test_a_decoder_without_gguf_is_one_line(tmp_path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(PairBuildError, match=r"holds no GGUF .* duet-train converter"):
        decoder_source(str(tmp_path))


def test_files_on_the_hub(monkeypatch):
    import huggingface_hub

    listed = ["README.md", "q/m-Q8_0.gguf", "m-Q4_0.gguf", "m-F16.gguf"]
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda _, name: listed)
    assert decoder_source("Org/M-GGUF") == Source(hub="Org/M-GGUF", gguf="m-Q4_0.gguf")

    def fail(*_):
        raise httpx.ConnectError("no route to host")

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", fail)
    with pytest.raises(
        PairBuildError, match=r"cannot list Org/M-GGUF .* no route .* Org/M-GGUF/FILE\.gguf"
    ):
        decoder_source("Org/M-GGUF")


@pytest.mark.parametrize(
    ("reasoner", "decoder", "id_"),
    [
        ("Qwen/Qwen3-4B", "Qwen/Qwen3-0.6B-GGUF", "qwen3-4b-qwen3-0.6b"),
        ("O/" + "Long_Name." * 9, "O/_", "long_name.long_name.long_name.l-model"),
    ],
)
def test_the_name_of_a_pair(reasoner, decoder, id_):
    recipe = recipe_of(Source(hub=reasoner), Source(hub=decoder, gguf="x.gguf"))
    assert recipe.id == id_
    assert recipe.base_models == (reasoner, decoder)
    # The manifest's own rule for ids.
    parse_manifest(json.dumps({**manifest_data(), "id": recipe.id}))


def test_no_path_of_this_machine_is_published(tmp_path):
    recipe = recipe_of(Source(local=tmp_path / "big"), Source(local=tmp_path, gguf="small.gguf"))
    published = recipe.model_dump_json(exclude={"reasoner", "decoder"})
    assert str(tmp_path.parent) not in published


@pytest.mark.parametrize(
    ("reasoner", "decoder", "limits"),
    [
        (40960, 40960, (1024, 16384, 2048)),
        (131072, 8192, (1024, 5120, 1024)),
        (2048, 4096, (256, 1280, 256)),
        (128, 128, (16, 80, 16)),
    ],
)
def test_limits_fit_both_windows(reasoner, decoder, limits, tmp_path):
    manifest = _manifest(reasoner=reasoner, decoder=decoder)
    derived = limits_for(manifest.reasoner, manifest.decoder)
    assert (derived.question, derived.budget, derived.answer) == limits
    defaults = defaults_for(derived, tmp_path)
    assert (defaults.budget, defaults.answer) == (limits[1] // 4, limits[2])
    assert sum(limits) < min(reasoner, decoder)


@pytest.mark.parametrize(
    ("settings", "temperature"),
    [
        ('{"do_sample": true, "temperature": 0.6}', 0.6),
        ('{"temperature": 0.6}', 0.0),
        ('{"do_sample": true, "temperature": 1e9}', 0.0),
        ('{"do_sample": true, "temperature": "hot"}', 0.0),
        ("[]", 0.0),
        ("not JSON", 0.0),
    ],
)
def test_the_temperature_is_the_reasoners_own(tmp_path, settings, temperature):
    (tmp_path / "generation_config.json").write_text(settings)
    limits = _manifest().limits
    assert defaults_for(limits, tmp_path).temperature == temperature


def test_a_normalisation_that_is_unknown_is_one_line(tmp_path):
    def info(cuts):
        return GgufInfo([], [], "", {}, [], 1, 1, cuts)

    assert normalization(info("qwen2"), tmp_path / "m.gguf") == "NFC"
    assert normalization(info(None), tmp_path / "m.gguf") is None
    with pytest.raises(PairBuildError, match=rf"'poro-chat'\) is unknown: put .* {tmp_path}"):
        normalization(info("poro-chat"), tmp_path / "m.gguf")


def test_a_recipe_that_is_written_reads_as_it_was(tmp_path):
    recipe = recipe_of(Source(local=tmp_path), Source(local=tmp_path, gguf='a"\\\x7f\u00e9.gguf'))
    file = tmp_path / "recipe.toml"
    file.write_text(recipe_text(recipe, _manifest()), "utf-8")
    again = load_recipe(str(file))
    assert again.decoder.source == recipe.decoder.source
    assert again.reasoner.prompt == _manifest().reasoner.prompt
    assert again.limits == _manifest().limits


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--reasoner", "O/M"], "needs both --reasoner and --decoder"),
        (["--reasoner", "nowhere", "--decoder", "O/M"], "--reasoner nowhere"),
        (["stories-5m", "--save-recipe", "x"], "takes no --reasoner"),
    ],
)
def test_arguments_that_make_no_pair(arguments, told, capsys):
    assert main(["build", *arguments]) == 2
    printed = capsys.readouterr().err
    assert told in printed
    assert "Traceback" not in printed
