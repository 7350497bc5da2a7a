"""The small form in which a model writes an edit, and the way from it to a `RunbookEdit`.

Endpoints refuse `oneOf` and free-form objects in strict schemas, so every operation is the same flat record: what is
new stands in it as YAML text and is read by our own loader. An empty text means "not given".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from learner.models import RunbookEdit
from learner.strict import Json
from learner.yaml_tree import YamlError, load

OPERATIONS = {
    "insert_step": "a new step: its YAML in `yaml`, its place in `before` or `after` (a step's id; both empty: last)",
    "replace_step": "the step `target`, written anew: its whole YAML in `yaml`, with the same id",
    "remove_step": "take the step `target` out",
    "move_step": "put the step `target` `before` or `after` another one",
    "set_parameter": "the value `name` in the params of the step `target`: the new value in `yaml`",
    "set_when": "the condition of the step `target`: the expression in `yaml`, empty to take it away",
    "set_retry": "the retry of the step `target`: a mapping in `yaml`, empty to take it away",
    "set_timeout": "the timeout_seconds of the step `target`: a number in `yaml`",
    "set_on_failure": "the on_failure of the step `target`: abort, continue, rollback or {goto: id} in `yaml`",
    "add_parameter": "a new parameter `name` of the runbook: {type: …, default: …, description: …} in `yaml`",
    "add_verification": "a new claim: its YAML in `yaml`",
    "set_verification": "the claim `target`, written anew: its whole YAML in `yaml`, with the same id",
    "add_rollback_step": "a new rollback step: its YAML in `yaml`",
    "set_precondition": "a condition for running at all: the expression in `yaml`; `target` is the one it replaces, or empty",
}
"""What each operation does with the fields of its record, for the prompt."""

MOST_OPERATIONS = 10
LONGEST_YAML = 16_000
"""Characters of one operation's YAML; a reader of deeply nested text needs a bound."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "decision": {"type": "string", "enum": ["propose", "no_proposal"]},
        "reason": {"type": "string", "description": "why there is nothing to propose; empty with a proposal"},
        "root_cause": {"type": "string"},
        "summary": {"type": "string", "description": "one line, at most 200 characters"},
        "expected_effect": {"type": "string"},
        "risk": {"type": "string"},
        "operations": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "op": {"type": "string", "enum": list(OPERATIONS)},
                    "because": {"type": "array", "items": {"type": "string"}, "description": "citations, as given"},
                    "target": {"type": "string"},
                    "before": {"type": "string"},
                    "after": {"type": "string"},
                    "name": {"type": "string"},
                    "yaml": {"type": "string"},
                },
                "required": ["op", "because", "target", "before", "after", "name", "yaml"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["decision", "reason", "root_cause", "summary", "expected_effect", "risk", "operations"],
    "additionalProperties": False,
}

_CODE_BLOCK = re.compile(r"\A\s*```[a-z]*\n(.*?)\n?```\s*\Z", re.DOTALL)
_KEY = re.compile(r"\A(?:when|expression|value|retry|timeout_seconds|on_failure):\s+")


class WireError(Exception):
    """A reply that is no edit; the words are for the model's next try."""


def edit_of(value: Mapping[str, Any], citations: frozenset[str]) -> RunbookEdit:
    """The edit that a reply (held against `SCHEMA` before) means. It may cite nothing but `citations`.

    Raises: `WireError`.
    """
    records = value["operations"]
    if not records:
        raise WireError("there are no operations; say no_proposal when there is nothing to change")
    if len(records) > MOST_OPERATIONS:
        raise WireError(f"{len(records)} operations; a good edit is small, {MOST_OPERATIONS} are the most")
    operations = []
    for number, record in enumerate(records, 1):
        try:
            operations.append(_operation(record, citations))
        except WireError as e:
            raise WireError(f"operation {number} ({record['op']}): {e}") from e
    whole = {key: " ".join(value[key].split()) for key in ("root_cause", "summary", "expected_effect", "risk")}
    whole["summary"] = whole["summary"][:200]
    try:
        return RunbookEdit.model_validate_json(json.dumps({**whole, "operations": operations}))
    except ValidationError as e:
        first: Any = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise WireError(f"{where}: {str(first['msg']).removeprefix('Value error, ')}") from e


def _operation(record: Mapping[str, Any], citations: frozenset[str]) -> dict[str, Json]:
    invented = [citation for citation in record["because"] if citation not in citations]
    if invented:
        raise WireError(f"it cites {', '.join(invented[:3])}, which does not exist; cite only what is listed")
    if not record["because"]:
        raise WireError("it cites nothing; every change needs its evidence")
    op = record["op"]
    made: dict[str, Json] = {"op": op, "because": list(dict.fromkeys(record["because"]))}
    text = _text(record["yaml"])
    place = {key: record[key].strip() for key in ("before", "after") if record[key].strip()}
    match op:
        case "insert_step":
            made |= {"step": _mapping(text), **place}
        case "replace_step":
            made |= {"step_id": _needed(record, "target"), "step": _mapping(text)}
        case "remove_step":
            made |= {"step_id": _needed(record, "target")}
        case "move_step":
            made |= {"step_id": _needed(record, "target"), **place}
        case "set_parameter":
            made |= {"step_id": _needed(record, "target"), "name": _needed(record, "name"), "value": _value(text)}
        case "set_when":
            made |= {"step_id": _needed(record, "target"), "when": _expression(text) or None}
        case "set_retry":
            made |= {"step_id": _needed(record, "target"), "retry": _mapping(text) if text else None}
        case "set_timeout":
            made |= {"step_id": _needed(record, "target"), "timeout_seconds": _value(_KEY.sub("", text))}
        case "set_on_failure":
            made |= {"step_id": _needed(record, "target"), "on_failure": _value(_KEY.sub("", text))}
        case "add_parameter":
            made |= {"name": _needed(record, "name"), "parameter": _mapping(text)}
        case "add_verification":
            made |= {"verification": _mapping(text)}
        case "set_verification":
            made |= {"verification_id": _needed(record, "target"), "verification": _mapping(text)}
        case "add_rollback_step":
            made |= {"step": _mapping(text)}
        case "set_precondition":
            if not text:
                raise WireError("the expression is missing in `yaml`")
            made |= {"expression": _expression(text), "replaces": record["target"].strip() or None}
    return made


def _text(text: str) -> str:
    """The YAML without a code block's fences around it."""
    block = _CODE_BLOCK.match(text)
    return block[1] if block else text.strip("\n") if text.strip() else ""


def _value(text: str) -> Json:
    if len(text) > LONGEST_YAML:
        raise WireError(f"`yaml` has {len(text)} characters; {LONGEST_YAML} are the most")
    try:
        return load(text).value
    except (YamlError, UnicodeError) as e:
        raise WireError(f"`yaml` can't be read: {e}") from e


def _mapping(text: str) -> dict[str, Json]:
    value = _value(text)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]  # written as an item of a list: `- id: …`
    if not isinstance(value, dict):
        raise WireError("`yaml` must hold one mapping, such as `id: wait_port`, a key a line")
    return value


def _expression(text: str) -> str:
    """An expression as it is, or out of the quotes that YAML would want around it."""
    text = _KEY.sub("", text.strip())
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        try:
            value = _value(text)
        except WireError:
            return text
        return value if isinstance(value, str) else text
    return text


def _needed(record: Mapping[str, Any], key: str) -> str:
    said = str(record[key]).strip()
    if not said:
        raise WireError(f"`{key}` is missing")
    return said
