"""`duet-device serve`: keep decoder and connection warm for `ask`, an API and a page."""

import click

from duet_contract.commands import Number
from duet_device.ask_request import AskRequest
from duet_device.commands.output import note
from duet_device.settings import DEFAULT_SERVER, MOST_DEFAULT_THREADS, MOST_TIMEOUT

DEFAULT_PORT = 50153

EXIT_CODES = """\b
Exit codes:
    0  stopped, or ended after --idle
    2  usage: a server runs already, port in use, unsafe file modes
    6  a problem with the pair or its decoder
    7  encrypted store unavailable: key missing, wrong key, or data modified
"""


# DUET_SERVER, not DUET_SERVE_SERVER.
@click.command(epilog=EXIT_CODES, context_settings={"auto_envvar_prefix": "DUET"})
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
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
@click.option(
    "--server",
    default=DEFAULT_SERVER,
    show_default=True,
    metavar="HOST:PORT",
    help="Address of the cloud.",
)
@click.option("--pair", metavar="NAME_OR_DIR", help="Pair to load at the start.")
@click.option(
    "--threads",
    type=click.IntRange(1, 512),
    metavar="N",
    help=f"Decoder threads [one per processor but one, at most {MOST_DEFAULT_THREADS}].",
)
@click.option(
    "--allow-unsigned",
    is_flag=True,
    help="Load a pair without a trusted signature, if no publisher is pinned.",
)
def serve(
    port: int,
    socket_only: bool,
    idle: float | None,
    origins: tuple[str, ...],
    server: str,
    pair: str | None,
    threads: int | None,
    allow_unsigned: bool,
) -> None:
    """Keep decoder and connection warm, for `duet-device ask`, programs and a page.

    `ask` uses this server while it runs. Programs use OpenAI's API at http://127.0.0.1:PORT/v1 with
    the API key of serve.token. The page is at http://127.0.0.1:PORT/.
    """
    from duet_device.serve.run import ServeOptions
    from duet_device.serve.run import serve as run

    base = AskRequest("", pair, server, {}, threads=threads, allow_unsigned=allow_unsigned)
    run(base, ServeOptions(None if socket_only else port, idle, origins), note)
