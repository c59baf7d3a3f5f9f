"""Options of the service, and vLLM's engine arguments."""

import argparse
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from duet_cloud.config_file import nearest
from duet_cloud.errors import UsageError
from duet_contract.pairs import DEFAULT_PAIR

DEFAULT_PORT = 50151
MOST_PORT = 65535
MOST_S = 86_400.0
VARIABLES = "DUET_CLOUD_SERVE_"
"""Prefix of the environment variables that set options, vLLM's too."""
DATABASE_VARIABLE = "DUET_DATABASE"
"""Environment variable of `--database`, whose URL may have a password."""


@dataclass(frozen=True)
class ServeOptions:
    """Options of the service; the defaults of the command line."""

    pairs: tuple[str, ...] = (DEFAULT_PAIR,)
    """Name or directory of a pair to serve; each has its own engine."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = DEFAULT_PORT
    """Port to listen on; 0 takes a free one."""
    metrics_host: str = "127.0.0.1"
    """Address for Prometheus."""
    metrics_port: int | None = None
    """Port for Prometheus; None: none."""
    health_host: str = "127.0.0.1"
    """Address for health checks."""
    health_port: int | None = None
    """HTTP port for `/livez` and `/readyz`; None: none."""
    health_grpc_port: int | None = None
    """Port for gRPC health checks without TLS; None: none. The service is `grpc.health.v1`."""
    max_running: int | None = None
    """Maximum number of running requests of each pair; None: vLLM's `--max-num-seqs`."""
    max_waiting: int | None = None
    """Maximum number of waiting requests of each pair; None: a quarter of the running ones."""
    chunk_tokens: int = 20
    """Maximum number of tokens in a chunk."""
    chunk_ms: float = 500.0
    """Maximum time a token is buffered, in milliseconds."""
    grace_s: float = 30.0
    """Time for running requests to finish at shutdown, in seconds."""
    write_s: float = 30.0
    """Maximum time a message waits for a device to read it, in seconds."""
    engine_timeout_s: float | None = None
    """Time in which a working engine answers, in seconds; None: 4 on a GPU, 60 on a CPU. An engine that
    neither answers a check nor emits a token in it, twice in a row, has failed."""
    engine_failure: str = "exit"
    """Action when an engine fails. `exit` ends the service; `restart` loads the engine again."""
    batch_invariant: bool = False
    """Same greedy signal in every batch; GPU only, slower."""
    reflection: bool = False
    """Offer gRPC server reflection."""
    log_format: str = "console"
    """Log format. It is `console` or `json`."""
    log_questions: bool = False
    """Write questions to the log."""
    tls_dir: Path | None = None
    """Directory of the authority that identifies devices (`duet-cloud admin`)."""
    tls_cert: Path | None = None
    """Own PKI: server's chain, PEM."""
    tls_key: Path | None = None
    """Own PKI: server's key, PEM."""
    tls_client_ca: Path | None = None
    """Own PKI: certificate authority of devices, PEM."""
    access: Path | None = None
    """Limits, and roles with your own PKI, TOML; None: `access.toml` in `--tls-dir`."""
    database: str | None = None
    """PostgreSQL database that replicas share; None: SQLite in `--tls-dir`. With your own PKI, SQLite is
    next to `access`."""
    enrollment_port: int | None = None
    """Port for enrollment; 0 takes a free one; None: no enrollment."""
    replicas: tuple[str, ...] = ()
    """Replica that devices learn at enrollment, this one included. They learn its HOST:PORT when
    they renew, too."""
    replica_name: str | None = None
    """Name in the certificates of all replicas; None: each has its host's."""
    passphrase_file: Path | None = None
    """Passphrase of the authority's key; None: `DUET_AUTHORITY_PASSPHRASE`, or a prompt."""
    engine: dict[str, Any] = field(default_factory=dict)
    """vLLM's engine arguments by name."""


class _Given(argparse.Namespace):
    """Notes which names are set once it is made: by flags, as all have their defaults by then."""

    def __init__(self, defaults: dict[str, Any]) -> None:
        self.__dict__.update(defaults)
        self.__dict__["names"] = set[str]()

    def __setattr__(self, name: str, value: Any) -> None:
        # argparse sets defaults that are strings a second time, when all flags were read.
        if not (isinstance(value, str) and value is getattr(self, name, None)):
            self.names.add(name)
        super().__setattr__(name, value)


def parse_engine(arguments: list[str]) -> dict[str, Any]:
    """VLLM's engine arguments that the user gave, by name; also those that are vLLM's defaults.

    Ours differ in places, so that a flag counts even where it says what vLLM would do anyway.

    Raises:
        UsageError: a flag is unknown, malformed, or not the user's to set.
    """
    parser = _engine_parser()
    given = parser.parse_args(arguments, _Given(vars(parser.parse_args([]))))
    for name in ("model", "tokenizer"):
        if name in given.names:
            raise UsageError(f"--{name} belongs to the pair; build a pair that has this one")
    return {name: getattr(given, name) for name in given.names}


def is_engine_flag(name: str) -> bool:
    """Return whether vLLM has an engine flag of that name, without its dashes."""
    try:
        return f"--{name}" in _engine_parser()._option_string_actions
    except ImportError:
        return False


def print_engine_help() -> None:
    """Print vLLM's engine flags."""
    try:
        _engine_parser().parse_args(["--help=all"])
    except SystemExit:
        return  # argparse ends so after its help


def _engine_parser() -> Any:
    # vLLM logs when it is imported; an error is one line.
    logging.disable(logging.WARNING)
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    finally:
        logging.disable(logging.NOTSET)

    class EngineParser(FlexibleArgumentParser):  # type: ignore[misc]
        def error(self, message: str) -> NoReturn:
            flag = message.rpartition(" ")[2].partition("=")[0]
            near = nearest(flag, self._option_string_actions) if flag.startswith("--") else ""
            # A value may be a secret, such as that of a misspelled --hf-token.
            message = re.sub(r"(--[\w.-]+)=\S*", r"\1", message)
            raise UsageError(f"{message}{near}; see: duet-cloud serve --help-engine")

    return AsyncEngineArgs.add_cli_args(EngineParser(prog="duet-cloud serve"))
