"""Closing a channel at any moment, by the link or by the channel's owner, leaves nothing."""

import os
import subprocess
import sys

import pytest

from tests.doubles.cloud import ScriptedCloud, done, says, tokens
from tests.doubles.tcp import serving

PROGRAM = """
import random, sys, threading, time
from duet_device.deadline import Deadline
from duet_device.errors import DeviceError
from duet_device.identity.channel import open_channel
from duet_device.link import Link
from duet_contract.v1.inference_pb2 import SignalEnd, ReasonRequest

def close(address, owner, pause):
    channel = open_channel(address)
    request = ReasonRequest(question="why?", budget=8)
    link = Link(channel, address, request, Deadline(5), 0.05, keep=owner)
    time.sleep(pause)
    if owner == "at once":
        channel.close()
        try:
            while not isinstance(link.next().message, SignalEnd):
                pass
        except DeviceError:
            pass
    link.cancel()
    channel.close()

random.seed(int(sys.argv[1]))
for address in sys.argv[2:]:
    for _ in range(25):
        close(address, random.choice(["", "later", "at once"]), random.uniform(0, 0.08) ** 1.5)
left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
assert not left, left
"""


@pytest.mark.parametrize("seed", range(3))
def test_closing_at_any_moment_leaves_no_thread_and_prints_nothing(seed: int) -> None:
    """Of a cloud that answers, one that is not there, and one that accepts and says nothing."""
    with (
        ScriptedCloud(says(tokens(65), done(1))) as cloud,
        serving(lambda connection: connection.recv(1 << 20)) as silent,
    ):
        with ScriptedCloud(says()) as other:
            gone = other.address
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(seed), cloud.address, gone, silent],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "GRPC_VERBOSITY": "NONE",
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
