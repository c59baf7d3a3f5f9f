"""`duet-device ask`: one question, one answer."""

import os
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click
from click.core import ParameterSource

from duet_contract.commands import Integer, Number, field_option
from duet_contract.console import OutputClosed, OutputLost, was_interrupted
from duet_contract.errors import ContractError
from duet_device.ask_request import AskRequest
from duet_device.commands.input import read_stdin, stop_on_interrupt
from duet_device.commands.options import (
    ANSWER,
    FIRST_USE,
    REDACTION,
    SETTINGS,
    ConfiguredCommand,
    RequestOptions,
    request_of,
)
from duet_device.commands.output import show_error
from duet_device.deadline import Deadline
from duet_device.errors import (
    DeviceError,
    Interrupted,
    ModelProblem,
    UsageProblem,
)
from duet_device.setting_types import DEFAULT_CONTEXT_TIMEOUT, DEFAULT_IN_FLIGHT, MOST_TIMEOUT

if TYPE_CHECKING:
    from duet_device.commands.output import Output
    from duet_device.events import AskEvent
    from duet_device.privacy.context import Context

EXIT_CODES = """\b
Exit codes:
    0  answered
    2  usage: empty, malformed or too long question, bad option
    3  no cloud, and the device does not answer alone
    4  the cloud refused
    5  the timeout passed
    6  a problem with the pair or its decoder
    7  encrypted store unavailable: key missing, wrong key, or data modified
    8  no identity for that server, or it expired or was modified (enroll)
    9  stdout is closed, or its disk is full
   10  some questions of --in were not answered
  130  interrupted
  141  the reader of stdout is gone
"""


class _Sources(click.types.StringParamType):
    """Several in the environment are separated as in PATH; empty ones are ignored."""

    envvar_list_splitter = os.pathsep

    def split_envvar_value(self, rv: str) -> list[str]:
        """See click.ParamType."""
        return [source for source in super().split_envvar_value(rv) if source]


