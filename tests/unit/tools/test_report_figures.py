"""From records to figures: percentiles, intervals, goodput, cost, verdicts, comparing."""

import itertools

import numpy as np
import pytest

from duet_tools.errors import UsageProblem
from duet_tools.report.columns import short
from duet_tools.report.compare import compare, row
from duet_tools.report.summary import busy_seconds, percentiles
from duet_tools.report.verdicts import (
    break_even_note,
    break_even_table,
    break_even_tokens,
    verdicts,
)
from duet_tools.report.waterfall import waterfall
from duet_tools.results.record import Record
from duet_tools.results.report import Objective, Prices, Untrained
from tests.doubles.reports import ALONE, LARGE, SPLIT, large_records, records, report, summary


def test_percentiles_are_interpolated() -> None:
    found = percentiles([float(value) for value in range(1, 102)])
    assert (found.count, found.mean, found.p50, found.p90, found.p99) == (101, 51, 51, 91, 100)


def test_failures_count_as_asked_and_as_wrong() -> None:
    found = records(SPLIT, 8)
    found[3].status = found[4].status = "busy"
    found[5].status = "deadline"
    measured = summary(SPLIT, found)
    assert (measured.asked, measured.answered) == (8, 5)
    assert measured.failures == {"busy": 2, "deadline": 1}
    assert measured.accuracy
    assert measured.accuracy.value == 5 / 8
    assert measured.metrics["total_ms"].count == 5
    assert measured.series["total_ms"][3] is None
    assert measured.series["correct"][3] == 0.0


def test_goodput_counts_what_reaches_every_objective() -> None:
    objectives = (
        Objective(metric="total_ms", most=604.0),
        Objective(metric="first_answer_ms", most=1000.0),
    )
    measured = summary(SPLIT, records(SPLIT), objectives=objectives)
    assert measured.goodput_per_s == pytest.approx(5 / 10)
    assert measured.answers_per_s == pytest.approx(20 / 10)
    assert summary(SPLIT, records(SPLIT)).goodput_per_s is None


def test_ipt_is_accuracy_by_the_large_models_tokens() -> None:
    measured = summary(SPLIT, records(SPLIT, correct=lambda i: i < 10))
    assert measured.ipt == pytest.approx(1000 * 0.5 / 10)
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
    measured = summary(SPLIT, found, prices=prices)
    assert measured.cost_per_correct == pytest.approx((10 * 0.4 + 10 * 10 + 10 * 700) / 4)
    assert summary(SPLIT, found).cost_per_correct is None
    none_right = records(SPLIT, 3, correct=False)
    assert summary(SPLIT, none_right, prices=prices).cost_per_correct is None


def test_break_even_is_where_the_lines_meet() -> None:
    split, large = summary(SPLIT, records(SPLIT)), summary(LARGE, large_records())
    # The split's median is 609.5 ms; the large model takes 100 ms, and 10 ms a token.
    assert break_even_tokens(split, large) == pytest.approx((609.5 - 100) / 10)
    # Sooner than the large model's first token is so at any length.
    early = summary(SPLIT, records(SPLIT, total_ms=90.0))
    assert break_even_tokens(early, large) == 0


def test_break_even_of_answers_that_were_all_cut_at_the_limit() -> None:
    cut = large_records()
    for record in cut:
        record.large_tokens, record.total_ms, record.cloud_step_ms = 100, 1100.0, 10.0
    split = summary(SPLIT, records(SPLIT))
    assert break_even_tokens(split, summary(LARGE, cut)) == pytest.approx((609.5 - 100) / 10)
    for record in cut:
        record.cloud_step_ms = None
    assert break_even_tokens(split, summary(LARGE, cut)) is None


