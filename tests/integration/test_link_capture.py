"""What the emulator counts against what tcpdump captures, and the emulator against the kernel."""

import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from duet_tools.link.emulator import LinkEmulator, parse_address
from duet_tools.link.kernel_link import KernelLink, KernelLinkUnavailable, has_netem
from duet_tools.link.profiles import Direction, LinkProfile
from duet_tools.link.relay import Relay
from tests.doubles.capture import captured, payload
from tests.doubles.service import self_signed
from tests.doubles.tcp import serving

pytestmark = pytest.mark.alone


def talk(address: str) -> None:
    """TLS: small chunks down, as a signal comes, and then a few hundred kilobytes."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    for _ in range(3):
        with client.wrap_socket(socket.create_connection(parse_address(address), 30)) as tls:
            tls.sendall(b"q" * 300)
            while tls.recv(65536):
                pass


@pytest.mark.parametrize("kind", ["emulator", "counting proxy"])
def test_counted_bytes_are_those_of_a_capture(kind: str, tmp_path: Path) -> None:
    key, certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1000)
            for _ in range(50):
                tls.sendall(b"chunk of a signal")
                time.sleep(0.002)
            tls.sendall(os.urandom(300_000))

    way = Direction(rate_bit_s=50e6, delay_ms=5, jitter_ms=2)
    file = tmp_path / "capture.pcap"
    with serving(answer) as target:
        proxy: LinkEmulator | Relay = (
            LinkEmulator(target, LinkProfile("test", way, way, ""))
            if kind == "emulator"
            else Relay(target)
        )
        with proxy:
            port = parse_address(proxy.address)[1]
            with captured(port, file):
                talk(proxy.address)
            count = proxy.count
    up, down = payload(file, port)
    print(f"{kind}: counted {count.up} up, {count.down} down; captured {up} up, {down} down")
    assert down > 900_000
    assert count.up == pytest.approx(up, rel=0.01)
    assert count.down == pytest.approx(down, rel=0.01)


def transfer(address: str, size: int) -> float:
    """Seconds from the first byte to the last."""
    with socket.create_connection(parse_address(address), 60) as client:
        client.sendall(b"%d" % size)
        got = len(client.recv(1 << 16))
        began = time.perf_counter()
        while data := client.recv(1 << 16):
            got += len(data)
        assert got == size
        return time.perf_counter() - began


def retransmitted() -> int:
    """TCP segments that this machine's namespaces have sent again."""
    total = 0
    inside = [["ip", "netns", "exec", space.name] for space in Path("/var/run/netns").glob("*")]
    for prefix in ([], *inside):
        command = [*prefix, "cat", "/proc/net/snmp"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [line.split() for line in done.stdout.splitlines() if line.startswith("Tcp:")]
        total += int(dict(zip(*lines, strict=True))["RetransSegs"]) if len(lines) == 2 else 0
    return total


def send(connection: socket.socket) -> None:
    connection.sendall(b"x" * int(connection.recv(100)))


@pytest.fixture
def kernel() -> Callable[..., KernelLink]:
    """Makes links by the kernel, or skips with the reason."""

    def make(target: str, link: LinkProfile, loss: float = 0.0) -> KernelLink:
        made = KernelLink(target, link, loss=loss)
        try:
            made.__enter__()
        except KernelLinkUnavailable as error:
            pytest.skip(str(error))
        return made

    return make


def seconds_by_both(
    kernel: Callable[..., KernelLink], link: LinkProfile, measure: Callable[[str], float]
) -> tuple[float, float]:
    """The least of three by the kernel, and by the emulator: a busy machine only adds."""
    with serving(send) as target:
        made = kernel(target, link)
        try:
            by_kernel = min(measure(made.address) for _ in range(3))
        finally:
            made.__exit__(None, None, None)
        with LinkEmulator(target, link) as emulator:
            by_emulator = min(measure(emulator.address) for _ in range(3))
    print(f"kernel {by_kernel:.3f} s, emulator {by_emulator:.3f} s")
    return by_kernel, by_emulator


def test_the_kernels_rate_and_the_emulators_agree(kernel: Callable[..., KernelLink]) -> None:
    link = LinkProfile("test", Direction(), Direction(rate_bit_s=5e6), "")
    by_kernel, by_emulator = seconds_by_both(kernel, link, lambda way: transfer(way, 500_000))
    # Neither lets bytes pass sooner; a busy machine may be later.
    assert 0.72 < by_kernel < 4
    assert 0.72 < by_emulator < 4


def test_packets_that_the_kernel_loses_are_sent_again(kernel: Callable[..., KernelLink]) -> None:
    link = LinkProfile("test", Direction(), Direction(rate_bit_s=20e6), "")
    size = 1_000_000
    sent_again = {}
    with serving(send) as target:
        for loss in (0.0, 0.05):
            made = kernel(target, link, loss)
            try:
                before = retransmitted()
                seconds = transfer(made.address, size)
                sent_again[loss] = retransmitted() - before
            finally:
                made.__exit__(None, None, None)
            print(f"1 MB at 20 Mbit/s, {loss:.0%} lost: {seconds:.3f} s, {sent_again[loss]} again")
    assert not list(Path("/var/run/netns").glob(f"duet-link-{os.getpid()}"))
    # 700 packets, of which one in twenty is lost.
    assert sent_again[0.05] > sent_again[0.0] + 5


def asked_and_answered(address: str) -> float:
    """Seconds from connecting to the last of 1000 bytes."""
    began = time.perf_counter()
    transfer(address, 1000)
    return time.perf_counter() - began


def test_delays_by_the_kernel_are_those_of_the_emulator(kernel: Callable[..., KernelLink]) -> None:
    if not has_netem():
        pytest.skip("this kernel has no sch_netem")
    way = Direction(delay_ms=40)
    link = LinkProfile("test", way, way, "")
    by_kernel, by_emulator = seconds_by_both(kernel, link, asked_and_answered)
    # A round trip to connect, and one to ask.
    assert by_emulator == pytest.approx(by_kernel, rel=0.1)
    assert by_emulator == pytest.approx(0.16, rel=0.1)


def test_a_link_that_the_kernel_cannot_make_says_why() -> None:
    if has_netem() and os.geteuid() == 0:
        pytest.skip("this kernel can make it")
    way = Direction(delay_ms=40)
    with pytest.raises(KernelLinkUnavailable, match="use the emulator instead"):
        KernelLink("127.0.0.1:1", LinkProfile("test", way, way, "")).__enter__()
