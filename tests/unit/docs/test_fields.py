"""Fields of dataclasses, named tuples, typed dictionaries and models have a docstring each."""

import ast
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel

from duet_cloud import options as cloud
from duet_contract.calibration import Calibration
from duet_contract.commands import FieldOption
from duet_contract.docstrings import field_docstrings, option_help
from duet_contract.manifest import Manifest
from duet_contract.receipt import Receipt
from duet_device.ask_request import AskRequest
from duet_device.commands.options import RequestOptions
from duet_device.history.store import Record
from duet_device.serve import serve_options as device
from duet_device.setting_types import ClientSettings, QuestionSettings
from duet_device.settings import Settings
from duet_tools.results.report import Report
from llm_duet.models import PairModel
from tests.unit.test_command_line import command_of

ROOT = Path(__file__).parents[3]
FOLDERS = ("cloud", "device", "docs", "proto", "tests", "tools", "training")
ROOTS = frozenset(("BaseModel", "NamedTuple", "TypedDict"))
_CLASS = re.compile(r"^ *class (\w+)\(([^)]*)\):", re.MULTILINE)
_WORD = re.compile(r"\w+")


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    files = (file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py")))
    return {str(file.relative_to(ROOT)): file.read_text("utf-8") for file in files}


def models(texts: Iterable[str]) -> set[str]:
    """Names of classes that inherit from one of `ROOTS`, directly or not."""
    bases = defaultdict(set)
    for text in texts:
        for name, inherited in _CLASS.findall(text):
            bases[name].update(_WORD.findall(inherited))
    found = set(ROOTS)
    while more := {name for name, own in bases.items() if own & found} - found:
        found |= more
    return found


def undocumented(text: str, models: Collection[str]) -> list[str]:
    """Fields without a docstring, as `Class.field`."""
    if "@dataclass" not in text and not any(
        not set(_WORD.findall(inherited)).isdisjoint(models)
        for _, inherited in _CLASS.findall(text)
    ):
        return []  # parsing is slow
    return [found for each in _classes(ast.parse(text)) for found in _undocumented(each, models)]


def _classes(node: ast.Module | ast.ClassDef) -> Iterator[ast.ClassDef]:
    """The classes of a module, without those in functions."""
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield child
            yield from _classes(child)


def _undocumented(node: ast.ClassDef, models: Collection[str]) -> Iterator[str]:
    marks = [*node.decorator_list, *node.bases]
    names = {word for mark in marks for word in _WORD.findall(ast.unparse(mark))}
    if "dataclass" not in names and names.isdisjoint(models):
        return
    for field, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(field, ast.AnnAssign) or "ClassVar" in ast.unparse(field.annotation):
            continue
        value = after.value if isinstance(after, ast.Expr) else None
        if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
            yield f"{node.name}.{ast.unparse(field.target)}"


def test_every_field_has_a_docstring(texts: dict[str, str]) -> None:
    known = models(texts.values())
    found = {file: undocumented(text, known) for file, text in texts.items()}
    assert {file: fields for file, fields in found.items() if fields} == {}


def test_a_field_without_a_docstring_is_found() -> None:
    text = (
        "@dataclass(frozen=True)\nclass A:\n    x: int\n    '''Of x.'''\n    y: int = 0\n"
        "class B(BaseModel):\n    z: int\n    c: ClassVar[int] = 0\n    class D(B):\n        t: int\n"
        "class E:\n    n: int\n"
    )
    assert undocumented(text, models([text])) == ["A.y", "B.z", "D.t"]


def _without_description(schema: dict[str, Any]) -> list[str]:
    return [
        f"{name}.{field}"
        for name, model in {"": schema, **schema.get("$defs", {})}.items()
        for field, about in model.get("properties", {}).items()
        if not about.get("description")
    ]


@pytest.mark.parametrize(
    "model", [Receipt, Manifest, Calibration, Record, Report, PairModel.Options]
)
def test_a_schema_describes_each_field(model: type[BaseModel]) -> None:
    for by_alias in (True, False):
        schema = model.model_json_schema(by_alias=by_alias)
        assert _without_description(schema) == []
        assert ">>>" not in json.dumps(schema)


def test_settings_by_keyword_are_described_as_settings_are() -> None:
    settings = field_docstrings(Settings)
    for owner in (QuestionSettings, ClientSettings):
        for name, text in field_docstrings(owner).items():
            assert option_help(text) == option_help(settings[name]), name


@pytest.mark.parametrize(
    ("words", "owners"),
    [
        (("duet-device", "ask"), (Settings, RequestOptions, AskRequest)),
        (("duet-device", "chat"), (Settings, RequestOptions)),
        (("duet-device", "serve"), (Settings, RequestOptions, device.ServeOptions)),
        (("duet-cloud", "serve"), (cloud.ServeOptions,)),
    ],
    ids=lambda each: " ".join(each) if isinstance(each[0], str) else "",
)
def test_an_option_that_fills_a_field_has_its_help(
    words: tuple[str, str], owners: tuple[type, ...]
) -> None:
    for option in command_of(words).params:
        fills = [owner for owner in owners if option.name in field_docstrings(owner)]
        if isinstance(option, click.Option) and fills:
            assert isinstance(option, FieldOption), option.name
            helps = {option_help(field_docstrings(owner)[str(option.name)]) for owner in fills}
            assert str(option.help).removesuffix(" Repeatable.") in helps
