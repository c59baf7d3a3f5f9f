"""`duet-device ask` as a process, against the real service."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from duet_contract.receipt import Receipt

pytestmark = pytest.mark.engine

DEVICE = str(Path(sys.executable).with_name("duet-device"))
QUESTION = "Tom has 3 apples and buys 5 more. How many apples has he?"


def test_json_is_one_receipt_and_nothing_else(service):
    result = subprocess.run(
        [DEVICE, "ask", "--json", "--server", service.address, "--quiet", QUESTION],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    receipt = Receipt.model_validate_json(result.stdout)
    assert receipt.source == "duet"
    assert receipt.pair == "smollm2-135m@1.0.1"
    assert receipt.answer.strip()
    assert receipt.signal.strip()
    assert receipt.tokens.signal > 0
    ms = receipt.ms
    assert 0 < ms.connect <= ms.first_signal <= ms.signal <= ms.first_answer <= ms.total
    assert receipt.bytes.up > len(QUESTION)
    assert receipt.bytes.down > receipt.tokens.signal
    assert receipt.flops.reasoner > 0
    assert result.stderr == b""


def test_interrupt_stops_device_and_cloud(service):
    process = subprocess.Popen(
        [DEVICE, "ask", "--show-signal", "--budget", "1500", "--temperature", "1.5",
         "--server", service.address, "Write the longest story that you can think of."],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    until = time.monotonic() + 120
    while service.metric("vllm:num_requests_running") < 1:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert b"Traceback" not in process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    until = time.monotonic() + 60
    while service.metric("vllm:num_requests_running") > 0:
        assert time.monotonic() < until
        time.sleep(0.05)
