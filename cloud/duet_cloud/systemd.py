"""Tells systemd how the service is: ready, stopping, alive (`Type=notify`, `WatchdogSec=`).

The protocol is one datagram a message (sd_notify(3)); without `NOTIFY_SOCKET` nothing is sent.
"""

import asyncio
import os
import socket

from duet_cloud import logs


def notify(*messages: str) -> None:
    """Send messages such as `READY=1`, where systemd started the service.

    Examples:
        >>> notify("READY=1", "STATUS=serving")
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    # A name that starts with @ is in Linux' abstract namespace.
    address = f"\0{address[1:]}" if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(address)
            sender.sendall("\n".join(messages).encode())
    except OSError as error:
        logs.get().warning("systemd not notified", reason=str(error))


async def keep_alive() -> None:
    """Send `WATCHDOG=1` twice in each period that systemd waits, until cancelled.

    It runs on the service's event loop: if the loop hangs, systemd restarts the service.
    """
    try:
        period_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
        meant = int(os.environ.get("WATCHDOG_PID", os.getpid())) == os.getpid()
    except ValueError:
        return
    while period_s > 0 and meant:
        notify("WATCHDOG=1")
        await asyncio.sleep(period_s / 2)
