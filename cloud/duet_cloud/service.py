"""The life of `duet-cloud serve`: from its options to the last signal."""

import asyncio
import contextlib
import os

from duet_cloud import logs, systemd
from duet_cloud.engine import BATCH_INVARIANT, load_in_background
from duet_cloud.errors import CloudError, EngineError
from duet_cloud.options import ServeOptions
from duet_cloud.reasoner import PairReasoner
from duet_cloud.routing import Route
from duet_cloud.server import CloudServer
from duet_cloud.stopping import StoppedAtOnce, Stopping, end_process
from duet_contract.addresses import Address
from duet_contract.pairs import find_pair

_STATUS_S = 1.0
# For the engine's processes, after the last question; deployments allow the same.
_ENDS_S = 15.0
# Of a GPU's memory, for all engines together.
_MEMORY_SHARE = 0.9


def run(options: ServeOptions) -> None:
    """Serve until a signal asks to stop.

    Raises:
        CloudError, ContractError: it cannot serve, or the engine died.
    """
    logs.configure(options.log_format)
    if options.batch_invariant:
        os.environ[BATCH_INVARIANT] = "1"
    # Ctrl-C before there is a server: nothing is left to stop.
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options))


async def _serve(options: ServeOptions) -> None:
    # Heard by the loop, so only once there is a server.
    stopping = Stopping(lambda: _unfinished(server))
    stopping.listen()

    log = logs.get()
    pair, *more = (PairReasoner.load(find_pair(name)) for name in options.pairs)
    server = CloudServer(options, pair, *more)
    metrics_port = None
    if options.metrics_port is not None:
        metrics_port = server.metrics.serve(options.metrics_host, options.metrics_port)
    await server.start()
    alive = asyncio.create_task(systemd.keep_alive())
    address = str(Address(options.host, server.port))
    names = ", ".join(route.name for route in server.routes.all)
    log.info(
        "loading",
        pair=names,
        address=address,
        metrics_port=metrics_port,
        health_port=server.health_port,
        enrollment_port=server.security.enrollment_port if server.security else None,
    )
    systemd.notify(f"STATUS=loading {names}")
    loading = False
    try:
        await _load(server, options, stopping)
        if not stopping.asked.is_set():
            systemd.notify("READY=1", f"STATUS=serving {names} on {address}")
            log.info(
                "ready",
                pair=names,
                address=address,
                max_running=sum(route.admission.max_running for route in server.routes.all),
                max_waiting=sum(route.admission.max_waiting for route in server.routes.all),
            )
            await _until_stopped(server, options, stopping)
            most_s = options.grace_s + _ENDS_S
            systemd.notify(
                "STOPPING=1", "STATUS=draining", f"EXTEND_TIMEOUT_USEC={most_s * 1e6:.0f}"
            )
            log.info("draining", running=_running(server))
            if not await stopping.unless_at_once(server.drain()):
                log.warning("grace period over", running=_running(server))
    except StoppedAtOnce:
        loading = any(route.serving is None for route in server.routes.all)
    except EngineError:
        # Time for the statuses of the calls that the engine's failure ended.
        await server.stop(_STATUS_S)
        raise
    finally:
        alive.cancel()
        await server.stop()
        server.close_engines()
        log.info("stopped")
    if loading:
        end_process()


async def _load(server: CloudServer, options: ServeOptions, stopping: Stopping) -> None:
    """Load each pair's engine, one after the other; each serves as soon as it is loaded."""
    for route in server.routes.all:
        if stopping.asked.is_set():
            return
        await _load_engine(server, options, stopping, route)


async def _load_engine(
    server: CloudServer, options: ServeOptions, stopping: Stopping, route: Route
) -> None:
    arguments = dict(options.engine)
    if len(server.routes.all) > 1:
        # Otherwise the first would take nearly all of the GPU's memory for its cache.
        share = round(_MEMORY_SHARE / len(server.routes.all), 2)
        arguments.setdefault("gpu_memory_utilization", share)
    engine = await stopping.unless_at_once(
        load_in_background(route.pair.directory, arguments, route.pair.max_context, route.name)
    )
    try:
        await server.open(engine, route)
    except CloudError:
        engine.shutdown()
        raise


def _unfinished(server: CloudServer) -> str:
    """Return what stopping has to wait for."""
    loading = [route.name for route in server.routes.all if route.serving is None]
    if loading:
        return f"{loading[0]} to be loaded"
    admissions = [route.admission for route in server.routes.all]
    return f"questions in flight: {sum(one.running + one.waiting for one in admissions)}"


def _running(server: CloudServer) -> int:
    return sum(route.admission.running for route in server.routes.all)


async def _until_stopped(server: CloudServer, options: ServeOptions, stopping: Stopping) -> None:
    """Return when the service is to stop; load failed engines again where that is wanted.

    Raises:
        EngineError: an engine failed, or cannot be loaded again.
        StoppedAtOnce: the second signal came while an engine was loaded.
    """
    while not stopping.asked.is_set():
        waits = [asyncio.ensure_future(e.wait()) for e in (stopping.asked, server.engine_failed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        server.engine_failed.clear()
        for route in server.routes.all:
            if route.failure is None or stopping.asked.is_set():
                continue
            if options.engine_failure == "exit":
                raise route.failure
            logs.get().warning("loading the engine again", pair=route.name)
            await server.close_engine(route)
            await _load_engine(server, options, stopping, route)
            logs.get().info("ready again", pair=route.name)
