"""Options of `python -m duet_cloud.serve`: ours, and every engine flag of vLLM, passed through."""

import argparse
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from duet_cloud.arguments import Parser, number, whole
from duet_cloud.errors import UsageError
from duet_contract.pairs import DEFAULT_PAIR

DEFAULT_PORT = 50151
MOST_PORT = 65535
_MOST_S = 86_400.0


@dataclass(frozen=True)
class ServeOptions:
    """How to serve. The defaults of the command line are these."""

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
    max_running: int | None = None
    """Most requests generating at a time for each pair; None: vLLM's `max_num_seqs`."""
    max_waiting: int = 64
    """Most requests waiting for each pair."""
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
    enrollment_port: int | None = None
    """Port where devices enroll; 0 takes a free one; None: no enrollment."""
    passphrase_file: Path | None = None
    """Passphrase of the authority's key; None: the environment, or the terminal."""
    engine: dict[str, Any] = field(default_factory=dict)
    """vLLM's engine arguments by name."""


_DEFAULTS = {each.name: each.default for each in fields(ServeOptions) if each.name != "engine"}


def parse_options(arguments: list[str]) -> ServeOptions:
    """Parses the command line.

    vLLM is imported only when engine flags are given (or asked for with `--help-engine`), so that
    `--help` and a mistyped option of ours answer at once.

    Raises:
        UsageError: an engine flag that is DUET's to set.
        SystemExit: as argparse does it, for `--help` (0) and malformed options (2).
    """
    options, rest = _parser().parse_known_args(arguments)
    if options.help_engine:
        _parse_engine(["--help=all"])
    engine = _parse_engine(rest) if rest else {}
    values = vars(options)
    values.pop("help_engine")
    values["pairs"] = tuple(values["pairs"] or (DEFAULT_PAIR,))
    return ServeOptions(engine=engine, **values)


def _parser() -> Parser:
    port = whole(0, MOST_PORT)
    parser = Parser(
        prog="python -m duet_cloud.serve",
        description="Serve a pair's reasoner: vLLM behind gRPC.",
        epilog="Every other option is an engine flag of vLLM, e.g. --tensor-parallel-size 2; "
        "--help-engine lists them.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--pair", dest="pairs", action="append", metavar="NAME_OR_DIR",
        help=f"pair to serve; again for each further one, with an engine of its own "
        f"(default: {DEFAULT_PAIR})")  # fmt: skip
    add("--host", help="address to listen on")
    add("--port", type=port, help="port to listen on; 0 takes a free one")
    add("--metrics-host", help="address of the Prometheus endpoint")
    add("--metrics-port", type=port, metavar="PORT", help="Prometheus endpoint; none: no endpoint")
    add("--max-running", type=whole(1), metavar="N", help="most requests generating at a time; "
        "none: vLLM's --max-num-seqs")  # fmt: skip
    add("--max-waiting", type=whole(0), metavar="N", help="most requests waiting")
    add("--chunk-tokens", type=whole(1), metavar="N",
        help="most tokens buffered in a chunk")  # fmt: skip
    add("--chunk-ms", type=number(0, _MOST_S * 1000), metavar="MS",
        help="longest a token is buffered")  # fmt: skip
    add("--grace-s", type=number(0, _MOST_S), metavar="S",
        help="time to finish when stopping")  # fmt: skip
    add("--write-s", type=number(0.1, _MOST_S), metavar="S",
        help="longest that a message waits for a device that does not read")  # fmt: skip
    add("--engine-timeout-s", type=number(0.1, _MOST_S), metavar="S",
        help="time in which a working engine answers; none: 4 on a GPU, 60 on a processor")  # fmt: skip
    add("--engine-failure", choices=("exit", "restart"), help="what a failed engine leads to")
    add("--reflection", action="store_true", help="offer gRPC server reflection")
    add("--log-format", choices=("console", "json"), help="form of the log")
    add("--log-questions", action="store_true", help="write questions into the log")
    _add_security(parser.add_argument_group("identities and transport security"))
    add("--help-engine", action="store_true", help="list vLLM's engine flags and exit")
    parser.set_defaults(**{name: value for name, value in _DEFAULTS.items() if name != "pairs"})
    return parser


def _add_security(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    port = whole(0, MOST_PORT)
    add("--tls-dir", type=Path, metavar="DIR", help="an authority made by duet_cloud.admin")
    add("--enrollment-port", type=port, metavar="PORT", help="let devices enrol there; 0 takes "
        "a free port; none: no enrollment")  # fmt: skip
    add("--passphrase-file", type=Path, metavar="FILE", help="passphrase of the authority's "
        "key; none: DUET_AUTHORITY_PASSPHRASE, or asked for")  # fmt: skip
    add("--tls-cert", type=Path, metavar="FILE", help="your own PKI: the server's chain, PEM")
    add("--tls-key", type=Path, metavar="FILE", help="your own PKI: the server's key, PEM")
    add("--tls-client-ca", type=Path, metavar="FILE", help="your own PKI: who signs devices, PEM")
    add("--access", type=Path, metavar="FILE", help="limits, and roles with your own PKI, TOML; "
        "none: access.toml in --tls-dir")  # fmt: skip


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


def _parse_engine(arguments: list[str]) -> dict[str, Any]:
    """VLLM's engine arguments that the user gave, by name; also those that are vLLM's defaults.

    Ours differ in places, so that a flag counts even where it says what vLLM would do anyway.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = AsyncEngineArgs.add_cli_args(FlexibleArgumentParser(prog="python -m duet_cloud.serve"))
    given = parser.parse_args(arguments, _Given(vars(parser.parse_args([]))))
    for name in ("model", "tokenizer"):
        if name in given.names:
            raise UsageError(f"--{name} belongs to the pair; build a pair that has this one")
    return {name: getattr(given, name) for name in given.names}
