"""Time that a question over HTTP spent on its link, computed from the link's settings."""

from duet_tools.link.profiles import LinkProfile
from duet_tools.results.record import Record


def tell_link_from_cloud(record: Record, link: LinkProfile, requests: int) -> None:
    """Correct `connect_ms`, and set `cloud_s` where the server did not tell it.

    Args:
        record: of a question whose large-model tokens came as `requests` requests, one behind
            the other, on one connection. Its time is that of its last token.
        link: that the connection passed.
        requests: at least one.

    A new connection and each request take a round trip, and what goes up its time. What comes down
    crosses while the next token is made; where a link is slower than that, its time stays in.
    """
    reached = record.connect_ms or 0.0
    trips = requests + (record.connect_ms is not None)
    if record.cloud_s is None and record.total_ms is not None and record.large_tokens:
        rate = link.up.rate_bit_s
        up_ms = 8e3 * record.wire_up / rate if rate else 0.0
        link_ms = reached + trips * link.rtt_ms + up_ms
        record.cloud_s = max(0.0, record.total_ms - link_ms) / 1e3
    if record.connect_ms is not None:
        # An emulated link accepts a connection at once, and delays its first bytes instead.
        record.connect_ms = reached + link.rtt_ms
