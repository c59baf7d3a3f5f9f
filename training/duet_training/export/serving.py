"""vLLM's side of the comparison, in the interpreter that has vLLM."""

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
    """vLLM's responses and log-probs for the reasoner."""

    version: str
    """Version of vLLM."""
    dtype: str
    """Data type that vLLM computes in."""
    responses: list[list[int]]
    """Token ids of each response."""
    log_probs: list[list[dict[int, float]]]
    """Log-probs by token id, for each token of each text."""


def serving_interpreter(given: Path | None) -> Path | None:
    """Return the interpreter for vLLM: `given`, this one if it has vLLM, or None.

    Raises:
        ExportError: `given` does not exist.
    """
    if given is None:
        return Path(sys.executable) if find_spec("vllm") else None
    if not given.is_file():
        raise ExportError(f"parity.serving_python={given} is not an interpreter")
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
    """Answer the prompts greedily with vLLM, and compute log-probs of the given responses.

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
        # An engine that has answered may still abort while its threads end: vLLM 0.32 sometimes
        # does on a CPU.
        if not answered.is_file():
            reason = reason if code else "it ended without an answer"
            raise ExportError(f"vLLM cannot serve the exported reasoner: {reason}")
        result = json.loads(answered.read_text("utf-8"))
    log_probs = [
        [{int(token): float(value) for token, value in row.items()} for row in text]
        for text in result["log_probs"]
    ]
    return Served(result["version"], result["dtype"], result["responses"], log_probs)
