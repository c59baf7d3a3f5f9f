"""`duet-device stats`, and the savings of stored receipts."""

import csv
import datetime as dt
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backends.fail import Keyring as NoKeyring

from duet_contract.receipt import Bytes, Flops, Milliseconds, Receipt, Route, Source, Tokens
from duet_device.cli import main
from duet_device.errors import ExitCode
from duet_device.history.savings import Cost, by_day
from duet_device.history.store import History, Record, SignalKey
from duet_device.vault import vault
from duet_device.vault.vault import Vault
from tests.doubles.keyring import MemoryKeyring

Captured = pytest.CaptureFixture[str]
# In the time zone of the machine, whose days are counted.
NOON = dt.datetime(2026, 3, 4, 12).astimezone()
PARAMETERS = 500


def receipt(
    source: Source = "duet", signal: int = 5, alone: float = 25.0, **changes: Any
) -> Receipt:
    """Of a pair with 500 parameters; a token takes 10 bytes and 0.1 s."""
    spent = signal if source == "duet" else 0
    return Receipt(
        answer="16",
        signal="3*4",
        source=source,
        pair="bytes@1.0.0",
        request_id="a" * 32,
        finish="end",
        tokens=Tokens(question=9, signal=signal, answer=3),
        bytes=Bytes(up=100, down=10 * spent) if spent else Bytes(up=0, down=0),
        ms=Milliseconds(
            connect=1.0,
            first_signal=200.0 if spent else None,
            signal=200.0 + 100.0 * (signal - 1) if spent else None,
            first_answer=700.0,
            total=800.0,
        ),
        flops=Flops(reasoner=2.0 * PARAMETERS * spent, reasoner_alone=2.0 * PARAMETERS * alone),
        **changes,
    )


def unknown(pair: str) -> int | None:
    return None


def test_an_answer_against_the_large_model_alone() -> None:
    (cost,) = by_day([(NOON, receipt())], unknown).values()
    # Alone: 25 tokens, the first after 0.2 s, each 0.1 s and 10 bytes, and the same question.
    assert cost.tokens_saved == 20
    assert cost.bytes_saved == 20 * 10
    assert cost.seconds_saved == pytest.approx(0.2 + 25 * 0.1 - 0.8)
    assert (cost.answers, cost.tokens, cost.bytes, cost.seconds) == (1, 5, 150, 0.8)


def test_an_answer_of_the_device_alone_saves_all_of_the_large_models_tokens() -> None:
    answers = [(NOON, receipt()), (NOON, receipt("device", 0)), (NOON, receipt("history"))]
    (cost,) = by_day(answers, unknown).values()
    assert (cost.answers, cost.tokens, cost.tokens_saved) == (3, 5, 20 + 25 + 25)
    assert cost.bytes_saved == 200 + 350 + 350


def test_tokens_that_a_kept_question_did_not_need_count_all_the_same() -> None:
    kept = receipt("device", 0, route=Route(taken="device", unused_tokens=4))
    (cost,) = by_day([(NOON, receipt()), (NOON, kept)], unknown).values()
    assert (cost.tokens, cost.tokens_saved) == (5 + 4, 20 + 21)


def test_what_is_not_known_saves_nothing() -> None:
    (cost,) = by_day([(NOON, receipt("device", 0))], unknown).values()
    assert cost == Cost(1, 0, 0, 0, 0, 0.8, 0.0)
    (cost,) = by_day([(NOON, receipt("device", 0))], lambda pair: PARAMETERS).values()
    assert (cost.tokens_saved, cost.bytes_saved) == (25, 0)


def test_a_signal_longer_than_the_large_models_answer_is_a_loss_of_time() -> None:
    (cost,) = by_day([(NOON, receipt(alone=5.0))], unknown).values()
    assert cost.tokens_saved == 0
    assert cost.seconds_saved < 0


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["duet", "device", "history"]))))
def test_days_are_in_order_and_add_up(given: list[tuple[int, Source]]) -> None:
    answers = [(NOON + dt.timedelta(days=day), receipt(source)) for day, source in given]
    found = by_day(answers, unknown)
    assert list(found) == sorted(found)
    assert sum(cost.answers for cost in found.values()) == len(answers)
    sent = sum(each.bytes.up + each.bytes.down for _, each in answers)
    assert sum(cost.bytes for cost in found.values()) == sent


