"""widened-parameter: inputs that let in more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.audits.books import START, book, edit, found

RULE = "widened-parameter"
NAME: dict[str, Any] = {"type": "string", "pattern": "^[a-z]+$", "default": "web"}


def verdict(old: dict[str, Any] | None, new: dict[str, Any] | None, *, machine: bool = False) -> str:
    def with_parameter(parameter: dict[str, Any] | None, version: int) -> Any:
        parameters = {"service": {"type": "string", "default": "web"}, **({"x": parameter} if parameter else {})}
        return book(START, parameters=parameters, version=version)

    by = edit({"op": "set_timeout", "step_id": "start", "timeout_seconds": 5}) if machine else None
    findings = found(RULE, with_parameter(old, 1), with_parameter(new, 2), edit=by)
    return findings[0].level.value if findings else "quiet"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (NAME, {"type": "string", "default": "web"}),
        (NAME, {**NAME, "pattern": "^.*$"}),
        (NAME, {**NAME, "pattern": "[a-z]+"}),
        (NAME, {**NAME, "pattern": "^[a-z/ ;]+$"}),
        ({"type": "string", "enum": ["a", "b"], "default": "a"}, {"type": "string", "default": "a"}),
        ({"type": "integer", "default": 1}, {"type": "string", "default": "1"}),
        ({"type": "integer", "maximum": 10, "default": 1}, {"type": "integer", "default": 1}),
        (None, {"type": "string"}),
    ],
)
def test_doors_thrown_open_are_blocked(old: Any, new: Any) -> None:
    assert verdict(old, new) == "block"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (NAME, {**NAME, "pattern": "^[a-z.]+$"}),
        ({"type": "string", "enum": ["a"], "default": "a"}, {"type": "string", "enum": ["a", "b"], "default": "a"}),
        ({"type": "integer", "maximum": 10, "default": 1}, {"type": "integer", "maximum": 100, "default": 1}),
        ({"type": "integer", "minimum": 5, "default": 5}, {"type": "integer", "minimum": 1, "default": 5}),
        ({"type": "string"}, {"type": "string", "default": "web"}),
        (NAME, None),
    ],
)
def test_wider_ones_warn(old: Any, new: Any) -> None:
    assert verdict(old, new) == "warning"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (NAME, NAME),
        (NAME, {**NAME, "description": "the unit"}),
        ({"type": "integer", "maximum": 100, "default": 1}, {"type": "integer", "maximum": 10, "default": 1}),
        (None, {"type": "integer", "default": 5433}),
        (None, {"type": "string", "pattern": "^/run/[a-z]+$", "default": "/run/web"}),
        ({"type": "string", "default": "a"}, {"type": "string", "enum": ["a"], "default": "a"}),
    ],
)
def test_honest_work_passes(old: Any, new: Any) -> None:
    assert verdict(old, new, machine=True) == "quiet"


def test_a_machine_adding_free_text_is_noticed() -> None:
    assert verdict(None, {"type": "string", "default": "x"}, machine=True) == "notice"
