"""Records of questions as a run would leave them, and reports of them."""

from typing import Any

from duet_tools.report.build import link_facts, with_comparisons
from duet_tools.report.summary import summarise_condition
from duet_tools.results.conditions import Condition
from duet_tools.results.figures import Machine
from duet_tools.results.record import Record
from duet_tools.results.report import ConditionReport, Report
from duet_tools.results.settings import RunSettings

SPLIT = Condition(mode="duet", link="4g", budget=32, streams=1)
LARGE = Condition(mode="large-alone", link="4g", streams=1)
ALONE = Condition(mode="device-alone", link="none", streams=1)


def records(condition: Condition, count: int = 20, **changes: Any) -> list[Record]:
    """Questions that take longer one after the other; values may be functions of the place."""
    given: dict[str, Any] = {
        "signal_tokens": 10, "answer_tokens": 5, "large_tokens": 10, "connect_ms": 70.0,
        "first_signal_ms": 200.0, "signal_ms": 500.0, "first_answer_ms": 520.0,
        "total_ms": lambda i: 600.0 + i, "wire_up": 600, "wire_down": 100, "correct": True,
        "device": "live", "cloud_s": 0.4, "at_s": lambda i: i * 1.0,
        "prefix_ms": 50.0, "queue_ms": 1.0, "prefill_ms": 100.0, "decode_ms": 300.0,
        **changes,
    }  # fmt: skip
    return [
        Record(
            condition=condition.id,
            id=f"q{i}",
            index=i,
            **{name: v(i) if callable(v) else v for name, v in given.items()},
        )
        for i in range(count)
    ]


def summary(condition: Condition, found: list[Record], **more: Any) -> ConditionReport:
    return summarise_condition(
        condition, found, more.pop("questions", len(found)), 10.0, {}, **more
    )


def large_records(count: int = 20) -> list[Record]:
    """100 ms, and 10 ms a token; more tokens for later questions."""
    return records(
        LARGE, count, device=None, signal_ms=None, first_signal_ms=None,
        large_tokens=lambda i: 40 + i, total_ms=lambda i: 100.0 + 10.0 * (40 + i),
        wire_down=9000, correct=lambda i: i % 2 == 0,
    )  # fmt: skip


def report(*conditions: ConditionReport, data: str = "0", **changes: Any) -> Report:
    settings = RunSettings(
        pair="p@1.0.0", data="d.jsonl", data_sha256=data, questions=20, modes=("duet",),
        links=("4g",), profile="synchronous", streams=(1,), rates=(), budgets=(32,),
        large_limit=1, answer_limit=1, temperature=0.0, seed=0, warm_up=0, verifier="v",
        tls=False, started_here=True, engine_flags=(),
    )  # fmt: skip
    machine = Machine(
        cpu="A Processor", cores=2, memory_gib=8, system="Linux", python="3.11", versions={"a": "1"}
    )
    given = {
        "pair": "p@1.0.0", "date": "2026-01-02", "command": "duet-bench split",
        "machine": machine, "settings": settings, "links": (link_facts("4g"),),
        "conditions": [with_comparisons(condition, conditions) for condition in conditions],
        **changes,
    }  # fmt: skip
    return Report.model_validate(given)
