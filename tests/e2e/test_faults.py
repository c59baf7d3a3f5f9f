"""The short version of the fault matrix: each row, with a scripted engine."""

from importlib.resources import files
from pathlib import Path

import pytest

from duet_tools.faults import power_cuts, stores
from duet_tools.faults.matrix import ROWS, run
from duet_tools.faults.trials import Row
from duet_tools.subjects.workload import Workload

# Without a signature, which a home of no publisher takes.
PAIR = Path(str(files("duet_pairs"))) / "stories-5m"

# Commands of a device that are killed, or that find their files in some state: these rows measure no
# time, and run next to other tests.
UNHURRIED = (*power_cuts.ROWS, *stores.ROWS)

# Speed is measured by `make faults`, not asserted on a machine that runs tests.
SPEED = {"admitted calls are slow", "refusals are slow"}


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            row,
            id=row.name.replace(" ", "-"),
            marks=[] if row in UNHURRIED else [pytest.mark.alone],
        )
        for row in ROWS
    ],
)
def test_row_holds(row: Row) -> None:
    (result,) = run(
        Workload.open(str(PAIR)), [row], quick=True, vllm=False, seed=0, say=lambda _: None
    )
    if result.not_run:
        pytest.skip(result.not_run)
    assert result.trials > 0
    assert not set(result.otherwise) - SPEED
