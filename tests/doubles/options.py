"""`ServeOptions` from a command line of `duet-cloud serve`, without serving."""

from duet_cloud.commands.serve import options_of, serve
from duet_cloud.options import ServeOptions


def parse_options(arguments: list[str]) -> ServeOptions:
    """What the command line asks for."""
    with serve.make_context("serve", list(arguments)) as context:
        return options_of(context)
