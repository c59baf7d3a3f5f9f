"""The bench as a user runs it: it starts the service and vLLM's OpenAI server, and reports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from duet_tools.results.report import Report
from tests.doubles.commands import cloud_pairs as pairs

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
# Needs no download, and knows its own kind of question.
PAIR = "stories-5m"
# Of the kind that it was trained on, and held out of its training.
STORIES = {
    "Wendy has 16 buttons. Olivia has 1 more buttons than Wendy. How many buttons do they have in "
    "all?": "33",
    "Compute 67 minus 33, then times 2, then plus 25.": "93",
    "Maria had 21 candies. Sally gave Maria some more. Now she has 43 candies. How many candies "
    "did Sally give?": "22",
    "There are 14 adults and 19 children. They form rows of 11 people. How many rows are there?": (
        "3"
    ),
    "Gloria washes 3 cars every hour for 3 hours. How many cars does Gloria wash in all?": "9",
    "A hat costs $7. A ball costs $41. Mia buys 2 hats and a ball. How many dollars does she "
    "spend?": "55",
}


def test_a_pair_is_measured_by_every_mode_over_a_link(tmp_path):
    pair, data, out = tmp_path / PAIR, tmp_path / "stories.jsonl", tmp_path / "report"
    assert pairs(["build", PAIR, "--out", str(pair)]) == 0
    rows = ({"question": text, "answer": answer} for text, answer in STORIES.items())
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    command = [sys.executable, str(ROOT / "tools" / "bench_split.py"), "--data", str(data)]
    command += ["--pair", str(pair), "--out", str(out), "--warm-up", "0"]
    command += ["--modes", "duet,large-alone,device-alone,truncated", "--link", "3g"]
    command += ["--concurrency", "1,4", "--budgets", "8,128"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr
    report = Report.read(out / "report.json")
    assert report.partial is None
    conditions = {condition.id: condition for condition in report.conditions}
    assert len(conditions) == 1 + 2 * (2 + 1 + 2)
    for condition in conditions.values():
        assert (condition.asked, condition.answered, condition.failures) == (6, 6, {}), condition.id
    split, alone = conditions["duet@128/3g/1 at once"], conditions["device-alone/none/1 at once"]
    assert split.accuracy.value >= 0.8
    assert alone.accuracy.value <= 0.5
    # Load does not change what is right, but for what batches round otherwise.
    for name, condition in conditions.items():
        if name.startswith("duet@128"):
            assert abs(condition.accuracy.value - split.accuracy.value) <= 1 / 6
    assert conditions["duet@8/3g/1 at once"].metrics["large_tokens"].p99 <= 8
    assert conditions["truncated@8/3g/1 at once"].metrics["signal_tokens"].p99 <= 8
    # Connecting and asking take a round trip each.
    for mode in ("duet@128", "large-alone", "truncated@128"):
        assert conditions[f"{mode}/3g/1 at once"].metrics["total_ms"].p50 >= 600
    large = conditions["large-alone/3g/1 at once"]
    assert split.metrics["wire_down"].mean < large.metrics["wire_down"].mean / 10
    # Of signals of some 20 tokens, for which what a call costs weighs most.
    assert report.bytes_per_token["token ids"] < report.bytes_per_token["server-sent events"] / 5
    # What the large model needed before its training is in the pair's manifest.
    assert report.untrained
    assert (out / "report.html").stat().st_size > 10_000
