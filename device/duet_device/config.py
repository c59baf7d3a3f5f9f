"""The configuration file: commented TOML with one line a setting.

`duet-device config` writes it, and people edit it. A line is changed in place, so that comments and
order stay; what the change would do is checked before the file is written.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from duet_contract.directories import config_directory, expand
from duet_contract.errors import NoDirectoryError
from duet_device.errors import UsageProblem
from duet_device.home import HOME_VARIABLE

CONFIG_VARIABLE = "DUET_CONFIG"
_NAME = "config.toml"
_MOST_BYTES = 1 << 20


def config_path() -> Path:
    """`$DUET_CONFIG`, a file in `$DUET_HOME`, or one in the user's configuration directory.

    Raises:
        UsageProblem: the user has no home directory, and no variable names another place.
    """
    try:
        return _path()
    except NoDirectoryError as error:
        raise UsageProblem(str(error)) from error


def load() -> dict[str, object]:
    """Return the settings of the file; none if there is no file.

    Raises:
        UsageProblem: it cannot be read.
    """
    text = read()
    if not text:
        return {}
    # Imported here: each question starts with this call.
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise problem("nested too deeply") from None
    except ValueError as error:
        # Besides its own errors, those of an integer with thousands of digits.
        raise problem(str(error)) from error


def read() -> str:
    """Return the text of the file; empty if there is no file, or no place for one.

    Raises:
        UsageProblem: it cannot be read.
    """
    try:
        with _path().open("rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError, NoDirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise problem(str(error)) from error


def problem(why: str) -> UsageProblem:
    """Return the error of a file that cannot be used."""
    return UsageProblem(f"{config_path()}: {why}; correct it with: duet-device config edit")


def store(changes: Mapping[str, object], template: str = "") -> None:
    """Set settings in the file; None comments a setting out.

    Args:
        changes: values by name.
        template: what a new file holds first.

    Raises:
        UsageProblem: the file cannot be read or written, or the change must be made by hand.
    """
    import tomllib

    text = read() or template
    wanted = load() | {name: value for name, value in changes.items() if value is not None}
    for name, value in changes.items():
        if value is None:
            wanted.pop(name, None)
        text = _with_line(text, name, value)
    try:
        held = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        held = {}
    if held != wanted:
        raise problem(f"{', '.join(changes)} cannot be changed in place")
    write(text)


def write(text: str) -> None:
    """Replace the file.

    Raises:
        UsageProblem: it cannot be written.
    """
    from duet_contract.private_files import write_private

    # Of a link, such as managers of such files make, the target is replaced.
    path = Path(os.path.realpath(config_path()))
    try:
        write_private(path, text.encode("utf-8"))
    except OSError as error:
        raise UsageProblem(
            f"cannot write {path}: {error.strerror}; set {CONFIG_VARIABLE} to another file"
        ) from error


def toml(value: object) -> str:
    """Return a value as TOML writes it.

    Examples:
        >>> toml("a"), toml(True), toml(3.0)
        ('"a"', 'true', '3.0')
    """
    return json.dumps(value, ensure_ascii=False)


def _path() -> Path:
    if named := os.environ.get(CONFIG_VARIABLE):
        return expand(named)
    if home := os.environ.get(HOME_VARIABLE):
        return expand(home) / _NAME
    return config_directory(CONFIG_VARIABLE) / _NAME


def _with_line(text: str, name: str, value: object) -> str:
    """Return the text with the line of a setting changed, or a new line before the first table."""
    line = re.compile(rf"^(?:#[ \t]*)?{re.escape(name)}[ \t]*=.*$", re.MULTILINE)
    live = re.compile(rf"^{re.escape(name)}[ \t]*=.*$", re.MULTILINE)
    found = live.search(text) or line.search(text)
    if value is None:
        return live.sub(lambda match: f"# {match[0]}", text)
    new = f"{name} = {toml(value)}"
    if found:
        return text[: found.start()] + new + text[found.end() :]
    table = re.search(r"^\s*\[", text, re.MULTILINE)
    place = table.start() if table else len(text)
    head = text[:place]
    return head + ("" if not head or head.endswith("\n") else "\n") + new + "\n" + text[place:]
