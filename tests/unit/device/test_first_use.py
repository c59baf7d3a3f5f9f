"""The first question: nothing is installed, and the server has a pair."""

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from duet_contract.integrity import describe_file
from duet_contract.keys import fingerprint, public_bytes
from duet_contract.manifest import SIGNATURE_NAME, parse_manifest
from duet_contract.signature import sign_pair
from duet_contract.v1.pairs_pb2_grpc import add_PairServiceServicer_to_server
from duet_device import session
from duet_device.cli import main
from duet_device.commands.first_use import ask_to_trust
from duet_device.config import load
from duet_device.errors import ExitCode
from duet_device.identity.credentials import Identity, save_identity
from duet_device.pairs.pulling.cloud import CloudSource
from duet_device.pairs.pulling.install import Offer
from duet_device.pairs.pulling.local import LocalSource
from duet_device.trust.publishers import BY_HAND, pin, pinned
from tests.doubles.cloud import ScriptedCloud, done, says, tokens
from tests.doubles.decoder import ScriptedDecoder
from tests.doubles.pair_cloud import PairCloud
from tests.doubles.pulls import KEY, OTHER
from tests.doubles.small_pairs import write_gguf
from tests.doubles.terminal import CTRL_C, CTRL_D, Terminal
from tests.unit.device.conftest import manifest_data

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]
MARK = fingerprint(public_bytes(KEY))


