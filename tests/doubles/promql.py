"""Queries of Prometheus, and the metrics and labels that the service exports."""

import re

import promql_parser

from duet_cloud.metrics import Metrics

# Names of a metric's samples, where they are not the metric's.
_ENDINGS = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "info": ("_info",),
}


def exported() -> dict[str, set[str]]:
    """Labels of the service's samples, by the name that a query has."""
    metrics = Metrics()
    metrics.watch_database(lambda: True)
    found: dict[str, set[str]] = {}
    for collector in metrics.registry._collector_to_names:
        # Histograms have samples once they have labels.
        labels = set(getattr(collector, "_labelnames", ()))
        for metric in collector.collect():
            own = labels.union(*(sample.labels for sample in metric.samples))
            for ending in _ENDINGS.get(metric.type, ("",)):
                found[metric.name + ending] = own | ({"le"} if ending == "_bucket" else set())
    return {name: labels for name, labels in found.items() if name.startswith("duet_")}


def metrics_of(query: str) -> set[str]:
    """Metrics that a query selects."""
    return set(re.findall(r"(?:duet_|vllm:)\w+|\bup\b", promql_parser.parse(query).prettify()))


def labels_of(query: str) -> set[str]:
    """Labels that a query selects or groups by."""
    text = promql_parser.parse(query).prettify()
    grouped = re.findall(r"\bby\s*\(([^)]*)\)", text)
    selected = re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", text)
    return {*selected, *(name.strip() for names in grouped for name in names.split(","))}
