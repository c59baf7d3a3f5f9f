"""One direction of a link, on a clock that is moved by hand: exact, whatever the machine does."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_tools.link.direction import MOST_BACKLOG, Mark, Pipe, SharedDirection
from duet_tools.link.profiles import Direction
from tests.doubles.manual_loop import ManualLoop


@dataclass
class End:
    """Both ends of a pipe."""

    loop: ManualLoop
    """Clock of the pipe."""
    arrived: list[tuple[float, bytes]] = field(default_factory=list)
    """Data with the time of arrival in seconds."""
    marks: list[tuple[float, Mark]] = field(default_factory=list)
    """Marks with the time of arrival in seconds."""
    paused: bool = False
    """Whether the sender is paused."""

    def deliver(self, data: bytes) -> None:
        self.arrived.append((self.loop.now, data))

    def finish(self, mark: Mark) -> None:
        self.marks.append((self.loop.now, mark))

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.arrived)


def open_pipe(settings: Direction, seed: int = 0, opens_in: float = 0.0) -> tuple[Pipe, End]:
    loop = ManualLoop()
    direction = SharedDirection(settings, loop)  # type: ignore[arg-type]
    return another(direction, seed, opens_in)


def another(direction: SharedDirection, seed: int = 0, opens_in: float = 0.0) -> tuple[Pipe, End]:
    end = End(direction.loop)  # type: ignore[arg-type]
    draws = random.Random(seed)
    return Pipe(direction, end, end, draws, direction.loop.time() + opens_in), end


def test_without_settings_bytes_pass_at_once() -> None:
    pipe, end = open_pipe(Direction())
    pipe.send(b"hello")
    assert end.arrived == [(100.0, b"hello")]


def test_a_delay_is_the_delay() -> None:
    pipe, end = open_pipe(Direction(delay_ms=40))
    pipe.send(b"a")
    end.loop.run(1)
    assert end.arrived == [(pytest.approx(100.04), b"a")]


def test_what_passing_takes_is_taken_off_the_delay() -> None:
    pipe, end = open_pipe(Direction(delay_ms=40))
    pipe.direction.own_s = 0.001
    pipe.send(b"a")
    end.loop.run(1)
    assert end.arrived[0][0] == pytest.approx(100.039)


@given(
    rate=st.sampled_from([50e3, 1e6, 33e6, 100e6]),
    seconds=st.floats(0.2, 2.0),
    late=st.sampled_from([0.0, 0.0005, 0.003]),
)
def test_a_rate_is_the_rate_though_timers_are_late(
    rate: float, seconds: float, late: float
) -> None:
    pipe, end = open_pipe(Direction(rate_bit_s=rate))
    size = int(rate / 8 * seconds)
    pipe.send(b"x" * size)
    end.loop.run(10, late=late)
    assert len(end.data) == size
    assert end.arrived[-1][0] - 100.0 == pytest.approx(size * 8 / rate, abs=2 * late + 1e-4)


@given(st.lists(st.binary(max_size=5000), max_size=20), st.integers(0, 5))
def test_bytes_keep_their_order_under_jitter_slices_and_stalls(
    parts: list[bytes], seed: int
) -> None:
    settings = Direction(
        rate_bit_s=1e6, delay_ms=5, jitter_ms=50, slice_bytes=700, stall_every_bytes=900, stall_ms=9
    )
    pipe, end = open_pipe(settings, seed)
    for part in parts:
        pipe.send(part)
        end.loop.run(0.01)
    pipe.end()
    end.loop.run(100)
    assert end.data == b"".join(parts)
    assert [mark for _, mark in end.marks] == [Mark.END]
    assert pipe.direction.delivered == len(end.data)
    assert all(len(data) <= 700 for _, data in end.arrived)
    times = [at for at, _ in end.arrived]
    assert times == sorted(times)


@given(st.integers(0, 9), st.integers(0, 9))
def test_the_same_seed_draws_the_same_delays(one: int, other: int) -> None:
    def arrivals(seed: int) -> list[float]:
        pipe, end = open_pipe(Direction(delay_ms=50, jitter_ms=20), seed)
        for _ in range(10):
            pipe.send(b"a")
            end.loop.run(1)
        return [at for at, _ in end.arrived]

    assert (arrivals(one) == arrivals(other)) == (one == other)


def test_jitter_stays_within_its_bounds() -> None:
    pipe, end = open_pipe(Direction(delay_ms=50, jitter_ms=20))
    delays = []
    for _ in range(200):
        pipe.send(b"a")
        sent = end.loop.now
        end.loop.run(1)
        delays.append(end.arrived[-1][0] - sent)
    assert 0.03 <= min(delays) < 0.035
    assert 0.065 < max(delays) <= 0.07


@given(cut=st.integers(0, 6000), sizes=st.lists(st.integers(1, 3000), max_size=8))
def test_a_cut_lets_exactly_so_many_bytes_pass(cut: int, sizes: list[int]) -> None:
    pipe, end = open_pipe(Direction(rate_bit_s=1e6, delay_ms=3, cut_after_bytes=cut))
    for size in sizes:
        pipe.send(b"x" * size)
    end.loop.run(10)
    assert len(end.data) == min(cut, sum(sizes))
    ended = cut <= sum(sizes)
    assert [mark for _, mark in end.marks] == [Mark.CUT] * ended


def test_a_reset_comes_behind_its_bytes() -> None:
    pipe, end = open_pipe(Direction(delay_ms=3, reset_after_bytes=4))
    pipe.send(b"123456")
    end.loop.run(1)
    assert (end.data, end.marks[0][1]) == (b"1234", Mark.RESET)


def test_a_stall_is_as_long_and_as_often_as_asked() -> None:
    pipe, end = open_pipe(Direction(stall_every_bytes=10, stall_ms=500))
    pipe.send(b"x" * 25)
    end.loop.run(5)
    assert [(at, len(data)) for at, data in end.arrived] == [
        (100.0, 10),
        (pytest.approx(100.5), 10),
        (pytest.approx(101.0), 5),
    ]


def test_slices_are_as_far_apart_as_asked() -> None:
    pipe, end = open_pipe(Direction(slice_bytes=3, slice_gap_ms=10))
    pipe.send(b"abcdefgh")
    end.loop.run(5)
    assert end.arrived == [
        (100.0, b"abc"),
        (pytest.approx(100.01), b"def"),
        (pytest.approx(100.02), b"gh"),
    ]


def test_nothing_passes_while_stalled_and_everything_afterwards() -> None:
    pipe, end = open_pipe(Direction(delay_ms=10))
    pipe.send(b"under way")
    pipe.direction.change(Direction(delay_ms=10, stalled=True))
    pipe.send(b", held")
    end.loop.run(30)
    assert end.arrived == []
    pipe.direction.change(Direction(delay_ms=10))
    end.loop.run(1)
    assert end.data == b"under way, held"


def test_a_faster_rate_counts_at_once() -> None:
    pipe, end = open_pipe(Direction(rate_bit_s=1000))
    pipe.send(b"x" * 10_000)  # 80 s at this rate
    end.loop.run(1)
    pipe.direction.change(Direction(rate_bit_s=1e6))
    end.loop.run(12)
    assert len(end.data) == 10_000


def test_connections_share_a_link_evenly() -> None:
    pipe, end = open_pipe(Direction(rate_bit_s=1e6))
    second, other = another(pipe.direction)
    pipe.send(b"x" * 100_000)
    second.send(b"y" * 100_000)
    end.loop.run(0.8)
    assert len(end.data) + len(other.data) == pytest.approx(100_000, rel=0.05)
    assert len(end.data) == pytest.approx(len(other.data), rel=0.05)


def test_a_short_message_does_not_wait_for_another_connections_backlog() -> None:
    pipe, end = open_pipe(Direction(rate_bit_s=1e6))
    pipe.send(b"x" * 100_000)
    end.loop.run(0.1)
    second, other = another(pipe.direction)
    second.send(b"y")
    end.loop.run(0.05)
    assert other.data == b"y"


def test_a_sender_waits_while_its_backlog_is_long() -> None:
    pipe, end = open_pipe(Direction(rate_bit_s=1e6))
    pipe.send(b"x" * (MOST_BACKLOG + 100_000))
    assert end.paused
    end.loop.run(10)
    assert not end.paused


def test_a_reader_that_takes_nothing_gets_it_later() -> None:
    pipe, end = open_pipe(Direction(delay_ms=1))
    pipe.block(True)
    pipe.send(b"a")
    end.loop.run(1)
    assert end.data == b""
    pipe.block(False)
    assert end.data == b"a"


def test_nothing_enters_before_the_connection_stands() -> None:
    pipe, end = open_pipe(Direction(delay_ms=10), opens_in=0.02)
    pipe.send(b"a")
    end.loop.run(1)
    assert end.arrived[0][0] == pytest.approx(100.03)


def test_a_closed_pipe_drops_what_was_under_way() -> None:
    pipe, end = open_pipe(Direction(delay_ms=10))
    pipe.send(b"a")
    pipe.close()
    end.loop.run(1)
    assert end.data == b""
    assert not pipe.direction.pipes
