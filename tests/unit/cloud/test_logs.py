"""The log: an event is a line, and text from outside is text."""

import json

import pytest

from duet_cloud import logs

# The renderer for people quotes what has white space in it, and nothing else.
TITLE = "\x1b]0;owned\x07\x1b[2J\x9b2J"
HOSTILE = f"{TITLE}\nready\u202e\r\u2028"


@pytest.fixture(autouse=True)
def _as_it_was():
    yield
    logs.configure("json")


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("text", [TITLE, HOSTILE])
def test_text_from_outside_steers_no_terminal_and_makes_no_line(capsys, log_format, text):
    logs.configure(log_format)
    logs.get().info("reasoned", peer=text, ms=1.5)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error[:-1].isprintable()
    assert "owned" in error


def test_what_is_printable_stays_as_it_is(capsys):
    logs.configure("console")
    logs.get().info("terminated", device="Jürgens Büro")
    assert "Jürgens Büro" in capsys.readouterr().err


def test_json_keeps_the_text(capsys):
    logs.configure("json")
    logs.get().info("reasoned", peer=HOSTILE)
    assert json.loads(capsys.readouterr().err)["peer"] == HOSTILE
