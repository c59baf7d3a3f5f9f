"""`duet-device ask`: time until the question is there does not count."""

import io
import sys
from types import SimpleNamespace

import pytest

from duet_contract.receipt import Receipt
from duet_device.cli import main
from duet_device.errors import ExitCode
from duet_device.recorder import Recorder
from tests.doubles.clock import SteppedClock
from tests.doubles.cloud import ScriptedCloud

HOUR = 3600


class Slow(io.BytesIO):
    """A text that takes an hour to type."""

    def __init__(self, data: bytes, clock: SteppedClock) -> None:
        super().__init__(data)
        self._clock = clock

    def read(self, size: int | None = -1) -> bytes:
        self._clock.ahead += HOUR
        return super().read(size)


@pytest.mark.parametrize("arguments", [["ask"], ["ask", "why?", "--context", "-"]])
def test_stdin_may_take_its_time(
    arguments: list[str],
    cloud: ScriptedCloud,
    clock: SteppedClock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Slow(b"why?", clock)))
    assert main([*arguments, "--json"]) == ExitCode.OK
    assert clock.ahead == HOUR
    receipt = Receipt.model_validate_json(capsys.readouterr().out)
    assert receipt.source == "duet"
    assert receipt.ms.total < HOUR * 1e3


@pytest.mark.parametrize("asks", ["_prepare", "find"])
def test_a_passphrase_may_take_its_time(
    asks: str, cloud: ScriptedCloud, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def waits(*_: object) -> None:
        clock.ahead += HOUR

    monkeypatch.setattr(Recorder, "_exists", lambda _: True)
    monkeypatch.setattr(Recorder, "_prepare", lambda _: False)
    monkeypatch.setattr(Recorder, "find", lambda *_: None)
    monkeypatch.setattr(Recorder, asks, waits)
    assert main(["ask", "why?", "--reuse"]) == ExitCode.OK
    assert clock.ahead == HOUR


@pytest.mark.parametrize("option", ["--timeout", "--connect-timeout"])
@pytest.mark.parametrize("seconds", ["inf", "1e10", "nan", "-1"])
def test_no_timeout_is_longer_than_a_year(
    option: str, seconds: str, cloud: ScriptedCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", "why?", f"{option}={seconds}"]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert option in err
    assert "31,536,000" in err
    assert cloud.requests == []
