"""A gRPC server that outlives requests which end gRPC's own loop.

`grpc.aio` decodes the path of a call in the loop that accepts calls, and an exception there ends the
loop: after one call whose path is not UTF-8, the server accepts no connection any more (grpcio
1.85; 1.83 logs a traceback). Here another server then takes its place on the same port. Calls that run are completed.
"""

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

import grpc

from duet_cloud import logs
from duet_cloud.log_limit import LogLimit

# For calls that run when the loop ends.
_GRACE_S = 60.0
# The port is free when gRPC has closed its listener.
_BIND_S, _POLL_S = 5.0, 0.02


class LastingServer(grpc.aio.Server):
    """`grpc.aio.Server`, made again when its loop ends by an exception.

    Args:
        **arguments: of `grpc.aio.server`.
    """

    def __init__(self, **arguments: Any) -> None:
        self._arguments = arguments
        self._server = grpc.aio.server(**arguments)
        self._handlers: list[Callable[[grpc.aio.Server], object]] = []
        self._ports: list[Callable[[grpc.aio.Server], int]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        # Whoever reaches the port can end the loop as often as they like.
        self._log_limit = LogLimit()
        self._is_stopping = False

    def add_generic_rpc_handlers(
        self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]
    ) -> None:
        """See grpc.aio.Server."""
        handlers = tuple(generic_rpc_handlers)
        self._add(lambda server: server.add_generic_rpc_handlers(handlers))

    def add_registered_method_handlers(self, service_name: str, method_handlers: Any) -> None:
        """See grpc.aio.Server."""
        self._add(
            lambda server: server.add_registered_method_handlers(service_name, method_handlers)
        )

    def add_insecure_port(self, address: str) -> int:
        """See grpc.aio.Server."""
        port = self._server.add_insecure_port(address)
        same = _with_port(address, port)
        self._ports.append(lambda server: server.add_insecure_port(same))
        return port

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """See grpc.aio.Server."""
        port = self._server.add_secure_port(address, server_credentials)
        same = _with_port(address, port)
        self._ports.append(lambda server: server.add_secure_port(same, server_credentials))
        return port

    async def start(self) -> None:
        """See grpc.aio.Server."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_report)
        logging.getLogger("grpc._cython.cygrpc").addFilter(_is_logged)
        factory, tasks = loop.get_task_factory(), list[asyncio.Task[Any]]()

        def noting(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
            task: asyncio.Task[Any]
            if factory is None:
                task = asyncio.Task(coroutine, loop=loop, **options)
            else:
                task = factory(loop, coroutine, **options)  # type: ignore[assignment]
            # gRPC's loop is compiled, other coroutines are Python's.
            if not inspect.iscoroutine(coroutine):
                tasks.append(task)
            return task

        loop.set_task_factory(noting)
        try:
            await self._server.start()
        finally:
            loop.set_task_factory(factory)
        # The loop is among them, and may have ended by now; the others are calls, which never raise.
        for task in tasks:
            task.add_done_callback(self._loop_ended)

    async def stop(self, grace: float | None) -> None:
        """See grpc.aio.Server."""
        self._is_stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.stop(grace)

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        """See grpc.aio.Server; of the present server."""
        return bool(await self._server.wait_for_termination(timeout))

    def _add(self, apply: Callable[[grpc.aio.Server], object]) -> None:
        self._handlers.append(apply)
        apply(self._server)

    def _loop_ended(self, loop: "asyncio.Task[Any]") -> None:
        error = None if loop.cancelled() else loop.exception()
        if error is None or self._is_stopping:
            return
        self._tell("gRPC's loop ended, another server takes its place", error)
        self._run(self._server.stop(_GRACE_S))
        self._run(self._replace())

    def _run(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        # Stopping the server whose loop ended raises what ended it.
        if error and not isinstance(error, UnicodeDecodeError):
            self._tell("gRPC's server cannot be replaced", error)

    def _tell(self, event: str, error: BaseException) -> None:
        if (more := self._log_limit.admit(event)) is not None:
            logs.get().error(event, reason=str(error), **more)

    async def _replace(self) -> None:
        server = grpc.aio.server(**self._arguments)
        for apply in self._handlers:
            apply(server)
        end = time.monotonic() + _BIND_S
        for bind in self._ports:
            while True:
                try:
                    bind(server)
                    break
                except RuntimeError:
                    if time.monotonic() > end:
                        raise
                    await asyncio.sleep(_POLL_S)
        self._server = server
        await self.start()


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report an exception that no one retrieved, as asyncio does, unless gRPC's loop raised it.

    Tasks of gRPC's own that end a server wait for its loop, and have the exception, too.
    """
    task = context.get("future")
    compiled = isinstance(task, asyncio.Task) and not inspect.iscoroutine(task.get_coro())
    if not (compiled and isinstance(context.get("exception"), UnicodeDecodeError)):
        loop.default_exception_handler(context)


def _is_logged(record: logging.LogRecord) -> bool:
    """Return False for gRPC's tracebacks about paths, with which a client could fill the log."""
    error = record.exc_info[1] if record.exc_info else None
    return not any(isinstance(each, UnicodeDecodeError) for each in (error, record.msg))


def _with_port(address: str, port: int) -> str:
    return f"{address.rpartition(':')[0]}:{port}"
