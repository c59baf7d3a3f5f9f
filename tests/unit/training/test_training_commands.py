"""How training's commands end: streams, missing packages, numbers out of range; no traceback."""

import argparse
import ast
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from duet_training.commands import real, run_command, whole
from duet_training.errors import ConfigError, DataError, ParityError
from duet_training.settings import run as settings
from duet_training.settings.run import compose_settings

ROOT = Path(__file__).parents[3]
# Their top level needs what the contract needs, and no more.
BASE_ONLY = {"sign.py", "wall_clock.py", "served.py", "real.py", "converter.py"}
# Run by this package's own processes, not by people.
INNER = {"convert.py", "serving_side.py"}
ENTRIES = sorted(
    file
    for file in (ROOT / "training").rglob("*.py")
    if "__main__" in file.read_text("utf-8") and file.name not in INNER
)


@pytest.mark.parametrize("file", ENTRIES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_command_ends_in_one_way_and_imports_nothing_that_may_be_missing(file):
    text = file.read_text("utf-8")
    assert "run_command(" in text
    if file.name in BASE_ONLY:
        return
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        assert set(names) <= {"duet_training.commands", *sys.stdlib_module_names} | {
            name for name in names if name.partition(".")[0] in sys.stdlib_module_names
        }


def shell(line):
    command = line.replace("python ", f"{sys.executable} ")
    done = subprocess.run(
        ["bash", "-c", command], stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("python -m duet_training.pair.tiny --help | true; exit ${PIPESTATUS[0]}", 141, ""),
        (
            "python -m duet_training.export --help >/dev/full",
            1,
            "duet_training.export: cannot write to stdout: No space left on device\n",
        ),
        (
            "python -m duet_training.pair.tiny -h >&-",
            1,
            "duet_training.pair.tiny: cannot write to stdout: Bad file descriptor\n",
        ),
        ("python -m duet_training.pair.tiny 2>&- <&-", 2, ""),
    ],
)
def test_streams_that_are_closed_full_or_abandoned(line, code, said):
    assert shell(line) == (code, said)


def test_a_missing_package_is_one_line(capsys):
    def work():
        raise ModuleNotFoundError("No module named 'verl'", name="verl")

    assert run_command("training.it", work) == 1
    assert capsys.readouterr().err == (
        "training.it: Python package verl is not installed; install it with: make training-env\n"
    )


def test_even_the_contract_may_be_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "duet_contract", None)
    assert run_command("training.it", lambda: 0) == 1
    said = capsys.readouterr().err
    assert said.endswith("is not installed; install it with: make training-env\n")


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (DataError("a\x1b[2J\nb"), 1, "a\\x1b[2J b"),
        (ParityError("too far"), 3, "too far"),
        (OSError(28, "No space left on device"), 1, "[Errno 28] No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ValueError("of no package"), 70, "internal error: ValueError: of no package"),
    ],
)
def test_whatever_is_raised_is_one_line(raised, code, said, capsys):
    def work():
        raise raised

    assert run_command("training.it", work) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"training.it: {said}")


def test_a_command_that_resumes_says_so(capsys):
    def work():
        raise KeyboardInterrupt

    assert run_command("training.it", work, resumes=True) == 130
    assert "call it again to continue" in capsys.readouterr().err


ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)


@given(ANY_FLOAT, st.floats(-1e6, 1e6), st.floats(0, 1e6))
@example(math.nan, 0.0, 1.0)
def test_an_options_number_is_finite_and_in_its_range(number, least, span):
    try:
        found = real(least, least + span)(str(number))
    except argparse.ArgumentTypeError:
        assert not least <= number <= least + span
        return
    assert least <= found <= least + span


@given(st.text() | st.integers().map(str) | ANY_FLOAT.map(str), st.integers(-9, 9))
@example("9" * 5000, 0)
def test_an_options_whole_number_is_in_its_range(text, least):
    try:
        found = whole(least, least + 100)(text)
    except argparse.ArgumentTypeError:
        return
    assert least <= found <= least + 100
    assert found == int(text)


@pytest.mark.parametrize(
    "kind",
    ["Count", "Whole", "NotNegative", "Positive", "Signed", "Rate", "Temperature", "Share", "TopK"],
)
@given(ANY_FLOAT | st.integers(-(10**400), 10**400))
@example(math.nan)
@example(math.inf)
@example(1e308)
@example(10**400)
def test_a_settings_number_is_finite_and_bounded(kind, number):
    class Holder(settings.Part):
        value: getattr(settings, kind)

    try:
        found = TypeAdapter(Holder).validate_python({"value": number}).value
    except ValidationError:
        return
    assert math.isfinite(found)
    assert abs(found) < 2**31


def test_a_setting_that_is_nested_too_deeply_is_one_line():
    with pytest.raises(ConfigError, match="cannot read the settings"):
        compose_settings("train", [f"objective.budget={'[' * 3000}{']' * 3000}"], settings.Settings)
