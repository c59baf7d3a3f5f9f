"""The reasoner is trained as a low-rank adapter, with real Ray and VERL, and becomes a pair."""

import json
import shutil

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from duet_training.errors import CheckpointError
from duet_training.export.merge import merge_shards
from duet_training.rl import trainer as trainer_module
from duet_training.rl.trainer import Trainer
from duet_training.verl_backend.cpu.rollout import digest
from tests.doubles.commands import train_evaluate as evaluate
from tests.doubles.commands import train_export as export
from tests.doubles.runs import write_shards
from tests.doubles.small_runs import metrics_of, on_running, settings_of

TUNING = [
    *("steps=3", "validate.every=0", "track=[]", "learning_rate.reasoner=1e-2"),
    *("lora.reasoner.rank=4", "lora.reasoner.first_layer=1"),
]
LAST = "adapted/checkpoints/step_3"


@pytest.fixture(scope="module")
def adapted(prepared):
    """A run of three steps, and the same, killed in the third and resumed, which is still open.

    By the processes of the first one: what the checkpoint lacked would be of another step there.
    """
    first = Trainer(settings_of(prepared, "adapted", *TUNING))
    try:
        first.run()
        run = prepared / "again"
        shutil.copytree(prepared / "adapted", run)
        shutil.rmtree(run / "checkpoints/step_3")
        rows = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
        (run / "metrics.jsonl").write_text("".join(rows[:2]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trainer_module, "start_policies", lambda *_, **__: first.policies)
            trainer = Trainer(settings_of(prepared, "again", *TUNING, "resume=true"))
        trainer.run()
        yield prepared, trainer
    finally:
        first.close()


def _saved(home, name="reasoner"):
    """A policy's weights as VERL saved them on its only rank."""
    file = home / LAST / name / "model_world_size_1_rank_0.pt"
    shard = torch.load(file, weights_only=False)
    return {name: getattr(weight, "_local_tensor", weight) for name, weight in shard.items()}


def test_the_adapter_alone_is_trained(adapted):
    home, _ = adapted
    began = load_file(home / "pair/reasoner/model.safetensors")
    saved = _saved(home)
    kept = {n: w for n, w in saved.items() if ".lora_" not in n}
    assert len(kept) == len(began)
    for name, weight in kept.items():
        own = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
        assert torch.equal(weight, began[own]), name
    moved = [weight for name, weight in saved.items() if ".lora_B." in name]
    assert len(moved) == 7
    assert all(weight.abs().max() > 0 for weight in moved)
    # The decoder has none.
    assert not any(".lora_" in name for name in _saved(home, "decoder"))


def test_the_reference_is_the_model_without_its_adapter(adapted):
    home, _ = adapted
    rows = metrics_of(home, "adapted")
    assert rows[0]["reasoner/kl"] == 0
    assert all(row["reasoner/kl"] != 0 for row in rows[1:])
    assert all(row["reasoner/grad_norm"] > 0 for row in rows)
    # Servers have the trainer's weights, not rounded: each step compared them byte by byte, too.
    assert all(row["reasoner/log_prob_difference"] < 1e-5 for row in rows)


def test_a_resumed_run_is_the_uninterrupted_one(adapted):
    home, trainer = adapted
    assert trainer.state.step == 3
    assert metrics_of(home, "again") == metrics_of(home, "adapted")
    with pytest.raises(CheckpointError, match=r"lora.reasoner.rank is 4 there and 8 here"):
        Trainer(settings_of(home, "again", *TUNING, "resume=true", "lora.reasoner.rank=8"))


def test_shards_merge_into_the_trainers_own_weights(adapted, tmp_path):
    home, trainer = adapted
    merged = merge_shards(home / LAST / "reasoner", home / "pair/reasoner")
    (trained,) = trainer.policies["reasoner"].workers.digest()
    assert digest(iter(merged.items())) == trained
    # And so do those of two ranks.
    write_shards(tmp_path / "two", _saved(home), 2)
    with pytest.raises(CheckpointError, match="cannot read .*lora_train_meta.json"):
        merge_shards(tmp_path / "two", home / "pair/reasoner")
    shutil.copy(home / LAST / "reasoner/lora_train_meta.json", tmp_path / "two")
    assert digest(iter(merge_shards(tmp_path / "two", home / "pair/reasoner").items())) == trained


def test_it_is_evaluated_and_exported(adapted, monkeypatch):
    home, trainer = adapted
    out, data = home / "adapted.json", f"{home}/data/validation.parquet"
    command = [f"pair={home}/pair/pair.yaml", f"data.train={data}", f"weights={home}/{LAST}"]
    sizes = ["tokens.response=16", "tokens.answer=12", "tokens.decoder_prompt=160"]
    with monkeypatch.context() as patch:
        on_running(trainer, patch)
        assert evaluate([*command, *sizes, f"out={out}", "method=duet"]) == 0
    trainer.close()
    assert json.loads(out.read_text())["questions"] == 3

    pair = home / "adapted-pair"
    command = [str(home / "adapted"), str(pair), "quantizations=[F16]", "decoder=F16", "threads=1"]
    loose = ["parity.min_top1.reasoner=0", "parity.min_top1.F=0", "reasoner_dtype=float32"]
    assert export([*command, *loose, "limits.question=200", f"parity.data={data}"]) == 0
    files = pair / "adapter/reasoner"
    assert {path.name for path in files.iterdir()} == {
        *("adapter_config.json", "adapter_model.safetensors")
    }
    assert str(home) not in (files / "adapter_config.json").read_text()
    assert not (pair / "adapter/decoder").exists()
    # PEFT makes the exported weights of it and of those that the run began with.
    start = AutoModelForCausalLM.from_pretrained(home / "pair/reasoner", dtype=torch.float32)
    theirs = PeftModel.from_pretrained(start, files).merge_and_unload().state_dict()
    ours = load_file(pair / "reasoner/model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    # Another run continues it; its initial model is the one with the adapter as it was.
    trainer = Trainer(settings_of(home, "further", *TUNING, f"lora.reasoner.path={files}"))
    try:
        reasoner = trainer.policies["reasoner"]
        (began,) = reasoner.workers.digest()
        assert began == digest(iter(ours.items()))
        first, second = trainer.step(), trainer.step()
    finally:
        trainer.close()
    assert first["reasoner/kl"] == 0
    assert second["reasoner/kl"] != 0
