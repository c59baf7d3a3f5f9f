"""Fixtures that every kind of test may use."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# Before anything imports gRPC: it says which TLS is spoken.
import duet_contract.transport  # noqa: F401
from duet_contract.manifest import Manifest, load_manifest
from duet_contract.pairs import find_pair
from tests.service import SERVE, Service

if TYPE_CHECKING:
    from duet_tools.fleet.collector import SpanCollector

# Real weights, and signals as long as they get; what is asked where a test names no other.
REAL_PAIR = "smollm2-135m"

# A shell that runs the tests in the background has them ignore Ctrl-C, which some of them send.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests start models of their own; what the machine's user set must not reach them.
for name in [name for name in os.environ if name.startswith("DUET_") and name != "DUET_PAIRS"]:
    del os.environ[name]
os.environ["DUET_PAIR"] = REAL_PAIR
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
# Nor must what they keep reach that user's home.
_home = tempfile.TemporaryDirectory(prefix="duet-home-")
os.environ["DUET_HOME"] = _home.name
# Speed is not asserted in tests, and machines that run them may be busy.
settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def real_pair() -> Path:
    """Directory of a pair of real size, which `make test` builds first."""
    return find_pair(REAL_PAIR)


@pytest.fixture(scope="session")
def real_manifest(real_pair: Path) -> Manifest:
    return load_manifest(real_pair)


@pytest.fixture(scope="session")
def thinking_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thinking pair of tiny random models, built from local directories by the Qwen3 recipe."""
    from tests.doubles import models
    from tests.doubles.commands import cloud_pairs as main

    root = tmp_path_factory.mktemp("thinking")
    models.write_hub_model(root / "reasoner")
    models.write_gguf_model(root / "reasoner", root / "small.gguf")
    arguments = ["build", "qwen3-4b-0.6b", "--out", str(root / "pair")]
    arguments += ["--reasoner", str(root / "reasoner"), "--decoder", str(root / "small.gguf")]
    assert main(arguments) == 0
    return root / "pair"


@pytest.fixture(scope="session")
def traces() -> Iterator["SpanCollector"]:
    """What receives the spans of `service`."""
    from duet_tools.fleet.collector import SpanCollector

    with SpanCollector(keeps=True) as found:
        yield found


@pytest.fixture(scope="session")
def service(
    real_pair: Path, traces: "SpanCollector", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The real service with the real engine, one for the whole session (40 s to start)."""
    log = tmp_path_factory.mktemp("service") / "log"
    command = [*SERVE, "--pair", REAL_PAIR, "--max-running", "4", "--max-waiting", "2"]
    command += ["--otlp-traces-endpoint", traces.address]
    with Service.started(command, log) as running:
        running.wait_ready(180)
        yield running
