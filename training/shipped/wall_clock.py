"""`python -m training.shipped.wall_clock OUT`: seconds of the split and of the reasoner alone.

The same questions, in turns, on one machine, no link between: the split through its service, and
the reasoner as it was before joint training through vLLM's OpenAI server, both in float32. The
bench (`tools/bench_split.py`) asks and measures; it runs in the interpreter that has vLLM.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import fmean, median
from typing import Any

from training.errors import DataError, TrainingError

REPEATS = 5
QUESTIONS = 60
# Questions at once.
STREAMS = (1, 16)
# What the reasoner may write by itself; as in `plan.LENGTHS`.
LARGE_LIMIT = 320
_START_S = 300.0
_MODES = {"split": "duet", "original": "large-alone"}
_ROOT = Path(__file__).parents[2]


class ServerFailed(TrainingError):
    """vLLM's server ended, or did not answer in time; its log says more."""


def main(argv: list[str] | None = None) -> int:
    """Measures; 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m training.shipped.wall_clock")
    parser.add_argument("out", type=Path, help="what training.shipped has made")
    parser.add_argument("--serving-python", type=Path, required=True, help="interpreter with vLLM")
    arguments = parser.parse_args(argv)
    try:
        measure(arguments.out.resolve(), arguments.serving_python.absolute())
    except TrainingError as error:
        print(f"training.shipped.wall_clock: {error}", file=sys.stderr)
        return 1
    return 0


def measure(out: Path, python: Path) -> None:
    """Writes `out/wall_clock.json`; repeats that are whole in `out/wall_clock` are not run again.

    Raises:
        TrainingError: a server or the bench failed.
    """
    work = out / "wall_clock"
    work.mkdir(exist_ok=True)
    questions = work / "questions.jsonl"
    with questions.open("wb") as output:
        _call([sys.executable, "-m", "training.stories", "wide"], work / "questions.log", output)
    left = [n for n in range(REPEATS) if not (work / f"{n}" / "report.json").is_file()]
    if left:
        with _reasoner(out / "start" / "reasoner", python, work / "server.log") as address:
            for number in left:
                _repeat(out, python, questions, address, work / f"{number}")
    reports = [
        json.loads((work / f"{n}" / "report.json").read_text("utf-8")) for n in range(REPEATS)
    ]
    (out / "wall_clock.json").write_text(json.dumps(summarize(reports), indent=1) + "\n", "utf-8")


def summarize(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the bench's reports, one for each repeat: the seconds that all questions took together,
    and the split's share of the other's, repeat by repeat; median, least and most.

    Raises:
        DataError: a question was not answered, so that seconds cannot be compared.
    """
    loads = {}
    for streams in STREAMS:
        cells = {
            name: [_cell(report, mode, streams) for report in reports]
            for name, mode in _MODES.items()
        }
        shares = [s["seconds"] / o["seconds"] for s, o in zip(*cells.values(), strict=True)]
        loads[str(streams)] = {
            "share_of_seconds": _spread(shares),
            **{
                name: {
                    "seconds": _spread([cell["seconds"] for cell in found]),
                    "accuracy": fmean(cell["accuracy"]["value"] for cell in found),
                    "reasoner_tokens": fmean(c["metrics"]["large_tokens"]["mean"] for c in found),
                }
                for name, found in cells.items()
            },
        }
    machine = reports[0]["machine"]
    return {"questions": QUESTIONS, "repeats": len(reports), "machine": machine, "streams": loads}


def _cell(report: dict[str, Any], mode: str, streams: int) -> dict[str, Any]:
    for one in report["cells"]:
        if one["cell"]["mode"] == mode and one["cell"]["streams"] == streams:
            if one["answered"] < one["asked"]:
                raise DataError(
                    f"{one['asked'] - one['answered']} questions failed: {one['failures']}"
                )
            found: dict[str, Any] = one
            return found
    raise DataError(f"the bench's report lacks {mode} at {streams} streams")


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "least": min(values), "most": max(values)}


def _repeat(out: Path, python: Path, questions: Path, address: str, report: Path) -> None:
    # What a run left that was stopped is no whole repeat.
    shutil.rmtree(report, ignore_errors=True)
    command = [
        *(str(python), "tools/bench_split.py", "--out", str(report), "--pair", str(out / "pair")),
        *(
            "--data",
            str(questions),
            "--limit",
            str(QUESTIONS),
            "--modes",
            ",".join(_MODES.values()),
        ),
        *("--openai", address, "--large-limit", str(LARGE_LIMIT)),
        *("--concurrency", ",".join(map(str, STREAMS)), "--service-flags", "--dtype float32"),
    ]
    _call(command, report.with_suffix(".log"))


@contextmanager
def _reasoner(model: Path, python: Path, log: Path) -> Iterator[str]:
    """vLLM's OpenAI server of a model on loopback; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        *(str(python), "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1"),
        *("--port", address.rsplit(":", 1)[1], "--model", str(model)),
        # The bench's name of it. Each question is new to it, as it is to the split.
        *("--served-model-name", "reasoner", "--no-enable-prefix-caching", "--dtype", "float32"),
    ]
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=_environment(), stdout=output, stderr=output)
    try:
        _wait(server, address, log)
        yield address
    finally:
        server.terminate()
        server.wait()


def _wait(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    ends = time.monotonic() + _START_S
    while server.poll() is None and time.monotonic() < ends:
        try:
            with closing(HTTPConnection(address, timeout=5)) as connection:
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return
        except (HTTPException, OSError):
            pass
        time.sleep(1)
    raise ServerFailed(f"vLLM's server does not answer (see {log})")


def _call(command: list[str], log: Path, output: Any = None) -> None:
    with log.open("wb") as said:
        code = subprocess.call(
            command, cwd=_ROOT, env=_environment(), stdout=output or said, stderr=said
        )
    if code:
        raise DataError(f"{' '.join(command[1:3])} ended with {code} (see {log})")


def _environment() -> dict[str, str]:
    path = os.pathsep.join((str(_ROOT), str(_ROOT / "proto")))
    return {"VLLM_CPU_KVCACHE_SPACE": "1", **os.environ, "PYTHONPATH": path}


if __name__ == "__main__":
    sys.exit(main())
