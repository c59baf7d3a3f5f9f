"""Bytes against wait by size of chunks, as a table and as a curve."""

from drawing import Scheme
from duet_cloud.options import ServeOptions
from duet_report.tables import markdown
from duet_tools.bench.chunk_size import BYTES
from duet_tools.results.figures import Figure, Results
from plotting import plotted

_DEFAULT = ServeOptions.chunk_tokens
_HEADINGS = (
    "most tokens in a chunk", "bytes down a token", "last chunk to first answer token",
    "in decode steps",
)  # fmt: skip


def chunk_table(results: Results) -> str:
    """A row for each size, and the facts that the figures depend on below them."""
    rows = []
    for size, figure in _by_size(results):
        wait, steps = figure.subject.summary, figure.judged
        rows.append(
            (
                f"**{size}**" if size == _DEFAULT else str(size),
                f"{figure.details[BYTES]:.2f}",
                f"{wait.median:.1f} ms ({wait.min:.1f} to {wait.max:.1f})",
                f"{steps.median:.2f} ({steps.min:.2f} to {steps.max:.2f})",
            )
        )
    return (
        f"{markdown(_HEADINGS, rows)}\n\n"
        f"Median over the repeats, smallest to largest in brackets. Pair {results.pair}, "
        f"{results.date}, {results.machine.in_words}.\n"
    )


def chunk_plot(results: Results, scheme: Scheme) -> str:
    """Decode steps of waiting against bytes a token, a point for each size, as SVG."""
    sizes = _by_size(results)
    costs = [figure.details[BYTES] for _, figure in sizes]
    steps = [figure.judged for _, figure in sizes]
    middle = [each.median for each in steps]
    with plotted(scheme) as (axes, svg):
        below = [each.median - each.min for each in steps]
        above = [each.max - each.median for each in steps]
        axes.errorbar(costs, middle, [below, above], fmt="o-", color=scheme.small, capsize=3)
        for (size, _), x, y in zip(sizes, costs, middle, strict=True):
            chosen = size == _DEFAULT
            axes.annotate(
                f"{size} (default)" if chosen else str(size),
                (x, y), xytext=(-8, -16) if chosen else (7, 5), textcoords="offset points",
                ha="right" if chosen else "left", color=scheme.large if chosen else scheme.ink,
            )  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.set_xscale("log")
        axes.set_xlim(1.9, 26)
        ticks = (2, 3, 4, 5, 7, 10, 15, 20)
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("bytes down the wire per signal token")
        axes.set_ylabel("wait for the answer, decode steps")
    return svg[0]


def _by_size(results: Results) -> list[tuple[int, Figure]]:
    found = [(int(each.id.removeprefix("chunks.")), each) for each in results.figures]
    return sorted(found, key=lambda each: each[0])
