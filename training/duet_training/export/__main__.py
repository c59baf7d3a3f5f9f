"""`python -m duet_training.export RUN OUT [KEY=VALUE...]`: a run as a pair to serve.

Settings: `training/duet_training/settings/conf/export.yaml`. Ends with 0; 1 if the run cannot be
exported, with one line on standard error; 3 if an exported model is further from the trained one
than allowed.
"""

import os
import sys
from pathlib import Path
from typing import Any

from duet_training.commands import EXIT_USAGE, run_command

USAGE = """usage: python -m duet_training.export RUN OUT [KEY=VALUE...]
(keys: training/duet_training/settings/conf/export.yaml)"""
FAILED, BEYOND = 1, 3


def main(arguments: list[str] | None = None) -> int:
    """Exports a run and returns the command's exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    return run_command("duet_training.export", lambda: _run(given))


def _run(arguments: list[str]) -> int:
    places = [argument for argument in arguments if "=" not in argument]
    if {"-h", "--help"} & set(arguments):
        print(USAGE)
        return 0
    if len(places) != 2:
        print(USAGE, file=sys.stderr)
        return EXIT_USAGE
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    run, out = map(Path, places)
    from duet_training.errors import ParityError
    from duet_training.export.build import export
    from duet_training.export.settings import ExportSettings
    from duet_training.settings.run import compose_settings

    overrides = [argument for argument in arguments if "=" in argument]
    settings = compose_settings("export", overrides, ExportSettings)
    try:
        manifest, report = export(run, out, settings)
    except ParityError as error:
        raise ParityError(f"beyond parity: {error}") from error
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
    sys.exit(main())
