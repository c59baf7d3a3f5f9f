"""Which server is asked next: no failure is waited for in vain, and no server is asked for ever."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_device.errors import CloudBusy, CloudRefused, CloudUnreachable, DeviceError, SignalLate
from duet_device.link_errors import Failure, Kind
from duet_device.retries import Next, Retries
from duet_device.servers import Server

NEVER = math.inf


def servers(count: int) -> list[Server]:
    return [Server(f"server-{number}") for number in range(count)]


def failure(kind: Kind, wait: float | None = None) -> Failure:
    errors: dict[Kind, DeviceError] = {
        Kind.BUSY: CloudBusy("full", wait),
        Kind.REFUSED: CloudRefused("no"),
        Kind.WRONG: CloudRefused("too long"),
    }
    return Failure(kind, errors.get(kind, CloudUnreachable(kind.name)), wait)


def after(
    retries: Retries, server: Server, *, kind: Kind, wait: float | None = None, holds: bool = False
) -> Next | None:
    """What follows a call that failed at once, at second 0."""
    retries.failed(server, failure(kind, wait), 0.0, lasted=0.0, holds=holds)
    return retries.next(0.0, NEVER)


def test_the_first_call_may_go_to_any_server() -> None:
    known = servers(3)
    assert Retries(known).next(5.0, NEVER) == Next(0.0, tuple(known))


@pytest.mark.parametrize("kind", [Kind.UNREACHED, Kind.FAILED, Kind.REFUSED, Kind.BUSY])
def test_another_server_is_asked_at_once(kind: Kind) -> None:
    first, second = servers(2)
    assert after(Retries([first, second]), first, kind=kind) == Next(0.0, (second,))
    assert after(Retries([first]), first, kind=kind) is None


def test_a_broken_link_is_tried_once_more() -> None:
    first, second = servers(2)
    retries = Retries([second, first])
    assert after(retries, first, kind=Kind.LOST) == Next(0.0, (first, second))
    assert after(retries, first, kind=Kind.LOST) == Next(0.0, (second,))


@pytest.mark.parametrize("kind", [Kind.BUSY, Kind.UNAVAILABLE])
def test_a_delay_is_waited_for_once_where_no_one_else_is_there(kind: Kind) -> None:
    first, second = servers(2)
    assert after(Retries([first, second]), first, kind=kind, wait=2.0) == Next(0.0, (second,))
    retries = Retries([first], jitter=lambda: 1.0)
    assert after(retries, first, kind=kind, wait=2.0) == Next(2.5, (first,))
    assert after(retries, first, kind=kind, wait=2.0) is None
    assert after(Retries([first]), first, kind=Kind.UNAVAILABLE, wait=30.0) is None


def test_a_delay_past_the_deadline_is_not_waited_for() -> None:
    (first,) = servers(1)
    retries = Retries([first])
    retries.failed(first, failure(Kind.BUSY, 9.0), 0.0, lasted=0.0, holds=False)
    assert retries.next(0.0, 8.0) is None


def test_what_every_server_would_refuse_ends_the_question() -> None:
    first, second = servers(2)
    retries = Retries([first, second])
    assert after(retries, first, kind=Kind.WRONG) is None
    assert str(retries.error()) == "too long"
    # Of a continuation, the part that is held may be what one server refuses.
    assert after(Retries([first, second]), first, kind=Kind.WRONG, holds=True) is not None


@pytest.mark.parametrize(
    ("kinds", "error", "message"),
    [
        ([Kind.BUSY, Kind.UNREACHED], CloudBusy, "full"),
        ([Kind.REFUSED, Kind.REFUSED], CloudRefused, "no"),
        # A server that is away could have served the question.
        ([Kind.REFUSED, Kind.UNREACHED], CloudUnreachable, "UNREACHED; no"),
        ([Kind.REFUSED, Kind.BUSY, Kind.UNREACHED], CloudBusy, "full; no"),
        ([Kind.UNREACHED, Kind.WRONG], CloudRefused, "too long"),
    ],
)
def test_the_error_that_says_most_is_raised(
    kinds: list[Kind], error: type[DeviceError], message: str
) -> None:
    known = servers(len(kinds))
    retries = Retries(known)
    for server, kind in zip(known, kinds, strict=True):
        after(retries, server, kind=kind)
    assert (type(retries.error()), str(retries.error())) == (error, message)


def test_no_time_at_all() -> None:
    retries = Retries(servers(2))
    assert retries.next(5.0, 5.0) is None
    assert isinstance(retries.error(), SignalLate)


calls = st.lists(
    st.tuples(
        st.sampled_from(sorted(Kind, key=lambda kind: kind.value)),
        st.none() | st.floats(0, 40),
        st.floats(0, 3),
        st.integers(0, 7),
    ),
    max_size=40,
)


@given(calls=calls, count=st.integers(1, 4))
def test_a_question_that_got_nothing_asks_each_server_at_most_twice(
    calls: list[tuple[Kind, float | None, float, int]], count: int
) -> None:
    asked: dict[str, int] = {}
    for server in _play(calls, count, holds=False):
        asked[server.name] = asked.get(server.name, 0) + 1
    assert all(times <= 2 for times in asked.values())


@given(calls=calls, count=st.integers(1, 4), progress=st.booleans())
def test_a_server_that_loses_calls_is_left(
    calls: list[tuple[Kind, float | None, float, int]], count: int, progress: bool
) -> None:
    calls = [(Kind.LOST, None, lasted, pick) for _, _, lasted, pick in calls]
    played = list(_play(calls, count, holds=True, progress=progress))
    if progress:
        # Each call brought a token: as many as there is time for.
        assert len(played) == len(calls)
    else:
        assert len(played) <= 3 * count


def _play(
    calls: list[tuple[Kind, float | None, float, int]],
    count: int,
    *,
    holds: bool,
    progress: bool = False,
) -> list[Server]:
    """Servers that were asked, while each call fails as given."""
    retries, now, until = Retries(servers(count)), 100.0, 160.0
    not_before: dict[Server, float] = {}
    refused: set[Server] = set()
    asked = []
    for kind, wait, lasted, pick in calls:
        following = retries.next(now, until)
        if following is None:
            break
        assert 0 <= following.wait < until - now
        assert following.servers
        assert len(set(following.servers)) == len(following.servers)
        assert not refused & {*following.servers}
        now += following.wait
        server = following.servers[pick % len(following.servers)]
        assert now >= not_before.get(server, 0.0)
        asked.append(server)
        now += lasted
        if progress:
            retries.progressed()
        retries.failed(server, failure(kind, wait), now, lasted=lasted, holds=holds)
        if kind in (Kind.REFUSED, Kind.WRONG):
            refused.add(server)
        named = kind is Kind.BUSY or (kind is Kind.UNAVAILABLE and (wait or 0) <= 5)
        if named and wait is not None:
            not_before[server] = now + wait
    if asked:
        assert isinstance(retries.error(), DeviceError)
    return asked
