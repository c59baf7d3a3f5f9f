"""What tcpdump sees of a port of the loopback interface."""

import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_ETHERNET = 14
_PCAP_HEADER = 24
# The kernel hands packets over in blocks.
_BLOCK_S = 1.2


@contextmanager
def captured(port: int, file: Path) -> Iterator[None]:
    """Captures a TCP port into `file` meanwhile; skips the test where that cannot be done."""
    if shutil.which("tcpdump") is None:
        pytest.skip("there is no tcpdump here")
    command = ["tcpdump", "-i", "lo", "-n", "-U", "-s", "128", "-B", "16384", "-w", str(file)]
    process = subprocess.Popen(
        [*command, "tcp", "port", str(port)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    line = process.stderr.readline()
    if "listening" not in line:
        line += process.stderr.readline()
    if "listening" not in line:
        process.wait(10)
        pytest.skip(f"tcpdump cannot capture here: {line.strip()}")
    try:
        yield
        time.sleep(_BLOCK_S)
    finally:
        process.terminate()
        process.communicate(timeout=10)


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
