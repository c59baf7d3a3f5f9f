"""Answer the commands over the Unix socket: a thread a connection, so that no event waits for a loop."""

import logging
import socket
import threading
import time
from collections.abc import Generator
from contextlib import closing, suppress
from typing import Any

from duet_contract.errors import ContractError
from duet_contract.json_data import parse_json
from duet_device.ask_request import AskRequest
from duet_device.asking import Asking
from duet_device.deadline import Deadline
from duet_device.errors import DeadlineExceeded, DeviceError, ModelProblem
from duet_device.serve.files import same_user
from duet_device.serve.messages import (
    Batch,
    Message,
    code,
    encode,
    environment,
    error_message,
    message_of,
)
from duet_device.serve.service import Service

log = logging.getLogger("duet_device.serve")

# A request with the largest context, twice as long in JSON.
_MOST_REQUEST_BYTES = 64 << 20
# Seconds for the command to send its request, and to take its answer.
_PATIENCE_S = 30.0


class SocketServer:
    """Answers on a listening socket until it is closed.

    Args:
        listener: a listening Unix socket.
        service: answers.
    """

    def __init__(self, listener: socket.socket, service: Service) -> None:
        self._listener = listener
        self._service = service
        self._thread = threading.Thread(target=self._accept, name="duet-serve", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            if not same_user(connection):
                return
            connection.settimeout(_PATIENCE_S)
            with connection.makefile("rb") as reader:
                line = reader.readline(_MOST_REQUEST_BYTES)
                try:
                    opening = parse_json(line)
                    if opening["code"] != code() or opening["environment"] != environment():
                        return
                    request = AskRequest.from_json(opening["request"])
                    batch = opening["batch"] and Batch.from_json(opening["batch"])
                    started = time.perf_counter() - opening["elapsed"]
                    deadline = Deadline(opening["seconds"], started)
                except (ValueError, KeyError, TypeError):
                    return
            self._answer(connection, request, batch, deadline)

    def _answer(
        self,
        connection: socket.socket,
        request: AskRequest,
        batch: Batch | None,
        deadline: Deadline,
    ) -> None:
        """Answer a request; say nothing where the command does better without this server."""
        delivered = threading.Semaphore(0)

        def stop() -> None:
            deadline.interrupt()
            deadline.stop.set()

        def watch() -> None:
            # Blocks in the system, so that an answer costs no waking.
            with suppress(OSError):
                while connection.recv(4096):
                    delivered.release()
            stop()
            delivered.release()

        def send(message: dict[str, Any]) -> None:
            try:
                connection.sendall(encode(message))
            except OSError:
                stop()

        try:
            with self._service.asking(request, deadline, alone=batch is not None) as asking:
                connection.settimeout(None)
                send({"accept": True})
                threading.Thread(target=watch, daemon=True).start()
                try:
                    with closing(_messages(asking, batch)) as messages:
                        for message in messages:
                            send(message)
                            if "result" in message:
                                # One that is suspended must not hold the client for ever.
                                if not delivered.acquire(timeout=_PATIENCE_S):
                                    raise DeadlineExceeded(
                                        f"the answer was not taken within {_PATIENCE_S:g} s"
                                    )
                                deadline.check()
                    send({"end": True})
                except ContractError as error:
                    send(error_message(ModelProblem(str(error))))
                except DeviceError as error:
                    send(error_message(error))
        except (ContractError, DeviceError) as error:
            log.info("declined: %s", error)
        except Exception:
            log.exception("a question failed")
        finally:
            stop()
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _messages(asking: Asking, batch: Batch | None) -> Generator[Message]:
    """Yield what happens to a question, or to several, as messages."""
    if batch is None:
        with closing(asking.events()) as events:
            for event in events:
                yield message_of(event)
        return
    with closing(asking.all(batch.questions, batch.in_flight)) as numbered:
        for number, each in numbered:
            told = error_message(each) if isinstance(each, DeviceError) else message_of(each)
            yield {"number": number, **told}
