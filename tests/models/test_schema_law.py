"""What a schema accepts its model accepts, and the other way round."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from learner.models import ExecutionResult, Incident, Runbook, RunbookEdit
from learner.settings import HostSettings, RepositorySettings
from learner.strict import schema_of, validator
from samples import document

RUNBOOK: dict[str, Any] = {
    "id": "RB-LIN-SERVICE-001", "version": 1, "name": "n", "description": "d", "platform": "linux",
    "incident_types": ["service_crash"], "selector": {"app": "web"}, "severity": "high",
    "parameters": {"service": {"type": "string", "default": "web"}, "port": {"type": "integer", "minimum": 1}},
    "preconditions": ["state.disk.usage_percent < 99"],
    "steps": [
        {"id": "start", "action": "start_service", "params": {"name": "{{ service }}"}, "when": "1 == 1",
         "timeout_seconds": 3, "retry": {"attempts": 2, "backoff": 2.0}, "on_failure": {"goto": "look"}},
        {"id": "look", "action": "check_port", "params": {"port": "{{ port }}"}, "on_failure": "continue"},
        {"id": "run", "action": "run_command", "params": {"argv": ["true", "{{ service }}"], "success_exit_codes": [0, 1]}},
        {"id": "write", "action": "write_file", "params": {"path": "/etc/{{ service }}.conf", "content": "x", "mode": "0644"}},
    ],
    "verification": [{"id": "ok", "check": "service_running", "params": {"name": "web"}, "within_seconds": 3.5}],
    "rollback": [{"id": "stop", "action": "stop_service", "params": {"name": "web"}}],
    "finally": [{"id": "rest", "action": "wait", "params": {"seconds": 0}}],
    "metadata": {"parent_runbook": "RB-LIN-SERVICE-001-v1", "generated_at": "2026-11-22T05:00:00Z", "requires_human_review": True},
}  # fmt: skip
EDIT: dict[str, Any] = {
    "root_cause": "a stale pid file", "summary": "remove it", "expected_effect": "it starts", "risk": "low",
    "operations": [
        {"op": "insert_step", "because": ["exec-20261122-01JDABCD#1"], "before": "start",
         "step": {"id": "clear", "action": "remove_file", "params": {"path": "/run/x.pid"}}},
        {"op": "set_timeout", "because": ["exec-20261122-01JDABCD#check:ok"], "step_id": "start", "timeout_seconds": 9},
        {"op": "set_when", "because": ["exec-20261122-01JDABCD"], "step_id": "start", "when": None},
    ],
}  # fmt: skip
INCIDENT: dict[str, Any] = {
    "incident_id": "INC-1", "incident_type": "x", "client_id": "acme", "started_at": "2026-11-22T05:00:00+01:00",
    "labels": {"a": "b"}, "parameters": {"n": 1},
}  # fmt: skip
CASES: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (Runbook, RUNBOOK),
    (ExecutionResult, document()),
    (RunbookEdit, EDIT),
    (Incident, INCIDENT),
    (RepositorySettings, {"limits": {"min_failures": 3}, "telemetry": {"ref_prefix": "refs/learner"}, "model": {"repair_rounds": 2}}),
    (HostSettings, {"client_id": "acme", "executor_id": "a", "repository": "/x", "gate": {"max_age_hours": 1}}),
]  # fmt: skip
NASTY = [
    None, True, False, 0, 1, -1, 30.0, 1.5, 1e308, "", " ", "a", "a\n", "web\n", "{{ x }}", "{{ x }}\n", "{{", "{% x %}", "1", "0644",
    "2026-11-22T05:00:00", "2026-11-22T05:00:00Z", "2026-11-22 05:00:00Z", "2026-02-30T05:00:00Z", "RB-LIN-SERVICE-001\n",
    "RB-LIN-SERVICE-1", "é", "٣", [], ["a"], ["a", "a"], {}, {"a": 1}, {"goto": "look"}, 65536, 86401, 101,
]  # fmt: skip


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [at, *(place for key, value in below for place in places(value, (*at, key)))]


def changed(tree: Any, place: tuple[Any, ...], how: str, value: Any) -> Any:
    tree = copy.deepcopy(tree)
    if not place:
        return value if how == "set" else tree
    holder = tree
    for key in place[:-1]:
        holder = holder[key]
    if how == "set":
        holder[place[-1]] = value
    elif how == "drop":
        del holder[place[-1]]
    elif isinstance(holder, dict):
        holder["surplus"] = value
    else:
        holder.append(copy.deepcopy(holder[place[-1]]))
    return tree


@st.composite
def mutants(draw: st.DrawFn) -> tuple[type[BaseModel], Any]:
    model, tree = draw(st.sampled_from(CASES))
    for _ in range(draw(st.integers(0, 2))):
        if not isinstance(tree, dict):
            break
        place = draw(st.sampled_from(places(tree)))
        tree = changed(
            tree, place, draw(st.sampled_from(["set", "set", "set", "drop", "add"])), draw(st.sampled_from(NASTY))
        )
    return model, tree


VALIDATORS = {model: validator(schema_of(model, model.__name__, "x")) for model, _ in CASES}


def model_says(model: type[BaseModel], tree: Any) -> bool:
    try:
        model.model_validate_json(json.dumps(tree))
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(("model", "tree"), CASES, ids=lambda x: getattr(x, "__name__", ""))
def test_the_example_is_accepted_by_both(model: type[BaseModel], tree: Any) -> None:
    assert list(VALIDATORS[model].iter_errors(tree)) == []
    assert model_says(model, tree)


# Templates are a language of their own: a schema can see that braces stand there, not that they make sense.
TEMPLATES = ("{{", "{%")


def beyond_a_schema(tree: Any) -> bool:
    return any(mark in json.dumps(tree) and mark in texts_that_are_no_template(tree) for mark in TEMPLATES)


def texts_that_are_no_template(tree: Any) -> str:
    """All texts of a tree that are no whole template."""
    from learner.template import TemplateError, check

    words = []
    stack = [tree]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            stack += [*value.values(), *value.keys()]
        elif isinstance(value, list):
            stack += value
        elif isinstance(value, str):
            try:
                check(value)
            except TemplateError:
                words.append(value)
    return "\n".join(words)


def expressions(tree: Any) -> list[str]:
    """The texts that stand where a runbook has expressions, in a tree that may be anything."""
    found = listed(tree, "preconditions")
    for part in ("steps", "rollback", "finally"):
        for step in listed(tree, part):
            found += [step.get("when")] if isinstance(step, dict) else []
            retry = step.get("retry") if isinstance(step, dict) else None
            found += [retry.get("until")] if isinstance(retry, dict) else []
    return [text for text in found if isinstance(text, str)]


def listed(tree: Any, key: str) -> list[Any]:
    value = tree.get(key) if isinstance(tree, dict) else None
    return list(value) if isinstance(value, list) else []


def bad_expression(tree: Any) -> bool:
    from learner.template import TemplateError, check_expression

    for expression in expressions(tree):
        try:
            check_expression(expression)
        except TemplateError:
            return True
    return False


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutants())
def test_schema_and_model_agree(case: tuple[type[BaseModel], Any]) -> None:
    model, tree = case
    if model is Runbook and (beyond_a_schema(tree) or bad_expression(tree)):
        return
    errors = list(VALIDATORS[model].iter_errors(tree))
    assert model_says(model, tree) == (not errors), [
        e.message for e in errors[:3]
    ] or "the schema accepts it, the model does not"
