"""`llm-duet` in the real `llm`: events, usage, receipt, conversations, options, its command."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llm
import pytest
from click.testing import CliRunner
from llm.cli import cli
from llm.parts import ReasoningPart, TextPart
from llm.plugins import load_plugins, pm

import llm_duet
from duet_device import session
from tests.doubles.cloud import ScriptedCloud, done, says, tokens
from tests.doubles.decoder import END, ScriptedDecoder
from tests.doubles.manifests import PRIVATE_PAIR
from tests.unit.device.conftest import manifest_data

pytestmark = pytest.mark.slow

MODEL = "duet/bytes"


@pytest.fixture
def cloud(
    installed: Path,
    decoder: ScriptedDecoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ScriptedCloud]:
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "llm"))
    monkeypatch.setenv("LLM_LOAD_PLUGINS", "")
    load_plugins()
    if not pm.is_registered(llm_duet):
        pm.register(llm_duet)
    monkeypatch.setattr(session, "load_decoder", lambda pair, threads: decoder)
    with ScriptedCloud(says(tokens(*b"be"), tokens(*b"cause"), done(7))) as cloud:
        monkeypatch.setenv("DUET_SERVER", cloud.address)
        yield cloud


@pytest.fixture
def model(cloud: ScriptedCloud) -> Iterator[llm.Model]:
    found = llm.get_model(MODEL)
    yield found
    found.close()  # type: ignore[attr-defined]


def read(decoder: ScriptedDecoder) -> str:
    return bytes(token if token < END else ord("|") for token in decoder.ids).decode()


def test_signal_is_reasoning_and_the_receipt_is_the_json(model: llm.Model) -> None:
    response = model.prompt("why?")
    events = list(response.stream_events())
    assert "".join(each.chunk for each in events if each.type == "reasoning") == "because"
    assert response.text() == "häppy 🙂"
    reasoning, text = response.messages()[0].parts
    assert isinstance(reasoning, ReasoningPart)
    assert isinstance(text, TextPart)
    assert (reasoning.text, text.text) == ("because", "häppy 🙂")
    usage = response.usage()
    assert (usage.input, usage.output, usage.details) == (4, 7 + 11, {"reasoning_tokens": 7})
    assert response.resolved_model == "bytes@1.0.0"
    receipt = response.json()
    assert receipt["tokens"] == {
        "question": 4,
        "signal": 7,
        "answer": 11,
        "context": 0,
        "spared": None,
        "alone": None,
        "peer": None,
    }
    assert receipt["source"] == "duet"


async def test_async_model(cloud: ScriptedCloud) -> None:
    response = llm.get_async_model(MODEL).prompt("why?")
    kinds = {event.type async for event in response.astream_events()}
    assert kinds == {"reasoning", "text"}
    assert await response.text() == "häppy 🙂"
    assert (await response.usage()).details == {"reasoning_tokens": 7}


def test_the_async_model_keeps_its_client_for_a_loop(
    cloud: ScriptedCloud, decoder: ScriptedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []

    def load(pair: object, threads: object) -> ScriptedDecoder:
        loaded.append(pair)
        return decoder

    monkeypatch.setattr(session, "load_decoder", load)
    model = llm.get_async_model(MODEL)

    async def ask(*questions: str) -> list[str]:
        # In tasks of their own, as a server has them.
        asked = [asyncio.ensure_future(_text(model, each)) for each in questions]
        return [await each for each in asked]

    assert asyncio.run(ask("a?", "b?", "c?")) == ["häppy 🙂"] * 3
    assert len(loaded) == 1
    (kept,) = model._clients.values()  # type: ignore[attr-defined]
    # A loop that has ended keeps no decoder once another asks.
    assert asyncio.run(ask("d?")) == ["häppy 🙂"]
    assert len(loaded) == 2
    assert kept.is_closed
    asyncio.run(model.close())  # type: ignore[attr-defined]
    assert not model._clients  # type: ignore[attr-defined]


async def _text(model: llm.AsyncModel, question: str) -> str:
    text: str = await model.prompt(question).text()
    return text


def test_a_conversation_is_the_decoders_sequence(
    model: llm.Model, cloud: ScriptedCloud, decoder: ScriptedDecoder
) -> None:
    conversation = model.conversation()
    conversation.prompt("a?").text()
    conversation.prompt("b?").text()
    assert read(decoder).startswith("Q:a? S:because A:häppy 🙂|Q:b? S:because A:")
    assert cloud.requests[1].question == "b?"
    conversation.prompt("c?", share_history=1).text()
    assert cloud.requests[2].question == "Question: b?\nAnswer: häppy 🙂\n\nQuestion: c?"


def test_options(model: llm.Model, cloud: ScriptedCloud, caplog: pytest.LogCaptureFixture) -> None:
    model.prompt("a?", budget=9, temperature=0, seed=3, timeout=50).text()
    request = cloud.requests[0]
    assert (request.budget, request.seed) == (9, 3)
    assert model.prompt("a?", route="device").json()["source"] == "device"
    assert len(cloud.requests) == 1
    model.prompt("ask Dr. Anna Berg", redact=True).text()
    assert cloud.requests[1].question == "ask Dr. [NAME_1]"
    nowhere = {"server": "127.0.0.1:1"}
    assert model.prompt("a?", **nowhere).json()["source"] == "device"
    assert "the device answers alone" in caplog.text
    with pytest.raises(llm.ModelError, match="no cloud at"):
        model.prompt("a?", route="cloud", **nowhere).text()
    for wrong in ({"budget": 0}, {"route": "both"}, {"temperature": 3}, {"nope": 1}):
        with pytest.raises(ValueError, match="PairOptions|Options"):
            model.prompt("a?", **wrong)


def test_a_system_prompt_stays_on_the_device(
    model: llm.Model, cloud: ScriptedCloud, decoder: ScriptedDecoder
) -> None:
    model.prompt("a?", system="Be brief.").text()
    assert "Be brief." in read(decoder)
    assert "brief" not in str(cloud.requests)


@pytest.fixture
def private(installed: Path) -> None:
    path = installed.parent / "pairs" / "bytes" / "manifest.json"
    path.write_text(json.dumps(manifest_data(**PRIVATE_PAIR)))


def test_a_pair_of_private_numbers_refuses_a_system_prompt(private: None, model: llm.Model) -> None:
    with pytest.raises(llm.ModelError, match="computes with the numbers of the question"):
        model.prompt("3 and 4?", system="Be brief.").text()


def invoke(*arguments: str) -> Any:
    result = CliRunner().invoke(cli, [*arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_the_command(cloud: ScriptedCloud, decoder: ScriptedDecoder) -> None:
    assert MODEL in invoke("models", "list").stdout
    assert "share_history" in invoke("models", "--options", "-m", MODEL).stdout
    shown = invoke("-m", MODEL, "a?")
    assert shown.stdout == "häppy 🙂\n"
    assert "because" in shown.stderr
    assert "because" not in invoke("-m", MODEL, "-R", "a?").stderr
    # Continued from what llm has stored.
    invoke("-m", MODEL, "first?")
    invoke("-c", "second?")
    assert read(decoder).startswith("Q:first? S:because A:häppy 🙂|Q:second? S:because A:")
    (logged, *_) = json.loads(invoke("logs", "--json", "-n", "1").stdout)
    assert logged["response"] == "häppy 🙂"
    assert logged["response_json"]["pair"] == "bytes@1.0.0"


def test_listing_models_imports_no_engine(cloud: ScriptedCloud) -> None:
    program = """
import sys, llm_duet
found = []
llm_duet.register_models(lambda *models: found.append([each.model_id for each in models]))
print(found, [name for name in ("llama_cpp", "grpc", "duet_device") if name in sys.modules])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout == f"[['{MODEL}', '{MODEL}']] []\n"


def test_without_pairs_there_are_no_models(
    cloud: ScriptedCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (tmp_path / "none", tmp_path / "a file"):
        monkeypatch.setenv("DUET_PAIRS", str(place))
        (tmp_path / "a file").touch()
        llm_duet.register_models(lambda *models: pytest.fail(str(models)))
