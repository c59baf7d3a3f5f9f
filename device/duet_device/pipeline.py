"""Several questions in order: signals arrive together, the decoder answers one after the other."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

from duet_contract.errors import ContractError
from duet_contract.receipt import Route
from duet_device.deadline import Deadline
from duet_device.errors import DeviceError, Interrupted, ModelProblem
from duet_device.events import Event, Note
from duet_device.link import Link
from duet_device.question import Question
from duet_device.settings import Settings


@dataclass(frozen=True)
class Asked:
    """A question that was sent; its signal is buffered until the decoder reads it."""

    question: Question
    """The question, fitted to the pair."""
    settings: Settings
    """Checked settings."""
    deadline: Deadline
    """When to stop."""
    request_id: str
    """Id of the request."""
    link: Link | None
    """Source of the signal; None if the cloud is not asked."""
    notes: tuple[Note, ...]
    """What the user should know before any other event."""
    route: Route | None = None
    """What decided who answers; None if nothing did. Where it is the device, `link` is cancelled."""


def answer_in_order(
    questions: Iterable[str | Question | DeviceError],
    begin: Callable[[str | Question], Asked],
    finish: Callable[[Asked], Generator[Event]],
    in_flight: int,
) -> Generator[tuple[int, Event | DeviceError]]:
    """Keep up to `in_flight` questions sent ahead, and answer them in their order.

    Args:
        questions: read one by one, as there is room for them; an error is yielded in its turn.
        begin: sends a question.
        finish: answers a question that was sent.
        in_flight: most questions that were sent and are not answered, the current one included.

    Yields:
        The question's number from 0, and an event of it or the error that ended it.

    Raises:
        Interrupted: the user, or the program that asked, stopped the questions.
    """
    numbered = enumerate(questions)
    waiting: deque[tuple[int, Asked | DeviceError]] = deque()
    try:
        while True:
            while len(waiting) < in_flight and (item := next(numbered, None)):
                number, question = item
                if isinstance(question, DeviceError):
                    waiting.append((number, question))
                    continue
                try:
                    waiting.append((number, begin(question)))
                except (ContractError, DeviceError) as error:
                    waiting.append((number, _failure(error)))
            if not waiting:
                return
            number, asked = waiting.popleft()
            if isinstance(asked, DeviceError):
                yield number, asked
                continue
            try:
                for event in finish(asked):
                    yield number, event
            except (ContractError, DeviceError) as error:
                yield number, _failure(error)
    finally:
        for _, asked in waiting:
            if isinstance(asked, Asked) and asked.link:
                asked.link.cancel()


def _failure(error: ContractError | DeviceError) -> DeviceError:
    if isinstance(error, Interrupted):
        raise error
    return error if isinstance(error, DeviceError) else ModelProblem(str(error))
