"""`duet-cloud serve`: options of ours, and every engine flag of vLLM, passed on."""

import os
from functools import partial
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
from duet_contract.commands import Integer, Number, field_option, option
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
_field = partial(field_option, "duet_cloud.options:ServeOptions")
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
@_field("--pair", None, "NAME_OR_DIR", (DEFAULT_PAIR,), multiple=True, to="pairs")
@_field("--host", default=ServeOptions.host)
@_field("--port", _PORT, None, ServeOptions.port)
@_field("--metrics-host", default=ServeOptions.metrics_host)
@_field("--metrics-port", _PORT, "PORT")
@_field("--health-host", default=ServeOptions.health_host)
@_field("--health-port", _PORT, "PORT")
@_field("--health-grpc-port", _PORT, "PORT")
@_field("--max-running", Integer(1, _MOST_COUNT), "N")
@_field("--max-waiting", Integer(0, _MOST_COUNT), "N")
@_field("--chunk-tokens", Integer(1, _MOST_COUNT), "N", ServeOptions.chunk_tokens)
@_field("--chunk-ms", Number(0, MOST_S * 1000), "MS", ServeOptions.chunk_ms)
@_field("--grace-s", Number(0, MOST_S), "S", ServeOptions.grace_s)
@_field("--write-s", Number(0.1, MOST_S), "S", ServeOptions.write_s)
@_field("--engine-timeout-s", Number(0.1, MOST_S), "S")
@_field("--engine-failure", click.Choice(("exit", "restart")), None, ServeOptions.engine_failure)
@_field("--batch-invariant", is_flag=True)
@_field("--reflection", is_flag=True)
@_field("--log-format", click.Choice(("console", "json")), None, ServeOptions.log_format)
@_field("--log-questions", is_flag=True)
@_field("--tls-dir", _FILE, "DIR")
@_field("--enrollment-port", _PORT, "PORT")
@_field("--replica", None, "HOST:PORT", multiple=True, to="replicas")
@_field("--replica-name", None, "NAME")
@_field("--passphrase-file", _FILE, "FILE")
@_field("--tls-cert", _FILE, "FILE")
@_field("--tls-key", _FILE, "FILE")
@_field("--tls-client-ca", _FILE, "FILE")
@_field("--access", _FILE, "FILE")
@_field("--database", None, "URL", envvar=DATABASE_VARIABLE)
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
