"""VERL's vLLM servers as the rollout engine: adapter, weight transfer, load balancer, on a CPU."""

import json
import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.doubles.joined_environment import make_joined

ROOT = Path(__file__).parents[3]
SERVING = "SERVING_PYTHON"
STEPS = 3
# Two engines start on two cores.
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800)]
VERL = [
    "actor_rollout_ref.rollout.name=vllm",
    "actor_rollout_ref.rollout.load_format=dummy",
    "actor_rollout_ref.rollout.dtype=float32",
    "actor_rollout_ref.rollout.enforce_eager=true",
    # The adapter asks servers to sleep and to wake up; a CPU's do neither.
    "actor_rollout_ref.rollout.free_cache_engine=true",
    "+actor_rollout_ref.rollout.enable_sleep_mode=false",
    "actor_rollout_ref.rollout.checkpoint_engine.backend=naive",
    "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes=16",
]


@pytest.fixture(scope="module")
def served(prepared, tmp_path_factory):
    """The metrics of each step."""
    directory = tmp_path_factory.mktemp("joined")
    python = make_joined(directory, os.environ[SERVING], sysconfig.get_path("purelib"))
    quoted = ",".join(f"'{override}'" for override in VERL)
    overrides = [f"steps={STEPS}", f"verl=[{quoted}]", "validate.every=0", "data.max_prompt=200"]
    command = [str(python), "-m", "tests.doubles.vllm_rollout", str(prepared), *overrides]
    path = [str(ROOT), *(str(ROOT / name) for name in ("proto", "training", "tools/report"))]
    # Plugins of the service's packages, which are not needed here.
    environment = {**os.environ, "VLLM_PLUGINS": "", "VLLM_CPU_KVCACHE_SPACE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(path)
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=1500
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.skipif(SERVING not in os.environ, reason="names no interpreter")
def test_vllms_servers_sample_from_the_weights_as_they_are_now(served):
    """Both models learn at rates that move every log-prob, and vLLM's log-probs follow."""
    assert len(served) == STEPS
    for row in served:
        for policy in ("reasoner", "decoder"):
            assert row[f"{policy}/log_prob_difference"] < 1e-3
    assert any(row["reasoner/grad_norm"] > 0 for row in served)
    assert served[-1]["reasoner/kl"] != 0
