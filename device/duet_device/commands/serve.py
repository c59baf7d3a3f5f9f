"""`duet-device serve`: keep decoder and connection warm for `ask`, an API and a page."""

from typing import Unpack

import click

from duet_contract.commands import Integer, Number
from duet_device.commands.input import stop_on_interrupt
from duet_device.commands.options import (
    FIRST_USE,
    REDACTION,
    SETTINGS,
    ConfiguredCommand,
    RequestOptions,
    request_of,
)
from duet_device.commands.output import note
from duet_device.setting_types import MOST_TIMEOUT

DEFAULT_PORT = 50153

EXIT_CODES = """\b
Exit codes:
    0  stopped, or ended after --idle
    2  usage: a server runs already, port in use, unsafe file modes
    6  a problem with the pair or its decoder
    7  encrypted store unavailable: key missing, wrong key, or data modified
  130  interrupted before it was ready
"""


@click.command(cls=ConfiguredCommand, epilog=EXIT_CODES, params=[*SETTINGS, *FIRST_USE, *REDACTION])
@click.option(
    "--port",
    type=Integer(0, 65535),
    default=DEFAULT_PORT,
    metavar="N",
    help="Port of API and page on 127.0.0.1; 0 for any free one.",
)
@click.option("--socket-only", is_flag=True, help="Serve duet-device ask alone: no API, no page.")
@click.option(
    "--idle",
    type=Number(0, MOST_TIMEOUT, min_open=True),
    metavar="SECONDS",
    help="End after this time without a question [never].",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Origin of other web pages that may use the API. Repeatable.",
)
@click.pass_context
def serve(
    context: click.Context,
    port: int,
    socket_only: bool,
    idle: float | None,
    origins: tuple[str, ...],
    yes: bool,
    pair_name: str | None,
    **options: Unpack[RequestOptions],
) -> None:
    """Keep decoder and connection warm, for `duet-device ask`, programs and a page.

    `ask` and `chat` use this server while it runs, with their own settings. Programs use OpenAI's API at
    http://127.0.0.1:PORT/v1 with the API key of serve.token. The page is at http://127.0.0.1:PORT/.
    With --redact, every question of programs and the page is redacted.
    """
    # A decoder that loads, or a server that does not answer, is not waited for.
    stop_on_interrupt(context)
    from duet_device.commands.first_use import installed_pair
    from duet_device.serve.run import ServeOptions
    from duet_device.serve.run import serve as run

    base = request_of(installed_pair(context, pair_name, options, yes=yes), options)
    run(base, ServeOptions(None if socket_only else port, idle, origins), note)
