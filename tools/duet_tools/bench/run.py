"""The groups of figures, running those that were chosen, and writing figures to a file."""

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duet_tools.progress import public_command
from duet_tools.report.figures import title_of
from duet_tools.results.figures import Figure
from duet_tools.results.machine import commit, load_average, new_results

if TYPE_CHECKING:
    from duet_tools.bench.bench import Bench

# A module each, imported when its group is measured. In this order: what needs no engine first,
# since an idle engine's processes still take some of a small machine's time.
GROUPS = {
    "startup": "startup",
    "overhead": "overhead",
    "decoder": "decoder_speed",
    "answer-start": "answer_start",
    "first-token": "first_token",
    "throughput": "throughput",
    "bytes": "wire_bytes",
}
# Of the split and its peers; `overhead` is of the bench itself, and separate.
USUAL = tuple(name for name in GROUPS if name != "overhead")


def steps(bench: "Bench", groups: Sequence[str]) -> int:
    """Return measurements that these groups take, for the progress bar."""
    return sum(_module(name).steps(bench) for name in groups)


def run_figures(
    bench: "Bench", groups: Sequence[str], keep: Callable[[Figure], None], command: str
) -> None:
    """Measure groups of figures in order; call `keep` with each figure as it is ready."""
    facts = {"command": command, "commit": commit()}
    for name in groups:
        before = load_average()
        figures: Iterator[Figure] = _module(name).measure(bench)
        for figure in figures:
            after = load_average()
            keep(figure.model_copy(update={"load": (before, after), **facts}))
            before = after


def write_figures(figures: Iterable[Figure], pair: str, out: Path | None) -> None:
    """Print each figure as it is measured, and write it to a results file, if there is one.

    Raises:
        UsageProblem: the file is of another machine or pair, or cannot be written.
    """
    results = new_results(pair, out)
    facts = {"command": public_command(), "commit": results.commit}
    for figure in figures:
        judged, met = figure.judged, {True: "met", False: "not met", None: ""}[figure.met]
        against = f"{figure.peer.summary.median:.4g}" if figure.peer else "nothing"
        print(
            f"{title_of(figure)}: {figure.subject.summary.median:.4g} against {against} "
            f"{figure.unit}; {judged.median:.3g} ({judged.min:.3g} to {judged.max:.3g}) {met}"
        )
        results = results.with_figures((figure.model_copy(update=facts),))
        if out:
            out.write_text(results.to_json(), "utf-8")


def _module(group: str) -> Any:
    return importlib.import_module(f"duet_tools.bench.{GROUPS[group]}")
