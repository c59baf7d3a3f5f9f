"""`duet-device calibrate`: from questions to thresholds that `ask --route auto` uses."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from duet_contract.calibration import parse_calibration
from duet_contract.manifest import load_manifest
from duet_device import session as session_module
from duet_device.calibration.collect import Collector, DataQuestion
from duet_device.calibration.rows import Row
from duet_device.cli import main
from duet_device.client import Client
from duet_device.deadline import Deadline
from duet_device.errors import CloudRefused, DeadlineExceeded, DeviceError, ExitCode
from duet_device.pairs import pair as pair_module
from duet_device.pairs.pair import Pair, open_pair
from duet_device.policy.calibrations import calibration_of, own_path
from tests.doubles.decoder import END, ScriptedDecoder

QUESTIONS = 60
LOOSE = ("--alpha", "0.2", "--delta", "0.1")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "kept"))


def knows_easy_ones(ids: Sequence[int]) -> int:
    """Answers 7 to easy questions, and to others what the signal says, in full."""
    text = bytes(token for token in ids if token < END).decode("utf-8", "replace")
    question, _, answer = text.rpartition(" A:")
    _, _, signal = question.partition(" S:")
    wanted = "7" if "easy" in question or signal == "it is 7" else "0"
    return END if answer else ord(wanted)


def sure_of_easy_ones(ids: Sequence[int]) -> float:
    return 0.95 if b"easy" in bytes(token for token in ids if token < END) else 0.4


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> ScriptedDecoder:
    made = ScriptedDecoder(knows_easy_ones, sure_of_easy_ones)
    for module in (pair_module, session_module):
        monkeypatch.setattr(module, "load_decoder", lambda pair, threads: made)
    return made


def rows_of(count: int) -> list[dict[str, Any]]:
    kinds = ("easy", "hard")
    return [
        {
            "id": number,
            "question": f"{kinds[number % 2]} {number}?",
            "answer": 7,
            "signal": "it is 7",
        }
        for number in range(count)
    ]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "data.jsonl", rows_of(QUESTIONS))


@pytest.mark.usefixtures("installed", "offline")
class TestCalibrate:
    def test_thresholds_are_fitted_stored_and_used(
        self, data: Path, decoder: ScriptedDecoder, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["calibrate", str(data), *LOOSE]) == 0
        shown = capsys.readouterr()
        pair = open_pair("bytes")
        assert str(own_path(pair.manifest)) in shown.err
        found = calibration_of(pair)
        assert found
        assert found.decoder_sha256 == pair.manifest.decoder_sha256
        assert (found.pair, found.questions, found.data) == ("bytes@1.0.0", 60, "data.jsonl")
        assert found.gate
        assert found.gate.right == 1
        assert found.gate.trusted == pytest.approx(0.5, abs=0.2)
        for name in ("never", "always", "random", "oracle", "AUROC", found.gate.measure):
            assert name in shown.out
        with Client(pair, decoder=decoder, route="auto") as client:  # type: ignore[arg-type]
            kept = client.ask("is it easy?").receipt
        assert kept.source == "device"
        assert kept.route
        assert kept.route.taken == "device"
        assert kept.route.chance == 1
        assert main(["ask", "--route", "auto", "--json", "is it easy?"]) == 0
        route = json.loads(capsys.readouterr().out)["route"]
        assert (route["taken"], route["measure"]) == ("device", found.gate.measure)

    def test_recorded_questions_are_not_asked_again(
        self,
        data: Path,
        decoder: ScriptedDecoder,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        rows = tmp_path / "rows"
        assert main(["calibrate", str(data), "--rows", str(rows), *LOOSE]) == 0
        # As a run that was killed leaves it.
        content = rows.read_bytes().splitlines(keepends=True)
        rows.write_bytes(b"".join(content[:-2]) + content[-2][:20])
        decoder.evaluations.clear()
        capsys.readouterr()
        assert main(["calibrate", str(data), "--rows", str(rows), "--json", *LOOSE]) == 0
        shown = capsys.readouterr()
        assert "58 of 60 questions are recorded already" in shown.err
        assert 0 < len(decoder.evaluations) < 60
        figures = json.loads(shown.out)
        assert figures["tested"] == 30
        assert figures["baselines"]["always"] == {"accuracy": 1.0, "tokens": 7.0}
        assert figures["baselines"]["never"]["accuracy"] == pytest.approx(0.5, abs=0.2)
        assert len(figures["measures"]["gate"]) >= 5

    @pytest.mark.parametrize(
        ("options", "changed", "kept"),
        [
            (("--budget", "5"), {}, 0),
            ((), {"signal": "it is 8"}, 59),
            ((), {"question": "easy 0, or not?"}, 59),
            (("--samples", "4"), {}, 60),
        ],
    )
    def test_rows_of_other_inputs_are_recorded_again(
        self,
        data: Path,
        decoder: ScriptedDecoder,
        capsys: pytest.CaptureFixture[str],
        options: tuple[str, ...],
        changed: dict[str, Any],
        kept: int,
    ) -> None:
        assert main(["calibrate", str(data), *LOOSE]) == 0
        first, *rest = rows_of(QUESTIONS)
        write(data, [{**first, **changed}, *rest])
        capsys.readouterr()
        main(["calibrate", str(data), *LOOSE, *options])
        said = capsys.readouterr().err
        assert (f"{kept} of 60 questions are recorded already" in said) == (kept > 0)
        assert (f"{60 - kept} rows are recorded again" in said) == (kept < 60)
        rows = Path(f"{data}.rows").read_text().splitlines()
        assert len(rows) == 60 + 60 - kept

    @pytest.mark.parametrize("error", [CloudRefused("not this one"), DeadlineExceeded("too late")])
    def test_a_question_that_gets_no_signal_is_left_out(
        self,
        data: Path,
        decoder: ScriptedDecoder,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        error: DeviceError,
    ) -> None:
        fails = {"3", *map(str, range(10, 14))}
        record = Collector.row

        def row(self: Collector, asked: DataQuestion, deadline: Deadline) -> Row:
            if asked.id in fails:
                raise error
            return record(self, asked, deadline)

        monkeypatch.setattr(Collector, "row", row)
        assert main(["calibrate", str(data), *LOOSE]) == 0
        assert f"3 is left out: {error}" in capsys.readouterr().err
        found = calibration_of(open_pair("bytes"))
        assert found
        assert found.questions == 55
        # The next run asks what was left out; a cloud that answers nothing ends it.
        fails.update(map(str, range(QUESTIONS)))
        assert main(["calibrate", str(data), *LOOSE]) == error.exit_code
        last = capsys.readouterr().err.splitlines()[-1]
        assert "stopped after 5 failures in a row, the last of id 13" in last
        assert str(error) in last

    def test_without_answers_the_cloud_is_the_reference(
        self, tmp_path: Path, decoder: ScriptedDecoder, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = [{k: v for k, v in row.items() if k != "answer"} for row in rows_of(QUESTIONS)]
        data = write(tmp_path / "data.jsonl", rows)
        assert main(["calibrate", str(data), *LOOSE]) == ExitCode.USAGE
        assert "--against-cloud" in capsys.readouterr().err
        assert not decoder.evaluations
        assert main(["calibrate", str(data), "--against-cloud", *LOOSE]) == 0
        found = calibration_of(open_pair("bytes"))
        assert found
        assert found.against == "cloud"
        assert found.gate
        assert found.more is None

    def test_a_saving_states_its_risk(self, data: Path, decoder: ScriptedDecoder) -> None:
        assert main(["calibrate", str(data), "--target", "saving", "0.4"]) == 0
        found = calibration_of(open_pair("bytes"))
        assert found
        assert found.gate
        assert 0 < found.gate.risk < 0.5
        assert found.gate.trusted >= 0.3

    def test_the_page_has_the_curve(
        self, data: Path, decoder: ScriptedDecoder, tmp_path: Path
    ) -> None:
        page = tmp_path / "page.html"
        assert main(["calibrate", str(data), "--html", str(page), *LOOSE]) == 0
        text = page.read_text()
        for name in ("<svg", "oracle", "random", "never", "always", "margin"):
            assert name in text
        assert "<script" not in text

    @pytest.mark.parametrize(
        ("count", "options", "said"),
        [
            (20, (), "58 at least"),
            (60, ("--alpha", "0.01"), "598 at least"),
            (60, ("--alpha", "0.2", "--alpha", "gate=0.01"), "598 at least"),
            (60, ("--alpha", "often=0.1"), "unknown decision 'often': name gate, stop, more, mark"),
            (60, ("--alpha", "gate=2"), "2.0 is not in the range"),
            (60, ("--target", "accuracy", "0.99"), "598 at least"),
            (60, ("--target", "accuracy", "0.9", "--alpha", "0.1"), "alternatives"),
        ],
    )
    def test_what_no_run_could_keep_is_refused_before_it(
        self,
        tmp_path: Path,
        decoder: ScriptedDecoder,
        capsys: pytest.CaptureFixture[str],
        count: int,
        options: tuple[str, ...],
        said: str,
    ) -> None:
        data = write(tmp_path / "data.jsonl", rows_of(count))
        assert main(["calibrate", str(data), *options]) == ExitCode.USAGE
        assert said in capsys.readouterr().err
        assert not decoder.evaluations

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"pair": "other@1.0.0"}, "is of other@1.0.0"),
            ({"decoder_sha256": "0" * 64}, "quantization"),
            ({"state": 7}, "duet-device calibrate did not write"),
            ({"state": "AAA"}, "duet-device calibrate did not write"),
            ({"state": "AAA="}, "duet-device calibrate did not write"),
        ],
    )
    def test_rows_that_cannot_be_used_are_refused(
        self,
        data: Path,
        decoder: ScriptedDecoder,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
        change: dict[str, Any],
        said: str,
    ) -> None:
        rows = tmp_path / "rows"
        assert main(["calibrate", str(data), "--rows", str(rows), *LOOSE]) == 0
        first, *rest = rows.read_text().splitlines(keepends=True)
        rows.write_text(json.dumps({**json.loads(first), **change}) + "\n" + "".join(rest))
        assert main(["calibrate", str(data), "--rows", str(rows), *LOOSE]) == ExitCode.USAGE
        assert said in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("row", "said"),
        [({"answer": 3, "signal": 7}, "signal is not text"), ({"answer": [1]}, "")],
    )
    def test_data_that_cannot_be_used_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], row: dict[str, Any], said: str
    ) -> None:
        data = write(tmp_path / "data.jsonl", [*rows_of(QUESTIONS), {"question": "why?", **row}])
        assert main(["calibrate", str(data), *LOOSE]) == ExitCode.USAGE
        line = capsys.readouterr().err
        assert f"{data}, id {QUESTIONS + 1}: " in line
        assert said in line
        assert not Path(f"{data}.rows").exists()

    def test_nothing_is_stored_where_nothing_can_be_trusted(
        self, tmp_path: Path, decoder: ScriptedDecoder, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = [{**row, "answer": 8} for row in rows_of(QUESTIONS)]
        data = write(tmp_path / "data.jsonl", rows)
        assert main(["calibrate", str(data), *LOOSE]) == ExitCode.USAGE
        assert "nothing was stored" in capsys.readouterr().err
        assert calibration_of(open_pair("bytes")) is None


def test_what_is_stored_is_read_by_the_contract(
    data: Path, decoder: ScriptedDecoder, installed: Path
) -> None:
    assert main(["calibrate", str(data), *LOOSE]) == 0
    pair = Pair(installed, load_manifest(installed.parent / "pairs" / "bytes"))
    assert parse_calibration(own_path(pair.manifest).read_text()).pair == "bytes@1.0.0"
