"""Models whose JSON schema describes each field by the docstring below it."""

from typing import Any

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue

from duet_contract.docstrings import field_docstrings


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
        definition = handler.resolve_ref_schema(schema)
        # Examples are for readers of Python.
        about = definition.get("description", "").partition("\n\nExamples:")[0]
        if about:
            definition["description"] = about
        properties = definition.get("properties", {})
        for parent in cls.__mro__:
            if parent is not Described and issubclass(parent, Described):
                for name, text in field_docstrings(parent).items():
                    field = properties.get(cls.model_fields[name].alias, properties.get(name))
                    if field is not None:
                        field.setdefault("description", text)
        return schema
