"""Watch a channel's connection without gRPC's own subscription.

`grpc.Channel.subscribe` polls from a thread of gRPC's that prints a traceback when the channel is
closed meanwhile. Here the caller's thread polls, and a closed channel ends the watching.
"""

import time
from collections.abc import Iterator
from typing import Any

import grpc

from duet_contract.console import signals_held

# How long one wait for a change lasts; closing the channel waits for it.
_SLICE_S = 0.02
_STATES: dict[int, grpc.ChannelConnectivity] = {
    state.value[0]: state for state in grpc.ChannelConnectivity
}


def connection_states(channel: grpc.Channel) -> Iterator[grpc.ChannelConnectivity | None]:
    """Connects, and yields the connection's state now and after each change.

    Args:
        channel: a channel of `grpc.insecure_channel`, `grpc.secure_channel`, or an intercepted one.

    Yields:
        The state; None about fifty times a second while it does not change. Ends once the channel
        is closed.
    """
    core = _core(channel)
    if core is None:
        return
    try:
        state = core.check_connectivity_state(True)
        yield _STATES[state]
        while True:
            # A signal's exception within it would have the channel's close wait for good.
            with signals_held():
                watched = core.watch_connectivity_state(state, time.time() + _SLICE_S)
            if watched.success:
                # A connection that was lost at once leaves the channel idle: it connects again.
                state = core.check_connectivity_state(True)
                yield _STATES[state]
            else:
                yield None
    except ValueError:
        # How gRPC says that the channel is closed.
        return


def wait_until_connected(channel: grpc.Channel, timeout_s: float) -> bool:
    """Connect and wait until the connection is ready.

    Args:
        channel: see `connection_states`.
        timeout_s: seconds to wait at most.

    Returns:
        Whether it is ready; False after the timeout, or once the channel is closed.
    """
    end = time.monotonic() + timeout_s
    for state in connection_states(channel):
        if state is grpc.ChannelConnectivity.READY:
            return True
        if time.monotonic() >= end:
            return False
    return False


def _core(channel: Any) -> Any:
    """Return the channel of gRPC's C library, which `grpc.Channel.subscribe` polls, too."""
    while channel is not None and not hasattr(channel, "watch_connectivity_state"):
        channel = getattr(channel, "_channel", None)
    return channel
