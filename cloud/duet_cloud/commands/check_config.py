"""`duet-cloud check-config FILE`: what `duet-cloud serve --config FILE` would refuse."""

from pathlib import Path
from typing import cast

import click

from duet_cloud.commands.serve import options_of
from duet_cloud.options import VARIABLES
from duet_contract.terminal import one_line


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_context
def check_config(context: click.Context, file: Path) -> None:
    """Check a configuration file of `duet-cloud serve`.

    Environment variables of `duet-cloud serve` count as well. Also checks the pairs, certificates,
    access file and database that it names. Changes nothing and loads no model. Exit codes are those
    of `duet-cloud serve`.
    """
    # From the program, which names the variables of its commands.
    program = context.find_root()
    serve = cast(click.Group, program.command).get_command(program, "serve")
    assert serve
    prefix = VARIABLES.removesuffix("_")
    with serve.make_context(
        "duet-cloud serve", ["--config", str(file)], auto_envvar_prefix=prefix
    ) as asked:
        options = options_of(asked)
    from duet_cloud.checking import check

    for line in check(options):
        click.echo(one_line(line))
    click.echo(one_line(f"{file}: ok"))
