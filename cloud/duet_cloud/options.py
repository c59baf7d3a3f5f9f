"""Options of `python -m duet_cloud.serve`: ours, and every engine flag of vLLM, passed through."""

import argparse
from dataclasses import dataclass, field
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
    """How to serve. Times in milliseconds or seconds as named; `engine` is vLLM's own part."""

    pairs: tuple[str, ...] = (DEFAULT_PAIR,)
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    max_running: int | None = None
    max_waiting: int = 64
    chunk_tokens: int = 20
    chunk_ms: float = 500.0
    grace_s: float = 30.0
    write_s: float = 30.0
    reflection: bool = False
    log_format: str = "console"
    log_questions: bool = False
    tls_dir: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    access: Path | None = None
    enrollment_port: int | None = None
    passphrase_file: Path | None = None
    engine: dict[str, Any] = field(default_factory=dict)


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
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=port, default=DEFAULT_PORT, help="port to listen on; 0 takes a free one")
    add("--metrics-host", default="127.0.0.1", help="address of the Prometheus endpoint")
    add("--metrics-port", type=port, metavar="PORT", help="Prometheus endpoint; none: no endpoint")
    add("--max-running", type=whole(1), metavar="N", help="most requests generating at a time; "
        "none: vLLM's --max-num-seqs")  # fmt: skip
    add("--max-waiting", type=whole(0), default=64, metavar="N", help="most requests waiting")
    add("--chunk-tokens", type=whole(1), default=20, metavar="N",
        help="most tokens buffered in a chunk")  # fmt: skip
    add("--chunk-ms", type=number(0, _MOST_S * 1000), default=500.0, metavar="MS",
        help="longest a token is buffered")  # fmt: skip
    add("--grace-s", type=number(0, _MOST_S), default=30.0, metavar="S",
        help="time to finish when stopping")  # fmt: skip
    add("--write-s", type=number(0.1, _MOST_S), default=30.0, metavar="S",
        help="longest that a message waits for a device that does not read")  # fmt: skip
    add("--reflection", action="store_true", help="offer gRPC server reflection")
    add("--log-format", choices=("console", "json"), default="console", help="form of the log")
    add("--log-questions", action="store_true", help="write questions into the log")
    _add_security(parser.add_argument_group("identities and transport security"))
    add("--help-engine", action="store_true", help="list vLLM's engine flags and exit")
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
