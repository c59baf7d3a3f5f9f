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
    """Names or directories of the pairs to serve."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = DEFAULT_PORT
    """Port to listen on; 0 takes a free one."""
    metrics_host: str = "127.0.0.1"
    """Address of the Prometheus endpoint."""
    metrics_port: int | None = None
    """Port of the Prometheus endpoint; None: no endpoint."""
    health_host: str = "127.0.0.1"
    """Address of the health endpoints."""
    health_port: int | None = None
    """Port of the health endpoint over HTTP; None: no endpoint."""
    health_grpc_port: int | None = None
    """Port of `grpc.health.v1` without transport security; None: no endpoint."""
    max_running: int | None = None
    """Most requests generating at a time for each pair; None: vLLM's `max_num_seqs`."""
    max_waiting: int | None = None
    """Most requests waiting for each pair; None: a quarter of those running."""
    chunk_tokens: int = 20
    """Most tokens in a chunk."""
    chunk_ms: float = 500.0
    """Maximum time a token is buffered before it is sent, in milliseconds."""
    grace_s: float = 30.0
    """Time to finish running requests when stopping, in seconds."""
    write_s: float = 30.0
    """Maximum time that a message waits for a device that does not read, in seconds."""
    engine_timeout_s: float | None = None
    """Seconds in which a working engine answers a check or emits a token; None: 4 on a GPU, 60 on a
    processor. An engine that misses it twice in a row has failed."""
    engine_failure: str = "exit"
    """`exit` ends the service when an engine fails; `restart` loads the engine again."""
    batch_invariant: bool = False
    """Whether the engine computes each request alike in every batch; GPUs only, slower."""
    reflection: bool = False
    """Whether to offer gRPC server reflection."""
    log_format: str = "console"
    """`console` or `json`."""
    log_questions: bool = False
    """Whether the log contains questions."""
    tls_dir: Path | None = None
    """Directory of the authority that identifies devices."""
    tls_cert: Path | None = None
    """With your own PKI: the server's certificate chain, PEM."""
    tls_key: Path | None = None
    """With your own PKI: the server's private key, PEM."""
    tls_client_ca: Path | None = None
    """With your own PKI: the authorities that sign devices' certificates, PEM."""
    access: Path | None = None
    """Access file (limits, and roles with your own PKI); None: `access.toml` in `tls_dir`."""
    database: str | None = None
    """URL of the PostgreSQL database that replicas share; None: SQLite in `tls_dir`, or next to
    `access` with your own PKI."""
    enrollment_port: int | None = None
    """Port where devices enroll; 0 takes a free one; None: no enrollment."""
    replicas: tuple[str, ...] = ()
    """HOST:PORT of every replica, which devices learn when they enroll or renew."""
    replica_name: str | None = None
    """Name in the certificates of all replicas; None: each has its own host's."""
    passphrase_file: Path | None = None
    """Passphrase of the authority's key; None: the environment, or the terminal."""
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
