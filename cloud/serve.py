"""`python -m cloud.serve`: serve a pair's reasoner until told to stop."""

import asyncio
import signal
import sys

from cloud import logs
from cloud.engine import VllmEngine, load_in_background
from cloud.errors import CloudError, EngineError, Exit
from cloud.options import ServeOptions, parse_options
from cloud.reasoner import PairReasoner
from cloud.server import CloudServer
from duet_contract.errors import ContractError
from duet_contract.pairs import find_pair

_HEALTH_CHECK_S = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Runs the service; returns its exit code (see `cloud.errors.Exit`)."""
    try:
        options = parse_options(sys.argv[1:] if arguments is None else arguments)
        logs.configure(options.log_format)
        asyncio.run(_serve(options))
    except CloudError as error:
        return _fail(error, error.exit_code)
    except ContractError as error:
        return _fail(error, Exit.MODEL)
    except KeyboardInterrupt:
        return Exit.OK
    return Exit.OK


def _fail(error: Exception, code: Exit) -> int:
    print(f"cloud.serve: {error}", file=sys.stderr)
    return code


async def _serve(options: ServeOptions) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    log = logs.get()
    pair = PairReasoner.load(find_pair(options.pair))
    server = CloudServer(options, pair)
    metrics_port = None
    if options.metrics_port is not None:
        metrics_port = server.metrics.serve(options.metrics_host, options.metrics_port)
    await server.start()
    log.info(
        "loading",
        pair=pair.manifest.reference,
        address=f"{options.host}:{server.port}",
        metrics_port=metrics_port,
        enrolment_port=server.security.enrolment_port if server.security else None,
    )
    engine: VllmEngine | None = None
    try:
        engine = await load_in_background(
            pair.directory, options.engine, pair.max_context, pair.manifest.reference
        )
        if not stopping.is_set():
            await server.open(engine)
            log.info(
                "ready",
                pair=pair.manifest.reference,
                address=f"{options.host}:{server.port}",
                max_running=server.admission.max_running,
                max_waiting=server.admission.max_waiting,
            )
            await _until_stopped(stopping, engine)
            log.info("draining", running=server.admission.running)
            if not await server.drain():
                log.warning("grace period over", running=server.admission.running)
    finally:
        await server.stop()
        if engine is not None:
            engine.shutdown()
        log.info("stopped")


async def _until_stopped(stopping: asyncio.Event, engine: VllmEngine) -> None:
    while not stopping.is_set():
        if not engine.healthy():
            raise EngineError("the engine died; vLLM's log above says why")
        try:
            await asyncio.wait_for(stopping.wait(), _HEALTH_CHECK_S)
        except TimeoutError:
            continue


if __name__ == "__main__":
    sys.exit(main())
