"""Events of a thread in an event loop."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator
from contextlib import closing

from duet_contract.errors import ContractError
from duet_device.ask_request import AskRequest
from duet_device.deadline import Deadline
from duet_device.errors import DeviceError, ModelProblem
from duet_device.events import AskEvent
from duet_device.serve.service import Service

log = logging.getLogger("duet_device.serve")


async def stream(
    service: Service, request: AskRequest, deadline: Deadline
) -> AsyncGenerator[AskEvent]:
    """Answer a request in a thread; closing the stream, or cancelling its task, stops it.

    Raises:
        DeviceError: the question was not answered.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[AskEvent | DeviceError | None] = asyncio.Queue()

    def hand_over(item: AskEvent | DeviceError | None) -> None:
        # The thread runs ahead of a slow reader, by an answer at most.
        loop.call_soon_threadsafe(queue.put_nowait, item)

    def answer() -> None:
        try:
            with (
                service.asking(request, deadline) as asking,
                closing(asking.events()) as events,
            ):
                for event in events:
                    hand_over(event)
            hand_over(None)
        except DeviceError as error:
            hand_over(error)
        except ContractError as error:
            hand_over(ModelProblem(str(error)))
        except Exception:
            log.exception("a question failed")
            hand_over(ModelProblem("the local server failed; its log says why"))

    threading.Thread(target=answer, name="duet-serve-question", daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, DeviceError):
                raise item
            yield item
    finally:
        deadline.interrupt()
