"""A stored signal is used again on request, and nothing else is."""

import subprocess
import sys
from pathlib import Path

import pytest

from duet_contract.receipt import Receipt
from duet_device.cli import main
from duet_device.errors import ExitCode
from tests.doubles.cloud import ScriptedCloud
from tests.doubles.decoder import ScriptedDecoder
from tests.doubles.stored import DAMAGE, alter, ids

Captured = pytest.CaptureFixture[str]
QUESTION = "who holds the horse?"


def test_a_stored_signal_is_used_again_on_wish(
    cloud: ScriptedCloud, decoder: ScriptedDecoder, home: Path, capsys: Captured
) -> None:
    main(["logs", "on"])
    main(["ask", QUESTION])
    evaluated = list(decoder.ids)
    capsys.readouterr()
    assert main(["ask", "--json", "--quiet", "--reuse", QUESTION]) == ExitCode.OK
    receipt = Receipt.model_validate_json(capsys.readouterr().out)
    assert (receipt.source, receipt.signal, receipt.answer) == ("history", "because", "häppy 🙂")
    assert (receipt.bytes.up, receipt.tokens.signal, receipt.flops.reasoner) == (0, 7, 0)
    assert decoder.ids == evaluated
    assert len(cloud.requests) == 1
    # And again from the record of the second time.
    main(["forget", ids(home)[0]])
    assert main(["ask", "--show-sent", "--reuse", QUESTION]) == ExitCode.OK
    err = capsys.readouterr().err
    assert "sent: nothing\n" in err
    assert "stored signal of 7 tokens, " in err


def test_a_damaged_record_on_the_way_is_named_and_passed_by(
    cloud: ScriptedCloud, home: Path, capsys: Captured
) -> None:
    main(["logs", "on"])
    for _ in range(3):
        main(["ask", QUESTION])
    there = ids(home)
    for id_ in there[1:]:
        alter(home, id_, DAMAGE["altered"])
    capsys.readouterr()
    assert main(["ask", QUESTION, "--reuse", "--quiet"]) == ExitCode.OK
    assert capsys.readouterr().err == (
        f"duet-device: answer {there[2]} cannot be read: it was modified, or encrypted "
        "for another purpose; 1 more: duet-device logs\n"
    )
    assert len(cloud.requests) == 3


@pytest.mark.parametrize(
    "different", [["--budget", "9"], ["--seed", "1"], ["--temperature", "0"], None]
)
def test_another_question_or_setting_is_asked_anew(
    different: list[str] | None, cloud: ScriptedCloud, home: Path, capsys: Captured
) -> None:
    assert main(["ask", "--reuse", QUESTION]) == ExitCode.OK  # with no history at all
    main(["logs", "on"])
    main(["ask", QUESTION])
    question = QUESTION if different else QUESTION + "!"
    main(["ask", "--reuse", question, *(different or [])])
    assert len(cloud.requests) == 3


def test_an_answer_of_the_device_alone_is_not_reused(
    cloud: ScriptedCloud, home: Path, capsys: Captured
) -> None:
    main(["logs", "on"])
    main(["ask", "--device-only", QUESTION])
    main(["ask", "--reuse", QUESTION])
    assert len(cloud.requests) == 1


def test_ask_imports_nothing_of_it_without_a_history(home: Path) -> None:
    program = (
        "import sys; from duet_device.cli import main; main(['ask', 'why?', '--device-only']); "
        "sys.exit(bool({'keyring', 'sqlite3', 'phonenumbers', 'tldextract', 'markitdown'} & "
        "set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
