from hypothesis import given
from hypothesis import strategies as st

from duet_cloud.chunks import PieceGatherer
from duet_contract.v1.inference_pb2 import SIGNAL_ENCODING_TEXT, SIGNAL_ENCODING_TOKEN_IDS


def test_first_at_once_then_by_count():
    gatherer = PieceGatherer(SIGNAL_ENCODING_TOKEN_IDS, max_tokens=3, max_ms=1e6)
    gatherer.add([1], "", 0.0)
    assert gatherer.due(0.0)
    assert gatherer.take().tokens.ids == [1]
    for token in (2, 3):
        gatherer.add([token], "", 0.0)
        assert not gatherer.due(0.0)
    gatherer.add([4], "", 0.0)
    assert gatherer.due(0.0)


def test_then_by_time_since_the_oldest_token():
    gatherer = PieceGatherer(SIGNAL_ENCODING_TOKEN_IDS, max_tokens=100, max_ms=500)
    gatherer.add([1], "", 0.0)
    gatherer.take()
    gatherer.add([2], "", 1.0)
    assert not gatherer.due(1.4)
    gatherer.add([3], "", 1.45)
    assert gatherer.due(1.5)


def test_text_waits_for_a_whole_character():
    gatherer = PieceGatherer(SIGNAL_ENCODING_TEXT, max_tokens=1, max_ms=0)
    gatherer.add([1], "", 0.0)
    assert not gatherer.due(0.0)
    assert gatherer.take() is None
    gatherer.add([2], "é", 0.0)
    assert gatherer.due(0.0)
    assert gatherer.take().text == "é"


@given(
    steps=st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=4), st.floats(0, 1))),
    limit=st.integers(1, 8),
)
def test_nothing_is_lost_or_reordered(steps, limit):
    gatherer = PieceGatherer(SIGNAL_ENCODING_TOKEN_IDS, max_tokens=limit, max_ms=300)
    now, sent = 0.0, []
    for ids, pause in steps:
        now += pause
        gatherer.add(ids, "", now)
        if gatherer.due(now):
            sent += gatherer.take().tokens.ids
    last = gatherer.take()
    assert sent + (list(last.tokens.ids) if last else []) == [i for ids, _ in steps for i in ids]
