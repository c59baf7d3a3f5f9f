"""How to serve: options of ours, and vLLM's engine arguments."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from duet_cloud.errors import UsageError
from duet_contract.pairs import DEFAULT_PAIR

DEFAULT_PORT = 50151
MOST_PORT = 65535
MOST_S = 86_400.0


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


def print_engine_help() -> None:
    """Prints vLLM's engine flags."""
    try:
        _engine_parser().parse_args(["--help=all"])
    except SystemExit:
        return  # argparse ends so after its help


def _engine_parser() -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class EngineParser(FlexibleArgumentParser):  # type: ignore[misc]
        def error(self, message: str) -> NoReturn:
            raise UsageError(f"{message}; see: duet-cloud serve --help-engine")

    return AsyncEngineArgs.add_cli_args(EngineParser(prog="duet-cloud serve"))
