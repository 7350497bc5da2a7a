"""Pairs of runbook versions for audit tests."""

from __future__ import annotations

import json
from typing import Any

from learner.audits import Change, Evidence, run
from learner.models import ExecutionResult, Finding, RunbookEdit
from learner.runbook_file import RunbookFile, parse

START = {"id": "start", "action": "start_service", "params": {"name": "{{ service }}"}}
RUNNING = {"id": "running", "check": "service_running", "params": {"name": "{{ service }}"}}


def book(*steps: dict[str, Any], version: int = 1, **changes: Any) -> RunbookFile:
    """RB-LIN-SERVICE-001 with these steps."""
    base: dict[str, Any] = {
        "id": "RB-LIN-SERVICE-001",
        "version": version,
        "name": "Restart a crashed service",
        "description": "Start the service again and prove that it runs.",
        "platform": "linux",
        "incident_types": ["service_crash"],
        "parameters": {"service": {"type": "string", "default": "web"}},
        "steps": list(steps) or [START],
        "verification": [RUNNING],
    }
    return parse(json.dumps(base | changes).encode())


def edit(*operations: dict[str, Any]) -> RunbookEdit:
    """An edit with these operations, each citing the first step of the sample result."""
    cited = [{"because": ["exec-20261122-01JDABCD#1"], **operation} for operation in operations]
    told = {"root_cause": "a", "summary": "b", "expected_effect": "c", "risk": "d"}
    return RunbookEdit.model_validate_json(json.dumps({**told, "operations": cited}))


def step(action: str, id: str = "extra", **params: Any) -> dict[str, Any]:
    return {"id": id, "action": action, "params": params}


def command(*argv: str, **more: Any) -> dict[str, Any]:
    """A `run_command` step."""
    return {"id": "extra", "action": "run_command", "params": {"argv": list(argv), **more}}


def script(text: str, shell: str = "sh", **more: Any) -> dict[str, Any]:
    """A `run_script` step."""
    return {"id": "extra", "action": "run_script", "params": {"shell": shell, "script": text, **more}}


def found(
    rule: str, old: RunbookFile, new: RunbookFile, *results: ExecutionResult, edit: RunbookEdit | None = None
) -> list[Finding]:
    """What one rule says of a change."""
    return [f for f in run(Change(old, new, edit), Evidence(results)) if f.rule == rule]


def level(rule: str, *steps: dict[str, Any], **changes: Any) -> str:
    """The gravest level that a rule gives to these steps added to the sample; `quiet` when it says nothing."""
    old = book(**{k: v for k, v in changes.items() if k == "parameters"})
    findings = found(rule, old, book(*steps, START, version=2, **changes))
    return findings[0].level.value if findings else "quiet"
