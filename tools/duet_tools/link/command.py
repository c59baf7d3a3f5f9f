"""`duet-bench link`: a link emulated in front of a TCP service."""

import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from duet_contract.commands import Integer, Number, option
from duet_tools.errors import BenchError
from duet_tools.link.profiles import (
    MOST_BYTES,
    MOST_MS,
    PRESETS,
    BadLink,
    Direction,
    LinkProfile,
    link_named,
    parse_rate,
)
from duet_tools.link.timeline import Timeline, read_timeline
from duet_tools.options import FILE, NEW_FILE, SEED

_Command = TypeVar("_Command", bound=Callable[..., Any])
_EXITS = """\b
Exit codes:
    0  ended as asked
    1  something failed
    2  usage
    3  the address cannot be used
  130  interrupted
  141  the reader of stdout is gone
"""
_MS = Number(0, MOST_MS)
_BYTES = Integer(1, MOST_BYTES)
_COUNT = Integer(0, MOST_BYTES)


def _both(name: str, **kind: Any) -> Callable[[_Command], _Command]:
    """Return an option for each direction: --NAME-up and --NAME-down."""

    def add(function: _Command) -> _Command:
        for way in ("down", "up"):
            help_ = f"{kind['help']}, {way}."
            function = click.option(f"--{name}-{way}", **{**kind, "help": help_})(function)
        return function

    return add


@click.command(epilog=_EXITS)
@option("--target", None, "HOST:PORT", "Service that connections go to.")
@option(
    "--listen", None, "HOST:PORT", "Address to listen on; port 0 takes a free one.", "127.0.0.1:0"
)
@option("--preset", None, "NAME", "Link by name; see --list.", "none")
@option("--rtt", Number(0, 2 * MOST_MS), "MS", "Round-trip time in ms, half in each direction.")
@option("--jitter", _MS, "MS", "Uniform jitter in ms, each direction.")
@option("--up", None, "RATE", "Rate up, such as 10mbit or 256kbit [no limit].")
@option("--down", None, "RATE", "Rate down [no limit].")
@_both("slice", type=_BYTES, metavar="BYTES", help="Maximum bytes per write")
@_both("slice-gap", type=_MS, metavar="MS", help="Time between writes in ms")
@_both("stall-every", type=_BYTES, metavar="BYTES", help="Bytes between stalls")
@_both("stall", type=_MS, metavar="MS", help="Length of a stall in ms")
@_both("cut-after", type=_COUNT, metavar="BYTES", help="Bytes until a connection closes")
@_both("reset-after", type=_COUNT, metavar="BYTES", help="Bytes until a connection resets")
@option(
    "--timeline",
    FILE,
    "FILE",
    "TOML or JSON file of setting changes at given seconds.",
    to="timeline_file",
)
@click.option("--kernel", is_flag=True, help="Emulate in the kernel (tc, as root).")
@option("--loss", Number(0, 100, max_open=True), "%", "Packet loss per direction, with --kernel.")
@option("--seed", SEED, "N", "Seed of the jitter.", 0)
@click.option("--list", "list_", is_flag=True, help="List the links and exit.")
@click.option("--check", is_flag=True, help="Measure the emulator's accuracy and exit.")
@option("--out", NEW_FILE, "FILE", "JSON file for the results of --check.")
def link(
    target: str | None,
    listen: str,
    preset: str,
    timeline_file: Path | None,
    kernel: bool,
    loss: float | None,
    seed: int,
    list_: bool,
    check: bool,
    out: Path | None,
    **settings: Any,
) -> None:
    """Pass TCP connections to --target through an emulated link, until Ctrl-C.

    The first line on stdout is the address to use instead of the target's. Rates count TCP's
    payload. Up is from clients to the target. Emulated are round-trip time (also at connection),
    jitter, rate, slicing, stalls, and connections that end. Packet loss needs --kernel, which also
    takes delay, jitter and rate, on hosts with network namespaces and tc.
    """
    if list_:
        _print_links()
    elif check:
        _check(out)
    elif target is None:
        raise click.UsageError("give --target HOST:PORT")
    else:
        emulated = _link(link_named(preset), settings)
        timeline = read_timeline(timeline_file) if timeline_file else Timeline()
        for step in timeline.steps:
            step.applied(emulated)
        if kernel:
            _serve_by_kernel(target, listen, emulated, loss or 0.0, timeline)
        elif loss is not None:
            raise BadLink("--loss needs --kernel: a proxy cannot lose TCP's packets")
        else:
            _serve(target, listen, emulated, timeline, seed)


