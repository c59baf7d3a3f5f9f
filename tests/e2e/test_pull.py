"""`duet-device pull` as a process: from the real service, and from a hub."""

import filecmp
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from duet_contract.keys import public_bytes, public_pem
from duet_tools.link.emulator import LinkEmulator
from duet_tools.link.profiles import Direction, LinkProfile
from tests.doubles.hub import Hub
from tests.doubles.small_pairs import write_pair

DEVICE = str(Path(sys.executable).with_name("duet-device"))
KEY = Ed25519PrivateKey.from_private_bytes(b"1" * 32)


@pytest.fixture
def device(tmp_path):
    """Runs `duet-device` on a device of its own."""
    environment = {name: value for name, value in os.environ.items() if "HF_" not in name}
    places = {"DUET_HOME": "home", "DUET_PAIRS": "pairs", "HF_HOME": "hf"}
    environment |= {name: str(tmp_path / place) for name, place in places.items()}

    def run(*arguments, wait=True, **changes):
        process = subprocess.Popen(
            [DEVICE, *arguments],
            env=environment | changes,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if not wait:
            return process
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    return run


@pytest.mark.engine
def test_a_pull_killed_midway_is_gone_on_with_and_the_pair_answers(
    service, device, real_pair, tmp_path
):
    part = None
    # So slow that the test is faster, whatever else the machine does.
    slow = LinkProfile("slow", Direction(), Direction(rate_bit_s=20e6), "")
    with LinkEmulator(service.address, slow) as link:
        process = device("pull", "--server", link.address, wait=False)
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            part = next((tmp_path / "pairs" / ".pulling").glob("*/decoder/*.gguf"), None)
            if part and part.stat().st_size > 1 << 20:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        process.communicate(timeout=60)
    assert part is not None
    installed = tmp_path / "pairs" / "smollm2-135m"
    assert not installed.exists()
    server = ("--server", service.address)
    code, out, err = device("pull", *server)
    assert (code, err) == (0, "")
    assert "smollm2-135m@1.0.1 is ready" in out
    assert not (installed / "reasoner").exists()
    for name in ("manifest.json", "model.sig", "decoder/model.Q4_0.gguf"):
        assert filecmp.cmp(installed / name, real_pair / name, shallow=False)
    code, out, err = device("ask", "--require-cloud", "--quiet", *server, "What is 2 plus 3?")
    assert (code, err) == (0, "")
    assert out.strip()


@pytest.mark.engine
def test_a_pair_that_the_service_does_not_have(service, device):
    code, out, err = device("pull", "other@1.0.0", "--server", service.address)
    assert (code, out) == (6, "")
    assert f"duet-device pull smollm2-135m@1.0.1 --server {service.address}" in err


@pytest.fixture
def origin(tmp_path):
    write_pair(tmp_path / "origin", KEY, values=100_000)
    (tmp_path / "key.pub").write_bytes(public_pem(public_bytes(KEY)))
    return tmp_path / "origin"


def test_from_a_hub_with_a_cut(origin, device, tmp_path):
    assert device("trust", str(tmp_path / "key.pub"))[0] == 0
    with Hub(origin, cut=65_536) as hub:
        code, out, err = device("pull", "hub:org/name", HF_ENDPOINT=hub.endpoint)
        assert code == 0, err
        assert "toy@1.0.0 is ready" in out
        assert len(hub.ranges) == 2
    installed = tmp_path / "pairs" / "toy"
    files = {path.relative_to(installed).as_posix() for path in installed.rglob("*.*")}
    assert files == {"manifest.json", "model.sig", "decoder/m.gguf"}
    decoder = installed / "decoder" / "m.gguf"
    assert decoder.read_bytes() == (origin / "decoder" / "m.gguf").read_bytes()


def test_from_a_hub_what_nobody_trusted_has_signed(origin, device):
    with Hub(origin) as hub:
        code, out, err = device("pull", "hub:org/name", HF_ENDPOINT=hub.endpoint)
        assert (code, out) == (6, "")
        assert "does not trust" in err
        (origin / "model.sig").unlink()
        code, out, err = device("pull", "hub:org/name", HF_ENDPOINT=hub.endpoint)
        assert (code, out) == (6, "")
        assert "is not signed" in err
        assert hub.ranges == []


def test_a_hub_that_is_not_there(device):
    with Hub(Path()) as hub:
        pass
    code, out, err = device("pull", "hub:org/name", HF_ENDPOINT=hub.endpoint)
    assert (code, out) == (3, "")
    assert err.startswith("duet-device: the hub's org/name cannot be fetched")
    assert err.count("\n") == 1
