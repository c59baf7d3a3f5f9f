"""`duet-device ask --in`: a file of questions, a file of answers.

A row is written when its question is answered, so that a run that is stopped in any way loses
nothing. At the end the rows are brought into the questions' order.
"""

import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from duet_contract.json_data import parse_json
from duet_contract.terminal import printable_json
from duet_device.commands.output import error_data, note, show
from duet_device.errors import (
    BatchIncomplete,
    DeviceError,
    IdentityProblem,
    UntrustedPair,
    UsageProblem,
    VaultError,
)
from duet_device.rows_file import Row, append, locked, read_rows, sort
from duet_device.text import decode_text

if TYPE_CHECKING:
    from duet_device.events import AskEvent

# Failures of one kind in a row that stop a batch: the next ones would fail as well.
_MOST_FAILURES = 8
_STDIO = Path("-")
# One of these is in each row of answers.
_RESULTS = {"answer", "error"}


@dataclass(frozen=True)
class Item:
    """A question of a batch."""

    id: str
    """The id that the file gives it, or the number of its line."""
    question: str
    """The question as typed."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The row as the file has it."""


@dataclass
class BatchRun:
    """A batch with what it reads, writes and calls."""

    questions: Path
    """JSON lines; `-` is stdin."""
    answers: Path
    """JSON lines; `-` is stdout, which keeps nothing for the next run."""
    ask: "Callable[[list[str]], Generator[tuple[int, AskEvent | DeviceError]]]"
    """Answers questions in their order (`duet_device.asking.Asking.all`)."""

    def run(self) -> None:
        """Answer every question that has no answer yet.

        Raises:
            UsageProblem: the questions cannot be read.
            BatchIncomplete: some questions failed; their rows say why.
            DeviceError: the batch was stopped.
        """
        items = read_items(self.questions)
        if self.questions != _STDIO and _is_same(self.questions, self.answers):
            raise UsageProblem(f"--in and --out are the same file: {self.answers}")
        if self.answers == _STDIO:
            self._answer(items, lambda row: show(printable_json(row)))
            return
        with locked(self.answers) as file:
            rows = read_rows(file, self.answers)
            # Such as the questions, of which stdin may be the file.
            if other := next((id_ for id_, row in rows.items() if not _RESULTS & row.keys()), None):
                raise UsageProblem(
                    f"{self.answers} has a row without an answer, of id {other}: give another file"
                )
            missing = [each for each in items if not _is_answer(rows.get(each.id), each)]
            if len(missing) < len(items):
                note(f"{len(items) - len(missing)} of {len(items)} are answered already")

            def write(row: Row) -> None:
                rows[row["id"]] = row
                append(file, row, self.answers)

            try:
                if missing:
                    self._answer(missing, write)
            finally:
                sort(self.answers, rows, [each.id for each in items])

    def _answer(self, items: list[Item], write: Callable[[Row], None]) -> None:
        from duet_device.events import Note, Result

        failed, in_a_row = 0, 0
        last: DeviceError | None = None
        stream = self.ask([item.question for item in items])
        with bar(len(items), "answers") as advance, closing(stream):
            for number, event in stream:
                item = items[number]
                head = {"id": item.id, "question": item.question}
                if isinstance(event, Note):
                    note(f"{item.id}: {event.text}")
                elif isinstance(event, Result):
                    write({**head, **parse_json(event.receipt.model_dump_json())})
                    last, in_a_row = None, 0
                    advance(1)
                elif isinstance(event, DeviceError):
                    if isinstance(event, IdentityProblem | UntrustedPair | VaultError):
                        raise event
                    write({**head, **error_data(event)})
                    failed += 1
                    in_a_row = in_a_row + 1 if type(event) is type(last) else 1
                    last = event
                    advance(1)
                    if in_a_row == _MOST_FAILURES and not isinstance(event, UsageProblem):
                        note(f"stopped after {in_a_row} failures of one kind in a row")
                        raise event
        if failed:
            raise BatchIncomplete(
                f"{failed} of {len(items)} questions failed: their rows say why; "
                "the same command asks them again"
            )


def read_items(path: Path) -> list[Item]:
    """Read the questions of a batch: one JSON object a line, with `question` and perhaps `id`.

    A line that holds a JSON string is a question, too.

    Raises:
        UsageProblem: the file cannot be read, or names the first line that is wrong.
    """
    try:
        data = sys.stdin.buffer.read() if path == _STDIO else path.read_bytes()
        lines = decode_text(data).split("\n")
    except OSError as error:
        raise UsageProblem(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{path} is not UTF-8 text") from error
    items: dict[str, Item] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        item = _item(line, number)
        if item is None:
            raise UsageProblem(
                f'{path}, line {number}: give {{"id": "1", "question": "..."}} or a JSON string'
            )
        if item.id in items:
            raise UsageProblem(f"{path}, line {number}: the id {item.id} was given before")
        items[item.id] = item
    if not items:
        raise UsageProblem(f"{path} holds no questions")
    return list(items.values())


def _item(line: str, number: int) -> Item | None:
    try:
        data = parse_json(line)
    except ValueError:
        return None
    if isinstance(data, str):
        data = {"question": data}
    if not isinstance(data, dict) or not isinstance(data.get("question"), str):
        return None
    id_ = data.get("id", number)
    return Item(str(id_), data["question"], data) if isinstance(id_, str | int) else None


def _is_same(questions: Path, answers: Path) -> bool:
    try:
        return questions.samefile(answers)
    except OSError:
        return False


def _is_answer(row: Row | None, item: Item) -> bool:
    return row is not None and "error" not in row and row.get("question") == item.question


def bar(length: int, label: str) -> Any:
    """Return a progress bar on stderr, where that is a terminal, as a context manager."""
    if not sys.stderr.isatty():
        return nullcontext(lambda _: None)

    @contextmanager
    def shown() -> Iterator[Callable[[int], None]]:
        with click.progressbar(length=length, label=label, file=sys.stderr) as shown_bar:
            yield shown_bar.update

    return shown()
