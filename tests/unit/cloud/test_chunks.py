from hypothesis import given
from hypothesis import strategies as st

from duet_cloud.chunks import ChunkBuffer
from duet_contract.v1.inference_pb2 import SIGNAL_ENCODING_TEXT, SIGNAL_ENCODING_TOKEN_IDS


def test_first_at_once_then_by_count():
    buffer = ChunkBuffer(SIGNAL_ENCODING_TOKEN_IDS, max_tokens=3, max_ms=1e6)
    buffer.add([1], "", 0.0)
    assert buffer.due(0.0)
    assert buffer.take().tokens.ids == [1]
    for token in (2, 3):
        buffer.add([token], "", 0.0)
        assert not buffer.due(0.0)
    buffer.add([4], "", 0.0)
    assert buffer.due(0.0)


def test_then_by_time_since_the_oldest_token():
    buffer = ChunkBuffer(SIGNAL_ENCODING_TOKEN_IDS, max_tokens=100, max_ms=500)
    buffer.add([1], "", 0.0)
    buffer.take()
    buffer.add([2], "", 1.0)
    assert not buffer.due(1.4)
    buffer.add([3], "", 1.45)
    assert buffer.due(1.5)


def test_text_waits_for_a_whole_character():
    buffer = ChunkBuffer(SIGNAL_ENCODING_TEXT, max_tokens=1, max_ms=0)
    buffer.add([1], "", 0.0)
    assert not buffer.due(0.0)
    assert buffer.take() is None
    buffer.add([2], "é", 0.0)
    assert buffer.due(0.0)
    assert buffer.take().text == "é"


@given(
    steps=st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=4), st.floats(0, 1))),
    limit=st.integers(1, 8),
)
def test_nothing_is_lost_or_reordered(steps, limit):
    buffer = ChunkBuffer(SIGNAL_ENCODING_TOKEN_IDS, max_tokens=limit, max_ms=300)
    now, sent = 0.0, []
    for ids, pause in steps:
        now += pause
        buffer.add(ids, "", now)
        if buffer.due(now):
            sent += buffer.take().tokens.ids
    last = buffer.take()
    assert sent + (list(last.tokens.ids) if last else []) == [i for ids, _ in steps for i in ids]