@pytest.fixture
def history(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    monkeypatch.delenv("DUET_PASSPHRASE", raising=False)
    monkeypatch.setattr(vault, "_opened", {})
    keyring.set_keyring(MemoryKeyring())
    assert main(["logs", "on"]) == ExitCode.OK
    yield History.of(installed)
    keyring.set_keyring(NoKeyring())


def add(history: History, at: dt.datetime, question: str = "why?", **changes: Any) -> str:
    key = SignalKey(
        sent="why?", pair="bytes@1.0.0", vocabulary="", budget=None, temperature=None, seed=None
    )
    record = Record(
        at=at, question=question, key=key, context=(), signal=None, receipt=receipt(**changes)
    )
    return history.add(Vault.open(history.path.parent), record)


def test_chart_csv_and_json(
    history: History, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    add(history, NOON)
    add(history, NOON)
    add(history, NOON + dt.timedelta(days=2))
    capsys.readouterr()
    assert main(["stats", "--price", "50000"]) == ExitCode.OK
    shown, said = capsys.readouterr()
    assert "large model alone, before training for the split" in said
    chart = shown.splitlines()
    assert [line.split()[0] for line in chart] == ["day", "2026-03-04", "2026-03-06", "total"]
    assert chart[3].split() == ["total", "3", "60", "600", "5.7", "s", "3.00"]
    assert chart[1].count(chart[1][-1]) == 2 * chart[2].count(chart[2][-1]) == 30
    assert main(["stats", "--price", "50000", "--csv"]) == ExitCode.OK
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["tokens_saved"] for row in rows] == ["40", "20"]
    assert main(["stats", "--json"]) == ExitCode.OK
    data = json.loads(capsys.readouterr().out)
    assert data["days"][0]["day"] == "2026-03-04"
    assert data["total"]["seconds_saved"] == pytest.approx(5.7)
    assert "money_saved" not in data["total"]


@pytest.mark.parametrize("columns", [20, 60, 80])
def test_a_narrow_terminal_gets_no_bar_that_wraps(
    history: History, capsys: Captured, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    add(history, NOON)
    capsys.readouterr()
    assert main(["stats"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= max(columns, len(lines[0]))


def test_the_last_days_alone(history: History, capsys: Captured) -> None:
    add(history, dt.datetime.now(dt.UTC))
    add(history, dt.datetime.now(dt.UTC) - dt.timedelta(days=9))
    capsys.readouterr()
    for days, count in ((3, 1), (20, 2), (10**9, 2)):
        assert main(["stats", "--json", "--days", str(days)]) == ExitCode.OK
        assert json.loads(capsys.readouterr().out)["total"]["answers"] == count


def test_nothing_stored_and_an_answer_that_cannot_be_read(
    history: History, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["stats"]) == ExitCode.OK
    assert capsys.readouterr().err == "duet-device: there are no stored answers\n"
    assert main(["stats", "--csv", "--json"]) == ExitCode.USAGE
    assert "alternatives" in json.loads(capsys.readouterr().out)["error"]["message"]
    add(history, NOON)
    with history._connected() as database:
        database.execute("INSERT INTO answers (id, sealed) VALUES ('x', 'y')")
    assert main(["stats", "--json"]) == ExitCode.VAULT
    out, err = capsys.readouterr()
    assert json.loads(out)["total"]["answers"] == 1
    assert "1 stored answer cannot be read" in err


def test_logs_are_searched(history: History, capsys: Captured) -> None:
    ids = [add(history, NOON, f"who {name}?") for name in ("Ann", "bob", "ANN", "Eve")]
    capsys.readouterr()
    assert main(["logs", "--search", "ann", "--json", "-n", "0"]) == ExitCode.OK
    found = [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()]
    assert found == [ids[0], ids[2]]
    assert main(["logs", "--search", "ann", "--json", "-n", "1"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["id"] == ids[2]
    assert main(["logs", "--search", "16", "-n", "0"]) == ExitCode.OK
    assert capsys.readouterr().out.count("question: ") == 4
    assert main(["logs", "--search", "nobody"]) == ExitCode.OK
    assert capsys.readouterr() == ("", "duet-device: no stored answer has that text\n")
