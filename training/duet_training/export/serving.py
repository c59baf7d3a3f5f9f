"""vLLM's side of the comparison, under whichever interpreter has vLLM."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from duet_training.errors import ExportError
from duet_training.export.processes import run

_SCRIPT = Path(__file__).with_name("serving_side.py")


@dataclass(frozen=True)
class Served:
    """What vLLM made of the reasoner. `log_probs`: by token id, text by text, token by token."""

    version: str
    dtype: str
    responses: list[list[int]]
    log_probs: list[list[dict[int, float]]]


def serving_interpreter(given: Path | None) -> Path | None:
    """The interpreter to run vLLM in: the one given, this one if it has vLLM, or None.

    Raises:
        ExportError: the one given is not there.
    """
    if given is None:
        return Path(sys.executable) if find_spec("vllm") else None
    if not given.is_file():
        raise ExportError(f"parity.serving_python={given} is no interpreter")
    return given.absolute()


def serve(
    interpreter: Path,
    model: Path,
    prompts: Sequence[list[int]],
    responses: Sequence[list[int]],
    *,
    stops: Sequence[int],
    limit: int,
    top: int,
    seconds: float,
) -> Served:
    """Lets vLLM answer the prompts greedily and read the responses given.

    Raises:
        ExportError: vLLM cannot load or run the model.
    """
    request = {
        "model": str(model.absolute()),
        "prompts": list(prompts),
        "responses": list(responses),
        "stops": list(stops),
        "limit": limit,
        "top": top,
    }
    with tempfile.TemporaryDirectory() as scratch:
        asked, answered = Path(scratch) / "request.json", Path(scratch) / "result.json"
        asked.write_text(json.dumps(request), "utf-8")
        # -P: this directory's modules are not the script's.
        command = [str(interpreter), "-P", str(_SCRIPT), str(asked), str(answered)]
        try:
            code, reason = run(command, seconds)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ExportError(f"cannot run vLLM under {interpreter}: {error}") from error
        # An engine that has answered may still abort while its threads end: vLLM 0.32 does on a
        # CPU, now and then.
        if not answered.is_file():
            reason = reason if code else "it ended without an answer"
            raise ExportError(f"vLLM cannot serve the exported reasoner: {reason}")
        result = json.loads(answered.read_text("utf-8"))
    log_probs = [
        [{int(token): float(value) for token, value in row.items()} for row in text]
        for text in result["log_probs"]
    ]
    return Served(result["version"], result["dtype"], result["responses"], log_probs)
