"""`duet-device doctor`: each check, right and wrong; whatever happens is a finding."""

import json
import os
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from duet_contract.integrity import describe_file
from duet_contract.keys import public_bytes
from duet_contract.signature import sign_pair
from duet_contract.v1.pairs_pb2_grpc import add_PairServiceServicer_to_server
from duet_device.cli import main
from duet_device.decoder import threads
from duet_device.doctor import checks
from duet_device.doctor.check import Finding, Machine, load, run
from duet_device.errors import ExitCode, ModelProblem
from duet_device.identity.credentials import Identity, save_identity
from duet_device.pairs import pair as pair_module
from duet_device.trust.publishers import BY_HAND, pin
from tests.doubles.cloud import ScriptedCloud, says
from tests.doubles.pair_cloud import PairCloud
from tests.doubles.pulls import KEY
from tests.doubles.small_pairs import write_gguf
from tests.doubles.tcp import NOWHERE
from tests.doubles.terminal import CTRL_C, PROGRAM, Terminal
from tests.unit.device.conftest import manifest_data

Captured = pytest.CaptureFixture[str]
USER = "user:secret@"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A device with one signed pair."""
    for name in [
        name for name in os.environ if name.startswith("DUET_") or "proxy" in name.lower()
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DUET_PAIRS", str(tmp_path / "pairs"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    directory = tmp_path / "pairs" / "bytes"
    directory.mkdir(parents=True)
    write_gguf(directory / "decoder.gguf")
    data = manifest_data()
    data["decoder"]["files"] = [describe_file(directory, directory / "decoder.gguf").model_dump()]
    (directory / "manifest.json").write_text(json.dumps(data))
    sign_pair(directory, KEY)
    pin(BY_HAND, (public_bytes(KEY),))
    return Machine(NOWHERE, None, None)


def test_a_check_that_throws_is_a_finding(machine: Machine) -> None:
    def broken(name: str) -> Any:
        error = {"library": ZeroDivisionError("by zero"), "memory": ModelProblem("no pair")}[name]

        def check(_: Machine) -> Finding:
            raise error

        return check

    first, second = run(("library", "memory"), machine, broken)
    assert (first.status, first.name) == ("error", "library")
    assert "ZeroDivisionError: by zero" in first.value
    assert first.fix
    assert (second.status, second.value, second.fix) == ("error", "no pair", "")


def test_checks_run_at_the_same_time_and_the_measurement_alone(machine: Machine) -> None:
    both = threading.Barrier(2)
    running: list[str] = []
    overlap: list[str] = []

    def barred(name: str) -> Any:
        def check(_: Machine) -> Finding:
            running.append(name)
            if name == "threads":
                overlap.extend(running[:-1])
            else:
                both.wait(30)
                time.sleep(0.02)
            running.remove(name)
            return Finding("ok", "")

        return check

    names = [finding.name for finding in run(("threads", "clock", "proxy"), machine, barred)]
    assert names == ["clock", "proxy", "threads"]
    assert overlap == []


def test_exit_code_lines_and_json(machine: Machine, capsys: Captured) -> None:
    assert main(["doctor", "proxy", "model", "signature", "clock"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["[ok]", name] for name in ("proxy", "model", "signature", "clock")
    ]
    assert main(["doctor", "server", "proxy", "--server", NOWHERE, "--json"]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert (first["name"], first["status"]) == ("server", "error")
    assert first["seconds"] >= 0
    assert "duet-device config set server" in first["fix"]
    assert second["status"] == "ok"
    assert main(["doctor", "servre"]) == ExitCode.USAGE
    assert "'server'" in capsys.readouterr().err


def test_a_device_without_a_pair(
    machine: Machine, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DUET_PAIRS", str(tmp_path / "none"))
    assert main(["doctor", "model", "memory", "signature", "threads", "clock"]) == 1
    out = capsys.readouterr().out
    # One fault, one error.
    assert out.count("[error]") == out.count("fix:") == 1
    assert out.count("[skipped]") == 3
    assert "fix: the first question fetches one: duet-device ask --server 127.0.0.1:50151" in out
    assert main(["doctor", "memory"]) == 1
    assert "needs a pair; see: duet-device doctor model" in capsys.readouterr().out


def test_library() -> None:
    assert checks.library(Machine("", None, None)).status in ("ok", "warning")
    assert checks.features_missing({"avx2", "avx512f", "sse"}, ["AVX2", "SSE3"]) == ["AVX512"]


def test_a_library_built_for_less_than_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_processor_flags", lambda: {"avx2"})
    monkeypatch.setattr("llama_cpp.llama_print_system_info", lambda: b"CPU : SSE3 = 1 | AVX2 = 0")
    found = checks.library(Machine("", None, None))
    assert found.status == "warning"
    assert "built without AVX2" in found.value
    assert "pip install" in found.fix


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 9 kB\n"}, None),
        ({"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:  2 kB\n"}, 2048),
        (
            {
                "proc/meminfo": "MemAvailable: 2 kB\n",
                "sys/fs/cgroup/memory.max": "1500\n",
                "sys/fs/cgroup/memory.current": "1000\n",
            },
            500,
        ),
        ({"proc/meminfo": "MemAvailable: 2 kB\n", "sys/fs/cgroup/memory.max": "max\n"}, 2048),
    ],
)
def test_available_memory(files: dict[str, str], expected: int | None, tmp_path: Path) -> None:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert checks.available_memory(tmp_path) == expected


@pytest.mark.parametrize(("free", "status"), [(None, "ok"), (1 << 40, "ok"), (1 << 20, "error")])
def test_memory(
    free: int | None, status: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "available_memory", lambda: free)
    assert checks.memory(machine).status == status


def test_a_model_that_was_altered(machine: Machine, tmp_path: Path) -> None:
    assert checks.model(machine).status == "ok"
    path = tmp_path / "pairs" / "bytes" / "decoder.gguf"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found = checks.model(machine)
    assert found.status == "error"
    assert found.fix == f"duet-device pull bytes --server {NOWHERE}"
    (tmp_path / "pairs" / "bytes" / "reasoner").mkdir()
    assert checks.model(machine).fix == "duet-cloud pairs build bytes"


def test_a_signature_of_no_one_trusted(machine: Machine) -> None:
    assert "by hand" in checks.signature(machine).value
    pin(BY_HAND, ())
    found = checks.signature(machine)
    assert found.status == "error"
    assert "duet-device trust FILE" in found.value


def test_a_clock_before_the_files(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.clock(machine).status == "ok"
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)
    found = checks.clock(machine)
    assert (found.status, found.value[:10]) == ("error", "2001-09-09")
    assert "timedatectl" in found.fix


def test_certificates(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none is needed" in checks.certificate(machine).value
    now = time.time()
    identity = Identity(NOWHERE, "laptop", begins=now - 20, ends=now - 10)
    save_identity(identity)
    found = checks.certificate(machine)
    assert found.status == "error"
    assert "ask its operator for a new code" in found.value
    save_identity(replace(identity, ends=now + 10))
    monkeypatch.setattr(Identity, "credentials", lambda _: None)
    found = checks.certificate(machine)
    assert (found.status, found.value[:20]) == ("ok", f"laptop with {NOWHERE}"[:20])
    monkeypatch.setattr(checks, "passphrase_wanted", lambda: True)
    assert checks.certificate(machine).status == "warning"
    remote = replace(machine, server="cloud.example.org")
    (remote_finding,) = run(("certificate",), remote, load)
    assert remote_finding.status == "error"
    assert remote_finding.value.endswith("duet-device enroll cloud.example.org:50152 CODE")


@pytest.mark.parametrize(
    ("variables", "address", "status"),
    [
        ({}, "cloud.example.org", "ok"),
        ({"https_proxy": f"http://{USER}proxy:3128"}, "cloud.example.org", "warning"),
        ({"https_proxy": "http://proxy"}, "127.0.0.1", "ok"),
        ({"grpc_proxy": "http://proxy", "no_proxy": "a, example.org"}, "cloud.example.org", "ok"),
        ({"http_proxy": "http://proxy", "no_proxy": "other.org,"}, "cloud.example.org", "warning"),
    ],
)
def test_proxies(
    variables: dict[str, str],
    address: str,
    status: str,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = checks.proxy(replace(machine, server=address))
    assert found.status == status
    assert "secret" not in found.value
    assert ("proxy, which must allow CONNECT" in found.value) == (status == "warning")


def test_a_server_that_serves_the_pair_and_one_that_does_not(
    machine: Machine, tmp_path: Path
) -> None:
    cloud = ScriptedCloud(says())
    pairs = PairCloud(tmp_path / "pairs" / "bytes")
    add_PairServiceServicer_to_server(pairs, cloud._server)
    with cloud:
        machine = replace(machine, server=cloud.address)
        assert checks.server(machine).status == "ok"
        assert checks.match(machine).status == "ok"
        pairs.manifest = b"{}"
        found = checks.match(machine)
        assert found.status == "warning"
        assert found.fix == f"duet-device pull bytes --server {cloud.address}"
    assert checks.server(machine).status == "error"
    assert checks.match(machine).status == "skipped"


# A server is waited for far longer than the test waits.
WAITING = "from duet_device.doctor import checks; checks._TIMEOUT_S = 600.0"


@pytest.mark.slow
def test_ctrl_c_does_not_wait_for_a_silent_server(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with Terminal(
            *("doctor", "proxy", "server", "--server", address), program=WAITING + PROGRAM
        ) as terminal:
            terminal.expect("proxy")
            connection, _ = silent.accept()
            # A closed connection would be an answer.
            with connection:
                began = time.monotonic()
                terminal.type(CTRL_C)
                assert terminal.end() == ExitCode.INTERRUPTED
            assert time.monotonic() - began < 60
            assert terminal.shown.endswith("duet-device: interrupted\n")


class Stepped:
    """A decoder whose steps take a time for each number of threads."""

    def __init__(self, seconds: dict[int, float], clock: SimpleNamespace) -> None:
        self._seconds, self._clock, self._threads = seconds, clock, 1
        self.steps = 0

    def __enter__(self) -> "Stepped":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def reserve(self, tokens: int) -> None:
        pass

    def keep(self, count: int) -> None:
        pass

    def use_threads(self, threads: int) -> None:
        self._threads = threads

    def evaluate(self, ids: list[int]) -> None:
        self._clock.now += self._seconds[self._threads]
        self.steps += 1


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({1: 0.04, 2: 0.02, 3: 0.015, 4: 0.0148}, 3),
        ({1: 0.02, 2: 0.03, 3: 0.03, 4: 0.5}, 1),
        ({1: 9.0, 2: 9.0, 3: 9.0, 4: 1.0}, 4),
    ],
)
def test_threads_are_measured_stored_and_used(
    seconds: dict[int, float], chosen: int, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    decoder = Stepped(seconds, clock)
    monkeypatch.setattr(threads, "usable_processors", lambda: 4)
    monkeypatch.setattr(threads, "default_threads", lambda: 3)
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr("duet_device.decoder.llama.Decoder", lambda *_: decoder)
    manifest = machine.pair.manifest
    assert threads.stored_threads(manifest) is None
    found = checks.threads(machine)
    assert found.status == "ok"
    assert found.value.startswith(f"{chosen} chosen; ")
    assert decoder.steps < 50
    assert threads.stored_threads(manifest) == chosen
    slow = max(seconds, key=seconds.__getitem__)
    warned = checks.threads(replace(machine, threads=slow))
    assert (warned.status, warned.fix) == ("warning", "duet-device config set threads")
    given: list[int] = []
    monkeypatch.setattr("duet_device.decoder.llama.Decoder", lambda _, number: given.append(number))
    pair_module.load_decoder(machine.pair)
    pair_module.load_decoder(machine.pair, 2)
    assert given == [chosen, 2]
    monkeypatch.setattr(threads, "usable_processors", lambda: 2)
    assert threads.stored_threads(manifest) is None, "another number of processors"


@pytest.mark.parametrize("content", ["", "[]", "[1]", '{"a": 1}', "\xff"])
def test_a_damaged_record_of_threads_is_no_record(
    content: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads.file().parent.mkdir(parents=True)
    threads.file().write_text(content, "latin-1")
    assert threads.stored_threads(machine.pair.manifest) is None


def test_every_server_is_looked_at(machine: Machine) -> None:
    servers = replace(machine, server=f"{NOWHERE},192.0.2.1:50151,127.0.0.1:8")
    certificate, server = run(["certificate", "server"], servers, load)
    assert (certificate.status, server.status) == ("error", "error")
    assert f"none is needed for {NOWHERE}" in certificate.value
    assert "not enrolled with 192.0.2.1:50151" in certificate.value
    assert f"no cloud at {NOWHERE}" in server.value
    assert "no cloud at 127.0.0.1:8" in server.value
