"""What a calibrated policy saves, as a Markdown table."""

from duet_report.numbers import points, share
from duet_report.tables import markdown
from duet_tools.policy.savings import DIVISIONS, PolicyResults, Saved


def policy_table(results: PolicyResults) -> str:
    """Return the table, and below it what was measured."""
    head = (
        *("questions", "wanted", "policy", "measure", "calls saved", "signal tokens saved"),
        "right, against always asking",
    )
    rows = [
        (f"`{name}`", f"`{wanted.goal}`", policy, *_cells(saved))
        for name, found in results.sets.items()
        for wanted in found.wanted
        for policy, saved in wanted.policies.items()
    ]
    sets = "\n".join(
        f"- `{name}`: {one.questions} questions to {one.pair}; right alone {share(one.never)}, with "
        f"every signal {share(one.always)}, of {one.tokens:.1f} tokens; fitted against the "
        f"{'cloud' if one.against == 'cloud' else 'answers'}."
        for name, one in results.sets.items()
    )
    return (
        f"{markdown(head, rows)}\n\n{sets}\n\nMeasured {results.date}, delta {results.failure:g}.\n"
    )


def _cells(saved: Saved) -> tuple[str, ...]:
    if not saved.decided:
        return ("no threshold reaches it", "", "", "")
    measures = ", ".join(dict.fromkeys(saved.measures))
    if saved.decided < DIVISIONS:
        measures += f" ({saved.decided} of {DIVISIONS} divisions)"
    tokens = saved.tokens.model_copy(
        update={
            "value": 1 - saved.tokens.value,
            "low": 1 - saved.tokens.high,
            "high": 1 - saved.tokens.low,
        }
    )
    return measures, share(saved.calls), share(tokens), points(saved.difference)
