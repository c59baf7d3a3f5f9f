"""Models whose JSON schema describes each field by the docstring below it."""

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue


class Described(BaseModel):
    """Base of models that others read by their schema.

    pydantic's `use_attribute_docstrings` reads the source of a model when it is imported, which
    takes longer than all else that a command does before its work. This reads it for a schema only.

    Examples:
        >>> from duet_contract.receipt import Receipt
        >>> Receipt.model_json_schema()["properties"]["answer"]["description"]
        "The answer's text."
    """

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: Any, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        """See `pydantic.BaseModel`."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for parent in cls.__mro__:
            if parent is not Described and issubclass(parent, Described):
                for name, text in _docstrings(parent).items():
                    field = properties.get(cls.model_fields[name].alias, properties.get(name))
                    if field is not None:
                        field.setdefault("description", text)
        return schema


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring below each field of a class."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
