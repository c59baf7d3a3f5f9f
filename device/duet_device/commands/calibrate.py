"""`duet-device calibrate`: fit the thresholds of the policy on questions with answers."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from duet_contract.commands import Integer, Number, option
from duet_contract.console import OutputLost
from duet_contract.terminal import printable_json
from duet_device.commands.batch import Item, bar, read_items
from duet_device.commands.options import ALLOW_UNSIGNED, ConfiguredCommand, settings_named
from duet_device.commands.output import note, show
from duet_device.commands.tables import table
from duet_device.deadline import Deadline
from duet_device.errors import CloudRefused, DeadlineExceeded, UsageProblem
from duet_device.rows_file import append, locked, read_rows
from duet_device.settings import Settings

if TYPE_CHECKING:
    import threading

    from duet_contract.calibration import Decision
    from duet_device.calibration.collect import DataQuestion
    from duet_device.calibration.fitting import Goal
    from duet_device.calibration.rows import Row
    from duet_device.calibration.study import Study, Tradeoff
    from duet_device.pairs.pair import Pair

_DECISIONS = ("gate", "stop", "more", "mark")
_SHARE = Number(0, 1, min_open=True, max_open=True)
_ALPHA, _DELTA = 0.1, 0.05


class Alpha(click.types.StringParamType):
    """A share, or DECISION=SHARE: ("", 0.1) or ("gate", 0.1)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType`."""
        decision, separator, share = str(value).rpartition("=")
        if separator and decision not in _DECISIONS:
            self.fail(f"unknown decision {decision!r}: name {', '.join(_DECISIONS)}", param, ctx)
        return decision, _SHARE.convert(share, param, ctx)


_TAKEN = ("server", "pair_name", "budget", "timeout", "connect_timeout", "threads")
_CURVE_LINES = 10
# Questions in a row without an answer from the cloud that stop a run: the next ones would fail, too.
_MOST_FAILURES = 5


@click.command(cls=ConfiguredCommand, params=[*settings_named(*_TAKEN), ALLOW_UNSIGNED])
@click.argument("data", type=click.Path(path_type=Path))
@option(
    "--rows",
    click.Path(path_type=Path),
    "FILE",
    "Record the questions in FILE; recorded ones are not asked again [DATA.rows].",
    to="rows_path",
)
@option(
    "--target",
    (click.Choice(("accuracy", "saving")), _SHARE),
    "accuracy|saving VALUE",
    "Wanted share of right answers among the trusted ones, or of signal tokens saved.",
)
@option(
    "--alpha",
    Alpha(),
    "[DECISION=]A",
    f"Share of wrong answers allowed among them, of every decision or of one [{_ALPHA}]. Repeatable.",
    multiple=True,
    to="alphas",
)
@option(
    "--delta",
    _SHARE,
    "D",
    "Probability that the guarantee does not hold.",
    _DELTA,
)
@click.option(
    "--against-cloud",
    is_flag=True,
    help="Compare with the answer from the cloud's signal; DATA then needs no answers.",
)
@option(
    "--decide",
    click.Choice(_DECISIONS),
    None,
    "Fit this decision alone [all]. Repeatable.",
    multiple=True,
)
@option(
    "--samples",
    Integer(0, 16),
    "N",
    "Further signals to sample for each question, to compare their agreement.",
    2,
)
@option(
    "--split-seed",
    Integer(0),
    "N",
    "Seed of the division into halves for fit and test.",
    0,
)
@option("--html", click.Path(path_type=Path), "FILE", "Write the curve as a page.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
@click.pass_context
def calibrate(
    context: click.Context,
    /,
    data: Path,
    rows_path: Path | None,
    target: tuple[Literal["accuracy", "saving"], float] | None,
    alphas: tuple[tuple[str, float], ...],
    delta: float,
    against_cloud: bool,
    decide: tuple[str, ...],
    samples: int,
    split_seed: int,
    html: Path | None,
    as_json: bool,
    allow_unsigned: bool,
    **settings: Any,
) -> None:
    """Fit the thresholds that decide how many tokens a question needs.

    DATA has a JSON object a line: "question", "answer", and "signal" where there is one already.
    Each question is answered alone, from parts of the signal and from all of it. One half of the
    questions chooses measures and thresholds; the other half tests them.

    The guarantee: of the answers that the device trusts, at least 1 - alpha are right, with
    probability 1 - delta, for questions like those of DATA. It holds for each decision by itself,
    and for this decoder file alone.
    """
    from duet_device.calibration.study import check_rows, study
    from duet_device.commands.input import stop_on_interrupt
    from duet_device.pairs.pair import chosen_pair, open_pair
    from duet_device.policy.calibrations import store

    goals = _goals(target, dict(alphas), delta)
    goal = goals.pop("")
    decisions = frozenset(decide or _DECISIONS)
    stop = stop_on_interrupt(context)
    asked = [_asked(item, data) for item in read_items(data)]
    missing = [] if against_cloud else [each.id for each in asked if each.answer is None]
    # Before any question is asked.
    check_rows(len(asked), missing, [goals.get(each, goal) for each in decisions], data.name)
    pair = open_pair(chosen_pair(settings.pop("pair_name")), allow_unsigned=allow_unsigned)
    path = rows_path or Path(f"{data}.rows")
    rows = _recorded(asked, path, pair, settings, samples=samples, stop=stop)
    found = study(
        rows,
        goal,
        data=data.name,
        against_cloud=against_cloud,
        seed=split_seed,
        decisions=decisions,
        goals=goals,
    )
    if html:
        from duet_device.calibration.page import page

        try:
            html.write_text(page(found), "utf-8")
        except OSError as error:
            raise OutputLost(f"cannot write {html}: {error.strerror}") from error
    show(printable_json(found.as_json()) if as_json else _report(found))
    if not any(fitted.threshold for fitted in found.fitted.values()):
        raise UsageProblem(
            f"no threshold reaches the goal ({goal}), and nothing was stored: give more "
            "questions, or change the goal with --alpha or --target"
        )
    note(f"stored in {store(found.calibration, pair.manifest)}")


def _goals(
    target: tuple[str, float] | None, alphas: dict[str, float], delta: float
) -> "dict[str, Goal]":
    """Return what is wanted of single decisions, and, by an empty name, of all others."""
    from duet_device.calibration.fitting import Goal

    if target and alphas:
        raise UsageProblem("--target and --alpha are alternatives")
    if target and target[0] == "saving":
        return {"": Goal(failure=delta, saving=target[1])}
    every = {"": 1 - target[1] if target else _ALPHA}
    return {name: Goal(alpha, delta) for name, alpha in (every | alphas).items()}


def _answer(item: Item, data: Path) -> str | None:
    from duet_contract.answers.worked import reference_text

    try:
        return reference_text(item.data.get("answer")) or None
    except ValueError as error:
        raise UsageProblem(f"{data}, id {item.id}: {error}") from error


def _recorded(
    asked: "list[DataQuestion]",
    path: Path,
    pair: "Pair",
    settings: Mapping[str, Any],
    *,
    samples: int,
    stop: "threading.Event",
) -> "list[Row]":
    """Return a row for each question; record those that are not there."""
    from duet_device.calibration.rows import parse_row

    manifest = pair.manifest
    budget = Settings(budget=settings["budget"]).budget_for(manifest)
    with locked(path) as file:
        held = {
            id_: parse_row(row, manifest.reference, manifest.decoder_sha256, str(path))
            for id_, row in read_rows(file, path).items()
        }
        missing = [each for each in asked if not _is_held(held.get(each.id), each, samples, budget)]
        again = {each.id for each in missing} & held.keys()
        if again:
            note(
                f"{len(again)} rows are recorded again: question, signal, samples or budget differ"
            )
            for id_ in again:
                del held[id_]
        if len(missing) < len(asked):
            note(f"{len(asked) - len(missing)} of {len(asked)} questions are recorded already")
        for row in _record(missing, pair, settings, samples=samples, stop=stop):
            held[row.id] = row
            append(file, row.model_dump(mode="json"), path)
    # The data may have got its answers since.
    return [
        held[each.id].model_copy(update={"answer": each.answer})
        for each in asked
        if each.id in held
    ]


def _asked(item: Item, data: Path) -> "DataQuestion":
    from duet_device.calibration.collect import DataQuestion

    signal = item.data.get("signal")
    if signal is not None and not isinstance(signal, str):
        raise UsageProblem(f"{data}, id {item.id}: the signal is not text")
    return DataQuestion(item.id, item.question, _answer(item, data), signal)


def _is_held(row: "Row | None", asked: "DataQuestion", samples: int, budget: int) -> bool:
    enough = 0 if asked.signal is not None else samples
    return (
        row is not None
        and (row.question, row.signal_sha256) == (asked.question, asked.signal_sha256)
        and row.budget == budget
        and len(row.samples) >= enough
    )


def _record(
    missing: "list[DataQuestion]",
    pair: "Pair",
    settings: Mapping[str, Any],
    *,
    samples: int,
    stop: "threading.Event",
) -> "Iterator[Row]":
    if not missing:
        return
    from duet_device.calibration.collect import Collector
    from duet_device.client import Client
    from duet_device.pairs.pair import load_decoder

    timeout = settings["timeout"]
    with (
        closing(load_decoder(pair, settings["threads"])) as decoder,
        Client(pair, decoder=decoder, stop="never", **settings) as client,
    ):
        collector = Collector(client, decoder, samples)
        failures = 0
        with bar(len(missing), "questions") as advance:
            for each in missing:
                try:
                    row = collector.row(each, Deadline(timeout, stop=stop))
                except (UsageProblem, CloudRefused, DeadlineExceeded) as error:
                    failures += not isinstance(error, UsageProblem)
                    if failures == _MOST_FAILURES:
                        raise type(error)(
                            f"stopped after {failures} failures in a row, the last of id "
                            f"{each.id}: {error}"
                        ) from error
                    note(f"{each.id} is left out: {error}")
                else:
                    failures = 0
                    yield row
                advance(1)


def _report(found: "Study") -> str:
    """Return the tables for a terminal."""
    parts = []
    for decision, fitted in found.fitted.items():
        rows = [[f"{decision}: measure", "AURC", "AUROC", "ECE"]]
        for each in fitted.ranked:
            auroc = "" if each.test_auroc is None else f"{each.test_auroc:.3f}"
            name = each.measure + ("" if each.usable else " (compared only)")
            rows.append([name, f"{each.test_aurc:.3f}", auroc, f"{each.test_ece:.3f}"])
        parts.append(f"{table(rows)}\n{fitted}")
    parts += [_curve(found, decision) for decision in ("gate", "stop") if decision in found.fitted]
    never, always = found.baselines["never"], found.baselines["always"]
    policies = {"never": never, "gate and stop": found.together, "always": always}
    rows = [["policy", "accuracy", "signal tokens"]]
    rows += [[name, f"{p.accuracy:.1%}", f"{p.tokens:.1f}"] for name, p in policies.items()]
    parts.append(table(rows, [None, *(p.accuracy for p in policies.values())]))
    return "\n\n".join(parts)


def _curve(found: "Study", decision: "Decision") -> str:
    """Return the accuracy of a decision's thresholds against the signal tokens that they cost."""
    from duet_device.calibration.study import random_accuracy

    by_tokens = {round(each.tokens, 1): each.accuracy for each in found.fitted[decision].curve}
    points = sorted(by_tokens.items())
    rows = [["signal tokens", decision, "random", "oracle"]]
    bars: list[float | None] = [None]
    for tokens, accuracy in points[:: -(-len(points) // _CURVE_LINES)]:
        others = (
            random_accuracy(found.baselines, tokens),
            _oracle_accuracy(found.oracle, tokens),
        )
        rows.append([f"{tokens:.1f}", *(f"{each:.1%}" for each in (accuracy, *others))])
        bars.append(accuracy)
    return table(rows, bars)


def _oracle_accuracy(oracle: "tuple[Tradeoff, ...]", tokens: float) -> float:
    return max(each.accuracy for each in oracle if each.tokens <= tokens + 1e-9)
