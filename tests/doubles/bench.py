"""A double of `duet-bench split`: a script that reports at once, or does what its arguments say."""

import json
from pathlib import Path
from typing import Any

_SCRIPT = """
import json, pathlib, sys
args, here = sys.argv[1:], pathlib.Path(__file__).parent
def given(name): return args[args.index(name) + 1]
out, count = pathlib.Path(given("--out")), int(given("--limit"))
calls = here / "calls.jsonl"
with calls.open("a") as file: file.write(json.dumps(args) + "\\n")
number = len(calls.read_text().splitlines())
told = json.loads((here / "told.json").read_text()).get(str(number), {})
if out.exists() and "--resume" not in args: sys.exit("the folder is there")
out.mkdir(parents=True, exist_ok=True)
(out / "run.json").write_text("{}")
if told.get("hang"):
    import signal, subprocess, time
    # As the bench's servers: a child in a session of its own, ended when asked to.
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                             start_new_session=True)
    def ended(*_):
        if not told.get("deaf"):
            child.kill(); child.wait(); (here / "ended").touch(); sys.exit(130)
    signal.signal(signal.SIGTERM, ended)
    (here / "child").write_text(str(child.pid))
    (here / "hangs").touch()
    time.sleep(60)
if "dies" in told: sys.exit("duet-bench: " + told["dies"])
asked = told.get("asked", count)
def condition(mode):
    return {"condition": {"mode": mode, "streams": int(given("--concurrency"))}, "asked": asked,
            "answered": asked - told.get("failed", 0), "failures": {"refused": told["failed"]}
            if told.get("failed") else {}, "complete": asked >= count, "seconds": 1.0
            if mode == "duet" else 4.0, "accuracy": {"value": 0.9, "low": 0.8, "high": 0.95},
            "metrics": {"large_tokens": {"mean": 16.0 if mode == "duet" else 31.0}},
            **({"marked_low": {"right": 9, "right_marked": 1, "wrong": 1, "wrong_marked": 1}}
               if mode == "duet" else {})}
report = {"pair": pathlib.Path(given("--pair")).name + "@1.0.0",
          "machine": {"cpu": "abacus", "cores": 2},
          "settings": {"engine_flags": args[args.index("--") + 1:]},
          "conditions": [condition(mode) for mode in given("--modes").split(",")]}
if "partial" in told: report["partial"] = told["partial"]
lines = [json.loads(line) for line in open(given("--data")) if line.strip()][:asked]
with (out / "questions.jsonl").open("w") as file:
    for mode in given("--modes").split(","):
        name = (mode + "@64" if mode == "duet" else mode) + "/none/1 at once"
        for number, line in enumerate(lines, 1):
            row = {"condition": name, "id": str(line.get("id", number)), "signal": "a-b",
                   "correct": number % 10 > 0}
            file.write(json.dumps(row) + "\\n")
(out / "report.json").write_text(json.dumps(report))
if "partial" in told: sys.exit("duet-bench: " + told["partial"])
"""


class ScriptedBench:
    """Where the script lies. `told`: what is special about a call, by its number from 1:

    `hang` (until it is ended; `deaf`: not when asked to), `dies` (saying this), `partial` (why),
    `asked` (so many only), `failed` (so many).
    """

    def __init__(self, directory: Path, told: dict[int, dict[str, Any]] | None = None) -> None:
        self.directory = directory
        directory.mkdir()
        self.script = directory / "bench.py"
        self.script.write_text(_SCRIPT)
        self.tell(told or {})

    def tell(self, told: dict[int, dict[str, Any]]) -> None:
        (self.directory / "told.json").write_text(json.dumps(told))

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call so far."""
        file = self.directory / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
