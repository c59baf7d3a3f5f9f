"""Start a local server that ends when it has been idle: later questions find it warm."""

import subprocess
import sys

from duet_device.ask_request import AskRequest


def start(request: AskRequest, idle: float) -> None:
    """Start a server in the background, for requests such as this one.

    Of two that start at once, the second ends: the device has one server.

    Args:
        request: names the pair, the server and the threads.
        idle: seconds without a question after which it ends.
    """
    command = [sys.executable, "-m", "duet_device", "serve", "--socket-only"]
    command += ["--idle", str(idle), "--server", request.server]
    command += ["--pair", request.pair] if request.pair else []
    command += ["--threads", str(request.threads)] if request.threads else []
    command += ["--allow-unsigned"] if request.allow_unsigned else []
    nothing = subprocess.DEVNULL
    subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
