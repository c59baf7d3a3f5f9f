"""`duet-cloud serve`: options of ours, and every engine flag of vLLM, passed on."""

from pathlib import Path
from typing import Any

import click

from duet_cloud.config_file import read_config
from duet_cloud.options import (
    DATABASE_VARIABLE,
    MOST_PORT,
    MOST_S,
    ServeOptions,
    parse_engine,
    print_engine_help,
)
from duet_contract.commands import Integer, Number
from duet_contract.pairs import DEFAULT_PAIR

_EPILOG = """\b
Exit codes:
    0  stopped as asked
    1  failed
    2  usage
    3  the address cannot be used
    4  certificates, keys or files next to them cannot be used
    5  the database cannot be used
    6  the pair or its engine cannot be loaded
"""
_PORT = Integer(0, MOST_PORT)
# Far above what any option needs.
_MOST_COUNT = 1_000_000
_FILE = click.Path(path_type=Path)


class _Serve(click.Command):
    """A command that passes unknown flags to vLLM."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command`."""
        # click would find -h in vLLM's short options, such as -dph.
        ctx.help_option_names = ["--help"]
        return super().parse_args(ctx, ["--help" if each == "-h" else each for each in args])


# In `click.Context.meta`: flags of the engine in the configuration file.
_FLAGS = "duet_cloud.engine_flags"


def _read_config(context: click.Context, _option: click.Parameter, file: Path | None) -> None:
    if file is None or context.resilient_parsing:
        return
    options = [each for each in context.command.params if isinstance(each, click.Option)]
    defaults, context.meta[_FLAGS] = read_config(file, options)
    for each in options:
        if each.name in defaults:
            try:
                each.type_cast_value(context, defaults[each.name])
            except click.BadParameter as error:
                raise click.BadParameter(f"{file}: {error.message}", param=each) from error
    context.default_map = {**(context.default_map or {}), **defaults}


