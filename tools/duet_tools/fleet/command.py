"""`duet-bench capacity`: simulates devices that ask replicas."""

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from duet_contract.commands import Integer, Number, option
from duet_tools.errors import BenchError, UsageProblem
from duet_tools.fleet.costs_file import read_costs
from duet_tools.fleet.patterns import HOURS, KINDS, RANGES, Pattern
from duet_tools.fleet.prometheus import RunningFleet, read_fleet
from duet_tools.fleet.simulation import MODES, Setup, SimulatedMode
from duet_tools.link.profiles import link_named
from duet_tools.options import FILE, MOST_PRICE, NEW_FILE, SEED, Listed

_RESULTS = Path(__file__).parents[1] / "results" / "split_cpu.json"
_EXITS = """\b
Exit codes:
    0  done
    1  something failed, a check failed, or no number of replicas reaches the
       objective
    2  usage
  130  interrupted
  141  the reader of stdout is gone
"""
_NUMBER = Integer(1, 100_000_000)
_PLACES = Integer(0, 10_000)
_SECONDS = Number(0, 366 * 86_400, min_open=True)
_PRICE = Number(0, MOST_PRICE)
_LENGTHS = Listed(Number(), "number", repeats=True)


def _range(setting: str) -> Number:
    return Number(*RANGES[setting])


@click.command(epilog=_EXITS)
@option("--costs", FILE, "FILE", "Measured costs: results of duet-bench split or figures.",
        _RESULTS, to="costs_file", show_default="split_cpu.json of the package")  # fmt: skip
@option("--signal-tokens", _LENGTHS, "N,...",
        "Signal lengths to draw from, if the costs have none.", "64")  # fmt: skip
@option("--answer-tokens", _LENGTHS, "N,...", "Answer lengths, in the same order.", "32")
@option("--prometheus", None, "URL",
        "Rate, replicas, slots and signal lengths of a running fleet, as defaults.")  # fmt: skip
@option("--window", None, "TIME", "Time that --prometheus looks back.", "1h")
@option("--devices", _NUMBER, "N", "Number of devices.", 1000)
@option("--replicas", Integer(1, 100_000), "N", "Number of replicas.", 1)
@option("--max-running", Integer(1, 10_000), "N",
        "Maximum number of running requests per replica.", 64)  # fmt: skip
@option("--max-waiting", _PLACES, "N",
        "Maximum number of waiting requests per replica [a quarter of the running ones].")  # fmt: skip
@option("--pattern", click.Choice(KINDS), None, "Arrival pattern of questions.", "poisson")
@option("--per-hour", _range("per_hour"), "N", "Mean questions per device and hour.", 1.0)
@option("--hours", _LENGTHS, "W,...", "Hourly weights (24) for --pattern daily [example].")
@option("--session-questions", _range("session_questions"), "N",
        "Mean questions per session, for --pattern sessions.", 4.0)  # fmt: skip
@option("--think", _range("think_s"), "S",
        "Mean time from an answer to the next question of a session, in seconds.", 30.0)  # fmt: skip
@option("--link", None, "NAME", "Link of the devices.", "4g")
@option("--modes", Listed(MODES, "mode"), "MODE,...", "Modes to simulate.", ",".join(MODES))
@option("--duration", _SECONDS, "S", "Simulated time in seconds [3600; a day for daily].")
@option("--warm-up", Number(0, 366 * 86_400), "S",
        "Uncounted seconds at the start [a tenth; 0 for daily].")  # fmt: skip
@option("--timeout", Number(0, 86_400), "S",
        "Time limit per question in seconds; 0 waits forever.", 120.0)  # fmt: skip
@option("--price", _PRICE, "P", "Price per replica and hour.", 0.0)
@option("--egress-price", _PRICE, "P", "Price per GB of egress.", 0.0)
@option("--objective", Number(0, 86_400, min_open=True), "S",
        "Find the fewest replicas that answer 95% within S seconds.")  # fmt: skip
@option("--replications", Integer(1, 1000), "N", "Number of simulation runs.", 5)
@option("--seed", SEED, "N", "Seed of the simulation.", 0)
@option("--most-questions", _NUMBER, "N",
        "Maximum questions per run; a larger fleet is sampled at equal load.", 100_000)  # fmt: skip
