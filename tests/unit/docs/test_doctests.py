"""Examples in the docstrings of contract, device, cloud and tools; each public name has one."""

import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import duet_device
from duet_contract.channels import open_channel
from duet_contract.manifest import Manifest
from duet_device.pairs.pair import Pair
from tests.doubles.cloud import ScriptedCloud, done, says, tokens
from tests.doubles.decoder import ScriptedDecoder, answering
from tests.doubles.doctests import ROOT, check_examples, modules_with_examples
from tests.doubles.identities import self_signed
from tests.unit.device.conftest import manifest_data

MODULES = modules_with_examples("proto", "device", "cloud", "tools")


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The pair that examples of clients name, a cloud behind every address, and certificates."""
    limits = {"question": 256, "budget": 32, "answer": 64}
    data = manifest_data(id="private-sums-135m", limits=limits)
    pair = Pair(tmp_path, Manifest.model_validate(data))
    (tmp_path / pair.manifest.id).mkdir()
    (tmp_path / pair.manifest.id / "manifest.json").write_text(pair.manifest.to_json())
    monkeypatch.setenv("DUET_PAIRS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    identity = self_signed()
    for name in ("ca.pem", "device.pem"):
        Path(name).write_bytes(identity.certificate)
    Path("device.key").write_bytes(identity.key)
    decoder = ScriptedDecoder(answering("9", " A:"))
    monkeypatch.setattr("duet_device.client.open_pair", lambda *_, **__: pair)
    monkeypatch.setattr("duet_device.session.load_decoder", lambda *_: decoder)
    with ScriptedCloud(says(tokens(*b"3*3=9"), done(5))) as cloud:
        address = cloud.address
        monkeypatch.setattr("duet_device.known_servers.identity_for", lambda _: None)
        monkeypatch.setattr(
            "duet_device.known_servers.open_channel", lambda *_: open_channel(address)
        )
        yield


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("module", MODULES)
def test_examples_hold(module: str) -> None:
    check_examples(module)


@pytest.mark.usefixtures("cloud")
def test_the_program_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert len(program.splitlines()) <= 8
    exec(compile(program, "README.md", "exec"), {})
    answer, cost = capsys.readouterr().out.splitlines()
    assert answer == "9"
    assert cost.startswith("5 signal tokens, ")


def test_examples_are_found() -> None:
    assert "duet_contract.terminal" in MODULES


def test_an_example_that_does_not_hold_fails(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong_example.py").write_text('"""Adds.\n\n>>> 1 + 1\n3\n"""\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AssertionError):
        check_examples("wrong_example")


def public() -> Iterator[tuple[str, object]]:
    """What `duet_device` exports, and what the reference of the Python API lists."""
    page = (ROOT / "docs/python-api.md").read_text("utf-8")
    for path in re.findall(r"^::: (\S+)", page, re.MULTILINE):
        found = pkgutil.resolve_name(path)
        if not isinstance(found, ModuleType):
            yield path, found
            continue
        for name, member in vars(found).items():
            if not name.startswith("_") and getattr(member, "__module__", None) == path:
                yield f"{path}.{name}", member
    for name in duet_device.__all__:
        # A union of types, which has no docstring.
        if name != "Event":
            yield f"duet_device.{name}", getattr(duet_device, name)


def test_each_public_name_has_an_example() -> None:
    names = dict(public())
    assert {"duet_device.Client", "duet_contract.channels.Pem"} < names.keys()
    assert [name for name, found in names.items() if ">>> " not in (found.__doc__ or "")] == []
