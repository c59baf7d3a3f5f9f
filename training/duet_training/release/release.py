"""`duet-train release build OUT`: builds a released pair from scratch.

The stages are SFT of both models, joint training, evaluation, export, and the measurement of the
served pair. By its logged speed, SFT of stories-5m alone takes about 3.5 hours on two cores; the
whole build has no measured duration. A second call continues where the first one stopped. `--into
DIR` then copies the released files.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from duet_contract.pairs import find_pair
from duet_training.errors import DataError
from duet_training.experiments.processes import PATIENCE_S, Processes
from duet_training.experiments.stage_runner import run_stages
from duet_training.release import private_sums, stories
from duet_training.release.package import package, renew_figures, tell
from duet_training.release.served import read_sets
from duet_training.release.stage import ReleaseStage, StageRecords

# A command may itself have to wait for the bench to end.
_PATIENCE_S = 2 * PATIENCE_S


def _run(stage: ReleaseStage, logs: Path, processes: Processes) -> None:
    words = list(stage.words)
    if stage.module == "duet_training run" and stage.output.parents[1].is_dir():
        words.append("resume=true")
    processes.run(
        stage.name,
        [str(stage.python or sys.executable), "-m", *stage.module.split(), *words],
        logs / f"{stage.name.replace(' ', '-')}.log",
    )
    if stage.output.suffix == ".done":
        stage.output.touch()


def _run_plan(plan: Sequence[ReleaseStage], out: Path) -> None:
    """Run the remaining stages of a plan, one by one."""
    records, processes = StageRecords(out), Processes(_PATIENCE_S)

    def done(stage: ReleaseStage) -> bool:
        if found := records.state(stage) == "done":
            records.write(stage)
        return found

    def run(together: Sequence[ReleaseStage], _alone: bool) -> None:
        (stage,) = together
        if records.state(stage) == "again":
            records.clear(stage)
        began = time.monotonic()
        _run(stage, out / "logs", processes)
        records.write(stage)
        print(f"    {(time.monotonic() - began) / 60:.1f} min", flush=True)

    in_order = [
        replace(stage, waits_for=tuple(before.name for before in plan[:number]))
        for number, stage in enumerate(plan)
    ]
    say = partial(print, flush=True)
    run_stages(in_order, run, done=done, interrupt=processes.stop, say=say)


def build(arguments: SimpleNamespace) -> None:
    """Run the remaining stages.

    Raises:
        TrainingError: A command failed, or existing results were made with other arguments.
    """
    out: Path = arguments.out.resolve()
    private = arguments.pair == private_sums.NAME
    if arguments.figures_into:
        (tell if private else renew_figures)(out, arguments.figures_into)
        print(f"figures.json and README.md renewed in {arguments.figures_into}")
        return
    python: Path | None = arguments.serving_python and arguments.serving_python.absolute()
    if (arguments.real or arguments.peer) and not python:
        raise DataError("--real and --peer are asked as served: they need --serving-python")
    real = read_sets([f"{file.stem}={file}" for file in arguments.real])
    peer = arguments.peer and str(find_pair(arguments.peer).resolve())
    if private:
        if peer:
            raise DataError(f"{private_sums.NAME} trains its own peer: leave --peer out")
        given, interpreter = _given(arguments, python)
        plan = private_sums.make_plan(out, *given, interpreter, real)
    else:
        plan = stories.make_plan(out, real, python, peer)
    if arguments.dry_run:
        records = StageRecords(out)
        for stage in plan:
            print(f"{records.state(stage):6} python -m {stage.module} {' '.join(stage.words)}")
        return
    _run_plan(plan, out)
    if arguments.into:
        (tell if private else package)(out, arguments.into)
        print(f"packed into {arguments.into}")


def _given(arguments: SimpleNamespace, python: Path | None) -> tuple[tuple[Path, Path, Path], Path]:
    """Return the inputs of a pair with an adapter: (base, worked problems, target), interpreter."""
    base, worked, into = arguments.base, arguments.worked, arguments.into
    if not (base and worked and into and python):
        raise DataError(f"{arguments.pair} needs --base, --worked, --into and --serving-python")
    return (base.resolve(), worked.resolve(), into.resolve()), python
