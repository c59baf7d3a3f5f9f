"""Private context and redaction as a process, against the real service, whose log is read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine

DEVICE = str(Path(sys.executable).with_name("duet-device"))
PRIVATE = "Quirinia keeps the spare key under the violet flower pot"
WORD = "zanzibaranian"


def test_context_stays_and_neither_question_nor_signal_is_logged(service, tmp_path):
    notes, words = tmp_path / "notes.txt", tmp_path / "words"
    notes.write_text(PRIVATE)
    words.write_text("Quirinia = NAME\n")
    question = f"Where would a {WORD} look for a key that Quirinia hides?"
    home = {"DUET_HOME": str(tmp_path / "home"), "DUET_PASSPHRASE": "correct horse"}

    def run(*arguments):
        result = subprocess.run(
            [DEVICE, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, **home},
        )
        assert result.returncode == 0, result.stderr
        return result

    run("logs", "on")
    asked = run(
        *("ask", "--json", "--quiet", "--show-sent", "--server", service.address),
        *("--require-cloud", "--context", str(notes), "--redact-words", str(words), question),
    )
    receipt = json.loads(asked.stdout)
    assert receipt["source"] == "duet"
    assert receipt["tokens"]["context"] > 10
    (sent,) = (line for line in asked.stderr.splitlines() if " sent: " in line)
    assert json.loads(sent.split(" sent: ")[1])["question"] == question.replace(
        "Quirinia", "[NAME_1]"
    )

    again = json.loads(run("ask", "--json", "--quiet", "--reuse", "--server", "127.0.0.1:9",
                           "--redact-words", str(words), question).stdout)  # fmt: skip
    assert (again["source"], again["signal"]) == ("history", receipt["signal"])
    assert again["tokens"]["context"] == 0
    shown = [json.loads(line) for line in run("logs", "--json").stdout.splitlines()]
    assert [record["question"] for record in shown] == [question, question]

    log = service.log.read_text("utf-8", "replace")
    assert receipt["request_id"] in log
    assert WORD not in log
    assert PRIVATE[:12] not in log
    signal = receipt["signal"].strip()
    assert len(signal) > 20
    assert signal[:20] not in log
    kept = (tmp_path / "home" / "history.db").read_bytes()
    assert WORD.encode() not in kept