@dataclass
class Cloud:
    """A service that answers and hands out its pair."""

    address: str
    """HOST:PORT of the service."""
    pairs: PairCloud
    """Service of the pair's files."""
    inference: ScriptedCloud
    """Service of signals."""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directories of a device that has nothing."""
    for name in [name for name in os.environ if name.startswith("DUET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DUET_PAIRS", str(tmp_path / "pairs"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def cloud(
    places: Path, decoder: ScriptedDecoder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    origin = places / "origin"
    origin.mkdir()
    write_gguf(origin / "decoder.gguf")
    data = manifest_data()
    data["decoder"]["files"] = [describe_file(origin, origin / "decoder.gguf").model_dump()]
    (origin / "manifest.json").write_text(json.dumps(data))
    sign_pair(origin, KEY)
    monkeypatch.setattr(session, "load_decoder", lambda pair, threads: decoder)
    pairs = PairCloud(origin)
    inference = ScriptedCloud(says(tokens(*b"be"), tokens(*b"cause"), done(7)))
    add_PairServiceServicer_to_server(pairs, inference._server)
    with inference:
        yield Cloud(inference.address, pairs, inference)


def test_one_command_answers_and_is_shorter_from_then_on(cloud: Cloud, capsys: Captured) -> None:
    assert main(["ask", "how", "many", "--server", cloud.address, "--yes"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert out == "häppy 🙂\n"
    assert f"duet-device: trusted from now on: {MARK}\n" in err
    assert "bytes@1.0.0 is ready in" in err
    assert cloud.inference.requests[0].question == "how many"
    assert load() == {"server": cloud.address, "pair": "bytes"}
    assert main(["ask", "why?"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("häppy 🙂\n", 1)
    assert cloud.pairs.offsets == [0]


def test_a_terminal_is_asked_once(cloud: Cloud) -> None:
    with Terminal("ask", "--server", cloud.address, "why", "not?") as terminal:
        terminal.expect("and trust this publisher from now on? [y/N]: ")
        assert f"its publisher's fingerprint: {MARK}\n" in terminal.shown
        assert f"{cloud.address} offers bytes@1.0.0 (0.0 MB)\n" in terminal.shown
        assert not pinned()
        terminal.type("y\n")
        assert terminal.end() == ExitCode.OK
        assert "100%" in terminal.shown
        assert "\nhäppy 🙂\n" in terminal.shown
    with Terminal("ask", "why?", "--quiet") as terminal:
        assert terminal.end() == ExitCode.OK
        assert terminal.shown == "häppy 🙂\n"


@pytest.mark.parametrize(("typed", "code"), [("n\n", 130), ("\n", 130), (CTRL_C, 130), (CTRL_D, 2)])
def test_who_does_not_agree_has_nothing(typed: str, code: int, cloud: Cloud, places: Path) -> None:
    with Terminal("ask", "--server", cloud.address, "why?") as terminal:
        terminal.expect("[y/N]: ")
        terminal.type(typed)
        assert terminal.end() == code
        assert "Traceback" not in terminal.shown
    assert not pinned()
    assert not load()
    assert cloud.pairs.offsets == []


def test_without_a_terminal_one_line_says_what_to_repeat(cloud: Cloud, capsys: Captured) -> None:
    assert main(["ask", "why?", "--server", cloud.address]) == ExitCode.MODEL
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert MARK in err
    assert "repeat with --yes" in err
    assert not pinned()


def test_a_publisher_that_is_trusted_asks_nothing(cloud: Cloud, capsys: Captured) -> None:
    pin(cloud.address, (public_bytes(KEY),))
    assert main(["ask", "why?", "--server", cloud.address]) == ExitCode.OK
    assert "trusted" not in capsys.readouterr().err


@pytest.mark.parametrize("by", ["server", "hand"])
def test_no_one_takes_the_place_of_a_pinned_publisher(
    by: str, cloud: Cloud, capsys: Captured
) -> None:
    pin(cloud.address if by == "server" else BY_HAND, (public_bytes(OTHER),))
    assert main(["ask", "why?", "--server", cloud.address, "--yes"]) == ExitCode.MODEL
    assert "does not trust" in capsys.readouterr().err
    assert pinned() == (public_bytes(OTHER),)
    assert cloud.pairs.offsets == []


@pytest.mark.parametrize("named", [True, False])
def test_servers_of_one_identity_have_the_same_publishers(
    named: bool, cloud: Cloud, capsys: Captured
) -> None:
    first, second = "a.example.org:50151", "b.example.org:50151"
    save_identity(Identity(first, "laptop", servers=(first, second)))
    if named:
        pin(first, (public_bytes(OTHER),))
    # What the second server offers, without a connection to it.
    manifest, signature = LocalSource(cloud.pairs.directory).describe()
    offer = Offer(parse_manifest(manifest.decode(), "it"), manifest, signature)
    source = cast("CloudSource", SimpleNamespace(server=second))
    ask_to_trust(source, yes=True)(offer)
    assert pinned(first) == (public_bytes(OTHER if named else KEY),)
    assert pinned() == pinned(first)


@pytest.mark.parametrize("fault", ["altered", "unsigned", "key of another", "without a key"])
def test_a_pair_without_a_signature_that_holds_is_refused(
    fault: str, cloud: Cloud, capsys: Captured, places: Path
) -> None:
    signature = places / "origin" / SIGNATURE_NAME
    if fault == "altered":
        cloud.pairs.manifest = (places / "origin" / "manifest.json").read_bytes() + b" "
    elif fault == "unsigned":
        signature.unlink()
    else:
        bundle = json.loads(signature.read_bytes())
        envelope = bundle["dsseEnvelope"]
        statement = json.loads(base64.b64decode(envelope["payload"]))
        if fault == "without a key":
            del statement["predicate"]["publicKey"]
        else:
            statement["predicate"]["publicKey"] = public_bytes(OTHER).hex()
        envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
        signature.write_text(json.dumps(bundle))
    assert main(["ask", "why?", "--server", cloud.address, "--yes"]) == ExitCode.MODEL
    assert capsys.readouterr().err.count("\n") == 1
    assert not pinned()
    assert cloud.pairs.offsets == []


def test_unsigned_on_wish_pins_no_one(cloud: Cloud, capsys: Captured) -> None:
    arguments = ["ask", "why?", "--server", cloud.address, "--allow-unsigned"]
    assert main(arguments) == ExitCode.OK
    assert not pinned()


def test_nothing_is_fetched_to_answer_alone(cloud: Cloud, capsys: Captured) -> None:
    arguments = ["ask", "why?", "--server", cloud.address, "--device-only", "--yes"]
    assert main(arguments) == ExitCode.MODEL
    assert "private-sums-135m" in capsys.readouterr().err


def test_without_a_cloud_there_is_no_pair_and_no_answer(cloud: Cloud, capsys: Captured) -> None:
    assert main(["ask", "why?", "--server", "127.0.0.1:9"]) == ExitCode.UNREACHABLE
    err = capsys.readouterr().err
    assert err.startswith("duet-device: no pair is installed, and none can be fetched: no cloud at")
    assert err.endswith(
        "; start one here with: duet-cloud serve, or name another with --server HOST\n"
    )


def test_what_is_set_stays(cloud: Cloud, capsys: Captured) -> None:
    assert main(["config", "set", "server", "another.example.org"]) == ExitCode.OK
    assert main(["ask", "why?", "--server", cloud.address, "--yes"]) == ExitCode.OK
    assert load() == {"server": "another.example.org", "pair": "bytes"}


def test_a_pair_of_a_name_is_fetched_as_well(cloud: Cloud, capsys: Captured) -> None:
    arguments = ["ask", "why?", "--server", cloud.address, "--yes"]
    assert main([*arguments, "--pair", "bytes@1.0.0"]) == ExitCode.OK
    assert main([*arguments, "--pair", "others"]) == ExitCode.MODEL
    assert "gave bytes@1.0.0 in place of others" in capsys.readouterr().err


def test_of_several_pairs_one_is_to_be_chosen(cloud: Cloud, capsys: Captured) -> None:
    assert main(["ask", "why?", "--server", cloud.address, "--yes"]) == ExitCode.OK
    pairs = Path(os.environ["DUET_PAIRS"])
    (pairs / "bytes").rename(pairs / "a")
    (pairs / "b").symlink_to("a")
    assert main(["config", "set", "pair"]) == ExitCode.OK
    capsys.readouterr()
    assert main(["ask", "why?"]) == ExitCode.USAGE
    command = capsys.readouterr().err.rpartition(": duet-device ")[2]
    assert main(command.split()) == ExitCode.OK
    assert main(["ask", "why?"]) == ExitCode.OK


def test_an_empty_terminal_prompts(cloud: Cloud) -> None:
    with Terminal("ask", "--yes", "--server", cloud.address) as terminal:
        terminal.expect("Question (end with Enter, Ctrl-D): ")
        terminal.type("why?\n" + CTRL_D)
        assert terminal.end() == ExitCode.OK
        assert "häppy" in terminal.shown
    assert cloud.inference.requests[0].question == "why?"
    for typed, code in ((CTRL_C, ExitCode.INTERRUPTED), (CTRL_D, ExitCode.USAGE)):
        with Terminal("ask") as terminal:
            terminal.expect("Ctrl-D): ")
            terminal.type(typed)
            assert terminal.end() == code
            assert "Traceback" not in terminal.shown


def test_a_pull_asks_as_well(cloud: Cloud, capsys: Captured) -> None:
    arguments = ["pull", "--server", cloud.address]
    assert main(arguments) == ExitCode.MODEL
    assert "repeat with --yes" in capsys.readouterr().err
    with Terminal(*arguments) as terminal:
        terminal.expect("[y/N]: ")
        terminal.type("y\n")
        assert terminal.end() == ExitCode.OK
    assert main(["ask", "why?", "--server", cloud.address]) == ExitCode.OK
    assert pinned(cloud.address) == (public_bytes(KEY),)
