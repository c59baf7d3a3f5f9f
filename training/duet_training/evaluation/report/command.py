"""`duet-train report`: the tables and figures of evaluations and runs."""

from dataclasses import asdict
from pathlib import Path

from duet_contract.json_data import rounded, without_infinities
from duet_report.plots import write_plots
from duet_training.evaluation.report.curves import curves
from duet_training.evaluation.report.figures import plots
from duet_training.evaluation.report.page import page
from duet_training.evaluation.report.results import read
from duet_training.evaluation.report.tables import build_tables, everything, paper
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
