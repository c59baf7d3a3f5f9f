"""Search what a service writes for the numbers of the questions that it was asked."""

import io
import logging
import random
import tempfile
from pathlib import Path

import httpx

from duet_device.client import Client
from duet_device.errors import DeviceError
from duet_device.pairs.pair import Pair
from duet_tools.faults.services import Service
from duet_tools.faults.trials import Setting
from duet_tools.fleet.collector import SpanCollector
from duet_tools.results.privacy import Written
from duet_tools.subjects.authority import variables
from duet_tools.subjects.children import free_port
from duet_tools.subjects.service import Script
from duet_tools.subjects.workload import Workload

_QUESTIONS = 20


def search_service(pair: Pair, seed: int) -> list[Written]:
    """Ask a service that logs questions, and is scraped and traced, about numbers of eight digits.

    Such numbers occur nowhere else; a time of this century in seconds has more.
    """
    rng = random.Random(f"written/{seed}")
    numbers = [rng.randrange(10**7, 10**8) for _ in range(_QUESTIONS)]
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="duet-privacy-") as scratch,
        SpanCollector(keeps=True) as traces,
    ):
        setting = Setting(Workload(pair.directory, pair.manifest), True, False, Path(scratch), rng)
        script = Script(tokens=4, pause_s=0.0, traces=traces.address)
        with (
            variables(OTEL_BSP_SCHEDULE_DELAY="100"),
            Service(
                setting, "--log-questions", "--metrics-port", str(port), script=script
            ) as service,
        ):
            notes = _ask(pair, service.address, numbers)
            metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
            log = service.log()
    texts = {
        "the service's log, with `--log-questions`": log,
        "the service's metrics": metrics,
        "the service's traces": "".join(map(str, traces.kept)),
        "the device's log (`duet_device`, every level)": notes,
    }
    return [
        Written(
            what=what,
            bytes=len(text.encode()),
            questions=len(numbers),
            numbers_found=sum(_is_in(number, text) for number in numbers),
        )
        for what, text in texts.items()
    ]


def _ask(pair: Pair, address: str, numbers: list[int]) -> str:
    """Ask about each number; return what the device logged."""
    written = io.StringIO()
    log, handler = logging.getLogger("duet_device"), logging.StreamHandler(written)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        with Client(pair, server=address, timeout=60.0, rounds=2) as client:
            for number in numbers:
                try:
                    client.ask(f"Ann had {number} pens and sold {number:,}. How many are left?")
                except DeviceError as error:
                    log.debug("%s", error)
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    return written.getvalue()


def _is_in(number: int, text: str) -> bool:
    return any(form in text for form in (str(number), f"{number:,}", f"{number:_}", f"{number:x}"))
