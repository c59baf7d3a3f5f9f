"""`duet-bench split`: the same questions through every mode, link and load; a report."""

from pathlib import Path
from typing import Any

import click

from duet_contract.commands import Integer, Number, option
from duet_contract.pairs import DEFAULT_PAIR
from duet_contract.terminal import printable
from duet_tools import options
from duet_tools.errors import UsageProblem
from duet_tools.link.profiles import PRESETS
from duet_tools.results.conditions import MODES, PROFILES, Plan
from duet_tools.results.report import Objective
from duet_tools.split.checking import RULE

_EPILOG = f"""\b
Modes: {", ".join(MODES)}.
Links: {", ".join(PRESETS)}.

{options.EXIT_CODES}"""

_seconds = Number(0.001, 86_400)
_tokens = Integer(1, 1 << 20)
_price = Number(0, options.MOST_PRICE)
_OBJECTIVES = ("first_signal", "signal", "first_answer", "total")


class ObjectiveType(options.ParamType):
    """`first_answer=2`: an objective in seconds.

    Examples:
        >>> ObjectiveType().convert("total=0.5", None, None)
        Objective(metric='total_ms', most=500.0)
    """

    name = "objective"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Objective:
        """See `click.ParamType`."""
        name, _, seconds = value.partition("=")
        if name not in _OBJECTIVES or not seconds:
            self.fail(f"{value!r} is not WHAT=SECONDS: {', '.join(_OBJECTIVES)}", param, ctx)
        most = Number(0, 86_400, min_open=True).convert(seconds, param, ctx)
        return Objective.model_validate({"metric": f"{name}_ms", "most": 1000 * most})


@click.command(epilog=_EPILOG)
@option("--data", options.FILE, "FILE", "JSON lines with question and answer.")
@option("--limit", Integer(1), "N", "Ask the first N questions.")
@option(
    "--modes",
    options.Listed(MODES, "mode"),
    "NAME,...",
    "Modes to compare.",
    "duet,large-alone,device-alone",
)
@option(
    "--link",
    options.Listed(click.STRING, "link"),
    "NAME,...",
    "Links to emulate.",
    "none",
    to="links",
)
@option(
    "--concurrency",
    options.Listed(Integer(1, 1024), "number"),
    "N,...",
    "Numbers of concurrent questions.",
    "1",
)
@option(
    "--profile",
    click.Choice(PROFILES),
    "|".join(PROFILES),
    "Arrival of questions: concurrent, at --rate, or a sweep of rates.",
    "synchronous",
)
@option(
    "--rate",
    options.Listed(Number(0.001, 10_000), "rate", empty=True),
    "R,...",
    "Questions per second, for a rate.",
    "",
)
@option("--sweep-steps", Integer(1, 50), "N", "Number of rates in a sweep.", 4)
@option(
    "--budgets",
    options.Listed(_tokens, "budget", empty=True),
    "N,...",
    "Signal budgets in tokens [pair's default].",
    "",
)
@option(
    "--large-limit",
    _tokens,
    "N",
    "Maximum tokens of the large model alone [default budget plus answer].",
)
@option("--answer-limit", _tokens, "N", "Maximum answer tokens of the device [pair's default].")
@option("--temperature", Number(0, 2), "T", "Sampling temperature [pair's default].")
@option("--seed", options.SEED, "N", "Seed of sampling, arrivals and links.", 0)
@option("--warm-up", Integer(0, 100), "N", "Uncounted questions before each condition.", 1)
@option("--timeout", _seconds, "S", "Time limit per question in seconds.", 300)
@option("--connect-timeout", _seconds, "S", "Connection timeout in seconds.", 15)
@option(
    "--connections",
    click.Choice(("new", "kept")),
    None,
    "A new connection for each question, or one that each device keeps.",
    "new",
)
@options.threads
@options.pair(DEFAULT_PAIR)
@option("--server", None, "HOST:PORT", "Running DUET service [one is started].")
@option(
    "--openai",
    None,
    "HOST:PORT|URL",
    "Running vLLM OpenAI server [one is started]; key in VLLM_API_KEY.",
)
@option("--tls-ca", options.FILE, "FILE", "Service's certificate authority, PEM.")
@option("--tls-cert", options.FILE, "FILE", "Device's certificate, PEM.")
@option("--tls-key", options.FILE, "FILE", "Device's private key, PEM.")
@options.service_flags
@option(
    "--verifier",
    None,
    "NAME",
    "Verifier of answers: the bench's rule, or package.module:Class.",
    RULE,
)
@option(
    "--objective",
    options.Listed(ObjectiveType(), "objective", empty=True),
    "WHAT=SECONDS,...",
    "Goodput objective; WHAT is first_signal, signal, first_answer or total.",
    "",
    to="objectives",
)
@option("--price-host-hour", _price, "P", "Price per hour of the host.")
@option("--price-million-tokens", _price, "P", "Price per million large-model tokens.")
@option("--price-gib", _price, "P", "Price per GiB over the link.")
@option(
    "--figures",
    options.FILE,
    "FILE",
    "Results of duet-bench figures to include in the report.",
    to="figures_file",
)
@option("--out", click.Path(path_type=Path), "DIR", "Directory of the report.")
@click.option("--resume", is_flag=True, help="Resume the run in --out.")
@option(
    "--compare", options.FILE, "A.json B.json", "Compare two reports; measure nothing.", nargs=2
)
@click.option("--schema", is_flag=True, help="Print the report's JSON schema and exit.")
@options.engine_flags
def split(
    data: Path | None,
    out: Path | None,
    compare: tuple[Path, Path] | None,
    schema: bool,
    modes: tuple[str, ...],
    links: tuple[str, ...],
    concurrency: tuple[int, ...],
    profile: str,
    rate: tuple[float, ...],
    budgets: tuple[int, ...],
    service_flags: str,
    engine_flags: tuple[str, ...],
    **given: object,
) -> None:
    """Compare the split with its alternatives on the same questions, and write a report.

    ENGINE_FLAGS, after --, are vLLM's and go to every engine that is started. Ctrl-C writes the
    results so far.
    """
    if schema:
        from duet_tools.results.report import schema as report_schema

        click.echo(report_schema(), nl=False)
        return
    if compare:
        _compare(*compare)
        return
    if data is None or out is None:
        raise UsageProblem("give --data FILE and --out FOLDER; see: duet-bench split --help")
    plan = Plan(modes, links, concurrency, budgets, profile, rate)
    # Imported here, so that --help and errors of usage come at once.
    from duet_tools.split.run import Options, run

    asked = Options.model_validate(
        {
            **given,
            "data": data,
            "out": out,
            "plan": plan,
            "service_flags": options.flags(service_flags),
            "engine_flags": engine_flags,
        }
    )
    run(asked)


def _compare(a: Path, b: Path) -> None:
    from duet_tools.report.compare import compare, comparison_table
    from duet_tools.results.report import Report

    first, second = Report.read(a), Report.read(b)
    found = compare(first, second)
    click.echo(printable(comparison_table(first, second, found)))
    noise = sum(each.verdict == "noise" for each in found)
    click.echo(
        f"{noise} of {len(found)} differences are noise: their 95% interval holds no difference. "
        "One in twenty of the others would be there without one."
    )
