"""Builds a run's report from its files, in every format."""

import statistics
from collections.abc import Sequence

from duet_contract.manifest import Evaluation
from duet_tools.link.profiles import link_named
from duet_tools.report.page import page
from duet_tools.report.summary import summarise_condition
from duet_tools.report.text import as_markdown, questions_csv
from duet_tools.report.verdicts import ALTERNATIVES, accuracy_gap, break_even_tokens, peer_of
from duet_tools.report.waterfall import waterfall
from duet_tools.results.folder import Folder, WireProbe
from duet_tools.results.questions import QuestionRow
from duet_tools.results.report import ConditionReport, Handshake, LinkFacts, Report, Untrained

REPORT = "report.json"
FILES = (REPORT, "report.md", "report.html", "questions.csv", "questions.jsonl")
"""Files of a run's folder for readers; the last has each question's record with its answer."""


def build(
    folder: Folder,
    stopped: str | None,
    facts: Report,
    questions: Sequence[QuestionRow],
    evaluations: Sequence[Evaluation] = (),
) -> Report:
    """Return the report of a run's folder.

    `stopped`: why the run ended early, if it did. `facts`: the report without what was measured.
    `evaluations`: those of the pair's manifest.
    """
    conditions = []
    for condition in folder.conditions():
        windows = [each for each in folder.windows if each.condition == condition]
        sources = {name for each in windows for name in each.joules}
        conditions.append(
            summarise_condition(
                condition,
                [record for record in folder.records if record.condition == condition.id],
                len(questions),
                sum(each.seconds for each in windows),
                {name: sum(each.joules.get(name, 0.0) for each in windows) for name in sources},
                facts.objectives,
                facts.prices,
            )
        )
    links = tuple(
        link_facts(name) for name in dict.fromkeys(report.condition.link for report in conditions)
    )
    probe = folder.probe or WireProbe()
    costs = dict(probe.bytes_per_token)
    if sse := [
        record.wire_down / record.large_tokens
        for record in folder.records
        if record.condition.startswith("large-alone/") and record.ok and record.large_tokens
    ]:
        costs["server-sent events"] = statistics.median(sse)
    handshake = None
    if probe.handshake_up is not None and probe.handshake_down is not None:
        handshake = Handshake(up=probe.handshake_up, down=probe.handshake_down)
    return facts.model_copy(
        update={
            "partial": stopped,
            "links": links,
            "handshake": handshake,
            "bytes_per_token": costs,
            "conditions": tuple(with_comparisons(measured, conditions) for measured in conditions),
            "waterfall": waterfall(folder.records, {link.name: link.rtt_ms for link in links}),
            "untrained": _untrained(evaluations),
        }
    )


def write(folder: Folder, report: Report, questions: Sequence[QuestionRow]) -> None:
    """Write `report.json`, `.md` and `.html`, and `questions.csv`."""
    folder.write(
        (
            (REPORT, report.to_json()),
            ("report.md", as_markdown(report)),
            ("report.html", page(report, folder.records, questions)),
            ("questions.csv", questions_csv(folder.records)),
        )
    )


def with_comparisons(
    measured: ConditionReport, conditions: Sequence[ConditionReport]
) -> ConditionReport:
    """Return a condition of the split with what follows from other modes over its link under its load."""
    if measured.condition.mode != "duet":
        return measured
    peers = [peer for name in ALTERNATIVES if (peer := peer_of(conditions, measured, name))]
    gaps = {
        peer.condition.mode: gap for peer in peers if (gap := accuracy_gap(measured, peer))
    } or None
    large = next((peer for peer in peers if peer.condition.mode == "large-alone"), None)
    even = break_even_tokens(measured, large) if large else None
    return measured.model_copy(update={"accuracy_gaps": gaps, "break_even_tokens": even})


def _untrained(evaluations: Sequence[Evaluation]) -> Untrained | None:
    for each in evaluations:
        if each.reasoner_alone_tokens:
            return Untrained(
                data=each.data,
                tokens=each.reasoner_alone_tokens,
                accuracy=each.reasoner_alone_accuracy,
            )
    return None


def link_facts(name: str) -> LinkFacts:
    """Return a link's facts for a report."""
    link = link_named(name)
    return LinkFacts(
        name=name,
        rtt_ms=link.rtt_ms,
        up_bit_s=link.up.rate_bit_s,
        down_bit_s=link.down.rate_bit_s,
        source=link.source,
    )
