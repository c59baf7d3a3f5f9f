"""The command of `python tools/duet_tools/capacity.py`: simulates devices that ask replicas."""

import math
import sys
from pathlib import Path
from typing import Any, get_args

import click

from duet_tools.errors import BenchError, UsageProblem
from duet_tools.fleet.costs_file import read_costs
from duet_tools.fleet.patterns import HOURS, KINDS, RANGES, Pattern
from duet_tools.fleet.simulation import MODES, Mode, Setup
from duet_tools.link.profiles import link_named
from duet_tools.options import FILE, HELP, MOST_PRICE, SEED, Finite

_RESULTS = Path(__file__).parents[1] / "results" / "split_cpu.json"
_EXITS = (
    "Exit codes: 0 done; 1 something failed, a check is off by more than it may, or no number of "
    "replicas reaches the objective; 2 usage; 130 interrupted; 141 the reader of stdout has gone."
)
_NUMBER = click.IntRange(1, 100_000_000)
_PLACES = click.IntRange(0, 10_000)
_SECONDS = Finite(0, 366 * 86_400, min_open=True)
_PRICE = Finite(0, MOST_PRICE)


def _range(setting: str) -> Finite:
    return Finite(*RANGES[setting])


@click.command(context_settings=HELP, epilog=_EXITS)
@click.option(
    "--costs",
    "costs_file",
    type=FILE,
    default=_RESULTS,
    help="Measured costs: of tools/duet_tools/fleet/costs.py, or what the bench writes [split_cpu.json].",
)
@click.option("--signal-tokens", default="64", show_default=True, metavar="N,...",
              help="Tokens of signals to draw from, where the costs do not say.")  # fmt: skip
@click.option("--answer-tokens", default="32", show_default=True, metavar="N,...",
              help="Tokens of their answers, in the same order.")  # fmt: skip
@click.option("--devices", type=_NUMBER, default=1000, show_default=True)
@click.option("--replicas", type=click.IntRange(1, 100_000), default=1, show_default=True)
@click.option("--max-running", type=click.IntRange(1, 10_000), default=64, show_default=True,
              help="Requests that a replica runs at once.")  # fmt: skip
@click.option("--max-waiting", type=_PLACES, default=64, show_default=True,
              help="Requests that wait for a place in it; one more is refused.")  # fmt: skip
@click.option("--pattern", type=click.Choice(KINDS), default="poisson", show_default=True)
@click.option("--per-hour", type=_range("per_hour"), default=1.0, show_default=True,
              help="Questions a device and hour, over a day.")  # fmt: skip
@click.option("--hours", metavar="W,...", help="24 weights, for --pattern daily [an example day].")
@click.option(
    "--session-questions",
    type=_range("session_questions"),
    default=4.0,
    show_default=True,
    help="Mean questions of a session, for --pattern sessions.",
)
@click.option("--think", type=_range("think_s"), default=30.0, show_default=True, metavar="S",
              help="Mean seconds from an answer to the session's next question.")  # fmt: skip
@click.option("--link", default="4g", show_default=True, help="The devices' link, by name.")
@click.option("--modes", default=",".join(MODES), show_default=True, metavar="MODE,...",
              help="With the split; and alone: reasoning and answer in the cloud.")  # fmt: skip
@click.option("--duration", type=_SECONDS, metavar="S",
              help="Simulated seconds [3600; a day for daily].")  # fmt: skip
@click.option("--warm-up", type=Finite(0, 366 * 86_400), metavar="S",
              help="Seconds at the start that do not count [a tenth; 0 for daily].")  # fmt: skip
@click.option("--timeout", type=Finite(0, 86_400), default=120.0, show_default=True, metavar="S",
              help="After which a device gives up; 0: never.")  # fmt: skip
@click.option("--price", type=_PRICE, default=0.0, show_default=True,
              help="Of a replica and hour.")  # fmt: skip
@click.option("--egress-price", type=_PRICE, default=0.0, show_default=True,
              help="Of 1e9 bytes out of the cloud.")  # fmt: skip
@click.option("--objective", type=Finite(0, 86_400, min_open=True), metavar="S",
              help="Find the fewest replicas that answer 95% within this.")  # fmt: skip
