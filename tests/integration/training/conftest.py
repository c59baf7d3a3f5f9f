"""What real runs start from. Without VERL (another environment) nothing is collected."""

import os
import tempfile
from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("verl") else ["test_*.py"]
if find_spec("verl"):
    # Before anything imports torch: threads of models so small mostly wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Each worker of a parallel run has a Ray of its own. Its sockets need a short path.
    _ray = tempfile.TemporaryDirectory(prefix="duet-", dir="/tmp", ignore_cleanup_errors=True)
    os.environ["RAY_TMPDIR"] = _ray.name


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Where pairs and data lie."""
    from tests.doubles.small_runs import make_home

    home = tmp_path_factory.mktemp("training")
    make_home(home)
    return home
