"""`duet-cloud serve`: options of ours, and every engine flag of vLLM, passed on."""

import os
from pathlib import Path
from typing import Any

import click

from duet_cloud.config_file import read_config, read_variables
from duet_cloud.options import (
    DATABASE_VARIABLE,
    MOST_PORT,
    MOST_S,
    VARIABLES,
    ServeOptions,
    is_engine_flag,
    parse_engine,
    print_engine_help,
)
from duet_contract.commands import Integer, Number, option
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
    options = _options(context)
    defaults, context.meta[_FLAGS] = read_config(file, options, is_engine_flag)
    for each in options:
        if each.name in defaults:
            try:
                each.type_cast_value(context, defaults[each.name])
            except click.BadParameter as error:
                raise click.BadParameter(f"{file}: {error.message}", param=each) from error
    context.default_map = {**(context.default_map or {}), **defaults}


def _options(context: click.Context) -> list[click.Option]:
    return [each for each in context.command.params if isinstance(each, click.Option)]


def _show_engine_help(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        print_engine_help()
        context.exit()


@click.command(
    cls=_Serve,
    epilog=_EPILOG,
    context_settings={"ignore_unknown_options": True, "show_default": True},
)
@option(
    "--config",
    _FILE,
    "FILE",
    "YAML file of options by name, vLLM's too; the command line takes precedence.",
    is_eager=True,
    expose_value=False,
    callback=_read_config,
)
@option(
    "--pair",
    None,
    "NAME_OR_DIR",
    "Pair to serve. Repeatable; each has its own engine.",
    (DEFAULT_PAIR,),
    multiple=True,
    to="pairs",
)
@click.option("--host", default=ServeOptions.host, help="Address to listen on.")
@option("--port", _PORT, None, "Port; 0 takes a free one.", ServeOptions.port)
@click.option("--metrics-host", default=ServeOptions.metrics_host, help="Address for Prometheus.")
@option("--metrics-port", _PORT, "PORT", "Port for Prometheus [none].")
@click.option("--health-host", default=ServeOptions.health_host, help="Address for health checks.")
@option("--health-port", _PORT, "PORT", "HTTP port for /livez and /readyz [none].")
@option("--health-grpc-port", _PORT, "PORT", "Port for gRPC health checks without TLS [none].")
@option(
    "--max-running",
    Integer(1, _MOST_COUNT),
    "N",
    "Maximum number of running requests [vLLM's --max-num-seqs].",
)
@option(
    "--max-waiting",
    Integer(0, _MOST_COUNT),
    "N",
    "Maximum number of waiting requests [a quarter of the running ones].",
)
@option(
    "--chunk-tokens",
    Integer(1, _MOST_COUNT),
    "N",
    "Maximum number of tokens in a chunk.",
    ServeOptions.chunk_tokens,
)
@option(
    "--chunk-ms",
    Number(0, MOST_S * 1000),
    "MS",
    "Maximum time a token is buffered, in milliseconds.",
    ServeOptions.chunk_ms,
)
@option(
    "--grace-s",
    Number(0, MOST_S),
    "S",
    "Time for running requests to finish at shutdown, in seconds.",
    ServeOptions.grace_s,
)
@option(
    "--write-s",
    Number(0.1, MOST_S),
    "S",
    "Maximum time a message waits for a device to read it, in seconds.",
    ServeOptions.write_s,
)
@option(
    "--engine-timeout-s",
    Number(0.1, MOST_S),
    "S",
    "Time in which a working engine answers, in seconds [4 on a GPU, 60 on a CPU].",
)
@option(
    "--engine-failure",
    click.Choice(("exit", "restart")),
    None,
    "Action when an engine fails.",
    ServeOptions.engine_failure,
)
@click.option(
    "--batch-invariant", is_flag=True, help="Same greedy signal in every batch; GPU only, slower."
)
@click.option("--reflection", is_flag=True, help="Offer gRPC server reflection.")
@option(
    "--log-format", click.Choice(("console", "json")), None, "Log format.", ServeOptions.log_format
)
@click.option("--log-questions", is_flag=True, help="Write questions to the log.")
@option("--tls-dir", _FILE, "DIR", "Authority of duet-cloud admin.")
@option(
    "--enrollment-port", _PORT, "PORT", "Port for enrollment; 0 takes a free one [no enrollment]."
)
@option(
    "--replica",
    None,
    "HOST:PORT",
    "Replica that devices learn at enrollment, this one included. Repeatable.",
    multiple=True,
    to="replicas",
)
@option(
    "--replica-name",
    None,
    "NAME",
    "Name in the certificates of all replicas [each has its host's].",
)
@option(
    "--passphrase-file",
    _FILE,
    "FILE",
    "Passphrase of the authority's key [DUET_AUTHORITY_PASSPHRASE, or a prompt].",
)
@option("--tls-cert", _FILE, "FILE", "Own PKI: server's chain, PEM.")
@option("--tls-key", _FILE, "FILE", "Own PKI: server's key, PEM.")
@option("--tls-client-ca", _FILE, "FILE", "Own PKI: certificate authority of devices, PEM.")
@option(
    "--access",
    _FILE,
    "FILE",
    "Limits, and roles with your own PKI, TOML [access.toml in --tls-dir].",
)
@option(
    "--database",
    None,
    "URL",
    "PostgreSQL database that replicas share [SQLite in --tls-dir].",
    envvar=DATABASE_VARIABLE,
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
    """Return what a command line, the environment and a configuration file ask for.

    vLLM is imported only if there are engine flags, so that a mistyped value of ours is reported
    at once.

    Raises:
        UsageError: an engine flag is unknown, malformed, or not the user's to set.
    """
    given = dict(context.params)
    variables = read_variables(VARIABLES, os.environ, _options(context), is_engine_flag)
    # Of a flag that is given twice, argparse takes the last one.
    flags = [*context.meta.get(_FLAGS, ()), *variables, *given.pop("engine_flags")]
    return ServeOptions(engine=parse_engine(flags) if flags else {}, **given)
