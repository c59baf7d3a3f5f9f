"""The groups of figures, measuring those that were chosen, and recording figures in a file."""

import importlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from duet_tools.progress import plain, public_command
from duet_tools.report.figures import terminal
from duet_tools.results.figures import Figure
from duet_tools.results.machine import load_average, new_results

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
    "chunks": "chunk_size",
}
# Of the split and its peers; `overhead` is of the bench itself, and `chunks` a curve.
USUAL = tuple(name for name in GROUPS if name not in ("overhead", "chunks"))


def steps(bench: "Bench", groups: Sequence[str]) -> int:
    """Return measurements that these groups take, for the progress bar."""
    return sum(_module(name).steps(bench) for name in groups)


def measured(bench: "Bench", groups: Sequence[str]) -> Iterator[Figure]:
    """Measure groups of figures in order."""
    for name in groups:
        yield from _module(name).measure(bench)


def record(figures: Iterable[Figure], pair: str, out: Path | None) -> None:
    """Write each figure to a results file, if there is one, as it is measured; show all of them.

    What was measured before an interrupt or a failure is written and shown, too.

    Raises:
        UsageProblem: the file is of another machine or pair, or cannot be written.
    """
    results = new_results(pair, out)
    facts = {"command": public_command(), "commit": results.commit}
    found: list[Figure] = []
    before = load_average()
    try:
        for figure in figures:
            after = load_average()
            found.append(figure.model_copy(update={"load": (before, after), **facts}))
            before = after
            results = results.with_figures((found[-1],))
            if out:
                out.write_text(results.to_json(), "utf-8")
    finally:
        console = Console(stderr=True)
        if found:
            shown = terminal(results.model_copy(update={"figures": tuple(found)}))
            console.print(plain(shown), soft_wrap=True)
        if found and out:
            console.print(plain(f"written: {out}"), soft_wrap=True)


def _module(group: str) -> Any:
    return importlib.import_module(f"duet_tools.bench.{GROUPS[group]}")
