"""A pattern's example as a whole runbook and a whole result."""

from __future__ import annotations

import json
from typing import Any

from learner.models import ExecutionResult, FailureCluster, FailureType, Verdict
from learner.proposals.brief import Brief
from learner.proposals.patterns import Pattern
from learner.runbook_file import RunbookFile, parse
from learner.template import render
from learner.yaml_text import block

HEAD: dict[str, Any] = {
    "id": "RB-LIN-EXAMPLE-001",
    "version": 1,
    "name": "An example",
    "description": "The parent of a pattern's example.",
    "platform": "linux",
    "incident_types": ["example"],
}
CLAIM = [{"id": "reachable", "check": "command_succeeds", "params": {"argv": ["true"]}}]


def parent_of(pattern: Pattern, **changes: Any) -> RunbookFile:
    value = {**HEAD, **pattern.example.runbook, **changes}
    value.setdefault("verification", CLAIM)
    lines = []
    for key, part in value.items():
        listed = isinstance(part, list) and any(isinstance(item, dict) for item in part)
        lines += [f"{key}:", *block(part, 2)] if listed else block({key: part}, 0)
    return parse(("# An example\n" + "\n".join(lines) + "\n").encode())


def failure_of(pattern: Pattern, parent: RunbookFile, number: int = 1, **changes: Any) -> ExecutionResult:
    said = {**pattern.example.failure, **changes}
    runbook = parent.runbook
    parameters = {n: p.default for n, p in runbook.parameters.items() if not p.required} | said.get("parameters", {})
    host = {"os_id": "debian", "os_version": "12"} | said.get("host", {})
    scope = {**parameters, "state": said.get("state", {}), "host": host, "incident": {}, "steps": {}}
    at, steps, checks, error_step = said["at"], [], [], None
    for i, step in enumerate(runbook.steps, 1):
        failed = step.id == at
        done = {
            "step_number": i,
            "step_id": step.id,
            "action": step.action,
            "params": render(step.params, scope),
            "success": not failed,
            "duration_seconds": said.get("duration_seconds", 1.0),
            **({"output": said.get("output", ""), "exit_code": said.get("exit_code", 1)} if failed else {}),
            **({"error": said.get("error", ""), "timed_out": said.get("timed_out", False)} if failed else {}),
            **({} if failed else {"output": said.get("outputs", {}).get(step.id, "")}),
        }
        steps.append(done)
        scope["steps"] = {**scope["steps"], step.id: {"success": True, "stdout": "", "exit_code": 0, "data": {}}}
        if failed:
            error_step = i
            break
    if error_step is None:
        for claim in runbook.verification:
            failed = claim.id == at
            checks.append({
                "id": claim.id, "check": claim.check, "params": render(claim.params, scope), "passed": not failed,
                "observed": said.get("observed") if failed else True, "waited_seconds": claim.within_seconds,
            })  # fmt: skip
    whole = {
        "execution_id": f"exec-20261122-EX{number:04d}",
        "runbook_id": runbook.id,
        "runbook_version": runbook.version,
        "incident_id": f"INC-{number}",
        "incident_type": "example",
        "client_id": "acme",
        "hostname": said.get("hostname", f"host-{number}"),
        "platform": said.get("platform", runbook.platform),
        "host": host,
        "parameters": parameters,
        "started_at": f"2026-11-22T05:{number:02d}:00Z",
        "completed_at": f"2026-11-22T05:{number:02d}:30Z",
        "status": "failure",
        "success": False,
        "verification_passed": None if error_step else False,
        "state_before": said.get("state", {}),
        "state_after": said.get("after", said.get("state", {})),
        "executed_steps": steps,
        "checks": checks,
        "error_step": error_step,
        "error_message": said.get("error") if error_step else f"verification {at}: {said.get('observed')}",
        "evidence_bundle_id": f"ev-{number}",
    }
    return ExecutionResult.model_validate_json(json.dumps(whole))


def success_of(pattern: Pattern, parent: RunbookFile) -> tuple[ExecutionResult, ...]:
    """A verified success whose failing step took `success_seconds`, when the example names them."""
    seconds = pattern.example.failure.get("success_seconds")
    if seconds is None:
        return ()
    value = json.loads(failure_of(pattern, parent, 59).model_dump_json())
    value |= {
        "status": "success",
        "success": True,
        "verification_passed": True,
        "error_step": None,
        "error_message": None,
    }
    value["executed_steps"][-1] |= {"success": True, "error": "", "duration_seconds": seconds, "timed_out": False}
    return (ExecutionResult.model_validate_json(json.dumps(value)),)


def brief_of(
    parent: RunbookFile, *failures: ExecutionResult, kind: FailureType = FailureType.RUNBOOK_INSUFFICIENT, **more: Any
) -> Brief:
    cluster = FailureCluster(
        runbook_id=parent.runbook.id,
        runbook_version=parent.runbook.version,
        signature="0123456789ab",
        title="an error",
        failures=len(failures),
        hosts=len({f.hostname for f in failures}),
        clients=1,
        first_seen=failures[0].started_at,
        last_seen=failures[-1].started_at,
        evidence=tuple(f.execution_id for f in failures),
    )
    verdict = Verdict(failure_type=kind, confidence=0.9, decided_by="rule:example", reasoning="it is an example")
    return Brief(parent, cluster, verdict, failures, **more)
