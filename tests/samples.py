"""Results for tests: complete, valid, and different where a test asks for it."""

from __future__ import annotations

import json
from typing import Any

from learner.models import ExecutionResult


def result(**changes: Any) -> ExecutionResult:
    """A failed run of RB-LIN-SERVICE-001-v1, with `changes` laid over its JSON."""
    return ExecutionResult.model_validate_json(json.dumps(document(**changes)))


def document(**changes: Any) -> dict[str, Any]:
    """The JSON of `result`."""
    base: dict[str, Any] = {
        "execution_id": "exec-20261122-01JDABCD",
        "runbook_id": "RB-LIN-SERVICE-001",
        "runbook_version": 1,
        "incident_id": "INC-1",
        "incident_type": "service_crash",
        "client_id": "acme",
        "hostname": "web-1",
        "platform": "linux",
        "host": {"os_id": "debian", "os_version": "12", "arch": "x86_64", "service_manager": "supervisord"},
        "parameters": {"service": "web"},
        "started_at": "2026-11-22T05:00:00Z",
        "completed_at": "2026-11-22T05:00:07Z",
        "status": "failure",
        "success": False,
        "verification_passed": None,
        "state_before": {"services": {"web": "failed"}, "files": {"/run/web/web.pid": {"exists": True}}},
        "state_after": {"services": {"web": "failed"}, "files": {"/run/web/web.pid": {"exists": True}}},
        "executed_steps": [
            {
                "step_number": 1,
                "step_id": "start",
                "action": "start_service",
                "params": {"name": "web"},
                "started_at": "2026-11-22T05:00:01Z",
                "completed_at": "2026-11-22T05:00:06Z",
                "duration_seconds": 5.0,
                "success": False,
                "attempts": 1,
                "error": "web: ERROR (spawn error): pidfile /run/web/web.pid exists, is another instance running?",
                "exit_code": 1,
            }
        ],
        "error_message": "web: ERROR (spawn error): pidfile /run/web/web.pid exists, is another instance running?",
        "error_step": 1,
        "evidence_bundle_id": "ev-exec-20261122-01JDABCD",
    }
    return base | changes
