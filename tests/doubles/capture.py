"""What is seen of a port of the loopback interface, by tcpdump or by a raw socket."""

import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_ETHERNET = 14
_PCAP_HEADER = 24
# The kernel hands packets over in blocks.
_BLOCK_S = 1.2
_IPV4, _TCP = 0x0800, 6
# Enough for the headers.
_SNAP = 128
_SO_RCVBUFFORCE = 33


@contextmanager
def captured(port: int, file: Path) -> Iterator[None]:
    """Captures a TCP port into `file` meanwhile; skips the test where that cannot be done."""
    capture = _by_tcpdump if shutil.which("tcpdump") else _by_raw_socket
    with capture(port, file):
        yield


@contextmanager
def _by_tcpdump(port: int, file: Path) -> Iterator[None]:
    command = ["tcpdump", "-i", "lo", "-n", "-U", "-s", str(_SNAP), "-B", "16384", "-w", str(file)]
    process = subprocess.Popen(
        [*command, "tcp", "port", str(port)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    line = process.stderr.readline()
    if "listening" not in line:
        line += process.stderr.readline()
    if "listening" not in line:
        process.wait(60)
        pytest.skip(f"tcpdump cannot capture here: {line.strip()}")
    try:
        yield
        time.sleep(_BLOCK_S)
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextmanager
def _by_raw_socket(port: int, file: Path) -> Iterator[None]:
    """The same without tcpdump: the kernel's copies of the packets, as the same kind of file."""
    try:
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_IPV4))
    except (AttributeError, OSError) as error:
        pytest.skip(f"there is no tcpdump here, and no raw socket: {error}")
    seen: list[bytes] = []
    ended = threading.Event()

    def read() -> None:
        while True:
            try:
                packet = packets.recv(_SNAP)
            except TimeoutError:
                if ended.is_set():
                    return
                continue
            ports = _ETHERNET + (packet[_ETHERNET] & 15) * 4
            if packet[_ETHERNET + 9] == _TCP and port in struct.unpack_from(">HH", packet, ports):
                seen.append(packet)

    with packets:
        with suppress(OSError):  # Which takes one more right.
            packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)
        packets.bind(("lo", 0))
        packets.settimeout(0.3)
        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield
        finally:
            ended.set()
            reader.join()
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, _SNAP, 1)
    entries = (struct.pack("<IIII", 0, 0, len(each), len(each)) + each for each in seen)
    file.write_bytes(header + b"".join(entries))


def payload(file: Path, port: int) -> tuple[int, int]:
    """TCP payload bytes to and from a port (pcap, Ethernet, IPv4); sent twice counts once."""
    data = file.read_bytes()
    assert struct.unpack_from("<I", data)[0] == 0xA1B2C3D4
    sent: dict[tuple[int, int], set[tuple[int, int]]] = {}
    at = _PCAP_HEADER
    while at < len(data):
        _, _, kept, _ = struct.unpack_from("<IIII", data, at)
        packet = data[at + 16 + _ETHERNET : at + 16 + kept]
        at += 16 + kept
        ip_header = (packet[0] & 15) * 4
        total = struct.unpack_from(">H", packet, 2)[0]
        source, destination, sequence = struct.unpack_from(">HHI", packet, ip_header)
        length = total - ip_header - (packet[ip_header + 12] >> 4) * 4
        if length:
            sent.setdefault((source, destination), set()).add((sequence, length))
    up = sum(n for (_, to), parts in sent.items() if to == port for _, n in parts)
    down = sum(n for (of, _), parts in sent.items() if of == port for _, n in parts)
    return up, down
