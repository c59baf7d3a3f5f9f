"""`duet-train evaluate` and `duet-train report`."""

from pathlib import Path

import click

from duet_contract.commands import option
from duet_training.commands.options import PATH, settings


@click.command()
@settings("evaluate", "train")
@option(
    "--batch", PATH, "FILE", "File with the settings of one evaluation per line; models are shared."
)
def evaluate(overrides: tuple[str, ...], batch: Path | None) -> None:
    """Evaluate one method on one data set and write JSON.

    Lines of --batch that start with # are ignored. The file is read before the first evaluation
    starts; a failure ends the batch.
    """
    if batch and overrides:
        raise click.UsageError("give KEY=VALUE settings or --batch FILE, not both")
    if batch:
        from duet_training.evaluation.batch_run import evaluate_batch

        evaluate_batch(batch)
        return
    from duet_training.evaluation.run import run

    run(list(overrides))


@click.command()
@click.argument("results", nargs=-1, required=True, type=PATH)
@option("--out", PATH, "DIR", "Directory of the report.", required=True)
def report(results: tuple[Path, ...], out: Path) -> None:
    """Write tables and figures of RESULTS: report.md, report.json, PNG and SVG.

    RESULTS are JSON files of `duet-train evaluate`, directories of runs, or directories that
    contain either.
    """
    from duet_training.evaluation.report.page import report as write

    write(list(results), out)
