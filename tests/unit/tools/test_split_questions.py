"""Questions of a run, and whether their answers are right."""

import json
from pathlib import Path

import pytest

from duet_tools.errors import UsageProblem
from duet_tools.results.questions import QuestionRow, have_answers, read_questions
from duet_tools.split.checking import by_rule, find_check
from tests.doubles.growth import assert_no_slower
from tests.doubles.judged import ALGEBRA, BOXED, PROSE
from tests.doubles.verifiers import DigitVerifier


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_questions_come_in_their_order_and_have_ids(tmp_path: Path) -> None:
    rows = [{"id": "b", "question": "Q1", "answer": 5}, {"question": "Q2", "answer": "x"}]
    found = read_questions(write(tmp_path / "data.jsonl", *rows))
    assert [(q.id, q.text, q.answer) for q in found] == [("b", "Q1", "5"), ("2", "Q2", "x")]
    assert have_answers(found)


def test_data_without_answers_is_read_and_told_apart(tmp_path: Path) -> None:
    found = read_questions(
        write(tmp_path / "d", {"question": "Q", "answer": "1"}, {"question": "R"})
    )
    assert not have_answers(found)


def test_of_a_worked_answer_as_gsm8k_has_it_the_end_counts(tmp_path: Path) -> None:
    answers = ["48/2=<<48/2=24>>24.\n#### 24", "a ####.", "#### Title\ntext", "##### x"]
    path = write(tmp_path / "d", *({"question": "Q", "answer": answer} for answer in answers))
    assert [q.answer for q in read_questions(path)] == ["24", *answers[1:]]


def test_limit_takes_the_first(tmp_path: Path) -> None:
    path = write(tmp_path / "d", *({"question": f"Q{n}"} for n in range(9)))
    assert [q.text for q in read_questions(path, 2)] == ["Q0", "Q1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no questions"),
        ("{", "line 1 is not JSON"),
        ("[" * 200_000, "line 1 is not JSON: nested too deeply"),
        ('{"question": "a", "answer": NaN}', "NaN is not a JSON number"),
        ('{"question": "a", "answer": 1e400}', "1e400 is out of range"),
        ('{"answer": 1}', "line 1 has no text 'question': it has 'answer'"),
        ("[1]", "line 1 is not an object"),
        ('{"question": ""}', "line 1: "),
        ('{"question": "a", "answer": [1]}', "neither text nor a number"),
        ('{"question": "a", "metadata": 3}', "'metadata' is not an object"),
        ('{"question": "a", "id": 1}\n{"question": "b", "id": 1}', "two questions of id '1'"),
    ],
)
def test_bad_data_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageProblem, match=said) as caught:
        read_questions(path)
    assert "\n" not in str(caught.value)


def test_forty_thousand_rows_take_no_quadratic_time(tmp_path: Path) -> None:
    many = write(tmp_path / "many", *({"question": "Q"} for _ in range(40_000)))
    few = write(tmp_path / "few", *({"question": "Q"} for _ in range(5_000)))
    assert len(read_questions(many)) == 40_000
    assert_no_slower(lambda: read_questions(many), lambda: read_questions(few), 8)


def test_a_byte_order_mark_and_other_line_separators_are_read(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_text('\ufeff{"question": "a\u2028b"}\r\n\r\n{"question": "c"}', "utf-8")
    assert [(q.id, q.text) for q in read_questions(path)] == [("1", "a\u2028b"), ("3", "c")]


def test_missing_data_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="cannot read"):
        read_questions(tmp_path / "none.jsonl")


def test_the_rule_is_the_table_of_judged_answers() -> None:
    rows = [(reference, rf"so \boxed{{{answer}}}", right) for reference, answer, right in BOXED]
    # Algebra needs a system that the tools do not have: only the same text is right.
    rows += [(reference, rf"\boxed{{{answer}}}", False) for reference, answer, _ in ALGEBRA]
    wrongly = [
        row for row in [*rows, *PROSE] if by_rule(row[1], QuestionRow("1", "?", row[0])) != row[2]
    ]
    assert wrongly == []


@pytest.mark.timeout(10)
def test_a_number_of_any_size_ends_at_once(tmp_path: Path) -> None:
    rows = [{"question": "Q", "answer": "1e400000000"}]
    (question,) = read_questions(write(tmp_path / "data.jsonl", *rows))
    assert not by_rule(r"\boxed{1e999999999}", question)
    assert by_rule(r"\boxed{1e400000000}", question)


def test_a_verifier_can_be_named() -> None:
    check = find_check("tests.doubles.verifiers:DigitVerifier")
    assert DigitVerifier.broken is False
    assert check("7", QuestionRow("1", "?", "7"))
    assert not check("seven", QuestionRow("1", "?", "7"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("math", "no verifier 'math'; give last-answer"),
        ("no.such:Thing", "no verifier"),
        ("tests.doubles.verifiers:Nothing", "no verifier"),
        ("pathlib:Path", "it has no score"),
    ],
)
def test_what_is_no_verifier_is_told(name: str, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        find_check(name)
