"""From an installed device to a first answer: one command, and none that fails.

A real service with a pair that its publisher signed, and devices that have nothing.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from duet_contract.keys import fingerprint, public_bytes
from duet_contract.pairs import find_pair
from duet_contract.signature import sign_pair
from tests.doubles.commands import cloud_pairs as pairs
from tests.doubles.terminal import REAL_PROGRAM, Terminal
from tests.service import Service

pytestmark = pytest.mark.engine

PAIR = "stories-5m"
KEY = Ed25519PrivateKey.from_private_bytes(b"2" * 32)
QUESTION = ("Maria", "had", "21", "candies.", "Sally gave her 12 more. How many has she now?")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A service of a pair that this machine does not trust."""
    assert pairs(["build", PAIR, "--if-missing"]) == 0
    place = tmp_path_factory.mktemp("published")
    shutil.copytree(find_pair(PAIR), place / PAIR)
    sign_pair(place / PAIR, KEY)
    command = [sys.executable, "-m", "duet_cloud", "serve", "--pair", str(place / PAIR)]
    with Service.started(command, place / "log") as running:
        running.wait_ready(180)
        yield running


@pytest.fixture
def device(tmp_path):
    """The environment of a device that has nothing."""
    ours = ("DUET_", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**dict.fromkeys(os.environ.keys() - kept.keys(), ""), **kept, "HOME": str(tmp_path)}


def run(device, *arguments):
    return subprocess.run(
        [sys.executable, "-c", REAL_PROGRAM, *arguments],
        env={name: value for name, value in device.items() if value},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
        text=True,
    )


def test_one_command_without_a_terminal(served, device, tmp_path):
    first = run(device, "ask", "--server", served.address, "--yes", *QUESTION)
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip()
    assert fingerprint(public_bytes(KEY)) in first.stderr
    assert "large-model tokens" in first.stderr
    second = run(device, "ask", "--json", "--require-cloud", *QUESTION)
    assert second.returncode == 0, second.stderr
    receipt = json.loads(second.stdout)
    assert (receipt["source"], receipt["pair"].partition("@")[0]) == ("duet", PAIR)
    checked = run(device, "doctor")
    assert checked.returncode == 0, checked.stdout
    assert "[error]" not in checked.stdout
    written = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert written
    assert run(device, "purge", "--yes").returncode == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_one_command_on_a_terminal(served, device):
    with Terminal(
        *("ask", "--server", served.address, *QUESTION), environment=device, program=REAL_PROGRAM
    ) as terminal:
        terminal.expect("and trust this publisher from now on? [y/N]: ")
        assert fingerprint(public_bytes(KEY)) in terminal.shown
        terminal.type("y\n")
        assert terminal.end() == 0
        assert "100%" in terminal.shown
        assert "large-model tokens" in terminal.shown
    with Terminal("ask", *QUESTION, environment=device, program=REAL_PROGRAM) as terminal:
        assert terminal.end() == 0
        assert "large-model tokens" in terminal.shown
        assert "trust" not in terminal.shown
