"""`duet-device chat`: several turns, which the decoder's window holds."""

import secrets
import shlex
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from duet_contract.commands import Integer, field_option
from duet_contract.terminal import counted
from duet_device.ask_request import AskRequest
from duet_device.commands.input import Stop, read_line, stop_on_interrupt
from duet_device.commands.options import (
    ANSWER,
    FIRST_USE,
    REDACTION,
    SETTINGS,
    ConfiguredCommand,
    RequestOptions,
    request_of,
)
from duet_device.commands.output import Output, note, show
from duet_device.deadline import Deadline
from duet_device.errors import (
    DeviceError,
    Interrupted,
    UsageProblem,
)
from duet_device.serve.connect import connect
from duet_device.setting_types import client_settings
from duet_device.turns import Past, Turn

if TYPE_CHECKING:
    from duet_contract.manifest import Manifest
    from duet_contract.receipt import Receipt
    from duet_device.client import Client
    from duet_device.events import AskEvent

_PROMPT = "> "
_COMMANDS = {
    "/signal": "show the last signal and those that follow, or stop that",
    "/share": "/share N: send up to N earlier turns with a question",
    "/stats": "what this chat cost and saved",
    "/save": "/save FILE: write the turns to FILE",
    "/reset": "forget the turns so far",
    "/help": "this list",
    "/exit": "end (as Ctrl-D does)",
}


@click.command(cls=ConfiguredCommand, params=[*SETTINGS, *FIRST_USE, *REDACTION, *ANSWER])
@field_option(
    "duet_device.ask_request:AskRequest", "--share-history", Integer(0), "N", 0, field="share"
)
@click.option(
    "--continue",
    "continued",
    is_flag=False,
    flag_value="",
    metavar="[ID]",
    allow_from_autoenv=False,
    help="Continue the last stored chat, or the one with answer ID.",
)
@click.pass_context
def chat(
    context: click.Context,
    /,
    share_history: int,
    continued: str | None,
    yes: bool,
    pair_name: str | None,
    show_signal: bool,
    quiet: bool,
    verbose: bool,
    **options: Unpack[RequestOptions],
) -> None:
    """Answer questions one after the other; the decoder reads the earlier turns.

    The earlier turns stay on this device, except those that --share-history sends. Ctrl-C stops an
    answer, Ctrl-D ends the chat, /help lists commands. Questions on a pipe are one a line.
    """
    stop = stop_on_interrupt(context)
    from duet_device.client import Client
    from duet_device.commands.first_use import installed_pair

    pair = installed_pair(context, pair_name, options, yes=yes)
    settings = client_settings(options)
    client = Client(pair, allow_unsigned=options["allow_unsigned"], **settings)
    past: list[Past] = []
    id_ = secrets.token_hex(4)
    if continued is not None:
        past, id_ = _stored(client.pair.manifest, continued)
    request = request_of(pair, options)._replace(share=share_history, chat=id_)
    with client:
        styles = {"show_signal": show_signal, "quiet": quiet, "verbose": verbose}
        _Chat(client, request, past, stop, styles).run()


