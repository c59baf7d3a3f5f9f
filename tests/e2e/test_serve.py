"""`duet-cloud serve` as a process: starting, failing, draining, and leaving nothing behind."""

import json
import os
import shutil
import signal
import subprocess
import time

import grpc
import psutil
import pytest

from duet_contract.channels import open_channel
from duet_contract.integrity import describe_file
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from tests.service import SERVE, STARTS_S, Service


def _serve(*arguments):
    return subprocess.run(
        [*SERVE, *arguments], capture_output=True, timeout=120, text=True, check=False
    )


def _last_line(result):
    assert "Traceback (most recent call last):\n  File" not in result.stderr.split("\n")[-2]
    return result.stderr.strip().splitlines()[-1]


def _gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=60)
    return not alive


def test_help_is_quick_and_names_every_option():
    result = _serve("--help")
    assert result.returncode == 0
    for option in ("--pair", "--max-waiting", "--chunk-tokens", "--grace-s", "--help-engine"):
        assert option in result.stdout


def test_a_pair_that_is_not_what_its_manifest_says(thinking_pair, tmp_path):
    """How files may be wrong, and other faults of what is given: `tests/unit`, in one process."""
    pair = tmp_path / "pair"
    shutil.copytree(thinking_pair, pair)
    weights = pair / "reasoner" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[1000] ^= 255
    weights.write_bytes(content)
    result = _serve("--pair", str(pair), "--port", "0")
    assert result.returncode == 6
    assert "Traceback" not in result.stderr
    assert _last_line(result).startswith("duet-cloud: ")


@pytest.mark.engine
def test_a_port_in_use(service, real_pair):
    port = service.address.rsplit(":", 1)[1]
    result = _serve("--pair", str(real_pair), "--port", port)
    assert result.returncode == 3
    assert "in use" in _last_line(result)


@pytest.mark.engine
def test_an_engine_that_cannot_load_says_so_and_leaves_no_process(thinking_pair, tmp_path):
    pair = tmp_path / "pair"
    shutil.copytree(thinking_pair, pair)
    config = pair / "reasoner" / "config.json"
    content = json.loads(config.read_text())
    content["hidden_size"] = 96  # the weights say 64
    config.write_text(json.dumps(content))
    manifest = json.loads((pair / "manifest.json").read_text())
    entry = describe_file(pair, config).model_dump()
    files = manifest["reasoner"]["files"]
    manifest["reasoner"]["files"] = [entry if f["path"] == entry["path"] else f for f in files]
    (pair / "manifest.json").write_text(json.dumps(manifest))

    log = tmp_path / "log"
    with Service.started([*SERVE, "--pair", str(pair)], log) as failing:
        seen = set()
        while failing.process.poll() is None:
            seen |= set(failing.children())
            time.sleep(0.2)
    assert failing.process.returncode == 6
    assert log.read_text().strip().splitlines()[-1].startswith("duet-cloud: vLLM cannot load")
    assert seen, "the engine's processes were never seen"
    assert _gone(list(seen))


@pytest.mark.engine
def test_two_versions_of_a_thinking_pair_serve_and_drain(thinking_pair, tmp_path):
    """Ctrl-C in a terminal reaches every process of the service, vLLM's too.

    What runs is finished, what comes is refused, and no process is left.
    """
    newer = tmp_path / "newer"
    shutil.copytree(thinking_pair, newer)
    manifest = json.loads((newer / "manifest.json").read_text())
    (newer / "manifest.json").write_text(json.dumps(manifest | {"version": "9.0.0"}))
    pairs = ["--pair", str(thinking_pair), "--pair", str(newer)]
    request = ReasonRequest(question="continue", budget=1500, temperature=0.0)
    with Service.started(
        ["setsid", *SERVE, *pairs, "--grace-s", "60"], tmp_path / "log"
    ) as service:
        service.wait_ready(180)
        family = service.children()
        assert {os.getpgid(process.pid) for process in family} == {service.process.pid}
        with open_channel(service.address) as channel:
            stub = InferenceServiceStub(channel)
            for name in (f"{manifest['id']}@9.0.0", f"{manifest['id']}@{manifest['version']}"):
                *_, last = stub.Reason(ReasonRequest(question="continue", budget=4, pair=name))
                assert last.end.signal_tokens > 0
            # vLLM's own metrics of both engines, not of the one that was loaded last.
            assert service.metric("vllm:generation_tokens_total") >= 2
            assert len(service.samples("vllm:generation_tokens_total")) == 2
            *_, undisturbed = stub.Reason(request)
            assert undisturbed.end.signal_tokens > 500, "too short to be interrupted"
            call = stub.Reason(request)
            assert next(call).HasField("chunk")
            os.killpg(service.process.pid, signal.SIGINT)
            service.wait_event("draining", 60)
            with pytest.raises(grpc.RpcError) as caught:
                list(stub.Reason(ReasonRequest(question="too late")))
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
            *_, last = call
        assert last.end.signal_tokens == undisturbed.end.signal_tokens
        assert last.end.finish_reason == undisturbed.end.finish_reason
        assert service.process.wait(60) == 0
    assert _gone(family)


@pytest.mark.engine
def test_sigterm_while_loading(thinking_pair, tmp_path):
    command = [*SERVE, "--pair", str(thinking_pair)]
    with Service.started(command, tmp_path / "log") as service:
        service.wait_event("loading", STARTS_S)
        while not (family := service.children()):
            time.sleep(0.2)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(120) == 0
    assert _gone(family)
