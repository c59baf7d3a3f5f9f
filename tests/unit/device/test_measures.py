"""Odds of a token, and the measures of an answer made from them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_device.decoder.odds import Odds, odds_of
from duet_device.policy.measures import MEASURES, Evidence, measures

logits = st.lists(
    st.lists(st.floats(-30, 30, width=32), min_size=3, max_size=3), min_size=1, max_size=4
)
probabilities = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=8)


@given(logits, st.integers(0, 2))
def test_odds_are_those_of_the_definition(rows: list[list[float]], token: int) -> None:
    likeliest = odds_of(np.array(rows, np.float32))
    chosen = odds_of(np.array(rows, np.float32), [token] * len(rows))
    for row, found, other in zip(rows, likeliest, chosen, strict=True):
        total = sum(math.exp(each) for each in row)
        shares = sorted((math.exp(each) / total for each in row), reverse=True)
        assert found.probability == pytest.approx(shares[0], rel=1e-4)
        assert found.margin == pytest.approx(shares[0] - shares[1], abs=1e-5)
        entropy = -sum(share * math.log(share) for share in shares if share)
        assert found.entropy == pytest.approx(entropy, abs=1e-4)
        assert other.log_probability == pytest.approx(row[token] - math.log(total), abs=1e-4)
        assert (other.margin, other.entropy) == (found.margin, found.entropy)


def test_a_token_that_cannot_come_spoils_nothing() -> None:
    [odds] = odds_of(np.array([[0.0, -np.inf, -np.inf]], np.float32))
    assert (odds.probability, odds.margin) == (1.0, 1.0)
    assert odds.entropy == pytest.approx(0.0)


def odds(probability: float) -> Odds:
    rest = 1 - probability
    entropy = -sum(share * math.log(share) for share in (probability, rest) if share)
    return Odds(math.log(probability), probability - rest, entropy)


@given(probabilities, st.integers(0, 7), st.floats(0.5, 1.0))
def test_every_measure_is_higher_where_the_decoder_is_surer(
    steps: list[float], index: int, surer: float
) -> None:
    index %= len(steps)
    raised = [*steps[:index], max(surer, steps[index]), *steps[index + 1 :]]
    less = measures(Evidence(tuple(map(odds, steps))))
    more = measures(Evidence(tuple(map(odds, raised))))
    for name in ("least_probability", "mean_log_probability", "margin", "first_margin"):
        assert more[name] >= less[name] - 1e-12


def test_nothing_is_measured_of_nothing() -> None:
    assert measures(Evidence()) == {}
    assert measures(Evidence(values=("9",))) == {}


@pytest.mark.parametrize(
    ("values", "share"),
    [(("9", "9"), 1.0), (("9", "8"), 0.5), ((None, None), 0.0), (("9", None, "9", "8"), 0.5)],
)
def test_agreement_is_with_the_first_value(values: tuple[str | None, ...], share: float) -> None:
    assert measures(Evidence(values=values)) == {"agreement": share}


def test_a_calibration_can_name_every_measure() -> None:
    evidence = Evidence((odds(0.9), odds(0.6)), ("9", "9"), (True,), 0.5)
    assert set(measures(evidence)) == set(MEASURES)
