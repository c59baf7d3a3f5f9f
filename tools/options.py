"""What several commands take alike on their command line."""

from pathlib import Path

import click

from duet_contract.pairs import DEFAULT_PAIR

HELP = {"help_option_names": ["-h", "--help"]}
FILE = click.Path(dir_okay=False, path_type=Path)

threads = click.option(
    "--threads", type=click.IntRange(1, 512), help="Decoder threads [the device's own]."
)
pair = click.option(
    "--pair", default=DEFAULT_PAIR, show_default=True, help="Pair, by name or directory."
)
service_flags = click.option(
    "--service-flags",
    default="",
    metavar="FLAGS",
    help="More flags for cloud.serve, in one string.",
)
engine_flags = click.argument("engine_flags", nargs=-1, type=click.UNPROCESSED)
