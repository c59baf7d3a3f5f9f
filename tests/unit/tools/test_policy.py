"""What a calibrated policy saves on questions that it was not fitted on, and the command."""

from pathlib import Path

import pytest

from duet_device.calibration.rows import Row
from duet_tools.policy.savings import PolicyResults, goals, measured
from duet_tools.report.policy_table import policy_table
from tests.doubles.commands import bench
from tests.doubles.recorded_rows import made

GOAL = goals((0.15,), (), 0.1)


def write(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows))
    return path


def test_the_gate_keeps_what_the_device_knows_and_the_stop_spares_the_end() -> None:
    found = measured(made(240), GOAL, against_cloud=False)
    [wanted] = found.wanted
    gate, stop = wanted.policies["gate"], wanted.policies["stop"]
    assert (found.always.value, found.tokens) == (1, 24)
    assert found.never.value == pytest.approx(0.5, abs=0.1)
    assert gate.calls.value == pytest.approx(0.5, abs=0.15)
    assert gate.calls.low < gate.calls.value < gate.calls.high
    assert gate.tokens.value == pytest.approx(1 - gate.calls.value)
    assert -0.1 < gate.difference.value <= 0
    assert gate.measures == ("probe",) * 3
    # A half of the signals ends after 8 of 24 tokens, the others after 16 at the latest.
    assert stop.calls.value == 0
    assert stop.tokens.value == pytest.approx(0.5, abs=0.17)
    both = wanted.policies["gate and stop"]
    assert both.calls.value == gate.calls.value
    assert both.tokens.value < min(gate.tokens.value, stop.tokens.value)


def test_without_a_threshold_that_keeps_the_guarantee_the_cloud_is_always_asked() -> None:
    wrong = [row.model_copy(update={"answer": "1"}) for row in made(120)]
    [wanted] = measured(wrong, GOAL, against_cloud=False).wanted
    for saved in wanted.policies.values():
        assert (saved.decided, saved.measures) == (0, ())
        assert (saved.calls.value, saved.tokens.value, saved.difference.value) == (0, 1, 0)


def test_against_the_cloud_its_answers_fit_and_those_of_the_data_measure() -> None:
    wrong = [row.model_copy(update={"answer": "1"}) for row in made(240)]
    found = measured(wrong, GOAL, against_cloud=True)
    assert found.always.value == 0
    assert found.wanted[0].policies["gate"].calls.value == pytest.approx(0.5, abs=0.15)


def test_a_wanted_saving_is_kept_on_the_other_half() -> None:
    [wanted] = measured(made(240), goals((), (0.3,), 0.1), against_cloud=False).wanted
    assert wanted.goal == "--target saving 0.3"
    assert wanted.policies["gate"].calls.value == pytest.approx(0.35, abs=0.1)


def test_the_command_adds_a_set_to_its_file_and_the_table_names_both(tmp_path: Path) -> None:
    out = tmp_path / "policy.json"
    for name, count in (("sums", 240), ("more-sums", 120)):
        rows = write(tmp_path / f"{name}.rows", made(count))
        given = ["--rows", name, str(rows), "--alpha", "0.15", "--delta", "0.1", "--out", str(out)]
        assert bench(["policy", *given]) == 0
    results = PolicyResults.read(out)
    assert list(results.sets) == ["sums", "more-sums"]
    table = policy_table(results)
    assert "| `sums` | `--alpha 0.15` | gate | probe | " in table
    assert "- `more-sums`: 120 questions to toy@1.0.0; right alone " in table


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no rows: record them with: duet-device calibrate DATA"),
        ('{"id": "a"}\n', "holds no rows of duet-device calibrate"),
        (
            made(1)[0].model_copy(update={"answer": None}).model_dump_json() + "\n",
            "1 of 1 rows have no answer",
        ),
        (made(1)[0].model_dump_json() + "\n", "needs"),
        (
            "".join(
                row.model_copy(update={"pair": f"toy@{row.id}.0.0"}).model_dump_json() + "\n"
                for row in made(2)
            ),
            "rows of several pairs",
        ),
    ],
)
def test_files_that_cannot_be_measured_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    file = tmp_path / "a.rows"
    file.write_text(text)
    given = ["--rows", "a", str(file), "--out", str(tmp_path / "o"), "--against-cloud"]
    assert bench(["policy", *given]) in (1, 2)
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
