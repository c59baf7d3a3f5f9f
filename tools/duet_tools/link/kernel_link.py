"""A link made by the kernel, where it can: real TCP over a pair of interfaces, shaped by `tc`.

Unlike the emulator in user space, packets are really lost and TCP really sends them again. What
connects to `address` is passed to the target through a connection over the pair, of which the far
end is in a network namespace of its own. Needs Linux, the right to make namespaces, iproute2, and
for delays `sch_netem`. A kernel without it can still make rates (`tbf`) and loss (nftables).
"""

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from duet_tools.errors import BenchError
from duet_tools.link.emulator import parse_address
from duet_tools.link.profiles import Direction, LinkProfile
from duet_tools.link.relay import Relay

_NAMESPACES = Path("/var/run/netns")
_CLONE_NEWNET = 0x40000000
# What a queue holds, as Linux's own default of 1000 packets does.
_QUEUE_PACKETS = 1000
_Result = TypeVar("_Result")


class KernelLinkUnavailable(BenchError):
    """This machine cannot make such a link; the message says what it lacks. Exit code 1."""


def has_netem() -> bool:
    """Return whether the kernel has `sch_netem`."""
    name = f"duet-netem-{os.getpid()}"
    try:
        _run(["ip", "netns", "add", name])
    except KernelLinkUnavailable:
        return False
    try:
        _tc(name, "lo", ["netem", "delay", "1ms"])
    except KernelLinkUnavailable:
        return False
    finally:
        _quietly(["ip", "netns", "del", name])
    return True


class KernelLink:
    """Like `LinkEmulator`, by the kernel. Use as a context manager.

    Of a `Direction`, rate, delay and jitter count.

    Args:
        target: where connections are passed to, HOST:PORT.
        link: what the link is like.
        loss: share of packets that are lost, each way.

    Raises:
        KernelLinkUnavailable: on entering, if the machine cannot make it.
    """

    def __init__(self, target: str, link: LinkProfile, *, loss: float = 0.0) -> None:
        parse_address(target)
        self._target = target
        self._link = link
        self._loss = loss
        number = os.getpid() % 0xFFFF
        self._space = f"duet-link-{os.getpid()}"
        self._near, self._far = f"dl{number:x}a", f"dl{number:x}b"
        # From the range for tests between networks (RFC 2544), which nothing else uses.
        base = f"198.18.{number // 256 % 256}.{number % 64 * 4}"
        stem, last = base.rsplit(".", 1)
        self._near_ip, self._far_ip = f"{stem}.{int(last) + 1}", f"{stem}.{int(last) + 2}"
        self._relays = contextlib.ExitStack()
        self.address = ""

    def __enter__(self) -> Self:
        for tool in ("ip", "tc"):
            if shutil.which(tool) is None:
                raise KernelLinkUnavailable(f"there is no {tool} here: install iproute2")
        if sys.platform != "linux" or os.geteuid() != 0:
            raise KernelLinkUnavailable("namespaces need Linux and root: use the emulator instead")
        try:
            self._make_pair()
            self._shape(self._link.up, None, self._near)
            self._shape(self._link.down, self._space, self._far)
            far = _in_namespace(
                self._space, lambda: socket.create_server((self._far_ip, 0), backlog=256)
            )
            over_pair = self._relays.enter_context(Relay(self._target, far))
            self.address = self._relays.enter_context(Relay(over_pair.address)).address
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _make_pair(self) -> None:
        _run(["ip", "netns", "add", self._space])
        pair = ["type", "veth", "peer", "name", self._far, "netns", self._space]
        _run(["ip", "link", "add", self._near, *pair])
        _run(["ip", "addr", "add", f"{self._near_ip}/30", "dev", self._near])
        _run(["ip", "link", "set", self._near, "up"])
        inside = ["ip", "-n", self._space]
        _run([*inside, "addr", "add", f"{self._far_ip}/30", "dev", self._far])
        _run([*inside, "link", "set", self._far, "up"])
        _run([*inside, "link", "set", "lo", "up"])
        # Segments of 64 KiB would pass as one packet, and be lost as one.
        for space, device in ((None, self._near), (self._space, self._far)):
            settings = ["gso_max_size", "1500", "gso_max_segs", "1"]
            prefix = ["ip", "-n", space] if space else ["ip"]
            _quietly([*prefix, "link", "set", device, *settings])

    def _shape(self, way: Direction, space: str | None, device: str) -> None:
        rate = f"{way.rate_bit_s:.0f}bit" if way.rate_bit_s else ""
        if has_netem():
            words = ["netem", "limit", str(_QUEUE_PACKETS)]
            if way.delay_ms or way.jitter_ms:
                words += ["delay", f"{way.delay_ms}ms", f"{way.jitter_ms}ms"]
            words += ["loss", f"{self._loss:.4%}"] * bool(self._loss)
            words += ["rate", rate] * bool(rate)
            _tc(space, device, words)
            return
        if way.delay_ms or way.jitter_ms:
            raise KernelLinkUnavailable(
                "this kernel has no sch_netem, which delays need: use the emulator instead"
            )
        if rate:
            _tc(space, device, ["tbf", "rate", rate, "burst", "16kb", "latency", "200ms"])
        if self._loss:
            # Dropped on arrival: the far end's input for what goes up, the near end's for down.
            self._lose(self._space if space is None else None, device)

    def _lose(self, space: str | None, device: str) -> None:
        if shutil.which("nft") is None:
            raise KernelLinkUnavailable("there is no nft here, which loss needs without sch_netem")
        arriving = self._far if device == self._near else self._near
        share = round(self._loss * 100_000)
        rules = (
            f"table inet {self._space} {{ chain arriving {{ "
            "type filter hook input priority 0; policy accept; "
            f'iifname "{arriving}" numgen random mod 100000 < {share} drop\n}}\n}}'
        )
        prefix = ["ip", "netns", "exec", space] if space else []
        _run([*prefix, "nft", rules])

    def _remove(self) -> None:
        self._relays.close()
        _quietly(["ip", "link", "del", self._near])
        _quietly(["ip", "netns", "del", self._space])
        if shutil.which("nft"):
            _quietly(["nft", "delete", "table", "inet", self._space])


def _in_namespace(name: str, make: Callable[[], _Result]) -> _Result:
    """Call `make` on a thread inside a namespace; sockets stay where they were made."""

    def enter() -> _Result:
        with (_NAMESPACES / name).open() as space:
            if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns failed")
        return make()

    try:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(enter).result()
    except OSError as error:
        raise KernelLinkUnavailable(f"cannot enter a namespace: {error}") from error


def _tc(space: str | None, device: str, words: Sequence[str]) -> None:
    prefix = ["tc", "-n", space] if space else ["tc"]
    _run([*prefix, "qdisc", "replace", "dev", device, "root", *words])


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelLinkUnavailable(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        why = said[0] if said else f"exit {done.returncode}"
        raise KernelLinkUnavailable(f"{' '.join(command[:4])}: {why}")


def _quietly(command: Sequence[str]) -> None:
    with contextlib.suppress(KernelLinkUnavailable):
        _run(command)