def _show_engine_help(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        print_engine_help()
        context.exit()


@click.command(
    cls=_Serve,
    epilog=_EPILOG,
    context_settings={"ignore_unknown_options": True, "show_default": True},
)
@click.option(
    "--config",
    type=_FILE,
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_read_config,
    help="YAML file of options by name, vLLM's too; the command line takes precedence.",
)
@click.option(
    "--pair",
    "pairs",
    multiple=True,
    default=(DEFAULT_PAIR,),
    metavar="NAME_OR_DIR",
    help="Pair to serve. Repeatable; each has its own engine.",
)
@click.option("--host", default=ServeOptions.host, help="Address to listen on.")
@click.option("--port", type=_PORT, default=ServeOptions.port, help="Port; 0 takes a free one.")
@click.option("--metrics-host", default=ServeOptions.metrics_host, help="Address for Prometheus.")
@click.option("--metrics-port", type=_PORT, metavar="PORT", help="Port for Prometheus [none].")
@click.option("--health-host", default=ServeOptions.health_host, help="Address for health checks.")
@click.option(
    "--health-port", type=_PORT, metavar="PORT", help="HTTP port for /livez and /readyz [none]."
)
@click.option(
    "--health-grpc-port",
    type=_PORT,
    metavar="PORT",
    help="Port for gRPC health checks without TLS [none].",
)
@click.option(
    "--max-running",
    type=Integer(1, _MOST_COUNT),
    metavar="N",
    help="Maximum number of running requests [vLLM's --max-num-seqs].",
)
@click.option(
    "--max-waiting",
    type=Integer(0, _MOST_COUNT),
    metavar="N",
    help="Maximum number of waiting requests [a quarter of the running ones].",
)
@click.option(
    "--chunk-tokens",
    type=Integer(1, _MOST_COUNT),
    default=ServeOptions.chunk_tokens,
    metavar="N",
    help="Maximum number of tokens in a chunk.",
)
@click.option(
    "--chunk-ms",
    type=Number(0, MOST_S * 1000),
    default=ServeOptions.chunk_ms,
    metavar="MS",
    help="Maximum time a token is buffered, in milliseconds.",
)
@click.option(
    "--grace-s",
    type=Number(0, MOST_S),
    default=ServeOptions.grace_s,
    metavar="S",
    help="Time for running requests to finish at shutdown, in seconds.",
)
@click.option(
    "--write-s",
    type=Number(0.1, MOST_S),
    default=ServeOptions.write_s,
    metavar="S",
    help="Maximum time a message waits for a device to read it, in seconds.",
)
@click.option(
    "--engine-timeout-s",
    type=Number(0.1, MOST_S),
    metavar="S",
    help="Time in which a working engine answers, in seconds [4 on a GPU, 60 on a CPU].",
)
@click.option(
    "--engine-failure",
    type=click.Choice(("exit", "restart")),
    default=ServeOptions.engine_failure,
    help="Action when an engine fails.",
)
@click.option("--reflection", is_flag=True, help="Offer gRPC server reflection.")
@click.option(
    "--log-format",
    type=click.Choice(("console", "json")),
    default=ServeOptions.log_format,
    help="Log format.",
)
@click.option("--log-questions", is_flag=True, help="Write questions to the log.")
@click.option("--tls-dir", type=_FILE, metavar="DIR", help="Authority of duet-cloud admin.")
@click.option(
    "--enrollment-port",
    type=_PORT,
    metavar="PORT",
    help="Port for enrollment; 0 takes a free one [no enrollment].",
)
@click.option(
    "--replica",
    "replicas",
    multiple=True,
    metavar="HOST:PORT",
    help="Replica that devices learn at enrollment, this one included. Repeatable.",
)
@click.option(
    "--replica-name",
    metavar="NAME",
    help="Name in the certificates of all replicas [each has its host's].",
)
@click.option(
    "--passphrase-file",
    type=_FILE,
    metavar="FILE",
    help="Passphrase of the authority's key [DUET_AUTHORITY_PASSPHRASE, or a prompt].",
)
@click.option("--tls-cert", type=_FILE, metavar="FILE", help="Own PKI: server's chain, PEM.")
@click.option("--tls-key", type=_FILE, metavar="FILE", help="Own PKI: server's key, PEM.")
@click.option(
    "--tls-client-ca",
    type=_FILE,
    metavar="FILE",
    help="Own PKI: certificate authority of devices, PEM.",
)
@click.option(
    "--access",
    type=_FILE,
    metavar="FILE",
    help="Limits, and roles with your own PKI, TOML [access.toml in --tls-dir].",
)
@click.option(
    "--database",
    metavar="URL",
    envvar=DATABASE_VARIABLE,
    help="PostgreSQL database that replicas share [SQLite in --tls-dir].",
)
@click.option(
    "--help-engine",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    allow_from_autoenv=False,
    callback=_show_engine_help,
    help="List vLLM's engine flags and exit.",
)
@click.argument("engine_flags", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def serve(context: click.Context, /, **_given: Any) -> None:
    """Serve a pair's reasoner: vLLM behind gRPC, until SIGTERM or Ctrl-C.

    ENGINE_FLAGS are vLLM's, such as --tensor-parallel-size 2; --help-engine lists them.
    """
    options = options_of(context)
    from duet_cloud.service import run

    run(options)


def options_of(context: click.Context) -> ServeOptions:
    """Return what a command line and its configuration file ask for.

    vLLM is imported only if there are engine flags, so that a mistyped value of ours is reported
    at once.

    Raises:
        UsageError: an engine flag is unknown, malformed, or not the user's to set.
    """
    given = dict(context.params)
    # Of a flag that is given twice, argparse takes the last one.
    flags = [*context.meta.get(_FLAGS, ()), *given.pop("engine_flags")]
    return ServeOptions(engine=parse_engine(flags) if flags else {}, **given)
