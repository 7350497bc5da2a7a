"""Cases for the rules: one failed run (or a few) with what bears on it."""

from __future__ import annotations

from typing import Any

from learner.models import ExecutionResult, Runbook
from learner.runbook_file import parse
from learner.triage.case import Case
from learner.triage.clusters import ClusterFold, open_clusters
from learner.triage.contrast import contrast
from tests.samples import result

RUNBOOK = b"""
id: RB-LIN-SERVICE-001
version: 1
name: Restart a crashed service
description: Start the service again and prove that it answers.
platform: linux
incident_types: [service_crash]
parameters:
  service: {type: string}
steps:
  - {id: start, action: start_service, params: {name: "{{ service }}"}}
verification:
  - {id: running, check: service_running, params: {name: "{{ service }}"}}
"""


def runbook(*incident_types: str) -> Runbook:
    """The runbook of the samples, for other incident types when asked."""
    text = (
        RUNBOOK
        if not incident_types
        else RUNBOOK.replace(b"[service_crash]", ("[" + ", ".join(incident_types) + "]").encode())
    )
    return parse(text).runbook


def step(error: str, action: str = "start_service", **more: Any) -> dict[str, Any]:
    """One failed step."""
    base: dict[str, Any] = {
        "step_number": 1, "step_id": "start", "action": action, "params": {"name": "web"} if action.endswith("_service") else {},
        "success": False, "error": error, "exit_code": 1, "duration_seconds": 5.0,
    }  # fmt: skip
    return base | more


def done(action: str, number: int = 1, **params: Any) -> dict[str, Any]:
    """One step that worked."""
    return {"step_number": number, "step_id": f"s{number}", "action": action, "params": params, "success": True}


def failed(error: str = "", action: str = "start_service", *, steps: list[dict[str, Any]] | None = None, step_more: dict[str, Any] | None = None,
           **changes: Any) -> ExecutionResult:  # fmt: skip
    """A run whose one step failed with `error`; `changes` are laid over the result's JSON."""
    executed = steps if steps is not None else [step(error, action, **(step_more or {}))]
    base: dict[str, Any] = {
        "executed_steps": executed,
        "error_message": error,
        "error_step": executed[-1]["step_number"] if executed and not executed[-1]["success"] else None,
        "state_before": {"services": {"web": "failed"}},
        "state_after": {"services": {"web": "failed"}},
    }
    return result(**(base | changes))


def unverified_claim(check: str, observed: Any, params: dict[str, Any] | None = None, *, steps: list[dict[str, Any]] | None = None,
                     waited: float = 0.0, **changes: Any) -> ExecutionResult:  # fmt: skip
    """A run whose steps worked and whose check did not pass."""
    claim = {
        "id": "claim",
        "check": check,
        "params": params or {},
        "passed": False,
        "observed": observed,
        "waited_seconds": waited,
    }
    return failed(f"verification claim ({check}): {observed}", steps=steps or [done("start_service", name="web")],
                  verification_passed=False, checks=[claim], **changes)  # fmt: skip


def worked(number: int, **changes: Any) -> ExecutionResult:
    """A verified success."""
    base: dict[str, Any] = {
        "execution_id": f"exec-20261121-OK{number:04d}", "hostname": f"good-{number}", "status": "success", "success": True,
        "verification_passed": True, "error_message": None, "error_step": None,
        "executed_steps": [{"step_number": 1, "step_id": "start", "action": "start_service", "params": {"name": "web"}, "success": True,
                            "duration_seconds": 2.0}],
        "state_after": {"services": {"web": "running"}},
    }  # fmt: skip
    return result(**(base | changes))


def case(*results: ExecutionResult, successes: tuple[ExecutionResult, ...] = (), of: Runbook | None = None) -> Case:
    """The case that `results` make; they are one cluster, whatever their signatures."""
    held: dict[str, Any] = {}
    for one in results[:1]:
        ClusterFold().add(held, one)
    return Case(open_clusters(held, {})[0], results, successes, of, contrast(results, successes))
