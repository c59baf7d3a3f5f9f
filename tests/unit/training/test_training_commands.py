"""How training's commands end, what they let one choose, and the numbers that settings take."""

import math
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from duet_training.commands import experiments, options, release, sft
from duet_training.commands.options import Resumable
from duet_training.commands.program import PROGRAM
from duet_training.data.story_problems.draw import Split
from duet_training.errors import ConfigError, DataError, ParityError
from duet_training.experiments.plan import SCALES
from duet_training.release import private_sums, stories
from duet_training.release.real import known_sets
from duet_training.settings import run as settings
from duet_training.settings.compose import compose_settings
from duet_training.sft.examples import MIXTURES
from duet_training.sft.start import SIZES
from tests.doubles.commands import run_as

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (DataError("a\x1b[2J\nb"), 1, "a\\x1b[2J b"),
        (ParityError("too far"), 3, "too far"),
        (OSError(28, "No space left on device"), 1, "[Errno 28] No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted; the same command continues"),
    ],
)
def test_whatever_is_raised_is_one_line(raised, code, said, capsys):
    def work():
        raise raised

    assert run_as(PROGRAM, work, kind=Resumable) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"duet-train: {said}"


def test_choices_are_those_of_what_runs_behind_them():
    assert sorted(SIZES) == list(sft.SIZES)
    assert sorted(MIXTURES) == list(sft.MIXTURES)
    assert sorted(SCALES) == list(experiments.SCALES)
    assert sorted(known_sets()) == list(release.REAL_SETS)
    assert (stories.NAME, private_sums.NAME) == (release.STORIES, release.PRIVATE_SUMS)
    assert get_args(Split) == options.SPLIT.choices


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
