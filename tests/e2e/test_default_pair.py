"""The default pair, asked as a user asks it: vLLM, gRPC and llama.cpp.

The questions are of a kind that it was trained on, and held out of its training.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from duet_contract.pairs import DEFAULT_PAIR
from tests.doubles.commands import cloud_pairs as pairs
from tests.service import Service

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

DEVICE = str(Path(sys.executable).with_name("duet-device"))
STORIES = {
    "Wendy has 16 buttons. Olivia has 1 more buttons than Wendy. How many buttons do they have in "
    "all?": "33",
    "Iris had 65 stones. Then she traded away 31 stones and gave 11 stones to Carlos. She had 13 "
    "stones delivered. Find the number of stones that Iris has now.": "36",
    "Compute 67 minus 33, then times 2, then plus 25.": "93",
    "Maria had 21 candies. Sally gave Maria some more. Now she has 43 candies. How many candies "
    "did Sally give?": "22",
    "There are 14 adults and 19 children. They form rows of 11 people. How many rows are there?": (
        "3"
    ),
    "Frank had 8 peaches. Later, he picked up 63 more peaches. Later, Frank earned 4 peaches. "
    "After that, Frank caught 12 peaches and then and George found 8 more peaches. How many "
    "peaches would Frank have then?": "95",
    "Iris has 13 shelves of marbles. Then she gives 8 shelves to Molly. There are 11 marbles in "
    "each. How many marbles does Iris have now?": "55",
    "Kate had 57 plates. Later, Kate bought 12 more plates. Later, she collected 13 plates. How "
    "many plates does Kate have in the end?": "82",
    "Gloria washes 3 cars every hour for 3 hours. How many cars does Gloria wash in all?": "9",
    "A hat costs $7. A ball costs $41. Mia buys 2 hats and a ball. How many dollars does she "
    "spend?": "55",
}
# Its reasoner, before it was trained, says some 200 tokens.
SHORT = 48


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The default pair's service; `make test` builds the pair first."""
    assert pairs(["build", DEFAULT_PAIR, "--if-missing"]) == 0
    command = [sys.executable, "-m", "duet_cloud", "serve", "--pair", DEFAULT_PAIR]
    with Service.started(command, tmp_path_factory.mktemp("default-pair") / "log") as running:
        running.wait_ready(180)
        yield running


def _ask(questions, place, *arguments):
    """Receipts by question, from one process for all of them."""
    (place / "asked.jsonl").write_text("".join(json.dumps(text) + "\n" for text in questions))
    batch = ("--in", place / "asked.jsonl", "--out", place / "answers.jsonl")
    command = [DEVICE, "ask", "--pair", DEFAULT_PAIR, "--timeout", "600", *batch, *arguments]
    done = subprocess.run(command, capture_output=True, timeout=800, check=False)
    answers = (place / "answers.jsonl").read_text()
    assert done.returncode == 0, (done.stderr, answers)
    rows = map(json.loads, answers.splitlines())
    return dict(zip(questions, rows, strict=True))


def _right(asked):
    """Questions whose answer ends in the right number."""
    last = {text: re.findall(r"\d+", receipt["answer"])[-1:] for text, receipt in asked.items()}
    return [text for text, expected in STORIES.items() if last[text] == [expected]]


def test_held_out_questions_are_answered_from_short_signals(served, tmp_path):
    unknown = "Who wrote the Iliad, and in which century?"
    cloud = ("--server", served.address, "--require-cloud")
    asked = _ask([*STORIES, unknown], tmp_path, *cloud)
    assert asked.pop(unknown)["low_confidence"], "it is outside of what the pair can do"
    assert len(_right(asked)) >= 0.8 * len(STORIES), {k: v["answer"] for k, v in asked.items()}
    tokens = [receipt["tokens"]["signal"] for receipt in asked.values()]
    assert sum(tokens) / len(tokens) < SHORT, tokens
    for receipt in asked.values():
        assert receipt["flops"]["reasoner"] < receipt["flops"]["reasoner_alone"]


def test_the_decoder_by_itself_knows_few_of_the_answers(tmp_path):
    alone = _ask(STORIES, tmp_path, "--device-only")
    assert len(_right(alone)) <= 0.5 * len(STORIES)
