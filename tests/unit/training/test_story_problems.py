"""Generated word problems: sound, of one split each, and solved in every style."""

import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duet_training.data.story_problems.draw import SCOPES, VERIFIER, draw, problems, split_of
from duet_training.data.story_problems.story import StoryStep, compute
from duet_training.data.story_problems.traces import (
    EQUATIONS,
    PROSE,
    RESULTS,
    SHORT,
    VERBOSE,
    answer,
    shortened,
    trace,
)
from duet_training.evaluation.verifiers import Truth, make_verifier
from tests.doubles.commands import train_stories as main

ANY_STORY = st.builds(
    lambda seed, name: (draw(random.Random(seed), SCOPES[name]), SCOPES[name]),
    st.integers(0, 2**32),
    st.sampled_from(sorted(SCOPES)),
)


@given(ANY_STORY)
@settings(max_examples=300)
def test_a_story_is_sound(drawn):
    story, scope = drawn
    for step in story.steps:
        assert 0 < step.result <= scope.largest
        assert 0 < step.left <= scope.largest
        assert 0 < step.right <= scope.largest
    assert re.search(rf"\b{story.answer}\b", story.statement)
    # Every number that a computation starts from is given, or is an earlier result; what is
    # said in words (half, twice, doubles, triples) counts.
    told = {int(n) for n in re.findall(r"\d+", story.question)}
    for step in story.steps:
        assert step.left in told
        assert step.right in told | {2, 3}
        told.add(step.result)
    assert "{" not in story.question
    assert "  " not in story.question


@given(ANY_STORY, st.integers(0, 1000))
@settings(max_examples=200)
def test_traces_hold_what_their_style_says(drawn, seed):
    story, _ = drawn
    verbose, short = trace(story, VERBOSE), trace(story, SHORT)
    for step in story.steps:
        assert step.equation in verbose
        assert step.equation in short
        assert step.fact in trace(story, PROSE)
    for style in (VERBOSE, PROSE, EQUATIONS):
        assert trace(story, style).endswith(f"So the answer is {story.answer}.")
    assert trace(story, RESULTS).split()[-1] == str(story.answer)
    assert len(short) < len(verbose)
    cut = shortened(story, VERBOSE, random.Random(seed))
    assert verbose.startswith(cut)
    assert cut != verbose
    assert make_verifier(VERIFIER).score([answer(story)], [Truth(str(story.answer))]) == [1.0]


def test_the_same_seed_tells_the_same_stories():
    first, again = (problems("easy", "test", 40, 7) for _ in range(2))
    assert first == again
    assert first != problems("easy", "test", 40, 8)
    assert len({problem.key for problem in first}) == 40
    assert {problem.verifier for problem in first} == {VERIFIER}


def test_no_question_is_in_two_splits():
    for split in ("train", "validation", "test"):
        assert {split_of(p.question) for p in problems("wide", split, 60, 0)} == {split}
    assert split_of("What is  2 plus 3?") == split_of("what is 2 PLUS 3?")


def test_what_is_only_tested_on_is_in_no_training_scope():
    tested = {p.metadata["family"] for p in problems("other", "test", 50, 0)}
    trained = {p.metadata["family"] for p in problems("wide", "train", 500, 0)}
    assert tested == {"bus", "rows"}
    assert not tested & trained
    assert min(p.metadata["steps"] for p in problems("long", "test", 50, 0)) >= 4


def test_divisions_come_out_even():
    assert compute(12, "/", 4) == 3
    assert StoryStep("", 12, "-", 5, "").equation == "12-5=7"
    with pytest.raises(ValueError, match="not whole"):
        compute(13, "/", 4)


def test_the_verifier_tells_right_from_wrong():
    verifier = make_verifier(VERIFIER)
    truth = Truth("1200")
    responses = [
        r"\boxed{1,200}",
        r"\boxed{-1200}",
        r"\boxed{}",
        r"\boxed{12*100}",
        r"\boxed{1,2,0,0}",
    ]
    assert verifier.score(responses, [truth] * 5) == [1, 0, 0, 0, 0]


def test_problems_are_printed_as_the_bench_reads_them(capsys):
    assert main(["wide", "--count", "5", "--seed", "3"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    drawn = problems("wide", "test", 5, 3)
    assert rows == [{"question": each.question, "answer": each.answer} for each in drawn]


def test_a_scope_that_is_not_there_is_one_line(capsys):
    assert main(["vast"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("duet-train: there is no scope 'vast'; there are: easy")
    assert said.count("\n") == 1