@click.option("--check", is_flag=True, help="Check the model against the real service and exit.")
@option("--out", NEW_FILE, "FILE", "JSON file for the result.")
@click.pass_context
def capacity(context: click.Context, /, out: Path | None, check: bool, **options: Any) -> None:
    """Simulate devices that ask replicas of the service.

    Reports latency percentiles, refusals, utilization and cost, each with its 95% interval over
    replications. The cost of a question is measured by duet-bench split or figures.
    """
    if check:
        _check(out)
        return
    from duet_tools.fleet.report import FleetPrices, simulate
    from duet_tools.fleet.tables import capacity_table

    fleet = _fleet(context, options) if options["prometheus"] else None
    daily = options["pattern"] == "daily"
    duration = options["duration"] or (86400.0 if daily else 3600.0)
    warm_up = options["warm_up"]
    if warm_up is None:
        warm_up = 0.0 if daily else duration / 10
    if warm_up >= duration:
        raise UsageProblem("--warm-up leaves nothing of --duration")
    lengths = options["signal_tokens"], options["answer_tokens"]
    costs = read_costs(options["costs_file"], *lengths)
    if fleet and _is_default(context, "signal_tokens"):
        costs = costs.model_copy(update={"signal_tokens": fleet.signal_tokens})
    setup = Setup(
        costs=costs,
        link=link_named(options["link"]),
        pattern=Pattern(
            kind=options["pattern"],
            per_hour=options["per_hour"],
            hours=options["hours"] or HOURS,
            session_questions=options["session_questions"],
            think_s=options["think"],
        ),
        devices=options["devices"],
        replicas=options["replicas"],
        max_running=options["max_running"],
        # The service's own default.
        max_waiting=max(1, options["max_running"] // 4)
        if options["max_waiting"] is None
        else options["max_waiting"],
        duration_s=duration,
        warm_up_s=warm_up,
        timeout_s=options["timeout"] or None,
    )
    if options["objective"]:
        _find(setup, options, out)
        return
    with Console(stderr=True).status("") as status:
        result = simulate(
            setup,
            options["modes"],
            FleetPrices(replica_hour=options["price"], egress_gb=options["egress_price"]),
            seed=options["seed"],
            replications=options["replications"],
            most_questions=options["most_questions"],
            step=status.update,
        )
    if out:
        out.write_text(result.to_json(), "utf-8")
    print(capacity_table(result))


def _is_default(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.DEFAULT


def _fleet(context: click.Context, options: dict[str, Any]) -> RunningFleet:
    """Return the running fleet; put what it does into the options that were not given."""
    fleet = read_fleet(options["prometheus"], options["window"])
    found = {
        "per_hour": fleet.questions_per_s * 3600 / options["devices"],
        "replicas": fleet.replicas,
        "max_running": fleet.slots,
    }
    options |= {name: value for name, value in found.items() if _is_default(context, name)}
    begun = fleet.first_chunk_p95_s
    print(
        f"{options['prometheus']}: {fleet.questions_per_s:.2f} questions a second, "
        f"{fleet.replicas} replicas of {fleet.slots} slots"
        + (f", 95% of the signals began within {begun:.2f} s" if begun else ""),
        file=sys.stderr,
    )
    return fleet


def _find(setup: Setup, options: dict[str, Any], out: Path | None) -> None:
    from duet_tools.fleet.sizing import Needed, Sizing, fewest_replicas

    objective = options["objective"]
    needed: list[Needed] = []
    unreached: list[SimulatedMode] = []
    for mode in options["modes"]:
        with Console(stderr=True).status("") as status:
            found = fewest_replicas(setup, mode, objective, options["seed"], status.update)
        needed.append(Needed(mode=mode, fewest=found))
        if found is None:
            print(f"{mode}: no number of replicas answers 95% within {objective:g} s")
            unreached.append(mode)
            continue
        hour = found.replicas * options["price"]
        print(
            f"{mode}: {found.replicas} replicas answer 95% within {found.p95_s:.2f} s, "
            f"{found.failed:.2%} unanswered" + f"; {hour:g} an hour" * bool(options["price"])
        )
    if out:
        out.write_text(Sizing(objective_s=objective, modes=needed).to_json(), "utf-8")
    if unreached:
        raise BenchError(
            f"--objective {objective:g} is not reached by {' and '.join(unreached)}: a question "
            "alone takes longer"
        )


def _check(out: Path | None) -> None:
    from duet_tools.fleet.check import check_model
    from duet_tools.fleet.tables import check_table

    report = check_model(lambda what: print(what, file=sys.stderr))
    if out:
        out.write_text(report.to_json(), "utf-8")
    print(check_table(report))
    if not report.met:
        raise BenchError(
            f"the model is off by more than {report.within:.0%} in a figure, or no request was "
            "refused under overload"
        )
