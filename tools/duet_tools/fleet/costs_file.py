"""Costs from a file: costs as they are, or made from the bench's report or its results."""

import statistics
from pathlib import Path

from pydantic import ValidationError

from duet_contract.json_data import faults, parse_json
from duet_tools.errors import UsageProblem
from duet_tools.files import read_text
from duet_tools.fleet.costs import Costs, DeviceCosts, EngineCosts, Speed, Tokens, WireCosts
from duet_tools.results.conditions import ModeName
from duet_tools.results.figures import Figure, Results
from duet_tools.results.report import ConditionReport, Metric, Report


def read_costs(path: Path, signal_tokens: Tokens, answer_tokens: Tokens) -> Costs:
    """Read costs, or make them from the bench's report or its results, where these lengths are used.

    Raises:
        UsageProblem: it is missing, malformed, too large, or lacks a figure.
    """
    try:
        data = parse_json(read_text(path))
    except ValueError as error:
        raise UsageProblem(f"{path.name} is not JSON: {error}") from error
    try:
        if isinstance(data, dict) and data.keys() & {"conditions", "cells"}:
            return costs_from_report(Report.read(path), path.name)
        if isinstance(data, dict) and "figures" in data:
            return costs_from_results(Results.read(path), signal_tokens, answer_tokens, path.name)
        return Costs.model_validate(data)
    except ValidationError as error:
        raise UsageProblem(f"{path.name}: {faults(error, 'costs', 1)}") from error
    except ZeroDivisionError as error:
        raise UsageProblem(f"{path.name} has a rate or a time of 0") from error


def costs_from_results(
    results: Results, signal_tokens: Tokens, answer_tokens: Tokens, name: str = "results"
) -> Costs:
    """Return costs from the bench's figures.

    They come from throughput, first token, decoder, answer start and bytes.

    Throughput was measured over whole signals, their prompts included; that share is taken off.

    Raises:
        UsageProblem: a figure is missing.
    """
    # Imported here: it imports the clients of every engine.
    from duet_tools.bench.throughput import ROUNDS

    figures = {figure.id: figure for figure in results.figures}

    def figure(wanted: str) -> Figure:
        if wanted not in figures:
            raise UsageProblem(f"{name} has no figure {wanted}: measure it with duet-bench figures")
        return figures[wanted]

    lone = figure("throughput.engine-1")
    first_s = figure("first-token.added").subject.summary.median / 1000
    prefill_s = max(0.0, first_s - 1 / lone.subject.summary.median)
    speeds = []
    for streams in sorted(int(each[18:]) for each in figures if each.startswith(lone.id[:-1])):
        measured = figure(f"throughput.engine-{streams}")
        tokens = measured.details["tokens a repeat, subject"]
        prompts = streams * ROUNDS.get(streams, 1)
        whole_s = tokens / measured.subject.summary.median
        decoding_s = max(whole_s / 2, whole_s - prompts * prefill_s)
        speeds.append(Speed(streams=streams, tokens_per_s=tokens / decoding_s))
    mean = statistics.fmean(signal_tokens)
    start = min(
        (each for each in figures if each.startswith("answer-start.") and each[13:].isdigit()),
        key=lambda each: abs(int(each[13:]) - mean),
        default="answer-start.64",
    )
    down, up = figure("bytes.ids-kept"), figure("bytes.ids-kept-up")
    return Costs(
        engine=EngineCosts(speeds=tuple(speeds), prefill_s=prefill_s),
        device=DeviceCosts(
            first_answer_s=figure(start).subject.summary.median / 1000,
            answer_tokens_per_s=figure("decoder.bare").subject.summary.median,
        ),
        signal_tokens=signal_tokens,
        answer_tokens=answer_tokens,
        split_wire=_wire(up.subject.summary.median, down.subject.summary.median, 1.0),
        alone_wire=_wire(
            up.peer.summary.median if up.peer else 0.0,
            down.peer.summary.median if down.peer else 0.0,
            1.0,
        ),
        source=f"{name}: {results.pair}, {results.machine.cpu}, {results.date}",
    )


def costs_from_report(report: Report, name: str = "report") -> Costs:
    """Return costs from the conditions of a bench report that have no emulated link.

    Medians of the split's conditions give the engine and the device; tokens are those of the questions.
    What the large model alone spends is taken from its condition, where there is one.

    Raises:
        UsageProblem: no condition of the split at one stream, or it lacks a metric.
    """
    split = _conditions(report, "duet")
    if 1 not in split:
        raise UsageProblem(f"{name} has no condition of duet over link none at one stream")
    lone = split[1]

    def metric(measured: ConditionReport, wanted: Metric) -> float:
        if wanted not in measured.metrics:
            raise UsageProblem(f"{name}: {measured.id} has no metric {wanted}")
        return measured.metrics[wanted].p50

    step_s = metric(lone, "cloud_step_ms") / 1000
    prefill_s = max(0.0, metric(lone, "prefill_ms") / 1000 - step_s)
    first_signal_s = (metric(lone, "first_signal_ms") - metric(lone, "connect_ms")) / 1000
    first_answer_s = (metric(lone, "first_answer_ms") - metric(lone, "signal_ms")) / 1000
    tokens, answers = metric(lone, "signal_tokens"), metric(lone, "answer_tokens")
    alone = (_conditions(report, "large-alone-service") or _conditions(report, "large-alone")).get(
        1
    )
    alone_wire, alone_tokens = WireCosts(), None
    if alone is not None:
        large = metric(alone, "large_tokens")
        alone_tokens = (max(1.0, large - answers),)
        alone_wire = _wire(metric(alone, "wire_up"), metric(alone, "wire_down"), large)
    signals = lone.series.get("large_tokens", ())
    return Costs(
        engine=EngineCosts(
            speeds=tuple(
                Speed(
                    streams=streams, tokens_per_s=1000 * streams / metric(measured, "cloud_step_ms")
                )
                for streams, measured in sorted(split.items())
            ),
            prefill_s=prefill_s,
            overhead_s=max(0.0, first_signal_s - prefill_s - step_s),
        ),
        device=DeviceCosts(
            first_answer_s=max(0.0, first_answer_s),
            answer_tokens_per_s=1000 / metric(lone, "device_step_ms"),
        ),
        signal_tokens=tuple(max(1.0, each) for each in signals if each is not None) or (tokens,),
        answer_tokens=(max(1.0, answers),),
        alone_tokens=alone_tokens,
        split_wire=_wire(metric(lone, "wire_up"), metric(lone, "wire_down"), tokens),
        alone_wire=alone_wire,
        source=f"{name}: {report.pair}, {report.date}",
    )


def _conditions(report: Report, mode: ModeName) -> dict[int, ConditionReport]:
    """Return a mode's conditions without an emulated link and with answers, by streams."""
    found: dict[int, ConditionReport] = {}
    for measured in report.conditions:
        streams = measured.condition.streams
        if (
            (measured.condition.mode, measured.condition.link) == (mode, "none")
            and streams
            and measured.answered
        ):
            found.setdefault(streams, measured)
    return found


def _wire(up: float, down: float, tokens: float) -> WireCosts:
    return WireCosts(up_bytes=up, down_bytes_per_token=down / max(1.0, tokens))
