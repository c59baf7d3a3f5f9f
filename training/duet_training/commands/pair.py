"""`duet-train pair`: a tiny pair to try the trainer with."""

from pathlib import Path

import click

from duet_training.commands.options import PATH


@click.command()
@click.argument("out", type=PATH)
def pair(out: Path) -> None:
    """Create a pair of tiny random models in OUT, to try the trainer without a GPU."""
    from duet_training.pair.tiny import make_tiny_pair

    click.echo(make_tiny_pair(out))