class _Chat:
    """One session at a terminal or a pipe.

    Args:
        client: answers where no local server runs; it opens nothing until then.
        request: what every turn has in common.
        past: turns of a stored chat.
        stop: of the command.
        styles: of the output.
    """

    def __init__(
        self,
        client: "Client",
        request: AskRequest,
        past: list[Past],
        stop: Stop,
        styles: dict[str, bool],
    ) -> None:
        self._client = client
        self._request = request
        self._past = past
        self._stop = stop
        self._styles = styles
        self._receipts: list[Receipt] = []
        self._interactive = sys.stdin.isatty()
        self._noted = ""

    def run(self) -> None:
        """Answer until the input ends.

        Raises:
            DeviceError: a question failed, and no user is there to ask another.
        """
        if self._interactive:
            _edit_lines()
            self._greet()
        while True:
            self._stop.clear()
            try:
                line = self._read()
            except Interrupted:
                if not self._goes_on:
                    raise
                note("Ctrl-D or /exit ends the chat")
                continue
            if line is None:
                return
            try:
                if line.lstrip().startswith("/"):
                    if self._command(line.strip()):
                        return
                elif line.strip():
                    self._turn(line)
            except Interrupted:
                if not self._goes_on:
                    raise
                note("interrupted: the chat continues without this turn")
            except DeviceError as error:
                if not self._interactive:
                    raise
                note(str(error))

    @property
    def _goes_on(self) -> bool:
        """Whether an interrupt stops a turn, and not the chat."""
        return self._interactive and not self._stop.ends_command

    def _greet(self) -> None:
        manifest = self._client.pair.manifest
        note(f"{manifest.reference}: /help lists commands, Ctrl-D ends")
        if manifest.quantities == "private" and not self._request.share:
            note("this pair reads each question alone; --share-history N adds earlier turns")
        for past in self._past:
            show(f"{_PROMPT}{past.question}\n{past.answer}")

    def _read(self) -> str | None:
        """Return the next line; None at the end."""
        if not self._interactive:
            return read_line()
        try:
            if sys.stdout.isatty():
                return input(_PROMPT)
            sys.stderr.write(_PROMPT)
            return read_line()
        except EOFError:
            show("")
            return None
        except Interrupted:
            sys.stderr.write("\n")
            raise

    def _turn(self, text: str) -> None:
        from duet_device.events import Note, Result, Stored

        deadline = Deadline(self._client.settings.timeout, stop=self._stop)
        output = Output(as_json=False, **self._styles)
        try:
            with closing(self._events(text, deadline)) as events:
                for event in events:
                    if isinstance(event, Note):
                        self._note(event.text)
                    elif isinstance(event, Stored):
                        answer = event.result.receipt.answer
                        self._past.append(Past(text, answer, event.turn))
                        output.receipt(event.result.receipt, event.id)
                    else:
                        output.show(event)
                    if isinstance(event, Result):
                        self._receipts.append(event.receipt)
        except DeviceError:
            output.break_off()
            raise

    def _events(self, text: str, deadline: Deadline) -> "Generator[AskEvent]":
        """Answer a turn by the local server if one runs, else here."""
        request = self._request._replace(question=text, earlier=tuple(self._past))
        served = connect(request, deadline, self._note)
        if served is not None:
            return served
        from duet_device.asking import Asking

        return Asking(request, self._client, deadline).events()

    def _note(self, text: str) -> None:
        """Show a note, unless the turn before had the same."""
        if text != self._noted:
            self._noted = text
            note(text)

    def _command(self, line: str) -> bool:
        """Run a command; return whether it ends the chat."""
        try:
            name, *arguments = shlex.split(line)
        except ValueError as error:
            raise UsageProblem(f"{line}: {error}") from error
        if name == "/exit":
            return True
        work: dict[str, Callable[[Sequence[str]], None]] = {
            "/signal": self._signal,
            "/share": self._share,
            "/stats": self._stats,
            "/save": self._save,
            "/reset": self._reset,
            "/help": _help,
        }
        if name not in work:
            raise UsageProblem(f"there is no {name}: /help lists commands")
        work[name](arguments)
        return False

    def _signal(self, _: Sequence[str]) -> None:
        wanted = self._styles["show_signal"] = not self._styles["show_signal"]
        if wanted and self._receipts:
            show(self._receipts[-1].signal or "the last answer had no signal")
        note(f"signals are {'shown' if wanted else 'not shown'}")

    def _share(self, arguments: Sequence[str]) -> None:
        if len(arguments) != 1 or not arguments[0].isdecimal():
            raise UsageProblem("give a number: /share N")
        self._request = self._request._replace(share=int(arguments[0]))
        note(f"up to {self._request.share} earlier turns are sent with a question")

    def _stats(self, _: Sequence[str]) -> None:
        import datetime as dt

        from duet_device.history.savings import Cost, by_day

        now, total = dt.datetime.now(dt.UTC), Cost()
        parameters = self._client.pair.manifest.reasoner.parameters
        for cost in by_day([(now, each) for each in self._receipts], lambda _: parameters).values():
            total.add(cost)
        show(
            f"{counted(total.answers, 'answer')}, {counted(total.tokens, 'large-model token')} "
            f"({total.tokens_saved} saved), {total.bytes} B, {total.seconds:.1f} s"
        )

    def _save(self, arguments: Sequence[str]) -> None:
        from duet_contract.private_files import write_private

        if len(arguments) != 1:
            raise UsageProblem("give a file: /save FILE")
        path = Path(arguments[0]).expanduser()
        turns = [f"## {past.question}\n\n{past.answer}\n" for past in self._past]
        try:
            write_private(path, "\n".join(turns).encode("utf-8"))
        except OSError as error:
            raise UsageProblem(f"cannot write {path}: {error.strerror}") from error
        note(f"{counted(len(turns), 'turn')} saved to {path}, readable by you alone")

    def _reset(self, _: Sequence[str]) -> None:
        self._past.clear()
        self._request = self._request._replace(chat=secrets.token_hex(4))
        note("the turns so far are forgotten; stored answers stay")


def _help(_: Sequence[str]) -> None:
    show("\n".join(f"{name:8} {text}" for name, text in _COMMANDS.items()))


def _edit_lines() -> None:
    """Let the user edit and recall lines; nothing of them is written to disk."""
    with suppress(ImportError):
        import readline

        def complete(text: str, state: int) -> str | None:
            found = [name for name in _COMMANDS if text and name.startswith(text)]
            return found[state] if state < len(found) else None

        readline.set_completer(complete)
        readline.set_completer_delims(" ")
        readline.parse_and_bind("tab: complete")


def _stored(manifest: "Manifest", wanted: str) -> tuple[list[Past], str]:
    """Return the turns of a stored chat, and its id.

    Args:
        manifest: the pair's that continues the chat.
        wanted: id of the chat or of an answer in it; empty for the last chat.
    """
    from duet_device.history.store import History
    from duet_device.home import home

    history = History.of(home(create=False))
    records = history.conversation(wanted)
    if not records:
        which = f"no stored chat with {wanted}" if wanted else "no stored chat"
        raise UsageProblem(f"there is {which}{history.hint}")
    vocabulary = manifest.decoder.vocabulary.sha256
    past: list[Past] = []
    for record in records:
        question, answer = record.question, record.receipt.answer
        signal = record.signal.ids if record.signal else None
        fits = record.key.vocabulary == vocabulary
        turn = Turn(question, signal, answer) if fits else None
        past.append(Past(question, answer, turn))
    return past, records[0].conversation or secrets.token_hex(4)
