"""`duet-bench link`: its options, its errors, and its end."""

import signal
import socket
import subprocess
import sys

import pytest

from duet_tools.link.emulator import parse_address
from tests.doubles.commands import bench_link as main
from tests.doubles.tcp import serving


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "give --target HOST:PORT"),
        (["--target", "nowhere"], 2, "'nowhere' is not HOST:PORT"),
        (["--target", "a:1", "--preset", "6g"], 2, "no link named '6g'; use one of none, 2g"),
        (["--target", "a:1", "--up", "fast"], 2, "'fast' is not a rate"),
        (["--target", "a:1", "--rtt", "-5"], 2, "Invalid value for '--rtt'"),
        (["--target", "a:1", "--jitter", "nan"], 2, "'nan' is not a finite number"),
        (["--target", "a:1", "--up", "9" * 400 + "gbit"], 2, "rate_bit_s: Input should be"),
        (["--target", "::1:50151"], 2, "'::1:50151' is not HOST:PORT"),
        (["--target", "a:1", "--stall-up", "5"], 2, "--stall-every-up and --stall-up belong"),
        (["--target", "a:1", "--timeline", "none.toml"], 2, "cannot read none.toml"),
        (["--target", "a:1", "--listen", "192.0.2.1:9"], 3, "cannot listen on 192.0.2.1:9"),
        (["--target", "a:1", "--loss", "1"], 2, "--loss needs --kernel"),
        (["--target", "a:1", "--kernel", "--slice-up", "9"], 2, "--kernel makes delay, jitter"),
        (["--target", "a:1", "--kernel", "--listen", "a:2"], 2, "--kernel takes neither"),
    ],
)
def test_what_cannot_be_is_one_line_and_an_exit_code(
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert main(arguments) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_links_are_listed_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    said = capsys.readouterr().out
    assert "satellite" in said
    assert "Ookla" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_ended_and_tells_what_passed(number: signal.Signals) -> None:
    def shout(connection: socket.socket) -> None:
        connection.sendall(connection.recv(100).upper())

    with serving(shout) as target:
        options = ["--target", target, "--rtt", "10", "--down", "10mbit", "--seed", "3"]
        process = subprocess.Popen(
            [sys.executable, "-m", "duet_tools", "link", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        address = process.stdout.readline().strip()
        with socket.create_connection(parse_address(address), timeout=60) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"HELLO"
            assert client.recv(100) == b""
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "1 connections, 5 bytes up, 5 bytes down" in said
    assert "Traceback" not in said
