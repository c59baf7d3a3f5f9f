"""The preflight: passes what can run here, and names what blocks the rest."""

import json
import shutil
import socket
from types import SimpleNamespace

import pytest

from duet_training.data.rows import Problem, write_rows
from duet_training.preflight import host
from duet_training.preflight.memory import GIB, ModelShape
from duet_training.rl.checkpoints import Checkpoints, State
from duet_training.settings.binding import binding
from duet_training.settings.run import settings_from
from tests.doubles.commands import train_preflight as main

SIZES = [
    "data.max_prompt=200",
    "tokens.response=64",
    "tokens.answer=32",
    "tokens.decoder_prompt=400",
    "batch.questions=4",
    "batch.mini_batch=2",
]


def _problems(count, answer="A"):
    return [Problem(str(i), f"which is {i}?", answer, "own", "choice") for i in range(count)]


@pytest.fixture
def run(pair_file, tmp_path):
    """A run that can start on this machine."""
    write_rows(_problems(8), "train", tmp_path / "train.parquet")
    return [
        f"pair={pair_file}",
        f"data.train={tmp_path}/train.parquet",
        f"out={tmp_path}/run",
        *SIZES,
    ]


@pytest.fixture
def quick(monkeypatch):
    """Without composing VERL's configuration, where a test is about something else."""
    monkeypatch.setattr("duet_training.preflight.run.policy_config", lambda *_: None)


def _rows(capsys):
    return capsys.readouterr().out.splitlines()


def test_a_run_that_can_start_passes(run, capsys):
    assert main(run) == 0
    rows = _rows(capsys)
    assert {row[:4] for row in rows[:-1]} == {"ok  "}
    assert rows[-1].endswith("0 to look at, 0 blocking")
    text = "\n".join(rows)
    for what in ("verl 0.9.1", "8 rows", "tells right from wrong", "holds no run", "GiB free"):
        assert what in text
    assert "no pad token (not needed); no chat template (not needed)" in text


def test_a_host_without_gpus_fails_clearly(run, capsys):
    assert main([*run, "hardware=h100x4"]) == 1
    text = "\n".join(_rows(capsys))
    assert "fail  GPUs" in text
    assert "4 needed on each node, 0 here" in text
    assert "fail  vllm" in text
    assert "VERL wants ==0.24.0: pip install './training[gpu]'" in text
    assert "| reasoner learns |" in text


def _broken(name, run, home, pair_file):
    """Overrides for a run with one thing wrong."""
    if name == "no data":
        return ["data.train=nowhere.parquet"]
    if name == "no answers":
        write_rows([*_problems(8), *_problems(1, " ")], "train", home / "train.parquet")
        return []
    if name == "shared questions":
        write_rows(_problems(2), "validation", home / "shared.parquet")
        return [f"data.validation={{apart:{home}/shared.parquet}}"]
    if name == "too few":
        return ["batch.questions=32", "batch.mini_batch=32"]
    if name == "too long":
        return ["data.max_prompt=10"]
    if name == "decoder's prompt":
        return ["tokens.decoder_prompt=20"]
    if name == "reference":
        return ["objective.reward=dense", "tokens.answer=3"]
    if name == "no pair":
        return ["pair=nowhere.yaml"]
    if name == "context":
        return ["tokens.response=4000"]
    if name == "verifier":
        problem = Problem("1", "q", "1", "own", "training.nothing:Here")
        write_rows([problem] * 8, "train", home / "train.parquet")
        return []
    shutil.copytree(pair_file.parent, home / "pair")
    model = home / "pair/reasoner"
    if name == "no weights":
        (model / "model.safetensors").unlink()
    elif name == "no tokenizer":
        (model / "tokenizer.json").unlink()
    elif name == "other vocabulary":
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, "vocab_size": 100}))
    return [f"pair={home}/pair/pair.yaml"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no data", "cannot read the data nowhere.parquet"),
        ("no answers", "1 of 9 rows in"),
        ("shared questions", "2 of 2 questions of"),
        ("too few", "fewer than a step's 32"),
        ("too long", "all 8 prompts are longer than 10 tokens"),
        ("decoder's prompt", "8 of 8 questions do not fit into tokens.decoder_prompt (20)"),
        ("reference", "tokens.answer is 3"),
        ("no pair", "cannot read the pair nowhere.yaml"),
        ("context", "reasoner's context  1024 tokens, 4200 needed"),
        ("verifier", "cannot import verifier"),
        ("no weights", "has no weights"),
        ("no tokenizer", "has no tokenizer.json"),
        ("other vocabulary", "tokens, the model 100"),
    ],
)
def test_what_is_in_the_way_is_named(name, says, run, pair_file, tmp_path, capsys, quick):
    assert main([*run, *_broken(name, run, tmp_path, pair_file)]) == 1
    failed = [" ".join(row.split()) for row in _rows(capsys) if row.startswith("fail")]
    assert any(" ".join(says.split()) in row for row in failed)


