"""One question's time on three lanes: the work of device, link and cloud."""

from collections.abc import Mapping, Sequence

from duet_tools.results.record import Record
from duet_tools.results.report import Lane, Waterfall


def waterfall(records: Sequence[Record], rtt_ms: Mapping[str, float]) -> Waterfall | None:
    """Return the split's question of median latency, preferably live over an emulated link.

    Where in the device's time the cloud worked follows from the link's round trip, half of which
    each way takes: the cloud's clock is its own.
    """
    conditions: dict[str, list[Record]] = {}
    for record in records:
        if record.condition.startswith("duet") and record.ok and record.first_answer_ms is not None:
            conditions.setdefault(record.condition, []).append(record)
    if not conditions:
        return None

    def preference(condition: str) -> tuple[bool, bool]:
        return conditions[condition][0].device == "live", _link(condition) != "none"

    condition = max(conditions, key=preference)
    ordered = sorted(conditions[condition], key=lambda record: record.total_ms or 0.0)
    record = ordered[len(ordered) // 2]
    half = rtt_ms.get(_link(condition), 0.0) / 2
    lanes = (_device(record), _on_link(record), _cloud(record, half))
    return Waterfall(condition=condition, question=record.id, lanes=lanes)


def _device(record: Record) -> Lane:
    first, total = record.first_answer_ms or 0.0, record.total_ms or 0.0
    prefix = record.prefix_ms or 0.0
    spans = [("evaluates the question", 0.0, prefix)]
    if record.first_signal_ms is not None and record.signal_ms is not None:
        begin = max(prefix, record.first_signal_ms)
        spans.append(("waits", prefix, begin))
        end = max(begin, record.signal_ms)
        spans.append(("evaluates on arrival", begin, end))
        spans.append(("finishes the prompt", end, max(end, first)))
    spans.append(("answers", first, total))
    return _lane("device", spans)


def _on_link(record: Record) -> Lane:
    connect = record.connect_ms or 0.0
    spans = [("connects", 0.0, connect)]
    if record.first_signal_ms is not None and record.signal_ms is not None:
        spans.append(("asks and waits", connect, record.first_signal_ms))
        spans.append(("brings the signal", record.first_signal_ms, record.signal_ms))
    return _lane("link", spans)


def _cloud(record: Record, half_rtt_ms: float) -> Lane:
    if record.signal_ms is None:
        return _lane("cloud", [])
    at = record.signal_ms - half_rtt_ms
    spans = []
    for name, took in (
        ("decodes", record.decode_ms or 0.0),
        ("prefills", record.prefill_ms or 0.0),
        ("queues", record.queue_ms or 0.0),
    ):
        spans.append((name, max(0.0, at - took), at))
        at = max(0.0, at - took)
    return _lane("cloud", spans[::-1])


def _lane(name: str, spans: Sequence[tuple[str, float, float]]) -> Lane:
    kept = tuple(span for span in spans if span[2] - span[1] > 0)
    return Lane.model_validate({"name": name, "spans": kept})


def _link(condition: str) -> str:
    return condition.split("/")[1]
