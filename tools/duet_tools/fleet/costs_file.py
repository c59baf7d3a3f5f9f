"""Costs from a file: costs as they are, or made from the bench's report or its results."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from duet_contract.json_data import faults, parse_json
from duet_tools.errors import UsageProblem
from duet_tools.files import read_text
from duet_tools.fleet.costs import Costs, Device, Engine, Speed, Tokens, Wire
from duet_tools.results.figures import Results, read_results

# Signals of a repeat of the bench's throughput at one stream (tools/duet_tools/bench/throughput.py).
_LONE_ROUNDS = 2


def read_costs(path: Path, signal_tokens: Tokens, answer_tokens: Tokens) -> Costs:
    """Read costs, or make them from the bench's report or its results.

    Args:
        path: the file.
        signal_tokens: of questions; only where the file does not say.
        answer_tokens: likewise, of their answers.

    Raises:
        UsageProblem: it is missing, malformed, too large, or lacks a figure.
    """
    try:
        data = parse_json(read_text(path))
    except ValueError as error:
        raise UsageProblem(f"{path.name} is not JSON: {error}") from error
    try:
        if isinstance(data, dict) and "cells" in data:
            return costs_from_report(data, path.name)
        if isinstance(data, dict) and "figures" in data:
            return costs_from_results(read_results(path), signal_tokens, answer_tokens, path.name)
        return Costs.model_validate(data)
    except ValidationError as error:
        raise UsageProblem(f"{path.name}: {faults(error, 'costs', 1)}") from error
    except (AttributeError, LookupError, TypeError, ValueError, ZeroDivisionError) as error:
        raise UsageProblem(
            f"{path.name} is neither a report nor a results file of the bench: {error}"
        ) from error


def costs_from_results(
    results: Results, signal_tokens: Tokens, answer_tokens: Tokens, name: str = "results"
) -> Costs:
    """Return costs from the bench's figures.

    They come from throughput, first token, decoder, answer start and bytes.

    Throughput was measured over whole signals, their prompts included; that share is taken off.

    Raises:
        UsageProblem: a figure is missing.
    """
    figures = {figure.id: figure for figure in results.figures}

    def figure(wanted: str) -> Any:
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
        prompts = _LONE_ROUNDS if streams == 1 else streams
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
        engine=Engine(speeds=tuple(speeds), prefill_s=prefill_s),
        device=Device(
            first_answer_s=figure(start).subject.summary.median / 1000,
            answer_tokens_per_s=figure("decoder.bare").subject.summary.median,
        ),
        signal_tokens=signal_tokens,
        answer_tokens=answer_tokens,
        split_wire=Wire(
            up_bytes=up.subject.summary.median,
            down_bytes_per_token=down.subject.summary.median,
        ),
        alone_wire=Wire(
            up_bytes=up.peer.summary.median if up.peer else 0.0,
            down_bytes_per_token=down.peer.summary.median if down.peer else 0.0,
        ),
        source=f"{name}: {results.pair}, {results.machine.cpu}, {results.date}",
    )


def costs_from_report(report: Mapping[str, Any], name: str = "report") -> Costs:
    """Return costs from the cells of a bench report that have no emulated link.

    Medians of the split's cells give the engine and the device; tokens are those of the questions.
    What the large model alone spends is taken from its cell, where there is one.

    Raises:
        UsageProblem: no cell of the split at one stream, or it lacks a metric.
    """
    split = _cells(report, "duet")
    if 1 not in split:
        raise UsageProblem(f"{name} has no cell of duet over link none at one stream")
    lone = split[1]

    def metric(cell: Mapping[str, Any], wanted: str) -> float:
        try:
            return float(cell["metrics"][wanted]["p50"])
        except (KeyError, TypeError, ValueError):
            raise UsageProblem(f"{name}: {cell.get('id')} has no metric {wanted}") from None

    step_s = metric(lone, "cloud_step_ms") / 1000
    prefill_s = max(0.0, metric(lone, "prefill_ms") / 1000 - step_s)
    first_signal_s = (metric(lone, "first_signal_ms") - metric(lone, "connect_ms")) / 1000
    tokens = metric(lone, "signal_tokens")
    alone = _cells(report, "large-alone-service") or _cells(report, "large-alone")
    alone_cell = alone.get(1)
    alone_wire, alone_tokens = Wire(), None
    answers = metric(lone, "answer_tokens")
    if alone_cell is not None:
        large = metric(alone_cell, "large_tokens")
        alone_tokens = (max(1.0, large - answers),)
        alone_wire = Wire(
            up_bytes=metric(alone_cell, "wire_up"),
            down_bytes_per_token=metric(alone_cell, "wire_down") / max(1.0, large),
        )
    return Costs(
        engine=Engine(
            speeds=tuple(
                Speed(streams=streams, tokens_per_s=1000 * streams / metric(cell, "cloud_step_ms"))
                for streams, cell in sorted(split.items())
            ),
            prefill_s=prefill_s,
            overhead_s=max(0.0, first_signal_s - prefill_s - step_s),
        ),
        device=Device(
            first_answer_s=max(
                0.0, (metric(lone, "first_answer_ms") - metric(lone, "signal_ms")) / 1000
            ),
            answer_tokens_per_s=1000 / metric(lone, "device_step_ms"),
        ),
        signal_tokens=_series(lone, "large_tokens") or (tokens,),
        answer_tokens=(max(1.0, answers),),
        alone_tokens=alone_tokens,
        split_wire=Wire(
            up_bytes=metric(lone, "wire_up"),
            down_bytes_per_token=metric(lone, "wire_down") / max(1.0, tokens),
        ),
        alone_wire=alone_wire,
        source=f"{name}: {report.get('pair', '?')}, {report.get('date', '?')}",
    )


def _cells(report: Mapping[str, Any], mode: str) -> dict[int, Mapping[str, Any]]:
    """Return a mode's cells without an emulated link and with answers, by streams."""
    found: dict[int, Mapping[str, Any]] = {}
    for entry in report["cells"]:
        cell = entry.get("cell", {})
        chosen = cell.get("mode") == mode and cell.get("link") == "none"
        if chosen and cell.get("streams") and entry.get("answered"):
            found.setdefault(int(cell["streams"]), entry)
    return found


def _series(cell: Mapping[str, Any], wanted: str) -> tuple[float, ...]:
    values: Sequence[float | None] = cell.get("series", {}).get(wanted, ())
    return tuple(max(1.0, value) for value in values if value is not None)
