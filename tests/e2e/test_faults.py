"""The short version of the fault matrix: each row, with a scripted engine."""

from importlib.resources import files
from pathlib import Path

import pytest

from duet_tools.faults.matrix import ROWS, run
from duet_tools.faults.trials import Row
from duet_tools.subjects.workload import Workload

pytestmark = pytest.mark.alone

# Without a signature, which a home of no publisher takes.
PAIR = Path(str(files("duet_pairs"))) / "stories-5m"

# Speed is measured by `make faults`, not asserted on a machine that runs tests.
SPEED = {"admitted calls are slow", "refusals are slow"}


@pytest.mark.parametrize("row", ROWS, ids=[row.name.replace(" ", "-") for row in ROWS])
def test_row_holds(row: Row) -> None:
    (result,) = run(
        Workload.open(str(PAIR)), [row], quick=True, vllm=False, seed=0, say=lambda _: None
    )
    if result.not_run:
        pytest.skip(result.not_run)
    assert result.trials > 0
    assert not set(result.otherwise) - SPEED
