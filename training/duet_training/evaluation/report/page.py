"""`duet-train report`: tables and figures of evaluations and runs, as Markdown and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from duet_contract.json_data import rounded, without_infinities
from duet_report.plots import Plot, write_plots
from duet_report.tables import markdown
from duet_report.text_page import render
from duet_training.evaluation.report.curves import curves
from duet_training.evaluation.report.figures import plots
from duet_training.evaluation.report.results import Result, read
from duet_training.evaluation.report.tables import NOT_RUN, build_tables, everything, paper
from duet_training.evaluation.signal_table import content_table
from duet_training.files import write_json, write_text


def report(places: list[Path], out: Path) -> None:
    """Write the report.

    Raises:
        TrainingError: a place that cannot be read.
        OSError: `out` cannot be written.
    """
    results, runs = read(places)
    tables, rows, over_steps = build_tables(results), everything(results), curves(runs)
    out.mkdir(parents=True, exist_ok=True)
    figures = write_plots(plots(tables, over_steps, results), out)
    names = paper()["benchmarks"]
    over_steps = [
        {**each, "series": {m: asdict(b) for m, b in each["series"].items()}} for each in over_steps
    ]
    content = {"tables": tables, "everything": rows, "curves": over_steps}
    write_json(out / "report.json", rounded(without_infinities(content)), indent=2)
    write_text(out / "report.md", page(tables, rows, figures, names, results))
    print(f"{len(results)} results and {len(runs)} runs in {out / 'report.md'}")


def page(
    tables: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    figures: Sequence[Plot],
    names: Mapping[str, str],
    results: Sequence[Result] = (),
) -> str:
    """Write the whole page.

    `names` holds the display name of each data set, `figures` the plots that exist, `results` what
    was measured of signals.
    """
    return render(
        "duet_training.evaluation.report",
        "report.md.j2",
        tables=tables,
        rows=rows,
        figures=figures,
        names=names,
        results=results,
        compared=_compared,
        everything=_everything,
        signals=_signals,
        took=lambda method: timedelta(seconds=round(paper()["wall_clock_seconds"][method])),
        not_run=NOT_RUN,
    )


def _compared(table: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Write the paper's rows, each with a measured one."""
    columns, figures = table["columns"], table["figures"]
    shown = []
    for row in table["rows"]:
        if row["paper"]:
            cells = [_paper_cell(row["paper"].get(column), figures) for column in columns]
            shown.append([row["label"], "paper", *cells])
        label = "" if row["paper"] else row["label"]
        cells = [_measured_cell(row["measured"].get(column), figures) for column in columns]
        shown.append([label, "measured", *cells])
    return markdown(["", "", *(names.get(column, column) for column in columns)], shown)


def _signals(results: Sequence[Result], names: Mapping[str, str]) -> str:
    """Write what signals carry, a row for each evaluation of a split."""
    found = {}
    for result in results:
        if result.method == "duet":
            training = result.training
            how = (training.data, training.variant, f"seed {training.seed}") if training else ()
            step = (f"step {result.step}",) if result.step is not None else ()
            found[", ".join((names.get(result.data, result.data), *how, *step))] = result.signal
    return content_table(found) if found else ""


def _everything(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    shown = []
    for row in rows:
        method = row["method"] + (f" at {row['cut_at']}" if row["cut_at"] else "")
        known = (row["trained_on"], row["variant"], row["budget"], row["step"])
        last = (row[key] for key in ("ipt", "flops", "seconds"))
        shown.append(
            [
                names.get(row["data"], row["data"]),
                method,
                *("" if value is None else f"{value}" for value in known),
                str(row["seeds"]),
                str(row["questions"]),
                _accuracy(row),
                _tokens(row),
                f"{row['decoder_tokens']:.1f}",
                *("" if value is None else f"{value:.3g}" for value in last),
            ]
        )
    head = ["data", "method", "trained on", "variant", "B", "step", "seeds", "questions"]
    head += ["accuracy", "tokens of the reasoner", "of the decoder", "IPT"]
    return markdown([*head, "FLOPs a question", "seconds in all"], shown)


def _paper_cell(cell: Mapping[str, float] | None, figures: Sequence[str]) -> str:
    return "" if cell is None else ", ".join(f"{cell[figure]:g}" for figure in figures)


def _measured_cell(cell: Mapping[str, Any] | None, figures: Sequence[str]) -> str:
    if cell is None:
        return NOT_RUN
    texts = {
        "ipt": "no tokens" if cell["ipt"] is None else f"{cell['ipt']:.3g}",
        "accuracy": _accuracy(cell),
        "reasoner_tokens": _tokens(cell),
        "decoder_tokens": f"{cell['decoder_tokens']:.0f}",
    }
    shown = ", ".join(texts[figure] for figure in figures)
    shown += f" (step {cell['step']})" if cell["step"] is not None else ""
    shown += f" ({cell['seeds']} seeds)" if cell["seeds"] > 1 else ""
    return shown + (f" ({cell['others']} more: see below)" if cell["others"] else "")


def _accuracy(cell: Mapping[str, Any]) -> str:
    low, high = cell["accuracy_95"]
    spread = "" if cell["spread"] is None else f" ± {cell['spread']:.3f}"
    return f"{cell['accuracy']:.3f}{spread} [{low:.3f}, {high:.3f}]"


def _tokens(cell: Mapping[str, Any]) -> str:
    spread = cell["reasoner_tokens_spread"]
    return f"{cell['reasoner_tokens']:.0f}" + ("" if spread is None else f" ± {spread:.0f}")
