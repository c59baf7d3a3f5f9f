"""`python -m training.export RUN OUT [KEY=VALUE...]`: a run as a pair to serve.

Settings: `training/conf/export.yaml`. Ends with 0; 1 if the run cannot be exported, with one line
on standard error; 3 if an exported model is further from the trained one than allowed.
"""

import os
import sys
from pathlib import Path
from typing import Any

from duet_contract.errors import ContractError
from training.errors import ParityError, TrainingError

USAGE = (
    "usage: python -m training.export RUN OUT [KEY=VALUE...]   (keys: training/conf/export.yaml)"
)
FAILED, USED_WRONGLY, BEYOND = 1, 2, 3


def main(arguments: list[str]) -> int:
    """Exports; the exit code."""
    places = [argument for argument in arguments if "=" not in argument]
    if len(places) != 2:
        print(USAGE, file=sys.stderr)
        return USED_WRONGLY
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    run, out = map(Path, places)
    try:
        # Both import torch and llama.cpp, which takes seconds.
        from training.export.build import export
        from training.export.settings import ExportSettings
        from training.settings import compose_settings

        overrides = [argument for argument in arguments if "=" in argument]
        settings = compose_settings("export", overrides, ExportSettings)
        manifest, report = export(run, out, settings)
    except ParityError as error:
        print(f"training.export: beyond parity: {error}", file=sys.stderr)
        return BEYOND
    except (TrainingError, ContractError, OSError) as error:
        print(f"training.export: {error}", file=sys.stderr)
        return FAILED
    for line in lines(report):
        print(line)
    print(f"{manifest.reference} in {out}: decoder {settings.decoder}")
    return 0


def lines(report: dict[str, Any]) -> list[str]:
    """What a person wants to see of `parity.json`."""
    reasoner, trained = report["reasoner"], report["trained"]
    rows = [("reasoner " + reasoner["files"]["dtype"], reasoner["files"])]
    if reasoner["vllm"]["measured"]:
        rows.append((f"vLLM {reasoner['vllm']['dtype']}", reasoner["vllm"]))
    rows += [(f"decoder {kind}", row) for kind, row in report["decoder"].items()]
    shown = [f"trained weights: accuracy {trained['accuracy']:.3f}"]
    for name, row in rows:
        line = (
            f"{name}: KL {row['mean_kl']:.2g}, top-1 {row['top1_agreement']:.3f}, "
            f"same text {row['greedy_agreement']:.2f}"
        )
        shown.append(line + (f", accuracy {row['accuracy']:.3f}" if "accuracy" in row else ""))
    if not reasoner["vllm"]["measured"]:
        shown.append(f"vLLM: not measured ({reasoner['vllm']['why']})")
    return shown + [f"WARNING: {line}" for line in report["beyond"]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
