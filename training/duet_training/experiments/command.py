"""`python -m duet_training.experiments`: every comparison at small scale, from scratch, on a CPU.

Stages whose result lies in the results' directory are done; called again, it goes on. Weights, data
and logs lie in the working directory, and what is missing there is made again. At the end, and with
--report alone, EXPERIMENTS.md is written from the results.
"""

import argparse
import fnmatch
import time
from pathlib import Path

from platformdirs import user_cache_path

from duet_training.commands import MINUTES, whole
from duet_training.errors import ConfigError
from duet_training.experiments.plan import SCALES, make_plan
from duet_training.experiments.processes import ROOT
from duet_training.experiments.report import write_report
from duet_training.experiments.results import Results
from duet_training.experiments.runner import ExperimentRunner

TRAINING = ROOT / "training"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m duet_training.experiments", description=__doc__
    )
    parser.add_argument("--dry-run", action="store_true", help="list the stages and stop")
    parser.add_argument("--report", action="store_true", help="only write EXPERIMENTS.md")
    parser.add_argument("--scale", choices=sorted(SCALES), default="full")
    parser.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        help="only stages whose name matches: duet-*; repeatable",
    )
    parser.add_argument("--minutes", type=MINUTES, default=180, help="start no stage after so long")
    parser.add_argument(
        "--jobs", type=whole(1, 256), default=2, help="stages at a time; each takes about a core"
    )
    parser.add_argument("--results", type=Path, default=TRAINING / "experiments" / "results")
    parser.add_argument("--work", type=Path, default=user_cache_path("duet") / "evidence")
    parser.add_argument("--to", type=Path, default=TRAINING / "EXPERIMENTS.md", help="the report")
    return parser


def do(arguments: argparse.Namespace) -> None:
    """Does what is asked.

    Raises:
        TrainingError: a stage failed, or a result cannot be read.
    """
    plan = make_plan(SCALES[arguments.scale])
    run_with = {stage.name: stage.arguments for stage in plan}
    results = Results(arguments.results, arguments.work.resolve(), run_with)
    if arguments.dry_run:
        for stage in plan:
            state = "done" if results.done(stage.name) else f"{stage.usual:4.1f} min"
            print(f"{state:>9}  {stage.name:24} {stage.kind:9} {stage.why}")
        left = sum(stage.usual for stage in plan if not results.done(stage.name))
        minutes = left / arguments.jobs
        print(f"{len(plan)} stages, about {minutes:.0f} minutes left, {arguments.jobs} at a time")
        return
    if not arguments.report:
        wanted = arguments.only or ["*"]
        names = {s.name for s in plan if any(fnmatch.fnmatch(s.name, each) for each in wanted)}
        if idle := [e for e in wanted if not any(fnmatch.fnmatch(s.name, e) for s in plan)]:
            raise ConfigError(f"--only {idle[0]} matches no stage: see --dry-run")
        until = time.monotonic() + 60 * arguments.minutes
        ExperimentRunner(results).run(plan, until, names, arguments.jobs)
    write_report(plan, results, arguments.to)
    left = sum(not results.done(stage.name) for stage in plan)
    print(f"wrote {arguments.to}; {left} of {len(plan)} stages are not run")


def run(argv: list[str] | None = None) -> int:
    """Reads the command line and does what it says.

    Raises:
        TrainingError: a stage failed, or a result cannot be read.
    """
    do(_parser().parse_args(argv))
    return 0