class _Ask(ConfiguredCommand):
    """Ends in one JSON object with --json, whether the question was answered or not."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click.Command."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.possibilities:
                raise
            # Such as -5, in a question without quotes.
            what = error.message.rstrip(".")
            raise click.UsageError(
                f"{what}: a question with such a word needs quotes", ctx
            ) from None

    def invoke(self, ctx: click.Context) -> object:
        """See click.Command."""
        try:
            return super().invoke(ctx)
        except (OutputClosed, OutputLost, click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:
            interrupted = was_interrupted(error)
            if not ctx.params["as_json"] or not (
                interrupted or isinstance(error, ContractError | DeviceError)
            ):
                raise
            failure = error if isinstance(error, DeviceError) else ModelProblem(str(error))
            failure = Interrupted("interrupted") if interrupted else failure
            show_error(failure)
            ctx.exit(failure.exit_code)


@click.command(cls=_Ask, epilog=EXIT_CODES, params=[*SETTINGS, *FIRST_USE, *REDACTION, *ANSWER])
@click.argument("words", metavar="[QUESTION]...", nargs=-1)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the receipt, or the error, as one JSON object.",
)
@click.option(
    "--context",
    "sources",
    type=_Sources(),
    multiple=True,
    metavar="FILE",
    help="Private file, folder or - (stdin) for the decoder, never sent. Repeatable.",
)
@click.option(
    "--notes",
    "note_sources",
    type=_Sources(),
    multiple=True,
    metavar="FILE",
    help="File with numbers; lines with words of QUESTION are sent without them. Repeatable.",
)
@click.option(
    "--context-timeout",
    type=Number(0, MOST_TIMEOUT, min_open=True),
    default=DEFAULT_CONTEXT_TIMEOUT,
    metavar="SECONDS",
    help="Time limit for reading the documents of --context and --notes.",
)
@click.option("--show-work", is_flag=True, help="Show the computed steps, on stderr.")
@click.option("--show-sent", is_flag=True, help="Show what was sent, on stderr.")
@field_option("duet_device.ask_request:AskRequest", "--reuse", is_flag=True)
@click.option(
    "--in",
    "questions",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='Answer each line of FILE (- is stdin): {"id": ..., "question": ...}.',
)
@click.option(
    "--out",
    "answers",
    type=click.Path(path_type=Path),
    default="-",
    metavar="FILE",
    help="Write a JSON line for each question of --in; existing rows stay.",
)
@click.option(
    "--in-flight",
    type=Integer(1, 64),
    default=DEFAULT_IN_FLIGHT,
    metavar="N",
    help="Questions of --in that the cloud may work on at once.",
)
@click.option(
    "--linger",
    type=Number(0, MOST_TIMEOUT, min_open=True),
    metavar="SECONDS",
    help="Keep a local server for later questions; it ends after this time without one.",
)
@click.pass_context
def ask(
    context: click.Context,
    words: tuple[str, ...],
    yes: bool,
    as_json: bool,
    show_signal: bool,
    pair_name: str | None,
    sources: tuple[str, ...],
    note_sources: tuple[str, ...],
    context_timeout: float,
    show_work: bool,
    show_sent: bool,
    reuse: bool,
    questions: Path | None,
    answers: Path,
    in_flight: int,
    linger: float | None,
    quiet: bool,
    verbose: bool,
    **options: Unpack[RequestOptions],
) -> None:
    """Answer QUESTION (read from stdin if omitted or "-"); its words need no quotes.

    The cloud reasons briefly, the model on this device answers. A link that breaks is continued,
    here or at another server. The answer goes to stdout, everything else to stderr.

    Where no pair is installed, the decoder of the server's pair is fetched first.

    Environment variables set options: DUET_SERVER, DUET_PAIR, DUET_TIMEOUT and so on. DUET_CONTEXT
    separates several paths as PATH does. Settings that stay: duet-device config.
    """
    stop = stop_on_interrupt(context)
    # The time limit of a batch counts for each of its questions.
    limit = MOST_TIMEOUT if questions else options["timeout"]
    deadline = Deadline(limit, context.find_root().obj, stop)
    if "-" in sources and "-" in note_sources:
        raise UsageProblem("stdin can be read once: give --context or --notes a file")
    text = " ".join(words)
    if questions and words:
        raise UsageProblem("give a QUESTION or --in, not both")
    if not questions and context.get_parameter_source("answers") is ParameterSource.COMMANDLINE:
        raise UsageProblem("--out is for the answers of --in: give it too, or redirect stdout")
    if words in ((), ("-",)) and not questions:
        if "-" in (*sources, *note_sources):
            raise UsageProblem("stdin holds the context: give the question as an argument")
        with deadline.waiting():
            text = read_stdin()

    def installed() -> str:
        from duet_device.commands.first_use import installed_pair

        with deadline.waiting():
            return installed_pair(context, pair_name, options, yes=yes)

    # Imported here and below, so that --help and errors of usage come at once.
    from duet_device.commands.output import Output

    output = Output(
        as_json=as_json,
        show_signal=show_signal,
        quiet=quiet,
        show_sent=show_sent,
        show_work=show_work,
        verbose=verbose,
    )
    documents: Context = ()
    notes: Context = ()
    if sources or note_sources:
        from duet_device.privacy.context import read_context

        with deadline.waiting():
            documents = read_context(sources, output.note, context_timeout)
            notes = read_context(note_sources, output.note, context_timeout, "--notes")
    request = request_of(pair_name, options)._replace(
        question=text,
        context=tuple((document.name, document.text) for document in documents),
        notes=tuple((document.name, document.text) for document in notes),
        reuse=reuse,
    )
    if questions:
        from duet_device.commands.batch import BatchRun

        def ask_all(texts: list[str]) -> "Generator[tuple[int, AskEvent | DeviceError]]":
            from duet_device.serve.connect import connect_all

            served = connect_all(request, texts, in_flight, deadline, output.note)
            if served is not None:
                return served
            from duet_device.asking import answer_all_here

            here = request._replace(pair=installed())
            return answer_all_here(here, texts, in_flight, deadline)

        BatchRun(questions, answers, ask_all).run()
    else:
        _answer(request, deadline, output, installed, linger)


def _answer(
    request: AskRequest,
    deadline: Deadline,
    output: "Output",
    installed: Callable[[], str],
    linger: float | None,
) -> None:
    """Ask the local server if one runs, else answer here; show the events."""
    from duet_device.events import Stored
    from duet_device.serve.connect import connect, start_server

    events = connect(request, deadline, output.note)
    served = events is not None
    if events is None:
        from duet_device.asking import answer_here
        from duet_device.question import Question

        # An empty one fetches no pair.
        Question(request.question)
        request = request._replace(pair=installed())
        events = answer_here(request, deadline)
    try:
        with closing(events):
            for event in events:
                if isinstance(event, Stored):
                    output.receipt(event.result.receipt, event.id)
                else:
                    output.show(event)
    except DeviceError:
        output.break_off()
        raise
    if linger and not served:
        start_server(request, linger)
