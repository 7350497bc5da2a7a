"""Runbooks that get better from their own failures, one reviewed pull request at a time.

The flow, in one breath: an executor runs an approved runbook for an incident and records an `ExecutionResult`
(gate → state before → steps → verification → state after → redact → spool → inbox). A scheduled job folds the inboxes
into telemetry, gathers failures that share a signature into clusters, tells which of them a better runbook would cure,
drafts an edit for each, holds it against schema, audits and a replay of what was recorded, and opens one pull request
per improved version. People review it there; the merge is the approval, and the gate lets nothing else run.

`learner.pipeline` is that flow in code, top to bottom. An executor of your own needs only what stands here:

    from learner import TelemetryStore, record

    store = TelemetryStore("/var/lib/learner/spool")
    with record(store, runbook="RB-LIN-SERVICE-001-v1", incident_id="INC-7", incident_type="service_crash",
                client_id="acme", parameters={"service": "web"}) as run:
        run.before(services={"web": "failed"})
        with run.step("start", "start_service", {"name": "web"}) as step:
            step.output = start("web")
        run.after(services={"web": "running"})
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from learner.embed import TelemetryStore, record
    from learner.executor.fix_verifier import FixVerifier
    from learner.models.execution import ExecutionResult, ExecutionStatus, StateCapture, StepExecution

__all__ = [
    "ExecutionResult",
    "ExecutionStatus",
    "FixVerifier",
    "StateCapture",
    "StepExecution",
    "TelemetryStore",
    "record",
]

_ROOMS = {
    "ExecutionResult": "learner.models.execution",
    "ExecutionStatus": "learner.models.execution",
    "StateCapture": "learner.models.execution",
    "StepExecution": "learner.models.execution",
    "FixVerifier": "learner.executor.fix_verifier",
    "TelemetryStore": "learner.embed",
    "record": "learner.embed",
}


def __getattr__(name: str) -> object:
    # Loaded when it is asked for: the command line starts without all of this.
    if name in _ROOMS:
        from importlib import import_module

        return getattr(import_module(_ROOMS[name]), name)
    raise AttributeError(f"module 'learner' has no attribute {name!r}")
