"""Tables of the loss aggregations, and of what a step's driver takes."""

from collections.abc import Sequence
from statistics import fmean

from duet_report.intervals import Interval, mean_of_runs
from duet_report.numbers import points
from duet_report.tables import markdown
from duet_training.evaluation.report.tables import NOT_RUN
from duet_training.experiments.figures import each_seed, figure, paired
from duet_training.experiments.methods import AGGREGATIONS
from duet_training.experiments.plan import POLICY, TIMED
from duet_training.experiments.results import (
    DRIVER,
    STEP,
    VALIDATED_LENGTH,
    VALIDATING,
    Results,
)

# The same training with VERL's mean over all tokens of a mini-batch.
BASE = "reward-sampled"
# Shares of the steps after which validation's tokens are compared.
AFTER = (1 / 2, 1.0)
AT_BUDGET = {"steps_to_budget": ".1f", "accuracy_at_budget": ".3f"}
# Of a step, without validation.
MOST_DRIVER = 0.2


def policy_table(results: Results) -> str:
    """Show what each aggregation does to a policy that only decides when to stop."""
    found = (results.result(POLICY) or {"rules": []})["rules"]
    if not found:
        return ""
    base = next(row["tokens"] for row in found if row["rule"] == "token-mean")
    rows = [
        [
            f"`{row['rule']}`",
            *(_mean(each, ".1f") for each in row["tokens"]),
            f"{row['tokens'][-1][0] / base[-1][0] - 1:+.0%}",
            _mean(row["accuracy"][-1], ".3f"),
            *(_mean(row[key], how) if key in row else "" for key, how in AT_BUDGET.items()),
        ]
        for row in found
    ]
    after = found[0]["after"]
    head = ["aggregation", *(f"tokens after {step} steps" for step in after), "of token mean"]
    head += [f"accuracy after {after[-1]}", "steps to B", "accuracy there"]
    return markdown(head, rows)


def _mean(interval: Sequence[float], how: str) -> str:
    value, low, high = interval
    return f"{value:{how}} ({low:{how}} to {high:{how}})"


def aggregation_table(results: Results, seeds: Sequence[int]) -> str:
    """Compare the aggregations at equal steps: accuracy and tokens. Empty if none was trained."""
    rows = []
    if not any(figure(results, name, "greedy") for name in AGGREGATIONS):
        return ""
    compared = {BASE: "VERL's token mean over the mini-batch"}
    compared |= {name: method.why for name, method in AGGREGATIONS.items()}
    for name, why in compared.items():
        one, sampled = figure(results, name, "greedy"), figure(results, name)
        if one is None or sampled is None or one.seeds < len(seeds):
            rows.append([name, why, *[NOT_RUN] * (7 + len(AFTER))])
            continue
        found = each_seed(results, name, "greedy")
        more = paired(results, name, BASE) if name != BASE else None
        rows.append(
            [
                *(name, why, *one.cells),
                " ".join(f"{each['accuracy']:.3f}" for each in found),
                " ".join(f"{each['reasoner_tokens']:.1f}" for each in found),
                points(more) if more else "",
                _tokens_against(results, name) if name != BASE else "",
                f"{sampled.accuracy:.3f}, {sampled.tokens:.1f}",
                *(_length_after(results, name, seeds, share) for share in AFTER),
            ]
        )
    head = ["aggregation", "what it is", "greedy accuracy (95%)", "tokens"]
    head += ["accuracy by seed", "tokens by seed", "accuracy against token mean (95%)"]
    head += ["tokens against token mean (95%)", "sampled: accuracy, tokens"]
    head += [f"validation tokens after {share:.0%} of the steps" for share in AFTER]
    return markdown(head, rows)


def _tokens_against(results: Results, name: str) -> str:
    """Greedy tokens against the token mean's of the same seed: mean of the seeds, Student's t."""
    ours, theirs = (
        [each["reasoner_tokens"] for each in each_seed(results, run, "greedy")]
        for run in (name, BASE)
    )
    if len(ours) != len(theirs):
        return ""
    return _percent(mean_of_runs([a / b - 1 for a, b in zip(ours, theirs, strict=True)]))


def _percent(change: Interval) -> str:
    value, low, high = (100 * each for each in (change.value, change.low, change.high))
    return f"{value:+.0f}% ({low:+.0f} to {high:+.0f})"


def _length_after(results: Results, name: str, seeds: Sequence[int], share: float) -> str:
    """Mean tokens of the validation after a share of the steps."""
    found = []
    for seed in seeds:
        run = f"{name}-{seed}"
        result = results.result(run) or {"steps": 0}
        curve = results.curve(run, VALIDATED_LENGTH)
        found += [value for step, value in curve.items() if step == round(share * result["steps"])]
    return f"{fmean(found):.1f}" if len(found) == len(seeds) else ""


def driver_table(results: Results, seeds: Sequence[int]) -> str:
    """Show the driver's share of a step, of the runs that recorded it; empty without one."""
    rows = []
    for name in (TIMED.removesuffix("-0"), *AGGREGATIONS):
        runs = [run for seed in seeds if results.curve(run := f"{name}-{seed}", DRIVER)]
        if not runs:
            continue
        steps = [_seconds(results, run) for run in runs]
        shares = [driver / step for step, driver in steps]
        rows.append(
            [
                *(name, str(len(runs))),
                *(f"{fmean(each):.2f}" for each in zip(*steps, strict=True)),
                f"{fmean(shares):.1%} ({min(shares):.1%} to {max(shares):.1%})",
                "yes" if max(shares) <= MOST_DRIVER else "no",
            ]
        )
    head = ["run", "seeds", "seconds of a step", "of the driver", "share (least to most seed)"]
    return markdown([*head, f"at most {MOST_DRIVER:.0%}"], rows) if rows else ""


def _seconds(results: Results, run: str) -> tuple[float, float]:
    """Mean seconds of a step without its validation, and of the driver in it."""
    step, driver, validating = (
        results.curve(run, metrics) for metrics in (STEP, DRIVER, VALIDATING)
    )
    whole = sum(step.values()) - sum(validating.values())
    return whole / len(step), sum(driver.values()) / len(step)
