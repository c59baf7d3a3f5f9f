"""Public test sets, as the figures were measured with them."""

import hashlib
import json

import pytest

from duet_training.release import real
from tests.doubles.commands import train_real

ROWS = {
    "svamp": [
        {"Body": "Ann has 3 pens.", "Question": "How many?", "Answer": 3.0},
        {"Body": "Ann has 3 pens", "Question": "How many?", "Answer": 0.5},
        {"Body": "left out", "Question": "How many?", "Answer": 1.0},
    ],
    "multiarith": [
        {"input": "How many?", "target": 39},
        {"input": "left out", "target": 1},
        {"input": "And now?", "target": 0.6666666667},
    ],
    "gsm8k_test": [
        {"question": "left out", "answer": "#### 1"},
        {"question": "How many?", "answer": "Half is <<2/2=1>>1.\n#### 1,024"},
    ],
}


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Writes a set's rows as its repository would have them, and makes that known."""

    def write(name, left_out):
        file = tmp_path / "source.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in ROWS[name]))
        told = dict.fromkeys(("repository", "commit", "path"), "there")
        told |= {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "left_out": left_out}
        monkeypatch.setattr(real, "known_sets", lambda: {name: told})
        return file

    return write


@pytest.mark.parametrize(
    ("name", "left_out", "expected"),
    [
        ("svamp", [2], [("0000", "Ann has 3 pens. How many?", "3"),
                        ("0001", "Ann has 3 pens. How many?", "0.5")]),
        ("multiarith", [1], [("0000", "How many?", "39"), ("0002", "And now?", "0.6666666667")]),
        ("gsm8k_test", [0], [("0001", "How many?", "1024")]),
    ],
)  # fmt: skip
def test_rows_of_every_form(source, tmp_path, name, left_out, expected):
    out = tmp_path / "out.jsonl"
    assert train_real([name, str(source(name, left_out)), "--to", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["id"], row["question"], row["answer"]) for row in rows] == [
        (f"{name}/{number}", question, answer) for number, question, answer in expected
    ]


def test_another_file_is_refused(source, tmp_path, capsys):
    file = source("svamp", [])
    file.write_text(file.read_text() + "\n")
    assert train_real(["svamp", str(file), "--to", str(tmp_path / "out")]) == 1
    assert "is not there of github.com/there at there" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_known_is_as_many_as_the_pages_say():
    known = real.known_sets()
    asked = {name: found["rows"] - len(found["left_out"]) for name, found in known.items()}
    assert asked == {
        "addsub": 395,
        "gsm8k_test": 791,
        "multiarith": 348,
        "singleeq": 507,
        "svamp": 600,
    }
