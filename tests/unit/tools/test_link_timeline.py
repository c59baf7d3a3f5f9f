import json
from pathlib import Path

import pytest

from duet_tools.link.profiles import link_named
from duet_tools.link.timeline import BadTimeline, read_timeline

TOML = """
[[at]]
t = 1.5
link = "3g"
rtt_ms = 400
down = { rate = "200kbit", jitter_ms = 30 }

[[at]]
t = 3
up = { stalled = true }
end = "reset"
"""


def test_a_timeline_is_read_and_applied(tmp_path: Path) -> None:
    file = tmp_path / "line.toml"
    file.write_text(TOML)
    first, second = read_timeline(file).steps
    link = first.applied(link_named("wifi"))
    assert (first.t, link.name, link.rtt_ms) == (1.5, "3g", 400)
    assert (link.down.rate_bit_s, link.down.jitter_ms) == (200e3, 30)
    assert link.up.rate_bit_s == link_named("3g").up.rate_bit_s
    later = second.applied(link)
    assert (later.up.stalled, later.rtt_ms, second.end) == (True, 400, "reset")


def test_json_has_the_same_shape(tmp_path: Path) -> None:
    import tomllib

    toml, other = tmp_path / "line.toml", tmp_path / "line.json"
    toml.write_text(TOML)
    other.write_text(json.dumps(tomllib.loads(TOML)))
    assert read_timeline(toml) == read_timeline(other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[at]", "line.toml: "),
        ("at = 3", "a timeline is a list named 'at'"),
        ("[[at]]\nt = 1\n[[else]]\n", "a timeline is a list named 'at'"),
        ("[[at]]\nrtt_ms = 3", "step 1: t: "),
        ("[[at]]\nt = -1", "step 1: t: Input should be greater than or equal to 0"),
        ("[[at]]\nt = nan", "step 1: t: Input should be a finite number"),
        ("[[at]]\nt = 'soon'", "step 1: t: Input should be a valid number"),
        ("[[at]]\nt = 1\nlink = '6g'", "step 1: no link named '6g'; use one of none, 2g"),
        ("[[at]]\nt = 1\nspeed = 3", "step 1: speed: Unexpected keyword argument"),
        ("[[at]]\nt = 1\nup = { speed = 3 }", "step 1: no setting 'speed'; use one of rate"),
        ("[[at]]\nt = 1\nup = 3", "step 1: up: Input should be a valid dictionary"),
        ("[[at]]\nt = 1\nrtt_ms = 'far'", "step 1: rtt_ms: Input should be a valid number"),
        (
            "[[at]]\nt = 1\nrtt_ms = -3",
            "step 1: rtt_ms: Input should be greater than or equal to 0",
        ),
        ("[[at]]\nt = 1\nend = 'bang'", "step 1: end: Input should be 'cut' or 'reset'"),
        ("at = [3]", "step 1: it is not a table"),
        ("[[at]]\nt = 1\nlink = [3]", "step 1: no link named [3]"),
        ("[[at]]\nt = 2\n[[at]]\nt = 1", "not in order"),
    ],
)
def test_what_is_no_timeline_is_refused_with_the_reason(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "line.toml"
    file.write_text(text)
    with pytest.raises(BadTimeline) as caught:
        read_timeline(file)
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadTimeline, match="cannot read .*nowhere"):
        read_timeline(tmp_path / "nowhere.toml")
