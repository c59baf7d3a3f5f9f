"""The life of `python -m duet_cloud.serve`: from its options to the last signal."""

import asyncio
import sys

from duet_cloud import logs
from duet_cloud.engine import load_in_background
from duet_cloud.errors import CloudError, EngineError, Exit
from duet_cloud.options import ServeOptions, parse_options
from duet_cloud.reasoner import PairReasoner
from duet_cloud.server import CloudServer
from duet_cloud.stopping import StoppedAtOnce, Stopping, end_process
from duet_contract.console import OutputClosed, OutputLost
from duet_contract.errors import ContractError
from duet_contract.pairs import find_pair
from duet_contract.terminal import one_line

_HEALTH_CHECK_S = 1.0
# Of a GPU's memory, for all engines together.
_MEMORY_SHARE = 0.9


def run(arguments: list[str]) -> int:
    """Serves until told to stop; returns the exit code (see `duet_cloud.errors.Exit`)."""
    try:
        options = parse_options(arguments)
        logs.configure(options.log_format)
        asyncio.run(_serve(options))
    except CloudError as error:
        return _fail(error, error.exit_code)
    except (OutputClosed, OutputLost):
        raise
    except ContractError as error:
        return _fail(error, Exit.MODEL)
    except KeyboardInterrupt:
        return Exit.OK
    return Exit.OK


def _fail(error: Exception, code: Exit) -> int:
    print(f"duet_cloud.serve: {one_line(str(error))}", file=sys.stderr)
    return code


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
    address = f"{options.host}:{server.port}"
    names = ", ".join(route.name for route in server.routes.all)
    log.info(
        "loading",
        pair=names,
        address=address,
        metrics_port=metrics_port,
        enrollment_port=server.security.enrollment_port if server.security else None,
    )
    loading = True
    try:
        await _load(server, options, stopping)
        loading = False
        if not stopping.asked.is_set():
            log.info(
                "ready",
                pair=names,
                address=address,
                max_running=sum(route.admission.max_running for route in server.routes.all),
                max_waiting=sum(route.admission.max_waiting for route in server.routes.all),
            )
            await _until_stopped(stopping.asked, server)
            log.info("draining", running=_running(server))
            if not await stopping.unless_at_once(server.drain()):
                log.warning("grace period over", running=_running(server))
    except StoppedAtOnce:
        pass
    finally:
        await server.stop()
        server.close_engines()
        log.info("stopped")
    if loading:
        end_process()


async def _load(server: CloudServer, options: ServeOptions, stopping: Stopping) -> None:
    """Loads each pair's engine, one after the other; each serves as soon as it is loaded."""
    routes = server.routes.all
    arguments = dict(options.engine)
    if len(routes) > 1:
        # Otherwise the first would take nearly all of the GPU's memory for its cache.
        arguments.setdefault("gpu_memory_utilization", round(_MEMORY_SHARE / len(routes), 2))
    for route in routes:
        if stopping.asked.is_set():
            return
        engine = await stopping.unless_at_once(
            load_in_background(route.pair.directory, arguments, route.pair.max_context, route.name)
        )
        try:
            await server.open(engine, route)
        except CloudError:
            engine.shutdown()
            raise


def _unfinished(server: CloudServer) -> str:
    """What stopping has to wait for."""
    loading = [route.name for route in server.routes.all if route.serving is None]
    if loading:
        return f"{loading[0]} to be loaded"
    admissions = [route.admission for route in server.routes.all]
    return f"questions in flight: {sum(one.running + one.waiting for one in admissions)}"


def _running(server: CloudServer) -> int:
    return sum(route.admission.running for route in server.routes.all)


async def _until_stopped(stopping: asyncio.Event, server: CloudServer) -> None:
    while not stopping.is_set():
        if not server.healthy():
            raise EngineError("an engine died; vLLM's log above says why")
        try:
            await asyncio.wait_for(stopping.wait(), _HEALTH_CHECK_S)
        except TimeoutError:
            continue
