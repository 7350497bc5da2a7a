"""What every model of ours is (frozen, strict, nothing extra), and types on which model and JSON Schema agree.

A model says yes to exactly the JSON its schema says yes to. Three naive types break that, so they are
replaced here: `int` (a schema's integer includes `30.0`), `datetime` (a schema can't see a missing zone) and
patterns (`$` means "end" in ECMA-262, but "end or before a last newline" in Python).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

Json: TypeAlias = Any
"""A JSON value: null, a boolean, a number, a string, or lists and mappings of them."""


class Strict(BaseModel):
    """Frozen and strict; a field it does not know is an error."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)


class Lenient(BaseModel):
    """Frozen and strict, but fields it does not know are left out: for records that other programs write."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", use_attribute_docstrings=True)


def _integral(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integral = BeforeValidator(_integral)
"""Comes after the bounds, `Annotated[int, Field(ge=1), Integral]`: before them they would miss the schema."""
Int = Annotated[int, Integral]
"""An integer as JSON Schema means it: `30.0` is one."""

_INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
_INSTANT_TEXT = re.compile(_INSTANT)


def _instant(value: object) -> object:
    if isinstance(value, str):
        found = _INSTANT_TEXT.fullmatch(value)
        if not found:
            raise ValueError("a date and time with its zone is wanted, such as 2026-11-22T05:00:00Z")
        # fromisoformat reads at most six digits of a second (Source: Python docs, datetime.fromisoformat)
        long = found[1] is not None and len(found[1]) > 7
        return datetime.fromisoformat(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", value) if long else value)
    return value


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a zone is wanted: an aware datetime, best in UTC")
    return value.astimezone(UTC)


def instant_text(value: datetime) -> str:
    """`value` as `2026-11-22T05:00:00Z`, with microseconds only when there are some."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


UtcInstant = Annotated[
    datetime,
    BeforeValidator(_instant),
    AfterValidator(_utc),
    PlainSerializer(instant_text, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": _INSTANT}),
]
"""A point in time with its zone, held in UTC."""


@dataclass(frozen=True)
class Matching:
    """For `Annotated[str, Matching(…)]`: the text matches `regex` from its first to its last character."""

    regex: str
    description: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        compiled = re.compile(self.regex)

        def check(value: str) -> str:
            if not compiled.fullmatch(value):
                raise ValueError(f"does not match {self.regex}")
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core)
        schema["pattern"] = f"^(?:{self.regex})$" if "|" in self.regex else f"^{self.regex}$"
        if self.description:
            schema["description"] = self.description
        return schema


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0), Integral]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Share = Annotated[float, Field(ge=0, le=1)]


def schema_of(model: type[BaseModel], title: str, identifier: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `model`, ready to be written to `schemas/`."""
    schema = model.model_json_schema(mode="validation")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": identifier}
    return {**head, **schema, "title": title}


def validator(schema: Mapping[str, Any]) -> Any:
    """A `jsonschema` validator that reads `pattern` as ECMA-262 does: `$` is the end, never before a newline.

    Source: JSON Schema Validation draft 2020-12, section 6.3.3.
    """
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.exceptions import ValidationError
    from jsonschema.validators import extend

    def ecma_pattern(_validator: Any, regex: str, instance: object, _schema: Any) -> Any:
        if isinstance(instance, str) and not re.search(re.sub(r"(?<!\\)\$$", r"\\Z", regex), instance):
            yield ValidationError(f"{instance!r} does not match {regex!r}")

    strict: Any = extend  # typeshed has no types for it
    return strict(Draft202012Validator, {"pattern": ecma_pattern})(schema, format_checker=FormatChecker())