def test_a_verdict_for_each_alternative() -> None:
    conditions = [
        summary(SPLIT, records(SPLIT)),
        summary(LARGE, large_records()),
        summary(ALONE, records(ALONE, large_tokens=0, total_ms=300.0)),
    ]
    large, alone = verdicts(report(*conditions))
    assert large.startswith(
        "duet @32 against the large model alone: slower, median 0.61 s against 0.59 s; 80% fewer "
        "large tokens; accuracy +50.0 points (+"
    )
    assert "not significant" not in large
    assert alone == (
        "duet @32 against the device alone: slower, median 0.61 s against 0.30 s; 10.0 large tokens "
        "instead of none; accuracy +0.0 points (+0.0 to +0.0), not significant."
    )


def test_a_verdict_over_several_links_says_on_how_many_and_how_much() -> None:
    conditions = []
    for link, split_ms in (("4g", 295.0), ("wifi", 1190.0)):
        mine, theirs = (measured.model_copy(update={"link": link}) for measured in (SPLIT, LARGE))
        conditions.append(summary(mine, records(mine, total_ms=split_ms)))
        conditions.append(summary(theirs, large_records()))
    conditions[1::2] = [
        measured.model_copy(update={"condition": LARGE.model_copy(update={"link": link})})
        for measured, link in zip(conditions[1::2], ("4g", "wifi"), strict=True)
    ]
    conditions[3] = conditions[3].model_copy(
        update={"metrics": {**conditions[3].metrics, "total_ms": percentiles([596.0] * 9)}}
    )
    (said,) = verdicts(report(*conditions))
    assert "faster on 1 of 2 links (0.50x to 2.00x the time)" in said


def test_the_most_accurate_budget_speaks_for_the_split() -> None:
    good = SPLIT.model_copy(update={"budget": 128})
    conditions = [
        summary(SPLIT, records(SPLIT, correct=False)),
        summary(good, records(good)),
        summary(LARGE, large_records()),
    ]
    (said,) = verdicts(report(*conditions))
    assert said.startswith("duet @128 against")


def test_verdicts_need_no_values_of_questions() -> None:
    whole = report(summary(SPLIT, records(SPLIT)), summary(LARGE, large_records()))
    assert verdicts(whole.without_series()) == verdicts(whole)
    bare = [
        measured.model_copy(update={"accuracy_gaps": None})
        for measured in whole.without_series().conditions
    ]
    (said,) = verdicts(whole.model_copy(update={"conditions": tuple(bare)}))
    # Of two shares that are known without their questions: Newcombe's interval.
    assert "accuracy +50.0 points (+" in said


def test_what_the_large_model_needed_before_its_training_is_said() -> None:
    conditions = [summary(SPLIT, records(SPLIT)), summary(LARGE, large_records())]
    before = Untrained(data="d", tokens=106, accuracy=0.95)
    note = break_even_note(report(*conditions, untrained=before))
    assert note.endswith(
        "Here it needed 50 (median). Before its training for the split it needed 106 on d "
        "(95% right)."
    )
    assert "Before" not in break_even_note(report(*conditions))
    head, rows = break_even_table(report(*conditions))
    assert (head, rows) == (["link", "duet @32, 1 at once"], [["4g", "51"]])


def test_too_few_questions_give_no_verdict() -> None:
    few = report(summary(SPLIT, records(SPLIT, 4)), summary(LARGE, large_records(4)))
    assert verdicts(few) == []


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
    measured = summary(SPLIT, records(SPLIT, 3))
    assert {each.verdict for each in compare(report(measured), report(measured))} == {"too few"}


def test_nothing_against_nothing_is_no_difference() -> None:
    measured = summary(ALONE, records(ALONE, large_tokens=0))
    found = {each.metric: each for each in compare(report(measured), report(measured))}
    assert found["large_tokens"].verdict == "noise"
    assert found["large_tokens"].interval is None


def test_comparing_pairs_the_questions_that_both_answered() -> None:
    found = records(SPLIT, 10)
    found[2].status = "busy"
    differences = compare(report(summary(SPLIT, records(SPLIT, 10))), report(summary(SPLIT, found)))
    questions = {each.metric: each.questions for each in differences}
    assert (questions["total_ms"], questions["correct"]) == (9, 10)


def test_reports_without_a_condition_in_common_are_refused() -> None:
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