@click.option("--replications", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--most-questions", type=_NUMBER, default=100_000, show_default=True,
              help="Of a run; a larger fleet is sampled: fewer replicas, as busy.")  # fmt: skip
@click.option("--check", is_flag=True, help="Check the model against the real service, and stop.")
@click.option("--out", type=FILE, help="JSON of the result.")
def capacity(out: Path | None, check: bool, **options: Any) -> None:
    """Simulate devices that ask replicas of the service.

    Gives latency percentiles, refusals, utilisation and cost, each with its 95% interval over
    replications. What a question costs is measured before, by tools/duet_tools/bench_split.py.
    """
    if out and not out.parent.is_dir():
        raise UsageProblem(f"there is no directory {out.parent}")
    if check:
        _check(out)
        return
    from duet_tools.fleet.report import Prices, simulate
    from duet_tools.fleet.tables import capacity_table

    daily = options["pattern"] == "daily"
    duration = options["duration"] or (86400.0 if daily else 3600.0)
    warm_up = options["warm_up"]
    if warm_up is None:
        warm_up = 0.0 if daily else duration / 10
    if warm_up >= duration:
        raise UsageProblem("--warm-up leaves nothing of --duration")
    setup = Setup(
        costs=read_costs(
            options["costs_file"],
            _numbers("--signal-tokens", options["signal_tokens"]),
            _numbers("--answer-tokens", options["answer_tokens"]),
        ),
        link=link_named(options["link"]),
        pattern=Pattern(
            kind=options["pattern"],
            per_hour=options["per_hour"],
            hours=HOURS if options["hours"] is None else _numbers("--hours", options["hours"]),
            session_questions=options["session_questions"],
            think_s=options["think"],
        ),
        devices=options["devices"],
        replicas=options["replicas"],
        max_running=options["max_running"],
        max_waiting=options["max_waiting"],
        duration_s=duration,
        warm_up_s=warm_up,
        timeout_s=options["timeout"] or None,
    )
    if options["objective"]:
        _find(setup, options, out)
        return
    result = simulate(
        setup,
        _modes(options["modes"]),
        Prices(replica_hour=options["price"], egress_gb=options["egress_price"]),
        seed=options["seed"],
        replications=options["replications"],
        most_questions=options["most_questions"],
        step=_tell,
    )
    if out:
        out.write_text(result.model_dump_json(indent=1) + "\n", "utf-8")
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    print(capacity_table(result))


def _find(setup: Setup, options: dict[str, Any], out: Path | None) -> None:
    from duet_tools.fleet.sizing import Needed, Sizing, fewest_replicas

    objective = options["objective"]
    needed: list[Needed] = []
    unreached: list[Mode] = []
    for mode in _modes(options["modes"]):
        found = fewest_replicas(setup, mode, objective, options["seed"], _tell)
        needed.append(Needed(mode=mode, fewest=found))
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr)
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
        sizing = Sizing(objective_s=objective, modes=needed)
        out.write_text(sizing.model_dump_json(indent=1) + "\n", "utf-8")
    if unreached:
        raise BenchError(
            f"--objective {objective:g} is not reached by {' and '.join(unreached)}: a question "
            "alone takes longer"
        )


def _modes(text: str) -> list[Mode]:
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in get_args(Mode)]
    if unknown or not chosen:
        wrong = f"no mode {unknown[0]!r}" if unknown else "no mode chosen"
        raise UsageProblem(f"{wrong}; there are: {', '.join(MODES)}")
    return [mode for mode in MODES if mode in chosen]


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(map(math.isfinite, numbers)):
        raise UsageProblem(f"{option} is {text!r}: give numbers, with commas between")
    return numbers


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


def _check(out: Path | None) -> None:
    from duet_tools.fleet.check import check_model
    from duet_tools.fleet.tables import check_table

    report = check_model(lambda what: print(what, file=sys.stderr))
    if out:
        out.write_text(report.model_dump_json(indent=1) + "\n", "utf-8")
    print(check_table(report))
    if not report.met:
        raise BenchError(
            f"the model is off by more than {report.within:.0%} somewhere, or the overload was "
            "refused nothing"
        )
