"""The default pair as a user meets it: vLLM, gRPC and llama.cpp.

From an installed device to a first answer by one command, of a pair that its publisher signed and the
device does not trust yet; then questions, the first held-out ones of the types that it was trained on.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from duet_contract.calibration import CALIBRATION_NAME, parse_calibration
from duet_contract.keys import fingerprint, public_bytes
from duet_contract.pairs import DEFAULT_PAIR, find_pair
from duet_contract.quantities import OUT_OF_REACH
from duet_contract.signature import sign_pair
from tests.doubles.commands import cloud_pairs as pairs
from tests.service import SERVE, Service

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

DEVICE = str(Path(sys.executable).with_name("duet-device"))
KEY = Ed25519PrivateKey.from_private_bytes(b"2" * 32)
FIRST = ("Maria", "had", "21", "candies.", "Sally gave her 12 more. How many has she now?")
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
    """The default pair's service, signed by another publisher; `make test` builds the pair first."""
    assert pairs(["build", DEFAULT_PAIR, "--if-missing"]) == 0
    place = tmp_path_factory.mktemp("published")
    shutil.copytree(find_pair(DEFAULT_PAIR), place / DEFAULT_PAIR)
    sign_pair(place / DEFAULT_PAIR, KEY)
    command = [*SERVE, "--pair", str(place / DEFAULT_PAIR)]
    with Service.started(command, place / "log") as running:
        running.wait_ready(180)
        yield running


@pytest.fixture
def device(tmp_path):
    """The environment of a device that has nothing."""
    ours = ("DUET_", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**dict.fromkeys(os.environ.keys() - kept.keys(), ""), **kept, "HOME": str(tmp_path)}


def run(device, *arguments):
    return subprocess.run(
        [DEVICE, *arguments],
        env={name: value for name, value in device.items() if value},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
        text=True,
    )


def test_one_command_without_a_terminal(served, device, tmp_path):
    first = run(device, "ask", "--server", served.address, "--yes", *FIRST)
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip()
    assert fingerprint(public_bytes(KEY)) in first.stderr
    assert "large-model tokens" in first.stderr
    second = run(device, "ask", "--json", "--require-cloud", *FIRST)
    assert second.returncode == 0, second.stderr
    receipt = json.loads(second.stdout)
    assert (receipt["source"], receipt["pair"].partition("@")[0]) == ("duet", DEFAULT_PAIR)
    checked = run(device, "doctor")
    assert checked.returncode == 0, checked.stdout
    assert "[error]" not in checked.stdout
    written = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert written
    assert run(device, "purge", "--yes").returncode == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


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


def test_the_decoder_by_itself_knows_some_of_the_answers(tmp_path):
    """Enough to answer without a cloud, too few to do without one."""
    alone = _ask(QUESTIONS, tmp_path, "--device-only")
    assert 0.3 * len(QUESTIONS) <= len(_right(alone)) <= 0.8 * len(QUESTIONS)
