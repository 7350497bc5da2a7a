"""Runbooks and recordings for replay tests."""

from __future__ import annotations

from typing import Any

from learner.models import ExecutionResult
from learner.runbook_file import RunbookFile, parse
from tests.samples import result

PIDFILE = "web: ERROR (spawn error): pidfile /run/web/web.pid exists, is another instance running?"
START = {"id": "start", "action": "start_service", "params": {"name": "{{ service }}"}}
RUNNING = {"id": "running", "check": "service_running", "params": {"name": "{{ service }}"}}


def runbook(*steps: dict[str, Any], version: int = 1, **changes: Any) -> RunbookFile:
    """RB-LIN-SERVICE-001 with these steps; JSON is YAML."""
    import json

    base: dict[str, Any] = {
        "id": "RB-LIN-SERVICE-001",
        "version": version,
        "name": "Restart a crashed service",
        "description": "Start the service again and prove that it runs.",
        "platform": "linux",
        "incident_types": ["service_crash"],
        "parameters": {"service": {"type": "string"}},
        "steps": list(steps) or [START],
        "verification": [RUNNING],
    }
    return parse(json.dumps(base | changes).encode())


def record(number: int, step: dict[str, Any], *, success: bool, **more: Any) -> dict[str, Any]:
    """A recorded step, with its parameters as they were rendered for the service `web`."""
    rendered = {
        name: value.replace("{{ service }}", "web") if isinstance(value, str) else value
        for name, value in step.get("params", {}).items()
    }
    base = {
        "step_number": number,
        "step_id": step["id"],
        "action": step["action"],
        "params": rendered,
        "success": success,
        "attempts": 1,
        "duration_seconds": 1.0,
    }
    return base | ({} if success else {"exit_code": 1}) | more


def failed(error: str = PIDFILE, *, step: dict[str, Any] = START, **changes: Any) -> ExecutionResult:
    """A run that failed on its first step with `error`."""
    more = changes.pop("record", {})
    base: dict[str, Any] = {
        "executed_steps": [record(1, step, success=False, error=error, **more)],
        "error_message": error,
        "error_step": 1,
    }
    return result(**(base | changes))


def succeeded(*records: dict[str, Any], **changes: Any) -> ExecutionResult:
    """A verified run."""
    steps = list(records) or [
        record(1, START, success=True, state_changes={"services.web": {"before": "failed", "after": "running"}})
    ]
    base: dict[str, Any] = {
        "execution_id": "exec-20261122-01JDGOOD",
        "status": "success",
        "success": True,
        "verification_passed": True,
        "error_message": None,
        "error_step": None,
        "state_before": {"services": {"web": "failed"}},
        "executed_steps": steps,
        "checks": [{"id": "running", "check": "service_running", "params": {"name": "web"}, "passed": True}],
    }
    return result(**(base | changes))
