"""An operator and two devices, each command a process: from an authority to a revoked device."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from duet_contract.private_files import write_private
from duet_contract.receipt import Receipt
from tests.service import SERVE, STARTS_S, Service

pytestmark = pytest.mark.engine

DEVICE = str(Path(sys.executable).with_name("duet-device"))
QUESTION = "Tom has 3 apples and buys 5 more. How many apples has he?"
PASSPHRASE = "correct horse battery"


@dataclass(frozen=True)
class Operator:
    """The service with mutual TLS, and who may use it."""

    directory: Path
    """Directory of the authority."""
    service: Service
    """The running service."""

    def admin(self, *arguments: str) -> str:
        return _admin(self.directory, *arguments)

    @property
    def enrollment(self) -> str:
        return f"127.0.0.1:{self.service.wait_event('loading', STARTS_S)['enrollment_port']}"


def _admin(directory: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "duet_cloud", "admin", *arguments, "--dir", str(directory)]
    done = subprocess.run(command, capture_output=True, timeout=60, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def operator(real_pair, tmp_path_factory):
    """`cloud/README.md`'s commands; the engine with nothing kept between requests."""
    root = tmp_path_factory.mktemp("operator")
    directory, passphrase = root / "authority", root / "passphrase"
    write_private(passphrase, PASSPHRASE.encode())
    _admin(directory, "init", "--passphrase-file", str(passphrase))
    command = [*SERVE, "--pair", "smollm2-135m"]
    command += ["--tls-dir", str(directory), "--passphrase-file", str(passphrase)]
    command += ["--enrollment-port", "0", "--no-enable-prefix-caching"]
    with Service.started(command, root / "log") as service:
        yield Operator(directory, service)


class Device:
    """`duet-device` with a home of its own."""

    def __init__(self, home: Path) -> None:
        self._environment = {**os.environ, "DUET_HOME": str(home), "DUET_PASSPHRASE": "of a vault"}

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [DEVICE, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def enrolled(operator, tmp_path):
    """Makes a device, invites it under a name, and enrolls it."""

    def make(name: str) -> Device:
        device = Device(tmp_path / name)
        code = operator.admin("invite", name).strip()
        ended, out, err = device.run("enroll", operator.enrollment, code)
        assert (ended, out) == (0, "")
        assert f"enrolled as {name} with {operator.service.address}" in err
        # A code is good once.
        ended, _, err = Device(tmp_path / "other").run("enroll", operator.enrollment, code)
        assert ended == 8
        assert "refused" in err
        operator.service.wait_ready(240)
        return device

    return make


def _wait_running(service: Service, wanted: bool, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (service.metric("vllm:num_requests_running") > 0) != wanted:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_device_from_its_invitation_to_its_revocation(operator, enrolled, tmp_path):
    service = operator.service
    laptop, phone = enrolled("laptop"), enrolled("phone")
    ask = ("ask", "--require-cloud", "--budget", "64", "--server", service.address)

    # The answer comes in parts, while the device is still at it; the receipt last.
    process = laptop.start(*ask, "--temperature", "0", QUESTION)
    parts = []
    while part := os.read(process.stdout.fileno(), 65536):
        parts.append((part, process.poll()))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert len(parts) > 2, "the answer came at once"
    assert parts[0][1] is None
    assert b"".join(part for part, _ in parts).strip()
    assert "large-model tokens" in err.decode().splitlines()[-1]
    assert "alone" not in err.decode()

    ended, out, err = laptop.run(*ask, "--json", "--quiet", "--temperature", "0", QUESTION)
    assert (ended, err) == (0, "")
    receipt = Receipt.model_validate_json(out)
    assert receipt.source == "duet"
    assert receipt.tokens.signal > 0
    assert receipt.answer.encode().strip() == b"".join(part for part, _ in parts).strip()
    assert 0 < receipt.ms.connect <= receipt.ms.first_signal <= receipt.ms.first_answer
    states = {
        entry["name"]: entry["state"]
        for entry in map(json.loads, operator.admin("devices", "--json").splitlines())
    }
    assert states == {"laptop": "enrolled", "phone": "enrolled"}

    # Whoever has no identity does not get as far as a call.
    ended, out, err = Device(tmp_path / "stranger").run(*ask, QUESTION)
    assert (ended, out) == (3, "")
    assert "duet-device enroll" in err

    # Revoked in the middle of a signal: the call ends, and so does the engine's work. Tokens drawn
    # at this temperature hardly ever close the signal before `duet-cloud admin` has started.
    open_call = laptop.start(
        *ask, "--budget", "1500", "--temperature", "2", "--show-signal",
        "Write the longest story that you can think of.",
    )  # fmt: skip
    assert open_call.stderr.read(1), "the signal never began"
    _wait_running(service, True, 60)
    assert "revoked" in operator.admin("revoke", "laptop")
    out, err = open_call.communicate(timeout=60)
    assert open_call.returncode == 4
    assert out.strip() == b""
    # The first byte was read above, which may have been a part of a character.
    last = err.decode("utf-8", "replace").splitlines()[-1]
    assert last.startswith("duet-device: the cloud does not know this device")
    assert "revoked" in last
    assert service.wait_event("terminated", 60)["device"] == "laptop"
    _wait_running(service, False, 60)

    # So does every later one, with the exit code of a refusal, however the device asks.
    for options in ((), ("--require-cloud",)):
        ended, out, err = laptop.run("ask", *options, "--server", service.address, QUESTION)
        assert (ended, out) == (4, "")
        assert len(err.splitlines()) == 1
        assert "revoked" in err
    ended, out, err = phone.run(*ask, "--json", "--quiet", "--temperature", "0", QUESTION)
    assert (ended, err) == (0, "")
    assert json.loads(out)["answer"] == receipt.answer

    # `--no-enable-prefix-caching`: the same question four times, and nothing was there before.
    assert service.metric("vllm:prefix_cache_hits_total") == 0