def test_a_setting_that_verl_does_not_know_is_named(run, capsys):
    assert main([*run, "hardware.verl=['actor_rollout_ref.nothing=1']"]) == 1
    assert "VERL refuses the settings of reasoner" in capsys.readouterr().out


def test_an_adapter_is_held_against_its_model(run, capsys, quick):
    assert main([*run, "lora.reasoner.rank=4"]) == 0
    assert "rank 4: 0.01M weights" in capsys.readouterr().out
    assert main([*run, "lora.reasoner.rank=4", "lora.reasoner.first_layer=2"]) == 1
    assert "no linear layer for an adapter from layer 2 on" in capsys.readouterr().out


def test_settings_that_are_none_are_one_line(capsys):
    assert main(["batch.questions=none"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("duet-train: ")
    assert error.count("\n") == 1


def test_an_earlier_run_is_seen(run, tmp_path, capsys, quick):
    settings = settings_from(run)
    run_of = Checkpoints(tmp_path / "run/checkpoints", binding(settings), settings.checkpoint)
    run_of.save(State(3, 0.1), {})
    assert main(run) == 1
    assert "holds a run" in capsys.readouterr().out
    assert main([*run, "resume=true"]) == 0
    assert "continues after step 3" in capsys.readouterr().out
    assert main([*run, "resume=true", "objective.budget=7"]) == 1
    assert "belongs to another configuration" in capsys.readouterr().out
    Checkpoints(
        tmp_path / "run/checkpoints", binding(settings), settings.checkpoint, "of other data"
    ).save(State(3, 0.1), {})
    assert main([*run, "resume=true"]) == 1
    assert "belongs to other training data" in capsys.readouterr().out


def test_a_full_disk_is_seen(run, monkeypatch):
    settings = settings_from(run)
    shapes = {"reasoner": ModelShape(10**9, 1, 1, 1, 1, 1, 1)}
    assert host.checkpoint_gib(shapes) == pytest.approx(12e9 / GIB)
    with_adapter = host.checkpoint_gib(shapes, {"reasoner": 10**6})
    assert with_adapter == pytest.approx((4e9 + 12e6) / GIB)
    # Two newest, the milestones 50 and 100, and one being written: 55.9 GiB are needed.
    for free, status in ((50, "fail"), (60, "warn"), (99, "ok")):
        usage = SimpleNamespace(free=free * GIB)
        monkeypatch.setattr(host.shutil, "disk_usage", lambda _, usage=usage: usage)
        (finding,) = host.disk(settings, shapes)
        assert finding.status == status


def test_a_model_on_the_hub_is_looked_for(run, monkeypatch, capsys, quick):
    def nothing(*_, **__):
        raise OSError("no route to the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", nothing)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", nothing)
    assert main([*run, "pair=qwen3-4b-0.6b"]) == 1
    assert "Qwen/Qwen3-4B is not in the hub's cache; the hub: no route" in capsys.readouterr().out
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: None)
    assert main([*run, "pair=qwen3-4b-0.6b"]) == 0
    assert "is on the hub, and will be fetched" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "gib", "capability", "statuses"),
    [
        (4, 79.1, (9, 0), ["ok"]),
        (2, 79.1, (9, 0), ["fail", "ok"]),
        (4, 39.4, (8, 0), ["warn"]),
        (4, 79.1, (7, 5), ["fail"]),
        (0, 0, (0, 0), ["fail"]),
    ],
)
def test_gpus_are_counted_and_measured(count, gib, capability, statuses, monkeypatch):
    import torch

    hardware = settings_from(["pair=p", "out=o", "data.train=t", "hardware=h100x4"]).hardware
    kind = SimpleNamespace(name="H100", total_memory=gib * GIB, major=capability[0])
    kind.minor = capability[1]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: kind)
    assert [finding.status for finding in host.gpus(hardware)] == statuses


def test_versions_are_those_that_verl_pins(monkeypatch):
    pins = {"verl": "0.9.1", "torch": "2.11.0", "vllm": "0.24.0", "transformers": "5.9.0"}
    pins |= {"flash-attn": "2.8.3", "torchvision": "0.26.0", "torchaudio": "2.11.0"}
    real = host.version
    monkeypatch.setattr(host, "version", lambda name: pins.get(name) or real(name))
    assert [finding.status for finding in host.versions("cuda")] == ["ok"]
    pins["torch"] = "2.13.0"
    (failed,) = [f for f in host.versions("cuda") if f.status == "fail"]
    assert failed.what == "torch"
    assert "==2.11.0" in failed.detail


def test_a_cluster_must_answer(monkeypatch):
    hardware = settings_from(["pair=p", "out=o", "data.train=t", "hardware=h100x4"]).hardware
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        assert next(host.cluster(hardware)).status == "ok"
    assert next(host.cluster(hardware)).status == "fail"
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    assert next(host.cluster(hardware)).status == "fail"
    monkeypatch.delenv("RAY_ADDRESS")
    assert next(host.cluster(hardware)).status == "ok"
    two = hardware.model_copy(update={"nodes": 2})
    assert "set RAY_ADDRESS" in next(host.cluster(two)).detail
