"""`duet-bench split`: the same questions through every mode, link and load; a report."""

from pathlib import Path

import click

from duet_contract.commands import Integer, Number
from duet_contract.pairs import DEFAULT_PAIR
from duet_contract.terminal import printable
from duet_tools import options
from duet_tools.errors import UsageProblem
from duet_tools.link.profiles import PRESETS
from duet_tools.results.cells import MODES, PROFILES, Plan
from duet_tools.split.checking import RULE
from duet_tools.split.options import MOST_TOKENS, ObjectiveType, Options

_EPILOG = f"""\b
Modes: {", ".join(MODES)}.
Links: {", ".join(PRESETS)}.

{options.EXIT_CODES}"""

_seconds = Number(0.001, 86_400)
_tokens = Integer(1, MOST_TOKENS)
_price = Number(0, options.MOST_PRICE)


@click.command(epilog=_EPILOG)
@click.option(
    "--data", type=options.FILE, metavar="FILE", help="JSON lines with question and answer."
)
@click.option("--limit", type=Integer(1), metavar="N", help="Ask the first N questions.")
@click.option(
    "--modes",
    type=options.Listed(MODES, "mode"),
    default="duet,large-alone,device-alone",
    metavar="NAME,...",
    help="Modes to compare.",
)
@click.option(
    "--link",
    "links",
    type=options.Listed(click.STRING, "link"),
    default="none",
    metavar="NAME,...",
    help="Links to emulate.",
)
@click.option(
    "--concurrency",
    type=options.Listed(Integer(1, 1024), "number"),
    default="1",
    metavar="N,...",
    help="Numbers of concurrent questions.",
)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="synchronous",
    metavar="|".join(PROFILES),
    help="Arrival of questions: concurrent, at --rate, or a sweep of rates.",
)
@click.option(
    "--rate",
    type=options.Listed(Number(0.001, 10_000), "rate", empty=True),
    default="",
    metavar="R,...",
    help="Questions per second, for a rate.",
)
@click.option(
    "--sweep-steps",
    type=Integer(1, 50),
    default=4,
    metavar="N",
    help="Number of rates in a sweep.",
)
@click.option(
    "--budgets",
    type=options.Listed(_tokens, "budget", empty=True),
    default="",
    metavar="N,...",
    help="Signal budgets in tokens [pair's default].",
)
@click.option(
    "--large-limit",
    type=_tokens,
    metavar="N",
    help="Maximum tokens of the large model alone [default budget plus answer].",
)
@click.option(
    "--answer-limit",
    type=_tokens,
    metavar="N",
    help="Maximum answer tokens of the device [pair's default].",
)
@click.option(
    "--temperature", type=Number(0, 2), metavar="T", help="Sampling temperature [pair's default]."
)
@click.option(
    "--seed",
    type=options.SEED,
    default=0,
    metavar="N",
    help="Seed of sampling, arrivals and links.",
)
@click.option(
    "--warm-up",
    type=Integer(0, 100),
    default=1,
    metavar="N",
    help="Uncounted questions before each condition.",
)
@click.option(
    "--timeout", type=_seconds, default=300, metavar="S", help="Time limit per question in seconds."
)
@click.option(
    "--connect-timeout",
    type=_seconds,
    default=15,
    metavar="S",
    help="Connection timeout in seconds.",
)
@click.option(
    "--connections",
    type=click.Choice(("new", "kept")),
    default="new",
    help="A new connection for each question, or one that each device keeps.",
)
@options.threads
@options.pair(DEFAULT_PAIR)
@click.option("--server", metavar="HOST:PORT", help="Running DUET service [one is started].")
@click.option(
    "--openai",
    metavar="HOST:PORT|URL",
    help="Running vLLM OpenAI server [one is started]; key in VLLM_API_KEY.",
)
@click.option(
    "--tls-ca", type=options.FILE, metavar="FILE", help="Service's certificate authority, PEM."
)
@click.option("--tls-cert", type=options.FILE, metavar="FILE", help="Device's certificate, PEM.")
@click.option("--tls-key", type=options.FILE, metavar="FILE", help="Device's private key, PEM.")
@options.service_flags
@click.option(
    "--verifier",
    default=RULE,
    metavar="NAME",
    help="Verifier of answers: the bench's rule, or package.module:Class.",
)
@click.option(
    "--objective",
    "objectives",
    type=options.Listed(ObjectiveType(), "objective", empty=True),
    default="",
    metavar="WHAT=SECONDS,...",
    help="Goodput objective; WHAT is first_signal, signal, first_answer or total.",
)
@click.option("--price-host-hour", type=_price, metavar="P", help="Price per hour of the host.")
@click.option(
    "--price-million-tokens", type=_price, metavar="P", help="Price per million large-model tokens."
)
@click.option("--price-gib", type=_price, metavar="P", help="Price per GiB over the link.")
@click.option(
    "--figures",
    "figures_file",
    type=options.FILE,
    metavar="FILE",
    help="Results of duet-bench figures to include in the report.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Directory of the report."
)
@click.option("--resume", is_flag=True, help="Resume the run in --out.")
@click.option(
    "--compare",
    nargs=2,
    type=options.FILE,
    metavar="A.json B.json",
    help="Compare two reports; measure nothing.",
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
    from duet_tools.split.run import run

    asked = Options.model_validate(
        {
            **given,
            "data": data,
            "out": out,
            "plan": plan,
            "service_flags": options.flags(service_flags, "--service-flags"),
            "engine_flags": engine_flags,
        }
    )
    run(asked)


def _compare(a: Path, b: Path) -> None:
    from duet_tools.report.compare import compare, comparison_table
    from duet_tools.results.report import read_report

    first, second = read_report(a), read_report(b)
    found = compare(first, second)
    click.echo(printable(comparison_table(first, second, found)))
    noise = sum(each.verdict == "noise" for each in found)
    click.echo(
        f"{noise} of {len(found)} differences are noise: their 95% interval holds no difference. "
        "One in twenty of the others would be there without one."
    )