def _link(link: LinkProfile, settings: dict[str, Any]) -> LinkProfile:
    """Return the preset with what the command line says."""
    rtt, jitter = settings.pop("rtt"), settings.pop("jitter")
    ways = {}
    for way in ("up", "down"):
        changes: dict[str, Any] = {}
        if rtt is not None:
            changes["delay_ms"] = rtt / 2
        if jitter is not None:
            changes["jitter_ms"] = jitter
        if settings[way] is not None:
            changes["rate_bit_s"] = parse_rate(settings[way])
        for flag, name in _NAMES.items():
            if (value := settings[f"{flag}_{way}"]) is not None:
                changes[name] = value
        ways[way] = getattr(link, way).changed(changes)
        if bool(ways[way].stall_every_bytes) != bool(ways[way].stall_ms):
            raise BadLink(f"--stall-every-{way} and --stall-{way} belong together")
    return replace(link, **ways)


_NAMES = {
    "slice": "slice_bytes",
    "slice_gap": "slice_gap_ms",
    "stall_every": "stall_every_bytes",
    "stall": "stall_ms",
    "cut_after": "cut_after_bytes",
    "reset_after": "reset_after_bytes",
}


def _serve(target: str, listen: str, link: LinkProfile, timeline: Timeline, seed: int) -> None:
    from duet_tools.link.emulator import LinkEmulator

    ended = _ending()
    with LinkEmulator(target, link, seed=seed, timeline=timeline, listen=listen) as emulator:
        print(emulator.address, flush=True)
        print(f"up: {_words(link.up)}; down: {_words(link.down)}; Ctrl-C ends", file=sys.stderr)
        ended.wait()
        count = emulator.count
    print(
        f"{count.connections} connections, {count.up} bytes up, {count.down} bytes down",
        file=sys.stderr,
    )


def _serve_by_kernel(
    target: str, listen: str, link: LinkProfile, loss: float, timeline: Timeline
) -> None:
    from duet_tools.link.kernel_link import KernelLink

    for way in (link.up, link.down):
        if way != Direction(way.rate_bit_s, way.delay_ms, way.jitter_ms):
            raise BadLink("--kernel makes delay, jitter, rate and loss; leave the rest out")
    if timeline.steps or listen != "127.0.0.1:0":
        raise BadLink("--kernel takes neither --timeline nor --listen")
    ended = _ending()
    with KernelLink(target, link, loss=loss / 100) as made:
        print(made.address, flush=True)
        print(f"by the kernel, {loss:g}% of packets lost; Ctrl-C ends", file=sys.stderr)
        ended.wait()


def _ending() -> threading.Event:
    """Set by Ctrl-C or SIGTERM."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    return ended


def _words(way: Direction) -> str:
    """Return what a direction differs in from one that is not emulated."""
    plain = Direction()
    told = [
        f"{field.name} {value:g}" if isinstance(value, float) else f"{field.name} {value}"
        for field in fields(way)
        if (value := getattr(way, field.name)) != getattr(plain, field.name)
    ]
    return ", ".join(told) or "as it comes"


def _print_links() -> None:
    for link in PRESETS.values():
        print(f"{link.name}\n  up: {_words(link.up)}\n  down: {_words(link.down)}")
        print(f"  {link.source}")


def _check(out: Path | None) -> None:
    from duet_tools.link.accuracy import measure, table

    report = measure(lambda what: print(what, file=sys.stderr))
    if out:
        out.write_text(report.to_json(), "utf-8")
    print(table(report))
    if not report.met:
        raise BenchError("not every figure is within what was promised; the table says which")
