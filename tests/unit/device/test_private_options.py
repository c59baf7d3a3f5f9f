"""`duet-device ask` with --context, --redact and --show-sent: options, streams, exit codes."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from duet_contract.manifest import Manifest
from duet_contract.receipt import Receipt
from duet_device import session
from duet_device.cli import main
from duet_device.errors import ExitCode
from duet_device.privacy import identifiers
from duet_device.privacy.found import Finder
from duet_device.privacy.names import find_names
from tests.doubles import documents as made
from tests.doubles.cloud import ScriptedCloud, done, says, tokens
from tests.doubles.decoder import END, ScriptedDecoder
from tests.doubles.decoder import answering as says_behind
from tests.doubles.manifests import PRIVATE_PAIR
from tests.unit.device.conftest import manifest_data

Captured = pytest.CaptureFixture[str]
PRIVATE = "the safe opens with 4711"


@pytest.fixture
def cloud(
    installed: Path, decoder: ScriptedDecoder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ScriptedCloud]:
    monkeypatch.setattr(session, "load_decoder", lambda pair, threads: decoder)

    def names_alone(note: Callable[[str], None]) -> list[Finder]:
        note("names by their form")
        return [find_names]

    monkeypatch.setattr(identifiers, "load_finders", names_alone)
    with ScriptedCloud(says(tokens(*b"be"), tokens(*b"cause"), done(7))) as cloud:
        monkeypatch.setenv("DUET_SERVER", cloud.address)
        yield cloud


@pytest.fixture
def notes(tmp_path: Path) -> str:
    path = tmp_path / "notes.txt"
    path.write_text(PRIVATE)
    return str(path)


def seen(decoder: ScriptedDecoder) -> str:
    return bytes(token for token in decoder.ids if token < END).decode()


@pytest.mark.slow
def test_context_from_files_and_stdin(
    cloud: ScriptedCloud,
    decoder: ScriptedDecoder,
    notes: str,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(made.docx("from stdin"))))
    arguments = ["ask", "open?", "-v", "--context", notes, "--context", "-"]
    assert main(arguments) == ExitCode.OK
    assert f"{notes}:\n{PRIVATE}\n\nstdin:\nfrom stdin\n\nQuestion: open? S:" in seen(decoder)
    assert cloud.requests[0].question == "open?"
    out, err = capsys.readouterr()
    assert out == "häppy 🙂\n"
    assert " context tokens · " in err


def test_context_from_the_environment(
    cloud: ScriptedCloud,
    decoder: ScriptedDecoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = [tmp_path / name for name in ("my notes", "more")]
    for file in files:
        file.write_text(PRIVATE)
    monkeypatch.chdir(Path(__file__).parent)
    monkeypatch.setenv("DUET_CONTEXT", os.pathsep.join([*map(str, files), ""]))
    assert main(["ask", "open?"]) == ExitCode.OK
    assert all(f"{file}:\n{PRIVATE}" in seen(decoder) for file in files)
    assert "test_private_options" not in seen(decoder)
    assert main(["ask", "open?", "--context", ""]) == ExitCode.USAGE


def test_stdin_is_either_question_or_context(cloud: ScriptedCloud, capsys: Captured) -> None:
    for question in ([], ["-"]):
        assert main(["ask", *question, "--context", "-"]) == ExitCode.USAGE
        assert "give the question as an argument" in capsys.readouterr().err
    assert cloud.requests == []


@pytest.mark.parametrize(
    "data", [b"", b"\x7fELF\0", made.pdf(PRIVATE, encrypted=True), b"x" * 99999]
)
def test_bad_context_is_one_line_and_nothing_is_sent(
    data: bytes, cloud: ScriptedCloud, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "bad"
    path.write_bytes(data)
    assert main(["ask", "open?", "--context", str(path)]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("duet-device: ")
    assert err.count("\n") == 1
    assert cloud.requests == []


def test_redacted_question_and_restored_answer(
    cloud: ScriptedCloud, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = tmp_path / "words"
    words.write_text("häppy = MOOD")
    monkeypatch.setattr(
        session,
        "load_decoder",
        lambda pair, threads: ScriptedDecoder(says_behind("[NAME_1] is [MOOD_1]", " A:")),
    )
    question = "Is Ann Bo häppy with 12 apples?"
    options = ["--redact-words", str(words), "--redact-numbers", "--show-sent", "--quiet"]
    assert main(["ask", question, *options]) == ExitCode.OK
    out, err = capsys.readouterr()
    sent = "Is [NAME_1] [MOOD_1] with [NUMBER_1] apples?"
    assert out == "Ann Bo is häppy\n"
    assert cloud.requests[0].question == sent
    noted, shown = err.splitlines()
    assert noted == "duet-device: names by their form"
    request = json.loads(shown.removeprefix("duet-device: sent: "))
    assert request["question"] == sent
    assert request["request_id"] == cloud.requests[0].request_id
    # Nothing but these fields left the device.
    assert set(request) == {"question", "encodings", "vocabulary", "request_id", "pair"}


def test_show_sent_without_redaction_and_without_a_cloud(
    cloud: ScriptedCloud, capsys: Captured
) -> None:
    assert main(["ask", "why?", "--show-sent", "--quiet", "--json"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert Receipt.model_validate_json(out).source == "duet"
    assert '"question": "why?"' in err
    assert main(["ask", "why?", "--show-sent", "--quiet", "--device-only"]) == ExitCode.OK
    assert capsys.readouterr().err == "duet-device: sent: nothing\n"


def test_bad_dictionary_sends_nothing(
    cloud: ScriptedCloud, tmp_path: Path, capsys: Captured
) -> None:
    assert main(["ask", "why?", "--redact-words", str(tmp_path / "no")]) == ExitCode.USAGE
    assert "No such file" in capsys.readouterr().err
    assert cloud.requests == []


@pytest.mark.slow
def test_a_context_that_does_not_fit_leaves_no_trace_on_stderr(cloud: ScriptedCloud) -> None:
    """The link is closed while it is being made, of which gRPC must not complain."""
    program = (
        "import sys; from duet_device import session; "
        "from tests.doubles.decoder import ScriptedDecoder; "
        "session.load_decoder = lambda pair, threads: ScriptedDecoder(lambda ids: 65); "
        "from duet_device.cli import main; sys.exit(main(['ask', 'why?', '--context', '-']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        input=PRIVATE * 300,
        capture_output=True,
        text=True,
        env=os.environ,
        timeout=60,
    )
    assert result.returncode == ExitCode.USAGE
    assert result.stderr.startswith("duet-device: the context has ")
    assert result.stderr.count("\n") == 1
    assert PRIVATE[:12] not in result.stderr


def test_show_work_of_a_pair_that_computes(
    installed: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = manifest_data(**PRIVATE_PAIR)
    file = Path(os.environ["DUET_PAIRS"]) / "bytes" / "manifest.json"
    file.write_text(Manifest.model_validate(manifest).to_json())
    monkeypatch.setattr(
        session,
        "load_decoder",
        lambda pair, threads: ScriptedDecoder(says_behind("{a*b-1} pens.", " A:")),
    )
    options = ["--device-only", "--show-work", "--quiet"]
    assert main(["ask", "12 boxes of 3 pens less one?", *options]) == ExitCode.OK
    assert capsys.readouterr() == ("35 pens.\n", "duet-device: work: 12*3-1=35\n")
    assert main(["ask", "12 boxes of 3 pens less one?", *options, "--json"]) == ExitCode.OK
    out, _ = capsys.readouterr()
    receipt = json.loads(out)
    found = [receipt[name] for name in ("answer", "value", "work", "numbers_sent")]
    assert found == ["35 pens.", "35", ["12*3-1=35"], 0]


def test_notes_give_the_numbers_that_a_question_names(
    cloud: ScriptedCloud, installed: Path, notes: str, tmp_path: Path, capsys: Captured
) -> None:
    assert main(["ask", "How does the safe open?", "--notes", notes]) == ExitCode.USAGE
    assert "give the file with --context" in capsys.readouterr().err
    data = manifest_data(**PRIVATE_PAIR)
    installed_pair = installed.parent / "pairs" / "bytes" / "manifest.json"
    installed_pair.write_text(Manifest.model_validate(data).to_json())
    cloud.script = says(tokens(*b"a"), done(1))
    arguments = ["--notes", notes, "--allow-unsigned", "--redact", "--json"]
    assert main(["ask", "How does the safe open?", *arguments]) == ExitCode.OK
    assert cloud.requests[0].question == "the safe opens with [a]. How does the safe open?"
    receipt = json.loads(capsys.readouterr().out)
    assert (receipt["value"], receipt["numbers_sent"]) == ("4711", 0)


def test_stdin_is_read_once(cloud: ScriptedCloud, capsys: Captured) -> None:
    assert main(["ask", "open?", "--notes", "-", "--context", "-"]) == ExitCode.USAGE
    assert "stdin can be read once" in capsys.readouterr().err
    assert main(["ask", "open?", "--notes", ""]) == ExitCode.USAGE
    assert "--notes is empty" in capsys.readouterr().err
