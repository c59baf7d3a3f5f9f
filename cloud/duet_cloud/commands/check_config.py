"""`duet-cloud check-config FILE`: what `duet-cloud serve --config FILE` would refuse."""

from pathlib import Path

import click

from duet_cloud.commands.serve import options_of, serve
from duet_contract.terminal import one_line


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def check_config(file: Path) -> None:
    """Check a configuration file of `duet-cloud serve`.

    Also checks the pairs, certificates, access file and database that it names. Changes nothing and
    loads no model. Exit codes are those of `duet-cloud serve`.
    """
    with serve.make_context("duet-cloud serve", ["--config", str(file)]) as context:
        options = options_of(context)
    from duet_cloud.checking import check

    for line in check(options):
        click.echo(one_line(line))
    click.echo(one_line(f"{file}: ok"))
