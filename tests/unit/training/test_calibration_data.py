"""Questions of a calibration: from three sources, none twice, none of a set that is measured."""

import json
from pathlib import Path

import pytest

from duet_training.data.story_problems.draw import split_of
from tests.doubles.commands import train_calibration_data


def write(path: Path, *questions: str) -> Path:
    rows = [{"question": each, "answer": "7"} for each in questions]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_no_question_is_there_twice_or_measured_even_with_other_numbers(tmp_path: Path) -> None:
    sums = write(tmp_path / "sums.jsonl", "Ann has 3 pens.", "Ann has 3 cups .", "Ann has 4 cups.")
    more = write(tmp_path / "more.jsonl", "ann has 5 CUPS.", "Ann has 5 hats.")
    tested = write(tmp_path / "tested.jsonl", "Ann has 1,000 pens.", "Bo solves 1.")
    worked = write(tmp_path / "worked.jsonl", *(f"{name} solves 1." for name in ("Bo", "Cy", "Di")))
    out = tmp_path / "out.jsonl"
    given = ["--set", str(sums), "--set", str(more), "--apart", str(tested)]
    given += ["--worked", str(worked), "--count", "3"]
    assert train_calibration_data([str(out), *given]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["question"] for row in rows[:2]] == ["Ann has 3 cups .", "Ann has 5 hats."]
    assert {row["question"] for row in rows[2:4]} == {"Cy solves 1.", "Di solves 1."}
    generated = rows[4:]
    assert len(generated) == 3
    assert {split_of(row["question"]) for row in generated} == {"validation"}
    assert all(row["answer"] for row in rows)
    assert len({row["id"] for row in rows}) == len(rows)


def test_the_same_seed_draws_the_same_questions(tmp_path: Path) -> None:
    out, worked = tmp_path / "out.jsonl", write(tmp_path / "worked.jsonl", *"abcdefgh")
    texts = []
    for seed in ("0", "0", "1"):
        given = [str(out), "--worked", str(worked), "--count", "2", "--seed", seed]
        assert train_calibration_data(given) == 0
        texts.append(out.read_text())
    assert texts[0] == texts[1] != texts[2]


def test_more_questions_than_a_file_has_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worked = write(tmp_path / "worked.jsonl", "Cy solves 1.")
    given = [str(tmp_path / "out"), "--worked", str(worked), "--count", "3"]
    assert train_calibration_data(given) != 0
    assert "worked.jsonl has 1 questions, --count asks for 3" in capsys.readouterr().err
