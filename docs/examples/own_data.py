"""Measures the split on your own questions: own_data.py QUESTIONS.csv OUT_DIR

The CSV file has the columns `question` and `answer`. DUET_PAIR and DUET_SERVER name the pair and a
running cloud. Needs `pip install ./proto ./device ./tools/report ./tools`.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

PAIR = os.environ.get("DUET_PAIR", "private-sums-135m")
SERVER = os.environ.get("DUET_SERVER", "127.0.0.1:50151")
source, out = map(Path, sys.argv[1:])

with source.open(encoding="utf-8", newline="") as file:
    rows = [{"question": row["question"], "answer": row["answer"]} for row in csv.DictReader(file)]
data = out.with_suffix(".jsonl")
data.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")

bench = [sys.executable, "-m", "duet_tools", "split", "--data", str(data), "--out", str(out)]
bench += ["--pair", PAIR, "--server", SERVER, "--modes", "duet,device-alone", "--link", "none"]
if code := subprocess.run([*bench, "--concurrency", "1"], check=False).returncode:
    sys.exit(code)

report = json.loads((out / "report.json").read_text("utf-8"))
for measured in report["conditions"]:
    accuracy, tokens = measured["accuracy"]["value"], measured["metrics"]["large_tokens"]["mean"]
    seconds = measured["metrics"]["total_ms"]["p50"] / 1000
    print(
        f"{measured['condition']['mode']}: {accuracy:.0%} right, {tokens:.0f} large-model tokens, {seconds:.2f} s"
    )
print(f"the whole report: {out / 'report.html'}")
