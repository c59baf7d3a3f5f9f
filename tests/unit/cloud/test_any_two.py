"""A recipe of any two models, from the names on a command line."""

import json
import shlex
from pathlib import Path

import gguf
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duet_cloud.errors import PairBuildError, UsageError
from duet_cloud.pairs.any_two import command_of, decoder_source, reasoner_source, recipe_of
from duet_cloud.pairs.build import defaults_for, limits_for
from duet_cloud.pairs.gguf_models import GgufInfo, inspect, normalization
from duet_cloud.pairs.recipe import Source, load_recipe, recipe_text
from duet_cloud.pairs.sources import locate
from duet_contract.manifest import (
    MANIFEST_NAME,
    SIGNATURE_NAME,
    Manifest,
    load_manifest,
    parse_manifest,
)
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


@pytest.fixture
def hub(monkeypatch):
    """Every repository of the hub holds the same file."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda *_: ["x-Q8_0.gguf"])


@pytest.mark.parametrize(
    ("reasoner", "decoder", "id_"),
    [
        ("Qwen/Qwen3-4B", "Qwen/Qwen3-0.6B-GGUF", "qwen3-4b-qwen3-0.6b"),
        ("Q/Qwen3-4B", "Q/M-GGUF/Qwen3-0.6B-Q8_0.gguf", "qwen3-4b-qwen3-0.6b-q8_0"),
        ("Q/Qwen3-4B", "Q/M-GGUF/Qwen3-0.6B-Q4_K_M.gguf", "qwen3-4b-qwen3-0.6b-q4_k_m"),
        ("O/" + "Long_Name." * 9, "O/_", "long_name.long_name.long-cfd036-model"),
    ],
)
def test_the_name_of_a_pair(reasoner, decoder, id_, hub):
    recipe = recipe_of(reasoner, decoder)
    assert recipe.id == id_
    assert recipe.base_models == (reasoner, "/".join(decoder.split("/")[:2]))
    # The manifest's own rule for ids.
    parse_manifest(json.dumps({**manifest_data(), "id": recipe.id}))


@settings(max_examples=50)
@given(
    stem=st.from_regex(r"[A-Za-z0-9]{1,60}", fullmatch=True),
    kinds=st.lists(st.sampled_from(["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"]), min_size=2, unique=True),
)
def test_quantizations_of_any_name_are_different_pairs(stem, kinds):
    decoders = [f"O/M-GGUF/{stem}-{kind}.gguf" for kind in kinds]
    recipes = [recipe_of("O/M", decoder) for decoder in decoders]
    assert len({recipe.id for recipe in recipes}) == len(kinds)
    for recipe in recipes:
        parse_manifest(json.dumps({**manifest_data(), "id": recipe.id}))


@pytest.mark.parametrize("decoder", ["Org/M-GGUF", "Org/M-GGUF/m-Q4_K_M.gguf"])
def test_the_published_command_builds_the_same_pair(decoder, hub):
    recipe = recipe_of("Org/M", decoder)
    command = command_of(recipe, "Org/M", decoder)
    assert command == f"duet-cloud pairs build --reasoner Org/M --decoder {decoder}"
    words = shlex.split(command)
    assert recipe_of(words[4], words[6]) == recipe


def test_no_path_of_this_machine_is_published(tmp_path):
    models = tmp_path / "my models"
    (models / "big").mkdir(parents=True)
    (models / "small.gguf").touch()
    for decoder, name in ((models / "small.gguf", "small.gguf"), (models, "my models")):
        arguments = (f"{models}/big/", str(decoder))
        recipe = recipe_of(*arguments)
        command = command_of(recipe, *arguments)
        assert shlex.split(command)[3:] == ["--reasoner", "big", "--decoder", name]
        published = recipe.model_dump_json(exclude={"reasoner", "decoder"}) + command
        assert str(tmp_path) not in published


def test_if_missing_takes_no_pair_of_another_file(tmp_path, monkeypatch, capsys):
    """Two files in one directory: the pair that is there was built from the other one."""
    built = []

    def build(recipe, target, *, command, **_):
        target.mkdir(exist_ok=True)
        data = manifest_data(id=recipe.id, version=recipe.version, made_with=command)
        (target / MANIFEST_NAME).write_text(json.dumps(data))
        (target / SIGNATURE_NAME).touch()
        built.append(recipe.decoder.source.gguf)
        return load_manifest(target)

    monkeypatch.setattr("duet_cloud.pairs.build.build_pair", build)
    for kind in ("Q8_0", "Q4_K_M", "Q4_K_M"):
        arguments = ["--reasoner", "O/M", "--decoder", f"O/M-GGUF/m-{kind}.gguf", "--if-missing"]
        assert main(["build", *arguments, "--out", str(tmp_path / "pair")]) == 0
    assert built == ["m-Q8_0.gguf", "m-Q4_K_M.gguf"]
    assert "m-m-q4_k_m@1.0.0 is ready in" in capsys.readouterr().out


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


def test_the_page_names_the_largest_limits():
    data = _manifest(reasoner=1 << 20, decoder=1 << 20)
    limits = limits_for(data.reasoner, data.decoder)
    page = (Path(__file__).parents[3] / "docs/serving.md").read_text("utf-8")
    named = f"at most {limits.question} tokens, an answer's {limits.answer}, "
    assert f"{named}a signal's {limits.budget}" in page


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
    decoder = tmp_path / 'a"\\\x7f\u00e9.gguf'
    decoder.touch()
    recipe = recipe_of(str(tmp_path), str(decoder))
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
        (["--reasoner", "~no-such-user/m", "--decoder", "O/M"], "--reasoner ~no-such-user/m"),
        (["--reasoner", "m" * 300, "--decoder", "O/M"], "--reasoner mmm"),
        (["--reasoner", "O/M", "--decoder", "~no-such-user/m"], "--decoder ~no-such-user/m"),
        (["--reasoner", "O/M", "--decoder", "m" * 300], "--decoder mmm"),
        (["stories-5m", "--save-recipe", "x"], "takes no --reasoner"),
    ],
)
def test_arguments_that_make_no_pair(arguments, told, capsys):
    assert main(["build", *arguments]) == 2
    printed = capsys.readouterr().err
    assert told in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize("name", ["~no-such-user/m", "m" * 300])
def test_a_recipe_with_a_directory_that_cannot_be(name):
    with pytest.raises(PairBuildError, match=f"cannot find {name}"):
        locate(Source(local=name))


def _gguf(path, eos):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["<unk>", "<s>", "</s>", "<pad>"])
    writer.add_token_types([gguf.TokenType.CONTROL] * 4)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(eos)
    writer.add_pad_token_id(3)
    writer.add_chat_template("{{ unk_token }}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def test_what_a_chat_template_reads_of_a_gguf_file(tmp_path):
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    assert inspect(_gguf(tmp_path / "m.gguf", eos=2)).names == names


def test_a_gguf_file_that_names_a_token_beyond_its_vocabulary(tmp_path):
    with pytest.raises(PairBuildError, match="has 4 tokens, and eos is token 4"):
        inspect(_gguf(tmp_path / "m.gguf", eos=4))
