"""`python tools/duet_tools/bench_split.py`: the same questions through every mode, link and load; a report."""

from pathlib import Path

import click

from duet_contract.pairs import DEFAULT_PAIR
from duet_contract.terminal import printable
from duet_tools import options
from duet_tools.ending import EXIT_CODES
from duet_tools.errors import UsageProblem
from duet_tools.link.profiles import PRESETS
from duet_tools.results.cells import MODES, PROFILES, Plan, parse_counts, parse_list, parse_rates
from duet_tools.split.checking import RULE
from duet_tools.split.options import MOST_TOKENS, Options

_EPILOG = f"""\b
Modes: {", ".join(MODES)}.
Links: {", ".join(PRESETS)}.

`bench_split.py figures --help` has the bench's other figures: throughput, first token, bytes,
answer start, decoder, start-up, the bench's own overhead.

{EXIT_CODES}"""

_seconds = options.Finite(0.001, 86_400)
_tokens = click.IntRange(1, MOST_TOKENS)
_price = options.Finite(0, options.MOST_PRICE)


@click.command(epilog=_EPILOG, context_settings=options.HELP)
@click.option("--data", type=options.FILE, help="Questions: JSON lines with question and answer.")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many questions.")
@click.option(
    "--modes",
    default="duet,large-alone,device-alone",
    show_default=True,
    metavar="NAME,...",
    help="Ways of getting an answer.",
)
@click.option(
    "--link",
    "links",
    default="none",
    show_default=True,
    metavar="NAME,...",
    help="Links that are emulated.",
)
@click.option(
    "--concurrency", default="1", show_default=True, metavar="N,...", help="Questions at once."
)
@click.option(
    "--profile",
    default="synchronous",
    show_default=True,
    metavar="|".join(PROFILES),
    help="How questions come: so many at once, at a rate, or at rates in between.",
)
@click.option("--rate", default="", metavar="R,...", help="Questions a second, at a rate.")
@click.option(
    "--sweep-steps",
    type=click.IntRange(1, 50),
    default=4,
    show_default=True,
    help="Rates of a sweep between one at once and most at once.",
)
@click.option(
    "--budgets", default="", metavar="N,...", help="Most signal tokens, in turns [pair's default]."
)
@click.option(
    "--large-limit",
    type=_tokens,
    help="Most tokens of the large model alone [default budget plus answer].",
)
@click.option(
    "--answer-limit",
    type=_tokens,
    help="Most answer tokens of the device [pair's default].",
)
@click.option("--temperature", type=options.Finite(0, 2), help="[pair's default]")
@click.option(
    "--seed",
    type=options.SEED,
    default=0,
    show_default=True,
    help="Of the first question, of arrivals and links.",
)
@click.option(
    "--warm-up",
    type=click.IntRange(0, 100),
    default=1,
    show_default=True,
    help="Questions before each cell that do not count.",
)
@click.option(
    "--timeout", type=_seconds, default=300, show_default=True, help="Seconds a question may take."
)
@click.option(
    "--connect-timeout",
    type=_seconds,
    default=15,
    show_default=True,
    help="Seconds until a link must stand.",
)
@options.threads
@options.pair(DEFAULT_PAIR)
@click.option("--server", metavar="HOST:PORT", help="A running service [one is started].")
@click.option(
    "--openai",
    metavar="HOST:PORT|URL",
    help="A running vLLM OpenAI server of the same reasoner [one is started]; its key in "
    "VLLM_API_KEY.",
)
@click.option(
    "--tls-ca", type=options.FILE, help="The service's certificate authority, PEM; with TLS."
)
@click.option("--tls-cert", type=options.FILE, help="The device's certificate, PEM.")
@click.option("--tls-key", type=options.FILE, help="The device's private key, PEM.")
@options.service_flags
@click.option(
    "--verifier",
    default=RULE,
    show_default=True,
    metavar="NAME",
    help="What tells right answers: the bench's rule, or package.module:Class.",
)
@click.option(
    "--objective",
    default="",
    metavar="WHAT=SECONDS,...",
    help="For goodput: first_signal, signal, first_answer, total.",
)
@click.option("--price-host-hour", type=_price, help="Price of an hour of the model's host.")
@click.option("--price-million-tokens", type=_price, help="Price of a million of its tokens.")
@click.option("--price-gib", type=_price, help="Price of a GiB over the link.")
@click.option(
    "--figures",
    "figures_file",
    type=options.FILE,
    help="Results of `figures`, to be shown in the report.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the report.")
@click.option("--resume", is_flag=True, help="Go on with what --out holds.")
@click.option(
    "--compare",
    nargs=2,
    type=options.FILE,
    metavar="A.json B.json",
    help="Measure nothing; say what differs between two reports.",
)
@click.option("--schema", is_flag=True, help="Print the report's JSON schema.")
@options.engine_flags
def report(
    data: Path | None,
    out: Path | None,
    compare: tuple[Path, Path] | None,
    schema: bool,
    modes: str,
    links: str,
    concurrency: str,
    profile: str,
    rate: str,
    budgets: str,
    objective: str,
    service_flags: str,
    engine_flags: tuple[str, ...],
    **given: object,
) -> None:
    """Ask the same questions of the split and of what one would run instead; write a report.

    ENGINE_FLAGS, behind --, are vLLM's and go to every engine that is started. Ctrl-C writes what
    there is.
    """
    if schema:
        from duet_tools.results.report import schema as report_schema

        click.echo(report_schema(), nl=False)
        return
    if compare:
        _compare(*compare)
        return
    if data is None or out is None:
        raise UsageProblem("--data FILE and --out FOLDER are needed (--help)")
    plan = Plan(
        modes=parse_list(modes),
        links=parse_list(links),
        streams=parse_counts(concurrency, "--concurrency", 1024) or (1,),
        budgets=parse_counts(budgets, "--budgets", MOST_TOKENS),
        profile=profile,
        rates=parse_rates(rate, "--rate"),
    )
    # Imported here, so that --help and errors of usage come at once.
    from duet_tools.split.run import run

    asked = Options.model_validate(
        {
            **given,
            "data": data,
            "out": out,
            "plan": plan,
            "objectives": objective,
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
