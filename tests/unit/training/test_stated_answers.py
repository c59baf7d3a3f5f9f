import json
from pathlib import Path
from typing import Any

from duet_training.release.served import stated_answers


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_signals_are_compared_with_the_references_of_their_questions(tmp_path: Path) -> None:
    questions = write(tmp_path / "set.jsonl", [{"answer": "16"}, {"answer": "2"}, {"answer": "7"}])
    condition = "duet@64/none/16 at once"
    signals = ("b*c=A;a-A", "a/2", "a*17+70")
    recorded = [
        *(
            {"condition": condition, "id": str(n), "signal": signal}
            for n, signal in enumerate(signals, 1)
        ),
        {"condition": "device-alone/none/1 at once", "id": "1", "answer": "16"},
    ]
    write(tmp_path / "questions.jsonl", recorded)
    assert stated_answers(tmp_path, questions) == {"signals": 3, "stated": 1}


def test_a_question_that_failed_has_no_signal(tmp_path: Path) -> None:
    questions = write(tmp_path / "set.jsonl", [{"id": "x", "answer": "16"}])
    write(tmp_path / "questions.jsonl", [{"condition": "duet@64/none/1 at once", "id": "x"}])
    assert stated_answers(tmp_path, questions) == {"signals": 1, "stated": 0}
