"""`duet-train experiments`: every comparison at small scale, from scratch, on a CPU.

A stage is done if its result is in the results directory; a second call continues with the stages
that are left. Weights, data and logs are in the working directory; missing files there are rebuilt.
At the end, and with --report alone, the command writes EXPERIMENTS.md from the results.
"""

import fnmatch
import time
from types import SimpleNamespace

from duet_training.errors import ConfigError
from duet_training.experiments.plan import SCALES, make_plan
from duet_training.experiments.report import write_report
from duet_training.experiments.results import Results
from duet_training.experiments.runner import ExperimentRunner


def run_experiments(arguments: SimpleNamespace) -> None:
    """Run the requested stages, or only write the report.

    Raises:
        TrainingError: A stage failed, or a result cannot be read.
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
