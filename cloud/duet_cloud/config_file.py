"""Options of `duet-cloud serve` from a file or the environment, ours and vLLM's, by their names.

    pair: [qwen3-4b-0.6b]
    host: 0.0.0.0
    tls-dir: /etc/duet/authority
    tensor-parallel-size: 2
    speculative-config: {method: ngram, num_speculative_tokens: 3}

`--config FILE` names the file. The command line takes precedence, then environment variables
(`DUET_CLOUD_SERVE_TENSOR_PARALLEL_SIZE=2`), then the file.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
import yaml

from duet_cloud.errors import UsageError
from duet_contract.json_data import json_text

# Options that a file cannot set: each shows something and ends the command, or names the file.
_NOT_IN_A_FILE = {"config", "help", "help-engine"}
# Of difflib: 1 is the same word.
_NEAR = 0.75


def read_config(
    file: Path, options: Iterable[click.Option], is_engines: Callable[[str], bool]
) -> tuple[dict[str, Any], list[str]]:
    """Read a configuration file.

    Args:
        file: YAML, a mapping from option names, with dashes or underscores, to values.
        options: the command's own.
        is_engines: whether the engine has a flag of that name; asked only about what is nearly an
            option, such as `load-format`, since vLLM takes seconds to import.

    Returns:
        Values by parameter name, as `click.Context.default_map` takes them, and flags of the
        engine, which nothing has checked.

    Raises:
        UsageError: the file cannot be read, is not such a mapping, has a key twice, has one that is
            for the command line alone, or one that is nearly an option.
    """
    own = {_name(option): option for option in options if _name(option) not in _NOT_IN_A_FILE}
    defaults: dict[str, Any] = {}
    flags: list[str] = []
    spelled: dict[str, str] = {}
    unknown: list[str] = []
    for key, value in _mapping(file).items():
        name = key.replace("_", "-")
        if name in spelled:
            raise UsageError(f"{file}: {spelled[name]} and {key} are the same; remove one")
        spelled[name] = key
        if name in _NOT_IN_A_FILE:
            raise UsageError(f"{file}: {key} is for the command line alone; remove the line")
        if value is None:
            raise UsageError(f"{file}: {key} has no value; remove the line, or give it one")
        if option := own.get(name):
            defaults[str(option.name)] = _value(file, key, option, value)
        elif near := _meant(name, own, is_engines):
            unknown.append(f"{key} is unknown; did you mean {near}?")
        else:
            flags += _flags(name, value)
    if unknown:
        raise UsageError(f"{file}: {' '.join(unknown)}")
    return defaults, flags


def read_variables(
    prefix: str,
    environment: Mapping[str, str],
    options: Iterable[click.Option],
    is_engines: Callable[[str], bool],
) -> list[str]:
    """Return flags of the engine in environment variables, which nothing has checked.

    Args:
        prefix: of the variables' names.
        environment: variables by name; click reads those of `options` itself.
        options: the command's own.
        is_engines: see `read_config`.

    Raises:
        UsageError: a variable is for the command line alone, or its name is nearly an option's.
    """
    own: set[str] = set()
    for option in options:
        own |= {_name(option), str(option.name).replace("_", "-")}
    flags: list[str] = []
    for variable, value in sorted(environment.items()):
        name = variable.removeprefix(prefix).replace("_", "-").lower()
        if not variable.startswith(prefix) or not value:
            continue
        if name in _NOT_IN_A_FILE - {"config"}:
            raise UsageError(f"{variable} is for the command line alone; unset it")
        if name in own:
            continue
        if near := _meant(name, own, is_engines):
            meant = prefix + near.replace("-", "_").upper()
            raise UsageError(f"{variable} is unknown; did you mean {meant}?")
        flags += _flags(name, _typed(value))
    return flags


def _meant(name: str, own: Iterable[str], is_engines: Callable[[str], bool]) -> str | None:
    """Return our option that an unknown name nearly is; None if it may be a flag of the engine."""
    near = get_close_matches(name, own, 1, _NEAR)
    return near[0] if near and not is_engines(name) else None


def _typed(value: str) -> Any:
    """Return a variable's value as a file would have it, where a flag is written by its type."""
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    if value.startswith("["):
        with suppress(yaml.YAMLError):
            return yaml.safe_load(value)
    return value


def nearest(flag: str, known: Iterable[str]) -> str:
    """Return " (did you mean --x?)" for an unknown flag, or "" where none is near.

    Examples:
        >>> nearest("--tensor-paralel-size", ["--tensor-parallel-size", "--seed"])
        ' (did you mean --tensor-parallel-size?)'
    """
    found = get_close_matches(flag, list(known), 1, _NEAR)
    return f" (did you mean {found[0]}?)" if found else ""


def _mapping(file: Path) -> Mapping[str, Any]:
    try:
        content = yaml.load(file.read_text("utf-8"), _Once)  # noqa: S506  # nosec B506
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {file}: it is not UTF-8") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise UsageError(f"{file} is nested too deeply") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UsageError(f"{file} must map names of options to values, such as: port: 50151")
    return content


class _Once(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that a mapping has twice; PyYAML takes the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """See `yaml.SafeLoader`."""
        keys = [key.value for key, _ in node.value]
        if twice := {key for key in map(str, keys) if list(map(str, keys)).count(key) > 1}:
            raise yaml.YAMLError(f"{', '.join(sorted(twice))} is given twice{node.start_mark}")
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


def _name(option: click.Option) -> str:
    return max(option.opts, key=len).lstrip("-")


def _value(file: Path, key: str, option: click.Option, value: Any) -> Any:
    """Return a value as click takes it; click itself would take `true` and 1.5 for integers."""
    values = value if option.multiple and isinstance(value, list) else [value]
    if option.is_flag:
        if not isinstance(value, bool):
            raise UsageError(f"{file}: {key} is true or false, not {value!r}")
        return value
    if wrong := [each for each in values or [None] if isinstance(each, bool | list | dict | None)]:
        # The value itself may have a password.
        kinds = {bool: str(wrong[0]).lower(), list: "a list", dict: "a mapping"}
        raise UsageError(f"{file}: {key} cannot be {kinds.get(type(wrong[0]), 'empty')}")
    if any("\0" in str(each) for each in values):
        # As neither a command line nor a variable can; the system refuses it in a path.
        raise UsageError(f"{file}: {key} has a NUL character; remove it")
    return list(map(str, values)) if option.multiple else str(value)


def _flags(name: str, value: Any) -> list[str]:
    """Write a key of vLLM's as its command line has it."""
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, dict):
        return [f"--{name}", json_text(value)]
    if isinstance(value, list):
        return [f"--{name}", *map(str, value)]
    return [f"--{name}={value}"]
