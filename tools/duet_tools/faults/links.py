"""Links that are cut, stall, are slow, or deliver a byte at a time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from duet_contract.receipt import Receipt
from duet_tools.faults.cutting import Cut, CuttingRelay
from duet_tools.faults.devices import SPLIT, UNREACHED, Device, devices
from duet_tools.faults.services import Service
from duet_tools.faults.trials import Setting, Trials, Unheld, Void, row
from duet_tools.link.emulator import LinkEmulator
from duet_tools.link.profiles import Direction, LinkProfile, link_named
from duet_tools.link.timeline import LinkChange, Timeline
from duet_tools.subjects.service import Script

# 20 tokens or 100 ms a chunk: a signal of 60 tokens has several.
_OPTIONS = ("--chunk-ms", "100")
_SCRIPT = Script(tokens=60, pause_s=0.01)
_BUDGET = 64
_LATE_S = 2.0


@row(
    "link cut",
    "a connection is ended or reset after each message, and at random bytes, of a stream",
    "the split answers; signal, token counts and answer equal those of the uncut stream",
)
def _cuts(setting: Setting, trials: Trials) -> None:
    with Service(setting, *_OPTIONS, script=_SCRIPT) as service, Device(setting) as device:
        with CuttingRelay(service.address) as relay:
            uncut = device.ask(relay.address, budget=_BUDGET).check_split()
            messages, size = relay.frames.count, relay.count.down
        numbers = setting.chosen(list(range(1, messages + 1)), 4)
        cuts = [Cut(messages=number, reset=number % 2 == 0) for number in numbers]
        cuts += [
            Cut(bytes=setting.draws.randrange(1, size), reset=number % 2 == 0)
            for number in range(setting.count(200, 4))
        ]
        resumed = 0
        for cut in cuts:
            with trials.trial(), CuttingRelay(service.address, cut) as relay:
                resumed += _ask_through(device, relay, uncut)
        with trials.trial():
            service.check_sound()
        generated = sum(each["signal_tokens"] for each in service.events("reasoned"))
    trials.figures |= {
        "messages of a stream": messages,
        "bytes of a stream": size,
        "signals continued": resumed,
        # Those of a chunk that is lost with its connection are generated again.
        "tokens generated for a token of a signal": generated
        / (uncut.tokens.signal * (1 + len(cuts))),
    }


def _ask_through(device: Device, relay: CuttingRelay, uncut: Receipt) -> int:
    """Ask, compare with the answer of the uncut stream; return how often the signal continued."""
    receipt = device.ask(relay.address, budget=_BUDGET).check_split()
    if receipt.signal != uncut.signal or receipt.tokens != uncut.tokens:
        raise Unheld("another signal")
    if receipt.answer != uncut.answer:
        raise Unheld("another answer")
    if not relay.is_cut:
        # Chunks follow the clock, so that this stream had fewer bytes than the uncut one.
        raise Void
    return receipt.resumed


@dataclass(frozen=True)
class _Condition:
    """A bad link, and how its questions may end."""

    name: str
    """Name in the table."""
    link: LinkProfile
    """The link at the start."""
    steps: tuple[LinkChange, ...] = ()
    """Changes of the link, by time."""
    timeout_s: float = 30.0
    """Total time limit of a question in seconds."""
    outcomes: frozenset[str] = frozenset({SPLIT})
    """Outcomes of which each question must have one."""


def _link(direction: Direction) -> LinkProfile:
    return replace(link_named("none"), up=direction, down=direction)


def _stalled(at_s: float, until_s: float | None) -> tuple[LinkChange, ...]:
    stall = LinkChange(at_s, up={"stalled": True}, down={"stalled": True})
    if until_s is None:
        return (stall,)
    return stall, LinkChange(until_s, up={"stalled": False}, down={"stalled": False})


_CONDITIONS = (
    _Condition("stall of 2 s in a stream", _link(Direction()), _stalled(0.3, 2.3)),
    _Condition("silence from the start", _link(Direction(stalled=True)), (), 6.0, UNREACHED),
    _Condition("silence in a stream", _link(Direction()), _stalled(0.3, None), 8.0, UNREACHED),
    _Condition("round trip of 2 s", _link(Direction(delay_ms=1000)), timeout_s=40.0),
    _Condition("9.6 kbit/s", _link(Direction(rate_bit_s=9600)), timeout_s=40.0),
    _Condition(
        "slices of one byte", _link(Direction(slice_bytes=1, slice_gap_ms=0.5)), timeout_s=40.0
    ),
)


@row(
    "bad links",
    ", ".join(condition.name for condition in _CONDITIONS),
    "the split answers; after silence the defined outcome, at the deadline at the latest",
)
def _slow(setting: Setting, trials: Trials) -> None:
    with (
        Service(setting, *_OPTIONS, script=_SCRIPT) as service,
        devices(setting, len(_CONDITIONS)) as asking,
        ThreadPoolExecutor(len(asking)) as pool,
    ):
        for seed in range(setting.count(5, 1)):
            # At the same time, since they wait and compute little.
            running = [
                pool.submit(_ask_over, condition, service.address, device, seed)
                for condition, device in zip(_CONDITIONS, asking, strict=True)
            ]
            for condition, asked in zip(_CONDITIONS, running, strict=True):
                longest = f"{condition.name}, longest, s"
                with trials.trial():
                    trials.figures[longest] = max(trials.figures.get(longest, 0.0), asked.result())
        with trials.trial():
            service.check_sound()


def _ask_over(condition: _Condition, address: str, device: Device, seed: int) -> float:
    timeline = Timeline(condition.steps)
    with LinkEmulator(address, condition.link, seed=seed, timeline=timeline) as emulator:
        asked = device.ask(
            emulator.address, budget=_BUDGET, timeout=condition.timeout_s, connect_timeout=10.0
        )
    if asked.outcome not in condition.outcomes:
        raise Unheld(f"{condition.name}: {asked.outcome}")
    if asked.seconds > condition.timeout_s + _LATE_S:
        raise Unheld(f"{condition.name}: ended after its deadline")
    return asked.seconds


ROWS = (_cuts, _slow)
