"""The report as Markdown."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from duet_report.plots import Plot
from duet_report.tables import markdown
from duet_training.evaluation.report.results import Result
from duet_training.evaluation.report.tables import NOT_RUN, paper
from duet_training.evaluation.signal_table import content_table

_HEAD = """# Results, compared with arXiv 2605.01111

Cells: {cells}. In brackets the 95% interval of accuracy: over questions (bootstrap) for one seed,
over seeds (Student's t) for several, which ± gives the spread of. IPT is 1000 times accuracy by
tokens of the reasoner. The paper names no intervals.
"""
_CELLS = "IPT where the paper has it, accuracy, tokens of the reasoner (and of the decoder)"


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
    parts = [_HEAD.format(cells=_CELLS)]
    parts += [_table(table, names) for table in tables]
    parts.append(_everything(rows, names))
    parts.append(_signals(results, names))
    parts.append("## Figures\n")
    if not figures:
        parts.append(f"{NOT_RUN}.\n")
    for plot in figures:
        parts.append(f"**{plot.title}**\n\n![{plot.title}]({plot.file})\n\n{plot.caption}\n")
    return "\n".join(parts)


def _table(table: Mapping[str, Any], names: Mapping[str, str]) -> str:
    columns, figures = table["columns"], table["figures"]
    lines = [f"## Table {table['number']}: {table['title']}", ""]
    if table["note"]:
        lines += [table["note"], ""]
    head = ["", "", *(names.get(column, column) for column in columns)]
    shown = []
    for row in table["rows"]:
        if row["paper"]:
            cells = [_paper_cell(row["paper"].get(column), figures) for column in columns]
            shown.append([row["label"], "paper", *cells])
        label = "" if row["paper"] else row["label"]
        cells = [_measured_cell(row["measured"].get(column), figures) for column in columns]
        shown.append([label, "measured", *cells])
    return "\n".join([*lines, markdown(head, shown), ""])


def _signals(results: Sequence[Result], names: Mapping[str, str]) -> str:
    """Write what signals carry, a row for each evaluation of a split."""
    found = {}
    for result in results:
        if result.method == "duet":
            training = result.training
            how = (training.data, training.variant, f"seed {training.seed}") if training else ()
            step = (f"step {result.step}",) if result.step is not None else ()
            found[", ".join((names.get(result.data, result.data), *how, *step))] = result.signal
    table = content_table(found) if found else f"{NOT_RUN}."
    return f"## What signals carry\n\n{table}\n"


def _everything(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    head = ["data", "method", "trained on", "variant", "B", "step", "seeds", "questions"]
    head += ["accuracy", "tokens of the reasoner", "of the decoder", "IPT"]
    head += ["FLOPs a question", "seconds in all"]
    took = {name: timedelta(seconds=round(s)) for name, s in paper()["wall_clock_seconds"].items()}
    lines = ["## Everything that was evaluated", ""]
    lines.append(
        f"The paper's evaluation took {took['original']} by the original model and {took['duet']} "
        "by DUET; seconds below are those of the machine that was used.\n"
    )
    if not rows:
        return "\n".join([*lines, f"{NOT_RUN}.", ""])
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
                accuracy_text(row),
                tokens_text(row),
                f"{row['decoder_tokens']:.1f}",
                *("" if value is None else f"{value:.3g}" for value in last),
            ]
        )
    return "\n".join([*lines, markdown(head, shown), ""])


def _paper_cell(cell: Mapping[str, float] | None, figures: Sequence[str]) -> str:
    return "" if cell is None else ", ".join(f"{cell[figure]:g}" for figure in figures)


def _measured_cell(cell: Mapping[str, Any] | None, figures: Sequence[str]) -> str:
    if cell is None:
        return NOT_RUN
    texts = {
        "ipt": "no tokens" if cell["ipt"] is None else f"{cell['ipt']:.3g}",
        "accuracy": accuracy_text(cell),
        "reasoner_tokens": tokens_text(cell),
        "decoder_tokens": f"{cell['decoder_tokens']:.0f}",
    }
    shown = ", ".join(texts[figure] for figure in figures)
    shown += f" (step {cell['step']})" if cell["step"] is not None else ""
    shown += f" ({cell['seeds']} seeds)" if cell["seeds"] > 1 else ""
    return shown + (f" ({cell['others']} more: see below)" if cell["others"] else "")


def accuracy_text(cell: Mapping[str, Any]) -> str:
    """Format accuracy with spread and interval."""
    low, high = cell["accuracy_95"]
    spread = "" if cell["spread"] is None else f" ± {cell['spread']:.3f}"
    return f"{cell['accuracy']:.3f}{spread} [{low:.3f}, {high:.3f}]"


def tokens_text(cell: Mapping[str, Any]) -> str:
    """Format the reasoner's token count with its spread."""
    spread = cell["reasoner_tokens_spread"]
    return f"{cell['reasoner_tokens']:.0f}" + ("" if spread is None else f" ± {spread:.0f}")
