import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_tools.link.profiles import PRESETS, BadLink, Direction, link_named, parse_rate


def test_every_link_that_is_promised_has_values_and_a_source() -> None:
    promised = {"2g", "3g", "4g", "5g", "wifi", "dsl", "satellite", "lan", "none"}
    assert promised <= set(PRESETS)
    for name, link in PRESETS.items():
        assert link.name == name
        assert len(link.source) > 20
        if name != "none":
            assert link.up.rate_bit_s
            assert link.down.rate_bit_s
            assert link.rtt_ms > 0


def test_an_unknown_link_names_those_that_are_known() -> None:
    with pytest.raises(BadLink, match="no link named '6g'; use one of none, 2g, 3g") as caught:
        link_named("6g")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10mbit", 10e6),
        ("1.5mbit/s", 1.5e6),
        ("256kbit", 256e3),
        ("64000", 64000),
        (5, 5),
        ("none", None),
    ],
)
def test_rates_are_read(text: object, rate: float | None) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "10 apples", "-1mbit", "1e6", True, None, "10 mb"])
def test_what_is_no_rate_is_refused(text: object) -> None:
    with pytest.raises(BadLink, match="is not a rate"):
        parse_rate(text)


@pytest.mark.parametrize(
    "settings",
    [
        {"delay_ms": -1},
        {"delay_ms": float("nan")},
        {"delay_ms": float("inf")},
        {"delay_ms": "10"},
        {"jitter_ms": True},
        {"rate_bit_s": 0},
        {"slice_bytes": 0},
        {"slice_bytes": 1.5},
        {"cut_after_bytes": -1},
        {"stalled": 1},
        {"rate": "fast"},
        {"latency": 3},
    ],
)
def test_settings_that_a_link_cannot_have_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(BadLink):
        Direction().changed(settings)


@given(st.floats(1, 1e9), st.floats(0, 1e4))
def test_changing_keeps_what_is_not_named(rate: float, delay: float) -> None:
    before = Direction(jitter_ms=3, cut_after_bytes=7)
    after = before.changed({"rate": rate, "delay_ms": delay})
    assert after == Direction(rate, delay, 3, cut_after_bytes=7)
