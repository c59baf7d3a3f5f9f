"""The command of `python tools/duet_tools/link_emulator.py`: a link emulated in front of a TCP service."""

import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from duet_contract.json_data import json_text
from duet_tools.errors import BenchError
from duet_tools.link.errors import BadLink
from duet_tools.link.profiles import (
    MOST_BYTES,
    MOST_MS,
    PRESETS,
    Direction,
    Link,
    link_named,
    parse_rate,
)
from duet_tools.link.timeline import Timeline, read_timeline
from duet_tools.options import FILE, HELP, SEED, Finite

_Command = TypeVar("_Command", bound=Callable[..., Any])
_EXITS = (
    "Exit codes: 0 ended as asked, 1 something failed, 2 usage, 3 cannot listen there, "
    "130 interrupted, 141 the reader of stdout has gone."
)
_MS = Finite(0, MOST_MS)
_BYTES = click.IntRange(1, MOST_BYTES)
_COUNT = click.IntRange(0, MOST_BYTES)


def _both(name: str, **kind: Any) -> Callable[[_Command], _Command]:
    """An option for each direction: --NAME-up and --NAME-down."""

    def add(function: _Command) -> _Command:
        for way in ("down", "up"):
            help_ = f"{kind['help']} {way}"
            function = click.option(f"--{name}-{way}", **{**kind, "help": help_})(function)
        return function

    return add


@click.command(context_settings=HELP, epilog=_EXITS)
@click.option("--target", metavar="HOST:PORT", help="Where connections are passed to.")
@click.option(
    "--listen",
    default="127.0.0.1:0",
    show_default=True,
    metavar="HOST:PORT",
    help="Where they are taken; port 0 is any that is free.",
)
@click.option("--preset", default="none", show_default=True, help="A link by name; see --list.")
@click.option(
    "--rtt", type=Finite(0, 2 * MOST_MS), metavar="MS", help="Round trip, half up and half down."
)
@click.option("--jitter", type=_MS, metavar="MS", help="Each way, evenly around the delay.")
@click.option("--up", metavar="RATE", help="Rate up, as in 10mbit, 256kbit; none: no limit.")
@click.option("--down", metavar="RATE", help="Rate down.")
@_both("slice", type=_BYTES, metavar="BYTES", help="Largest write")
@_both("slice-gap", type=_MS, metavar="MS", help="Time between writes")
@_both("stall-every", type=_BYTES, metavar="BYTES", help="Bytes of a connection between stalls")
@_both("stall", type=_MS, metavar="MS", help="How long a stall is")
@_both("cut-after", type=_COUNT, metavar="BYTES", help="Bytes until a connection is closed")
@_both("reset-after", type=_COUNT, metavar="BYTES", help="Bytes until a connection is reset")
@click.option(
    "--timeline",
    "timeline_file",
    type=FILE,
    help="TOML or JSON file: at so many seconds, change these settings (tools/duet_tools/link/timeline.py).",
)
@click.option("--kernel", is_flag=True, help="Let the kernel make the link (tc, as root).")
@click.option(
    "--loss",
    type=Finite(0, 100, max_open=True),
    metavar="%",
    help="Packets lost each way; with --kernel alone.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="What jitter follows from.")
@click.option("--list", "list_", is_flag=True, help="Name the links that there are, and stop.")
@click.option("--check", is_flag=True, help="Measure the emulator's own accuracy, and stop.")
@click.option(
    "--out",
    type=FILE,
    help="With --check: file for the figures, as JSON.",
)
def emulate(
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

    The address to use instead of the target's is the first line on stdout; what passed is told at
    the end. Rates count what TCP carries. Emulated are round trip (paid when connecting, too),
    jitter, rate, slicing, stalls, and connections that end. What TCP makes of lost packets is not:
    --kernel does that, with delay, jitter and rate, where namespaces and tc are there. Up is from
    clients to the target.
    """
    if list_:
        _print_links()
    elif check:
        _check(out)
    elif target is None:
        raise click.UsageError("give --target HOST:PORT")
    else:
        link = _link(link_named(preset), settings)
        timeline = read_timeline(timeline_file) if timeline_file else Timeline()
        for step in timeline.steps:
            step.applied(link)
        if kernel:
            _serve_by_kernel(target, listen, link, loss or 0.0, timeline)
        elif loss is not None:
            raise BadLink("--loss needs --kernel: a proxy cannot lose TCP's packets")
        else:
            _serve(target, listen, link, timeline, seed)


def _link(link: Link, settings: dict[str, Any]) -> Link:
    """The preset with what the command line says."""
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
        for option, name in _NAMES.items():
            if (value := settings[f"{option}_{way}"]) is not None:
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


def _serve(target: str, listen: str, link: Link, timeline: Timeline, seed: int) -> None:
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


def _serve_by_kernel(target: str, listen: str, link: Link, loss: float, timeline: Timeline) -> None:
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
    """What a direction differs in from one that is not emulated."""
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

    if out and not out.parent.is_dir():
        raise BadLink(f"there is no directory {out.parent}")
    report = measure(lambda what: print(what, file=sys.stderr))
    if out:
        out.write_text(json_text(report.as_json(), indent=1) + "\n", "utf-8")
    print(table(report))
    if not report.met:
        raise BenchError("not every figure is within what was promised; the table says which")
