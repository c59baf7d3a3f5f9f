"""`duet-device serve`: keep decoder and connection warm for `ask`, an API and a page."""

from typing import Unpack

import click

from duet_contract.commands import Integer, Number, field_option
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
_OPTIONS = "duet_device.serve.serve_options:ServeOptions"

EXIT_CODES = """\b
Exit codes:
    0  stopped, or ended after --idle
    2  usage: a server runs already, port in use, unsafe file modes
    6  a problem with the pair or its decoder
    7  encrypted store unavailable: key missing, wrong key, or data modified
  130  interrupted before it was ready
"""


@click.command(cls=ConfiguredCommand, epilog=EXIT_CODES, params=[*SETTINGS, *FIRST_USE, *REDACTION])
@field_option(_OPTIONS, "--port", Integer(0, 65535), "N", DEFAULT_PORT)
@click.option("--socket-only", is_flag=True, help="Serve duet-device ask alone: no API, no page.")
@field_option(_OPTIONS, "--idle", Number(0, MOST_TIMEOUT, min_open=True), "SECONDS")
@field_option(_OPTIONS, "--allow-origin", None, "ORIGIN", to="origins", multiple=True)
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
    from duet_device.serve.run import serve as run
    from duet_device.serve.serve_options import ServeOptions

    base = request_of(installed_pair(context, pair_name, options, yes=yes), options)
    run(base, ServeOptions(None if socket_only else port, idle, origins), note)
