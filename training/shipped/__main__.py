"""`python -m training.shipped OUT`: the pair that comes with the code, from nothing.

Supervised training of both models, joint training, evaluation, export: about three hours on two
cores. Called again, it goes on where it stopped. `--into DIR` then copies what is shipped.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from duet_contract.errors import ContractError
from training.errors import TrainingError
from training.shipped.package import package
from training.shipped.peer import write_peer
from training.shipped.plan import Command, make_plan, peer_file


class CommandFailed(TrainingError):
    """A command ended with an error; its log says more."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.shipped", description=__doc__)
    parser.add_argument("out", type=Path, help="directory for models, data, logs and figures")
    parser.add_argument("--dry-run", action="store_true", help="list the commands and stop")
    parser.add_argument("--into", type=Path, metavar="DIR", help="copy the finished pair there")
    parser.add_argument(
        "--real", type=Path, nargs="*", default=[], metavar="JSONL", help="real questions to try"
    )
    parser.add_argument(
        "--peer", type=Path, metavar="PAIR", help="a built pair whose reasoner answers those, too"
    )
    parser.add_argument(
        "--serving-python", type=Path, metavar="FILE", help="interpreter that has vLLM, for parity"
    )
    return parser


def _run(command: Command, logs: Path) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{command.name.replace(' ', '-')}.log"
    arguments = list(command.arguments)
    if command.module == "training.train" and command.leaves.parents[1].is_dir():
        arguments.append("resume=true")
    with log.open("ab") as output:
        code = subprocess.call(
            [sys.executable, "-m", command.module, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    if code:
        lines = log.read_text("utf-8", "replace").strip().splitlines()
        raise CommandFailed(f"{command.name} failed: {lines[-1] if lines else code} (see {log})")
    if command.module == "training.supervised":
        command.leaves.touch()


def run(arguments: argparse.Namespace) -> None:
    """Does what is left."""
    peer = arguments.peer is not None
    plan = make_plan(arguments.out, arguments.real, arguments.serving_python, peer=peer)
    left = [command for command in plan if not command.leaves.exists()]
    if arguments.dry_run:
        for command in plan:
            state = "to do" if command in left else "done"
            print(f"{state:6} python -m {command.module} {' '.join(command.arguments)}")
        return
    if peer:
        write_peer(arguments.peer, peer_file(arguments.out))
    for number, command in enumerate(left, start=1):
        print(f"[{number}/{len(left)}] {command.name}", flush=True)
        began = time.monotonic()
        _run(command, arguments.out / "logs")
        print(f"    {(time.monotonic() - began) / 60:.1f} min", flush=True)
    if arguments.into:
        package(arguments.out, arguments.into)
        print(f"packed into {arguments.into}")


def main(argv: list[str] | None = None) -> int:
    """0, or 1 with one line on standard error; interrupted: 130, and nothing done is lost."""
    try:
        run(_parser().parse_args(argv))
    except (TrainingError, ContractError, OSError) as error:
        print(f"training.shipped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("training.shipped: interrupted; call it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
