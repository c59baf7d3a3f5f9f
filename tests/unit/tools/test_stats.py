"""Statistics over repeats."""

import itertools
from types import SimpleNamespace

import pytest

from duet_tools.bench import decoder_speed
from duet_tools.bench.stats import differences, in_turns, ratios, summarise
from duet_tools.errors import BenchError


def test_summary_has_median_extremes_and_relative_spread() -> None:
    summary = summarise([4.0, 1.0, 2.0])
    assert (summary.median, summary.min, summary.max) == (2.0, 1.0, 4.0)
    assert summary.spread == pytest.approx(1.5)
    assert summary.values == (4.0, 1.0, 2.0)


def test_spread_of_zeros_is_zero() -> None:
    assert summarise([0.0, 0.0]).spread == 0.0


def test_ratios_are_taken_repeat_by_repeat() -> None:
    # Both halve their speed in the second repeat: the machine's doing, not the subject's.
    assert ratios([90.0, 45.0], [100.0, 50.0]).values == pytest.approx((0.9, 0.9))


def test_differences_are_taken_repeat_by_repeat() -> None:
    assert differences([12.0, 22.0], [10.0, 20.0]).values == (2.0, 2.0)


def test_subject_and_peer_must_have_as_many_repeats() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_each_subject_runs_first_in_turn_and_the_first_round_is_to_warm_up() -> None:
    asked: list[str] = []

    def measure(name: str) -> int:
        asked.append(name)
        return len(asked)

    took = in_turns(3, {"a": lambda: measure("a"), "b": lambda: measure("b")})
    assert asked == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert took == {"a": [4, 5, 8], "b": [3, 6, 7]}


def test_a_decoder_is_timed_from_its_first_token_to_its_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The prompt takes 5 s, each token half a second.
    clock = SimpleNamespace(perf_counter=itertools.count(5.0, 0.5).__next__)
    monkeypatch.setattr(decoder_speed, "time", clock)
    assert decoder_speed.paced(range(5)) == 2
    with pytest.raises(BenchError, match="wrote 1 tokens, too few to time"):
        decoder_speed.paced(range(1))
