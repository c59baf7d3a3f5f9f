"""The default pair, asked as a user asks it: vLLM, gRPC and llama.cpp.

The questions are the first held-out ones of the types that it was trained on.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from duet_contract.calibration import CALIBRATION_NAME, parse_calibration
from duet_contract.pairs import DEFAULT_PAIR, find_pair
from duet_contract.quantities import OUT_OF_REACH
from tests.doubles.commands import cloud_pairs as pairs
from tests.service import Service

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

DEVICE = str(Path(sys.executable).with_name("duet-device"))
QUESTIONS = {
    "52 visitors vote. 25% of them vote for Ann, the others for Zoe. How many votes does Zoe get?": (
        "39"
    ),
    "A sweater that usually costs $5.40 is marked down 40%. How much will Dan save?": "2.16",
    "13 of the 92 lamps and 60 of the 96 heaters are on. How many lamps are off?": "79",
    "Of 94 pages, Max typed ten pages a day for 9 days. A typist will do the missing pages for €18 "
    "each. Max is in grade eleven. What will the typist charge?": "72",
    "Helen, who is 68, is twice as old as Eve. What is the age of Eve?": "34",
    "In 11 years Tyler will be twice as old as Nancy, who is 36 today. How old is Tyler today?": (
        "83"
    ),
    "A single ticket is €18, and a pass for 6 rides is €32. How much does the card save?": "76",
    "A chef had 80 pieces of gum . They used 74 for lunch and bought 92 more . How many pieces of gum "
    "do they have now ?": "98",
    "In 11 years Mary will be 69. The gym opens at 4 o'clock. How old is she now?": "58",
    "Jane opened three drawers. Jane is 24 years old. In each of them she found 6 donuts and 10 "
    "socks. How many things did she find?": "48",
}
# The formula of one step has three tokens, and the end.
SHORT = 16


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
    return [text for text, expected in QUESTIONS.items() if asked[text].get("value") == expected]


def test_held_out_questions_are_answered_from_formulas_without_their_numbers(served, tmp_path):
    unknown = "Who wrote the Iliad, and in which century?"
    cloud = ("--server", served.address, "--require-cloud")
    asked = _ask([*QUESTIONS, unknown], tmp_path, *cloud)
    refused = asked.pop(unknown)
    assert (refused["answer"], refused["low_confidence"]) == (OUT_OF_REACH, True)
    # The pair came with its calibration, and the service said how probable each formula is.
    mark = parse_calibration((find_pair(DEFAULT_PAIR) / CALIBRATION_NAME).read_text()).mark
    assert mark
    least = mark.chance(mark.at_least)
    assert all(0 <= receipt["chance"] <= 1 for receipt in asked.values())
    unmarked = [each["chance"] for each in asked.values() if not each["low_confidence"]]
    assert unmarked
    assert min(unmarked) >= least - 1e-4
    assert len(_right(asked)) >= 0.7 * len(QUESTIONS), {k: v["answer"] for k, v in asked.items()}
    assert {receipt["numbers_sent"] for receipt in asked.values()} == {0}
    # The answer cannot be in the signal: formulas hold labels and constants.
    assert not any(receipt.get("value", "?") in receipt["signal"] for receipt in asked.values())
    tokens = [receipt["tokens"]["signal"] for receipt in asked.values()]
    assert sum(tokens) / len(tokens) < SHORT, tokens


def test_the_decoder_by_itself_knows_few_of_the_answers(tmp_path):
    alone = _ask(QUESTIONS, tmp_path, "--device-only")
    assert len(_right(alone)) <= 0.5 * len(QUESTIONS)
