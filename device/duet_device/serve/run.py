"""Run the local server until it is stopped, or has been idle for as long as it may be."""

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from duet_contract.console import signals_go_to
from duet_device.ask_request import AskRequest
from duet_device.errors import DeviceError, Interrupted, ModelProblem, UsageProblem
from duet_device.home import home
from duet_device.serve.files import TOKEN_NAME, listening, locked, token
from duet_device.serve.serve_options import ServeOptions
from duet_device.serve.service import Service
from duet_device.serve.socket_server import SocketServer
from duet_device.serve.warm_clients import WarmClients
from duet_device.vault.vault import Vault, passphrase_wanted

_HOST = "127.0.0.1"
# Seconds for responses to end after the server was stopped.
_END_S = 3.0


def serve(base: AskRequest, options: ServeOptions, note: Callable[[str], None]) -> None:
    """Serve until SIGINT, SIGTERM, or the idle time. Before it is ready, the caller handles signals.

    Args:
        base: pair, server and options of a request that names none; warm before the first one.
        options: of the server.
        note: given lines for the user.

    Raises:
        UsageProblem: another server runs, the port is in use, a file of the server's may be read
            or written by others, or what redacts is not installed.
        ModelProblem: the pair cannot be loaded.
        VaultError: the passphrase is wrong.
        Interrupted: the caller's handler of a signal raised it.
    """
    stop = threading.Event()
    stopping = signals_go_to(lambda *_: stop.set(), signal.SIGINT, signal.SIGTERM)
    with locked(), listening() as listener:
        http = None if options.port is None else _bind(options.port)
        key = "" if http is None else token()
        if passphrase_wanted():
            Vault.open(home(), create=False)
        service = Service(WarmClients())
        try:
            SocketServer(listener, service)
            if base.redact or base.redact_numbers:
                from duet_device.privacy.identifiers import load_ahead

                load_ahead(note)
            _warm(service, base, note)
            if http is None:
                with stopping:
                    note("ready: duet-device ask uses this server")
                    _wait(stop, service, options.idle)
                    service.stop()
                return
            with stopping, _http(http, service, base, key, options.origins):
                port = http.getsockname()[1]
                note(f"page: http://{_HOST}:{port}/#{key}")
                note(f"API: http://{_HOST}:{port}/v1, API key in {home() / TOKEN_NAME}")
                note("ready: duet-device ask uses this server; Ctrl-C stops it")
                _wait(stop, service, options.idle)
                service.stop()
        finally:
            service.stop()


def _warm(service: Service, base: AskRequest, note: Callable[[str], None]) -> None:
    began = time.perf_counter()
    with service.clients.using(base) as client:
        try:
            client.warm()
        except (ModelProblem, Interrupted):
            raise
        except DeviceError as error:
            note(f"no connection to {base.server}: {error}")
            return
    note(f"{client.pair.manifest.reference} is loaded ({time.perf_counter() - began:.1f} s)")


def _wait(stop: threading.Event, service: Service, idle: float | None) -> None:
    step = 1.0 if idle is None else min(1.0, max(0.05, idle / 4))
    while not stop.wait(step):
        if idle is not None and service.idle_s > idle:
            return


def _bind(port: int) -> socket.socket:
    # With its protocol, without which asyncio leaves out TCP_NODELAY, and each response waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
    except OSError as error:
        listener.close()
        raise UsageProblem(
            f"cannot listen on {_HOST}:{port}: {error.strerror}; choose another --port"
        ) from error
    return listener


@contextmanager
def _http(
    listener: socket.socket,
    service: Service,
    base: AskRequest,
    key: str,
    origins: Collection[str],
) -> Iterator[None]:
    """Serve the API and the page in a thread."""
    import uvicorn

    from duet_device.serve.http_app import HttpInterface

    app = HttpInterface(service, base).app(listener.getsockname()[1], key, origins)
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="duet-http", daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(_END_S)
        listener.close()
