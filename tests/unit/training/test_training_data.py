"""Data sets: the hub's layouts, splits without overlap, and one line for bad input."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from duet_training.data.gym import generate
from duet_training.data.jsonl import read_jsonl
from duet_training.data.rows import Problem, paths_of, questions_of, read_rows, write_rows
from duet_training.data.splits import split
from duet_training.data.story_problems.draw import split_of
from duet_training.errors import DataError
from duet_training.evaluation.verifiers.gym import GymVerifier
from tests.doubles.commands import train_data as main

BOXED = r"We add them and get $\boxed{4}$."


def _parquet(directory, name, rows):
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), directory / name)


def _layout(directory, name):
    """A copy of a hub repository's layout with rows of our own."""
    asked = [f"what is {i} + 2?" for i in range(12)]
    if name == "math-lighteval":
        rows = [
            {"problem": q, "level": "Level 1", "type": "Algebra", "solution": BOXED} for q in asked
        ]
        _parquet(directory, "data/train-00000-of-00001.parquet", rows)
    elif name == "deepscaler":
        rows = [{"problem": q, "answer": "4", "solution": ""} for q in asked]
        (directory / "deepscaler.json").write_text(json.dumps(rows))
    elif name == "dapo-math-17k":
        rows = [{"prompt": q, "solution": "4", "data_source": "math_dapo"} for q in asked]
        _parquet(directory, "en/train-00000-of-00001.parquet", rows)
        _parquet(directory, "cn/train-00000-of-00001.parquet", [{"prompt": "x", "solution": "1"}])
    elif name == "limo":
        rows = [{"question": q, "solution": BOXED, "answer": "4"} for q in asked]
        (directory / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    elif name in ("math500", "aime25"):
        rows = [{"problem": q, "answer": "4"} for q in asked]
        (directory / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    elif name == "amc23":
        rows = [{"id": i, "question": q, "answer": 4.0} for i, q in enumerate(asked)]
        _parquet(directory, "data/test-00000-of-00001.parquet", rows)
    elif name == "aime24":
        rows = [{"ID": str(i), "Problem": q, "Answer": 4} for i, q in enumerate(asked)]
        _parquet(directory, "aime_2024_problems.parquet", rows)
    else:
        header = "Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3"
        lines = [f"{q},right,one,two,three" for q in asked]
        (directory / "gpqa_diamond.csv").write_text("\n".join([header, *lines]))
        (directory / "gpqa_main.csv").write_text("\n".join([header, "other,a,b,c,d"]))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


TRAINING = ("math-lighteval", "deepscaler", "dapo-math-17k", "limo")
EVALUATION = ("math500", "amc23", "aime24", "aime25", "gpqa-diamond")


@pytest.mark.parametrize("name", [*TRAINING, *EVALUATION])
def test_hub_layouts(name, tmp_path):
    source, out = tmp_path / "hub", tmp_path / "out"
    source.mkdir()
    _layout(source, name)
    assert main([name, "--from", str(source), "--out", str(out), "--validation", "2"]) == 0
    report = json.loads((out / "report.json").read_text())
    if name in TRAINING:
        assert (report["train"], report["validation"]) == (10, 2)
        problem = read_rows(out / "train.parquet")[0]
        assert problem.answer == "4"
    else:
        assert report["test"] == 12
        problem = read_rows(out / "test.parquet")[0]
        if name != "gpqa-diamond":
            assert problem.answer == "4"
    if name == "gpqa-diamond":
        assert problem.verifier == "choice"
        assert f"{problem.answer}. right" in problem.question
        letters = {p.answer for p in read_rows(out / "test.parquet")}
        assert len(letters) > 1


@pytest.mark.parametrize("name", ["math-lighteval", "deepscaler", "gpqa-diamond"])
def test_rows_with_the_sets_own_instruction(name, tmp_path):
    source, out = tmp_path / "hub", tmp_path / "out"
    source.mkdir()
    _layout(source, name)
    command = [name, "--from", str(source), "--out", str(out), "--instruction", "data"]
    assert main([*command, "--validation", "2"]) == 0
    split = "train" if name in TRAINING else "test"
    problem = read_rows(out / f"{split}.parquet")[0]
    if name == "gpqa-diamond":
        assert problem.verifier == "letter"
        assert problem.question.endswith(("one", "two", "three", "right"))
        assert "'Answer: $LETTER'" in problem.for_reasoner
        assert problem.for_reasoner == problem.for_decoder
        assert problem.for_decoder.endswith(problem.question)
        return
    assert problem.verifier == "released"
    assert problem.for_reasoner == (
        f"{problem.question} Let's think step by step and output the final answer within "
        r"\boxed{}."
    )
    bare = name == "deepscaler"
    assert problem.for_decoder == (problem.question if bare else problem.for_reasoner)


def test_only_known_sets_have_their_own_instruction(tmp_path, capsys):
    file = tmp_path / "own.jsonl"
    file.write_text('{"question": "a", "answer": "1"}\n')
    command = ["jsonl", "--from", str(file), "--out", str(tmp_path / "out")]
    assert main([*command, "--instruction", "data"]) == 1
    error = capsys.readouterr().err
    assert "--instruction data: only math-lighteval" in error
    assert error.count("\n") == 1


def test_rows_are_verls(tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(json.dumps({"question": f"q{i}", "answer": i}) for i in range(20)))
    assert main(["jsonl", "--from", str(file), "--out", str(tmp_path / "out")]) == 0
    row = pq.read_table(tmp_path / "out/train.parquet").to_pylist()[0]
    assert set(row) == {"data_source", "prompt", "ability", "reward_model", "extra_info"}
    assert row["prompt"][0]["role"] == "user"
    assert row["reward_model"]["ground_truth"] in {str(i) for i in range(20)}


def test_lines_end_at_line_feeds_alone(tmp_path):
    """JSON may hold other separators; files made on Windows have CR LF and a byte order mark."""
    file = tmp_path / "own.jsonl"
    rows = [{"question": f"a{mark}{i}", "answer": i} for i, mark in enumerate("\u2028\u2029\x85")]
    lines = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    file.write_bytes(b"\xef\xbb\xbf" + lines.encode() + b"\r\n\r\n")
    problems, without = read_jsonl(file, "math")
    assert [problem.question for problem in problems] == [row["question"] for row in rows]
    assert without == 0


def test_of_a_worked_answer_as_gsm8k_has_it_the_end_counts(tmp_path):
    file = tmp_path / "gsm8k.jsonl"
    rows = [
        {"question": "How many?", "answer": "48/2 = <<48/2=24>>24 clips.\n#### 1,024"},
        {"question": "How many?", "answer": "24 clips.\n#### "},
        {"question": "What?", "answer": "a ####.\nb"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    problems, without = read_jsonl(file, "math")
    assert [problem.answer for problem in problems] == ["1,024", "a ####.\nb"]
    assert without == 1


def test_rows_without_answers_are_counted_and_none_left_is_an_error(tmp_path, capsys):
    file = tmp_path / "own.jsonl"
    rows = [{"question": "a", "answer": "1"}, {"question": "b"}, {"question": "c", "answer": None}]
    file.write_text("\n".join(map(json.dumps, rows)))
    assert main(["jsonl", "--from", str(file), "--out", str(tmp_path / "out")]) == 0
    assert json.loads(capsys.readouterr().out)["without_answer"] == 2
    file.write_text(json.dumps(rows[1]))
    assert main(["jsonl", "--from", str(file), "--out", str(tmp_path / "out")]) == 1
    assert "no row with a question and an answer" in capsys.readouterr().err
    file.write_text('{"problem": "1 + 1?", "answer": "2"}\n')
    assert main(["jsonl", "--from", str(file), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.endswith("line 1 needs 'question' and 'answer': it has 'problem', 'answer'\n")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        *((answer, "'answer' is n") for answer in (False, True, [1], {"value": 1})),
        (float("inf"), r"not JSON \(Infinity is not a JSON number\)"),
    ],
)
def test_an_answer_that_is_neither_text_nor_a_number_is_refused(tmp_path, answer, why):
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps({"question": "a", "answer": 0}) + "\n")
    assert [problem.answer for problem in read_jsonl(file, "math")[0]] == ["0"]
    with file.open("a") as more:
        more.write(json.dumps({"question": "b", "answer": answer}))
    with pytest.raises(DataError, match=f"line 2: {why}"):
        read_jsonl(file, "math")


def test_generated_problems_are_seeded_and_hold_templates_back(tmp_path):
    command = ["gym:gsm_symbolic", "--size", "120", "--validation", "10", "--test", "10"]
    for out in ("a", "b"):
        assert main([*command, "--out", str(tmp_path / out)]) == 0
    assert main([*command, "--seed", "1", "--out", str(tmp_path / "c")]) == 0
    files = [tmp_path / "a" / f"{part}.parquet" for part in ("train", "validation", "test")]
    again = [tmp_path / "b" / file.name for file in files]
    assert [f.read_bytes() for f in files] == [f.read_bytes() for f in again]
    assert questions_of(files) != questions_of([tmp_path / "c/train.parquet"])
    train, validation, test = (questions_of([file]) for file in files)
    assert train.isdisjoint(validation)
    assert test.isdisjoint(train | validation)
    assert "answer_cot" in read_rows(files[0])[0].metadata["entry"]["metadata"]


def test_any_task_is_generated_and_scored_by_its_own_scorer(tmp_path):
    verifier = GymVerifier()
    try:
        for task in ("chain_sum", "letter_counting", "fraction_simplification"):
            command = [f"gym:{task}", "--size", "24", "--validation", "4", "--test", "4"]
            assert main([*command, "--out", str(tmp_path / task)]) == 0
            files = [
                tmp_path / task / f"{part}.parquet" for part in ("train", "validation", "test")
            ]
            parts = [read_rows(file) for file in files]
            assert [len(part) for part in parts] == [16, 4, 4]
            assert len(questions_of(files)) == 24
            problems = parts[2]
            truths = [problem.truth for problem in problems]
            right = [rf"so \boxed{{{problem.answer}}}" for problem in problems]
            assert verifier.score(right, truths) == [1.0] * 4
            assert verifier.score([r"\boxed{-1/7}"] * 4, truths) == [0.0] * 4
    finally:
        verifier.close()


def test_generated_problems_with_an_empty_answer_are_left_out(monkeypatch):
    rows = [{"question": f"q{i}", "answer": "" if i % 2 else i, "metadata": {}} for i in range(8)]
    monkeypatch.setattr("reasoning_gym.create_dataset", lambda *_, **__: rows)
    problems, without = generate("chain_sum", 4, 0, {})
    assert [problem.answer for problem in problems] == ["0", "2", "4", "6"]
    assert without == 3


def test_stories_keep_to_their_own_splits(tmp_path, capsys):
    out = tmp_path / "stories"
    arguments = ["stories:wide", "--out", str(out), "--size", "30", "--test", "12"]
    assert main([*arguments, "--validation", "5"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["train"], report["validation"], report["test"]) == (30, 5, 12)
    for name in ("train", "validation", "test"):
        rows = read_rows(out / f"{name}.parquet")
        assert {split_of(row.question) for row in rows} == {name}
    excluded = ["--exclude", str(out / "train.parquet")]
    again = tmp_path / "again"
    assert main([*arguments[:1], "--out", str(again), "--size", "30", *excluded]) == 0
    assert json.loads(capsys.readouterr().out)["repeated_or_excluded"] == 30


def test_templates_that_are_tested_are_nowhere_else():
    problems = [Problem(str(i), f"question {i}", "1", "s", group=str(i % 7)) for i in range(70)]
    parts = split(problems, seed=3, validation=5, test=15).parts
    tested = {problem.group for problem in parts["test"]}
    assert len(parts["test"]) == 15
    assert not tested & {p.group for p in parts["train"] + parts["validation"]}


def test_repeats_and_excluded_questions_are_dropped():
    problems = [Problem(str(i), f"Question  {i % 5}", "1", "s") for i in range(10)]
    splits = split(problems, seed=0, validation=1, test=0, exclude=frozenset({"question 0"}))
    assert splits.repeats == 6
    assert sum(map(len, splits.parts.values())) == 4


def test_too_few_problems():
    with pytest.raises(DataError, match="too few"):
        split([Problem("1", "q", "1", "s")], seed=0, validation=1, test=1)


def test_long_prompts_are_counted_and_left_out(pair_file, tmp_path, capsys):
    file = tmp_path / "own.jsonl"
    rows = [{"question": "q" * n, "answer": "1"} for n in (5, 10, 500)]
    file.write_text("\n".join(map(json.dumps, rows)))
    command = ["jsonl", "--from", str(file), "--out", str(tmp_path), "--pair", str(pair_file)]
    assert main([*command, "--max-prompt", "120"]) == 0
    assert json.loads(capsys.readouterr().out)["too_long"] == 1
    assert main([*command, "--max-prompt", "10"]) == 1
    assert "all 3 prompts are longer than 10 tokens" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["nope"], "there is no data set 'nope'; there are: math-lighteval, deepscaler, "),
        (["gym:nope"], "reasoning-gym has no task 'nope'"),
        (["gym:chain_sums"], "close to it: chain_sum"),
        (["stories:nope"], "nope"),
        (["gym:chain_sum", "--option", "min_terms=-4"], "task 'chain_sum' refuses this"),
        (["gym:chain_sum", "--option", "terms"], "--option 'terms' is not KEY=JSON"),
        (["jsonl"], "jsonl needs --from FILE"),
        (["jsonl", "--from", "/nowhere.jsonl"], "cannot read /nowhere.jsonl"),
        (["math500", "--from", "/nowhere"], "there is no directory /nowhere"),
        (
            ["gym:chain_sum", "--exclude", "/nowhere.parquet"],
            "cannot read the data /nowhere.parquet: there is no such file; "
            "`duet-train data prepare NAME --out /` writes one",
        ),
    ],
)
def test_bad_input_is_one_line(command, says, tmp_path, capsys):
    assert main([*command, "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("duet-train: ")
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [("{", "line 2: not JSON"), ("[1]", "line 2: not an object")],
)
def test_a_line_that_is_no_row_is_named(line, says, tmp_path, capsys):
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps({"question": "a", "answer": "1"}) + "\n" + line)
    assert main(["jsonl", "--from", str(file), "--out", str(tmp_path)]) == 1
    assert says in capsys.readouterr().err


def test_a_set_without_a_column_that_it_should_have_names_those_it_has(tmp_path, capsys):
    (tmp_path / "test.jsonl").write_text(json.dumps({"problem": "q", "result": "1"}))
    assert main(["math500", "--from", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "math500 has no column ['answer']; it has ['problem', 'result']" in error


@pytest.mark.parametrize("answer", ["", "  ", None])
def test_rows_without_an_answer_never_reach_a_run(answer, tmp_path):
    problems = [Problem("1", "q", "1", "own"), Problem("2", "r", answer, "own")]
    write_rows(problems, "train", tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"1 of 2 rows in .*train.parquet have no answer"):
        read_rows(tmp_path / "train.parquet")


def test_several_files_are_read_one_after_another(tmp_path):
    files = tuple(tmp_path / f"{name}.parquet" for name in "ab")
    for number, file in enumerate(files):
        write_rows([Problem("1", f"q{number}", "1", "own")], "train", file)
    assert [problem.question for problem in read_rows(files)] == ["q0", "q1"]
    assert read_rows(files[1])[0].question == "q1"
    # As a checkpoint keeps them.
    assert paths_of([str(file) for file in files]) == files
    assert paths_of(str(files[0])) == files[:1]
    with pytest.raises(TypeError, match="neither a file nor a list"):
        paths_of(None)
    with pytest.raises(ValueError, match="no file"):
        paths_of([])


def test_parquet_that_is_not_ours(tmp_path):
    _parquet(tmp_path, "other.parquet", [{"question": "q"}])
    with pytest.raises(DataError, match="columns"):
        read_rows(tmp_path / "other.parquet")


@pytest.mark.parametrize(
    "option", ["--size=0", "--size=1e9", "--seed=-1", "--test=nan", f"--max-prompt={10**30}"]
)
def test_a_number_that_is_out_of_range_is_usage(option, tmp_path, capsys):
    assert main(["gym:chain_sum", "--out", str(tmp_path / "out"), option]) == 2
    assert f"Invalid value for '{option.split('=')[0]}'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
