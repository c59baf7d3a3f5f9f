"""`duet-train gpu-check`: three steps of a tiny pair on one GPU, timed and measured by phase.

The first step hides what later ones need: before its servers wake up, nothing has learned yet.
"""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from duet_contract.json_data import rounded
from duet_report.tables import markdown
from duet_training.data.rows import Problem, write_rows
from duet_training.errors import ConfigError, DeviceError, TrainingError, one_line
from duet_training.files import write_json
from duet_training.pair.tiny import make_tiny_pair
from duet_training.preflight import run as checks
from duet_training.preflight.memory import GIB, shape_of
from duet_training.preflight.phase_recorder import PhaseRecorder, watched
from duet_training.settings.run import Settings, settings_from
from duet_training.verl_backend.cluster import ray_logs
from duet_training.verl_backend.config import policy_config

REPORT = "gpu-check.json"
STEPS = 3
_SIZES = (
    *(f"steps={STEPS}", f"checkpoint.every={STEPS}", "validate.every=0", "track=[]"),
    *("batch.questions=4", "batch.signals=4", "batch.answers=2", "batch.mini_batch=2"),
    *("data.max_prompt=200", "tokens.response=64", "tokens.answer=32", "tokens.decoder_prompt=512"),
    # A random model is never right: the length penalty alone makes rewards differ.
    "objective.length_penalty.start=0.5",
    "checks.on_disagreement=warn",
)
_PACKAGES = ("duet-training", "verl", "torch", "vllm", "flash-attn", "transformers", "ray")
# What a reading may exceed the estimate by, as a share and in GiB, before it counts as more.
_SHARE, _SLACK = 0.1, 0.5


def devices() -> list[dict[str, Any]]:
    """Describe this machine's GPUs: name, GiB, compute capability."""
    import torch

    if not torch.cuda.is_available():
        return []
    found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [
        {"name": d.name, "gib": d.total_memory / GIB, "capability": f"{d.major}.{d.minor}"}
        for d in found
    ]


def check_settings(out: Path, overrides: list[str], gpus: list[dict[str, Any]]) -> Settings:
    """Make the settings of the check, with a tiny pair and questions in `out` unless given.

    Raises:
        ConfigError: The settings are invalid, or `out` holds an earlier check.
        DeviceError: The hardware needs a GPU and this machine has none.
    """
    if (out / REPORT).exists() or (out / "run").exists():
        raise ConfigError(f"{out} holds an earlier check: name another directory")
    named = {each.split("=", 1)[0] for each in overrides}
    given = [
        *([] if "pair" in named else [f"pair={out}/pair/pair.yaml"]),
        *([] if "data.train" in named else [f"data.train={out}/train.parquet"]),
        *([] if "hardware" in named else ["hardware=gpu1"]),
        *(f"hardware.device_memory={gpu['gib']:.1f}" for gpu in gpus[:1]),
    ]
    settings = settings_from([*given, f"out={out}/run", *_SIZES, *overrides])
    if settings.hardware.platform == "cuda" and not gpus:
        import torch

        built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        raise DeviceError(
            f"PyTorch finds no GPU here (torch {torch.__version__}, built {built}); "
            f"the same steps without one: duet-train gpu-check {out} hardware=cpu"
        )
    out.mkdir(parents=True, exist_ok=True)
    if "pair" not in named:
        # Attention heads of 64 and 32: flash-attn's kernels have sizes from 32 on.
        make_tiny_pair(out / "pair", heads=1)
    if "data.train" not in named:
        problems = [Problem(str(i), f"What is {i} + 2?", str(i + 2), "sums") for i in range(32)]
        write_rows(problems, "train", out / "train.parquet")
    return settings


def estimates(settings: Settings) -> dict[str, float]:
    """Estimate GiB of each phase as `duet-train preflight` does; empty without a GPU."""
    from duet_training.pair.description import load_pair

    paths = load_pair(settings.pair).paths
    names = settings.policies
    configs = {name: policy_config(settings, name, str(paths[name])) for name in names}
    shapes = {name: shape_of(paths[name]) for name in names}
    phases = [f for f in checks.memory(settings, shapes, configs) if isinstance(f, dict)]
    return {name: sum(parts.values()) for found in phases for name, parts in found.items()}


def over(peaks: Mapping[str, float], estimated: Mapping[str, float]) -> list[str]:
    """Name the phases that used more memory than estimated, in their order.

    Examples:
        >>> over({"a": 10.0, "b": 12.0, "c": 1.0}, {"a": 10.0, "b": 10.0})
        ['b']
    """
    limits = {name: gib * (1 + _SHARE) + _SLACK for name, gib in estimated.items()}
    return [name for name, gib in peaks.items() if name in limits and gib > limits[name]]


def gpu_check(out: Path, overrides: list[str]) -> int:
    """Run the steps, write `OUT/gpu-check.json`, and print a table of the phases.

    Returns:
        Exit code: 0, or 3 if a phase used more memory than estimated.

    Raises:
        DeviceError: There is no GPU.
        TrainingError: The settings are invalid, or a step failed; the report says where.
    """
    gpus = devices()
    settings = check_settings(out, overrides, gpus)
    recorder, rows, error = PhaseRecorder(), list[dict[str, float]](), None
    estimated = estimates(settings)
    try:
        with watched(recorder):
            _steps(settings, recorder, rows)
    except TrainingError as failure:
        error = failure
    more = over(recorder.peaks(), estimated)
    report = {
        "versions": {"python": platform.python_version(), **_versions()},
        "gpus": gpus,
        "settings": settings.model_dump(mode="json", by_alias=True),
        "error": one_line(error) if error else None,
        "timeline": recorder.timeline(),
        "estimated_gib": estimated,
        "more_than_estimated": more,
        "steps": rows,
        "logs": ray_logs(),
    }
    file = out / REPORT
    write_json(file, rounded(json.loads(json.dumps(report))), indent=2)
    print("\n".join(table(recorder, estimated)))
    if error:
        raise type(error)(f"{one_line(error)}; send us {file}")
    excess = f"; more memory than estimated: {', '.join(more)}" if more else ""
    print(f"{len(rows)} steps{excess}; send us {file}")
    return 3 if more else 0


def _steps(settings: Settings, recorder: PhaseRecorder, rows: list[dict[str, float]]) -> None:
    """Run all steps, checkpoint included.

    Raises:
        TrainingError: A step failed.
    """
    from duet_training.rl.trainer import started

    with started(settings) as trainer:
        recorder.policies = trainer.policies
        for policy in trainer.policies.values():
            policy.phase = recorder
        while trainer.state.step < settings.steps:
            rows.append(trainer.step())
        with recorder("checkpoint"):
            trainer.save()


def table(recorder: PhaseRecorder, estimated: Mapping[str, float]) -> list[str]:
    """Write a Markdown table of the phases: seconds of the first and of later times, GiB."""
    rows = []
    peaks = recorder.peaks()
    for name in dict.fromkeys(phase.name for phase in recorder.phases):
        first, *later = [phase.seconds for phase in recorder.phases if phase.name == name]
        rows.append(
            [
                name,
                f"{first:.2f}",
                f"{sum(later) / len(later):.2f}" if later else "-",
                f"{peaks[name]:.1f}" if name in peaks else "-",
                f"{estimated[name]:.1f}" if name in estimated else "-",
            ]
        )
    head = ["phase", "first, s", "later, s", "GiB in use", "GiB estimated"]
    return markdown(head, rows).splitlines()


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
