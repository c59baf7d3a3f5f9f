"""From records to figures: percentiles, intervals, goodput, cost, statements, comparing."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.manifest import Evaluation
from duet_tools.errors import UsageProblem
from duet_tools.report.compare import compare, row
from duet_tools.report.rows import short
from duet_tools.report.statements import statements, tokens_to_break_even
from duet_tools.report.statistics import difference_of_means, percentiles, ratio_of_medians, wilson
from duet_tools.report.summary import busy_seconds
from duet_tools.report.waterfall import waterfall
from duet_tools.results.record import Record
from duet_tools.results.report import Objective, Prices
from tests.doubles.reports import (
    ALONE,
    LARGE,
    SPLIT,
    large_records,
    records,
    report,
    summary,
)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_holds_the_share_and_stays_within_0_and_1(case: tuple[int, int]) -> None:
    found = wilson(*case)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def test_wilson_is_what_the_literature_says() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    found = wilson(81, 263)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)
    found = wilson(0, 20)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0, 0.1611)


def test_percentiles_are_interpolated() -> None:
    found = percentiles([float(value) for value in range(1, 102)])
    assert (found.count, found.mean, found.p50, found.p90, found.p99) == (101, 51, 51, 91, 100)


def test_failures_count_as_asked_and_as_wrong() -> None:
    found = records(SPLIT, 8)
    found[3].status = found[4].status = "busy"
    found[5].status = "deadline"
    cell = summary(SPLIT, found)
    assert (cell.asked, cell.answered) == (8, 5)
    assert cell.failures == {"busy": 2, "deadline": 1}
    assert cell.accuracy
    assert cell.accuracy.value == 5 / 8
    assert cell.metrics["total_ms"].count == 5
    assert cell.series["total_ms"][3] is None
    assert cell.series["correct"][3] == 0.0


def test_goodput_counts_what_reaches_every_objective() -> None:
    objectives = (
        Objective(metric="total_ms", most=604.0),
        Objective(metric="first_answer_ms", most=1000.0),
    )
    cell = summary(SPLIT, records(SPLIT), objectives=objectives)
    assert cell.goodput_per_s == pytest.approx(5 / 10)
    assert cell.answers_per_s == pytest.approx(20 / 10)
    assert summary(SPLIT, records(SPLIT)).goodput_per_s is None


def test_ipt_is_accuracy_by_the_large_models_tokens() -> None:
    cell = summary(SPLIT, records(SPLIT, correct=lambda i: i < 10))
    assert cell.ipt == pytest.approx(1000 * 0.5 / 10)
    assert summary(ALONE, records(ALONE, large_tokens=0)).ipt is None


def test_the_host_is_busy_while_at_least_one_question_is_in_the_cloud() -> None:
    apart = records(SPLIT, 3)
    assert busy_seconds(apart) == pytest.approx(3 * 0.4)
    together = records(SPLIT, 3, at_s=0.0)
    assert busy_seconds(together) == pytest.approx(0.4)
    overlapping = records(SPLIT, 3, at_s=lambda i: i * 0.1)
    assert busy_seconds(overlapping) == pytest.approx(0.6)
    assert busy_seconds(records(ALONE, large_tokens=0)) == 0.0


def test_cost_is_that_of_right_answers_at_the_prices_given() -> None:
    found = records(SPLIT, 10, correct=lambda i: i < 4)
    prices = Prices(host_hour=3600.0, million_tokens=1e6, gib=2.0**30)
    cell = summary(SPLIT, found, prices=prices)
    assert cell.cost_per_correct == pytest.approx((10 * 0.4 + 10 * 10 + 10 * 700) / 4)
    assert summary(SPLIT, found).cost_per_correct is None
    none_right = records(SPLIT, 3, correct=False)
    assert summary(SPLIT, none_right, prices=prices).cost_per_correct is None


def test_break_even_is_where_the_lines_meet() -> None:
    split, large = summary(SPLIT, records(SPLIT)), summary(LARGE, large_records())
    found = tokens_to_break_even(split, large)
    assert found
    # The split's median is 609.5 ms.
    assert found == (pytest.approx((609.5 - 100) / 10), pytest.approx(10.0))


def test_break_even_of_answers_that_were_all_cut_at_the_limit() -> None:
    cut = large_records()
    for record in cut:
        record.large_tokens, record.total_ms, record.cloud_step_ms = 100, 1100.0, 10.0
    found = tokens_to_break_even(summary(SPLIT, records(SPLIT)), summary(LARGE, cut))
    assert found == (pytest.approx((609.5 - 100) / 10), pytest.approx(10.0))
    for record in cut:
        record.cloud_step_ms = None
    assert tokens_to_break_even(summary(SPLIT, records(SPLIT)), summary(LARGE, cut)) is None


def test_statements_say_where_the_split_is_sooner_smaller_and_as_accurate() -> None:
    prices = Prices(million_tokens=1.0)
    cells = [
        summary(SPLIT, records(SPLIT), prices=prices),
        summary(LARGE, large_records(), prices=prices),
        summary(ALONE, records(ALONE, large_tokens=0, total_ms=300.0)),
    ]
    found = "\n".join(statements(cells, machine_is_shared=True))
    assert (
        "With 1 at once, budget 32, the split answers later on 4g (0.61 s against 0.59 s) than the "
        "large model alone.\n"
    ) in found
    assert (
        "With 1 at once, budget 32, the split is the sooner one where the large model alone needs "
        "more than 51 tokens on 4g. Here that needed 50 in the median."
    ) in found
    assert "spends 80% fewer tokens of the large model than that alone" in found
    assert "brings 100 B a question down the link against 8.8 KiB" in found
    assert "accuracy is 100% against 50% of the large model alone (+50 points" in found
    assert "on 20 questions they differ" in found
    assert "the split is cheaper at these prices" in found
    assert "the split answers later than the device alone: 0.61 s on 4g, against 0.30 s" in found
    assert "cannot be told apart" in found
    assert "shared one machine" in found


def test_a_split_that_is_sooner_than_the_large_models_first_token_is_so_at_any_length() -> None:
    cells = [summary(SPLIT, records(SPLIT, total_ms=90.0)), summary(LARGE, large_records())]
    found = "\n".join(statements(cells, machine_is_shared=False))
    assert "the split answers sooner on 4g (0.090 s against 0.59 s) than the large" in found
    assert "the large model alone needs more than 0 tokens on 4g." in found


def test_break_even_beyond_the_longest_answer_is_said_to_be_extrapolated() -> None:
    # 100 ms and 10 ms a token; the longest answer has 59.
    cells = [summary(SPLIT, records(SPLIT, total_ms=800.0)), summary(LARGE, large_records())]
    assert "more than 70 tokens on 4g (by extrapolation)." in "\n".join(statements(cells, True))


def test_a_split_that_connecting_alone_makes_later_is_explained() -> None:
    def said(connect_ms: float) -> str:
        mine = records(SPLIT, total_ms=620.0, connect_ms=connect_ms)
        return "\n".join(statements([summary(SPLIT, mine), summary(LARGE, large_records())], True))

    # 25 ms later than the large model alone, whose connection takes 70 ms.
    assert "it takes 0.14 s against 0.070 s, since a new gRPC connection" in said(140.0)
    assert "Connecting" not in said(75.0)


def test_the_large_model_before_its_training_is_what_one_would_run() -> None:
    def said(tokens: float | None, split_ms: float = 600.0) -> str:
        before = Evaluation(
            data="d", questions=9, accuracy=0.8, signal_tokens=9, answer_tokens=9,
            reasoner_alone_accuracy=0.95, reasoner_alone_tokens=tokens,
        )  # fmt: skip
        cells = [summary(SPLIT, records(SPLIT, total_ms=split_ms)), summary(LARGE, large_records())]
        return "\n".join(statements(cells, True, [before]))

    # Faster above 50 tokens: 100 ms, and 10 ms a token.
    assert (
        "before its training for the split this pair's large model needed 106 tokens alone, for "
        "95% right (d, by the pair's manifest). At that length, by extrapolation from at most 59 "
        "tokens, the split is sooner on 4g."
    ) in said(106)
    assert "needed 40 tokens alone" in said(40)
    assert "At that length the split is later on 4g." in said(40)
    assert "before its training" not in said(None)


def test_too_few_questions_give_no_statements() -> None:
    cells = [summary(SPLIT, records(SPLIT, 4)), summary(LARGE, large_records(4))]
    assert statements(cells, machine_is_shared=True) == []


def test_resampling_finds_a_ratio_and_its_doubt() -> None:
    draw = np.random.default_rng(1)
    base = draw.lognormal(0, 0.5, 200)
    exact = ratio_of_medians(base * 1.1, base, paired=True)
    assert exact
    assert (exact.low, exact.value, exact.high) == pytest.approx((1.1, 1.1, 1.1))
    doubtful = ratio_of_medians(draw.lognormal(0, 0.5, 200), base, paired=False)
    assert doubtful
    assert doubtful.low < 1 < doubtful.high
    assert ratio_of_medians(base, base * 0, paired=True) is None
    gap = difference_of_means(base + 1, base, paired=True)
    assert (gap.low, gap.high) == pytest.approx((1.0, 1.0))


def noisy(seed: int, factor: float = 1.0) -> list[Record]:
    draw = np.random.default_rng(seed)
    return records(SPLIT, 60, total_ms=lambda i: factor * float(draw.lognormal(6, 0.3)))


def test_comparing_tells_a_difference_from_noise() -> None:
    a, b, c = (summary(SPLIT, noisy(seed, by)) for seed, by in ((1, 1.0), (2, 1.0), (3, 2.0)))
    same = {each.metric: each for each in compare(report(a), report(b, data="1"))}
    assert same["total_ms"].verdict == "noise"
    assert not same["total_ms"].paired
    other = {each.metric: each for each in compare(report(a), report(c))}
    assert other["total_ms"].verdict == "worse"
    assert other["total_ms"].paired
    assert other["correct"].verdict == "noise"
    back = {each.metric: each for each in compare(report(c), report(a))}
    assert back["total_ms"].verdict == "better"
    assert back["total_ms"].interval
    assert back["total_ms"].interval.high < 1
    assert "60 pairs" in row(back["total_ms"])


def test_comparing_few_questions_gives_no_verdict() -> None:
    cell = summary(SPLIT, records(SPLIT, 3))
    assert {each.verdict for each in compare(report(cell), report(cell))} == {"too few"}


def test_nothing_against_nothing_is_no_difference() -> None:
    cell = summary(ALONE, records(ALONE, large_tokens=0))
    found = {each.metric: each for each in compare(report(cell), report(cell))}
    assert found["large_tokens"].verdict == "noise"
    assert found["large_tokens"].interval is None


def test_comparing_pairs_the_questions_that_both_answered() -> None:
    found = records(SPLIT, 10)
    found[2].status = "busy"
    differences = compare(report(summary(SPLIT, records(SPLIT, 10))), report(summary(SPLIT, found)))
    questions = {each.metric: each.questions for each in differences}
    assert (questions["total_ms"], questions["correct"]) == (9, 10)


def test_reports_without_a_cell_in_common_are_refused() -> None:
    split, large = summary(SPLIT, records(SPLIT)), summary(LARGE, large_records())
    with pytest.raises(UsageProblem, match="no mode, link and load in common"):
        compare(report(split), report(large))


def test_a_report_without_its_questions_values_cannot_be_compared() -> None:
    whole = report(summary(SPLIT, records(SPLIT)))
    with pytest.raises(UsageProblem, match="lacks its questions' values"):
        compare(whole, whole.without_series())


def test_the_waterfall_is_that_of_the_median_question() -> None:
    found = waterfall(records(SPLIT, 5), {"4g": 70.0})
    assert found
    assert found.question == "q2"
    lanes = {lane.name: lane.spans for lane in found.lanes}
    assert lanes["device"][-1] == ("answers", 520.0, 602.0)
    assert lanes["link"][0] == ("connects", 0.0, 70.0)
    # The last token left the cloud half a round trip before it arrived.
    assert lanes["cloud"][-1] == ("decodes", 165.0, 465.0)
    for spans in lanes.values():
        assert all(a[2] <= b[1] for a, b in itertools.pairwise(spans))
    assert waterfall(records(LARGE, 5), {}) is None


def test_seconds_are_short_and_milliseconds_are_seen_where_they_matter() -> None:
    assert [short(value) for value in (0.0094, 0.0996, 0.1, 2.0, 61.234)] == [
        "0.009", "0.100", "0.10", "2.00", "61.23",
    ]  # fmt: skip
