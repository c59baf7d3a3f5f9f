"""The fault matrix: all rows, and how they are run."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from duet_tools.faults import (
    clouds,
    continuing,
    endurance,
    engines,
    garbage,
    hostile,
    links,
    overload,
    power_cuts,
    stores,
)
from duet_tools.faults.trials import NotRun, Row, Setting, Trials
from duet_tools.results.faults import FaultResult
from duet_tools.results.machine import commit, today
from duet_tools.subjects.authority import variables
from duet_tools.subjects.workload import Workload

ROWS: tuple[Row, ...] = (
    *links.ROWS,
    *continuing.ROWS,
    *clouds.ROWS,
    *engines.ROWS,
    *overload.ROWS,
    *garbage.ROWS,
    *hostile.ROWS,
    *endurance.ROWS,
    *power_cuts.ROWS,
    *stores.ROWS,
)


def run(
    workload: Workload,
    rows: Sequence[Row],
    *,
    quick: bool,
    vllm: bool,
    seed: int,
    say: Callable[[str], None],
) -> Iterator[FaultResult]:
    """Run rows of the matrix; yield the result of each.

    `quick`: the short version. `vllm`: whether rows about the engine start vLLM. `say`: is given the
    name of each row at its start.
    """
    for row in rows:
        say(row.name)
        with tempfile.TemporaryDirectory(prefix="duet-faults-") as scratch:
            draws = random.Random(f"{seed}/{row.name}")
            setting = Setting(workload, quick, vllm, Path(scratch), draws)
            with variables(DUET_HOME=f"{scratch}/own", XDG_STATE_HOME=f"{scratch}/state"):
                yield _result(row, setting)


def _result(row: Row, setting: Setting) -> FaultResult:
    began, trials, not_run = time.monotonic(), Trials(), ""
    try:
        row.run(setting, trials)
    except NotRun as error:
        not_run = str(error)
    by_vllm = row.engine == "engine" and setting.vllm
    return FaultResult(
        name=row.name,
        fault=row.fault,
        expected=row.expected,
        engine="none" if row.engine == "none" else "vLLM" if by_vllm else "scripted",
        trials=trials.count,
        held=trials.held,
        otherwise=dict(trials.otherwise),
        figures=trials.figures,
        seconds=time.monotonic() - began,
        quick=setting.quick,
        date=today(),
        commit=commit(),
        not_run=not_run,
    )
