"""What a running fleet does, from the Prometheus that watches it: input of the simulation."""

import math
from dataclasses import dataclass

import httpx

from duet_tools.errors import BenchError, UsageProblem

_TIMEOUT_S = 20.0
# Of the lengths of signals; each stands for a tenth of them.
_QUANTILES = tuple((2 * tenth + 1) / 20 for tenth in range(10))
# Not those that no replica would answer: malformed ones, for another pair, above a limit.
_RATE = (
    'sum(rate(duet_requests_total{reason=~"|queue|loading|draining|failed|engine|database"}'
    "[{window}]))"
)
_REPLICAS = "count(sum by (instance) (duet_slots))"
_SLOTS = "max(sum by (instance) (duet_slots))"
_LENGTH = "histogram_quantile({quantile}, sum by (le) (rate(duet_signal_tokens_bucket[{window}])))"
_FIRST_CHUNK = (
    "histogram_quantile(0.95, sum by (le) (rate(duet_first_chunk_seconds_bucket[{window}])))"
)


@dataclass(frozen=True)
class RunningFleet:
    """A running fleet, over a window of time."""

    questions_per_s: float
    """Questions of all devices in a second; also those that were refused for lack of a replica, each
    time that a device tried."""
    replicas: int
    """Number of replicas."""
    slots: int
    """Most questions generating at a time in a replica."""
    signal_tokens: tuple[float, ...]
    """Lengths of signals, each as frequent as the others."""
    first_chunk_p95_s: float | None
    """Seconds in which 95% of the signals began; None without signals."""


def read_fleet(url: str, window: str) -> RunningFleet:
    """Ask a Prometheus server for the metrics of `duet-cloud serve`.

    Args:
        url: of the server, such as http://127.0.0.1:9090.
        window: in Prometheus' notation, such as 1h.

    Raises:
        BenchError: the server does not answer, or not as Prometheus does.
        UsageProblem: it has no such metrics, or the fleet answered nothing in the window.
    """
    with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as client:

        def value(query: str) -> float | None:
            return _value(client, url, query.replace("{window}", window))

        rate, replicas, slots = value(_RATE), value(_REPLICAS), value(_SLOTS)
        if rate is None or replicas is None or slots is None:
            raise UsageProblem(f"{url} has no metrics of duet-cloud serve (duet_slots)")
        lengths = [value(_LENGTH.replace("{quantile}", str(each))) for each in _QUANTILES]
        first_chunk = value(_FIRST_CHUNK)
    known = tuple(length for length in lengths if length is not None and length > 0)
    if not rate or not known:
        raise UsageProblem(f"{url}: the fleet answered nothing in the last {window}")
    return RunningFleet(rate, int(replicas), int(slots), known, first_chunk)


def _value(client: httpx.Client, url: str, query: str) -> float | None:
    """Return the value of a query that has one; None if it is missing or not a number."""
    try:
        answer = client.get(f"{url.rstrip('/')}/api/v1/query", params={"query": query})
        data = answer.json()
        if data.get("status") != "success":
            raise BenchError(f"{url} refuses a query: {data.get('error', answer.status_code)}")
        result = data["data"]["result"]
        number = float(result[0]["value"][1]) if result else math.nan
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise BenchError(f"cannot reach Prometheus at {url}: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BenchError(f"{url} does not answer as Prometheus does") from error
    return number if math.isfinite(number) else None
