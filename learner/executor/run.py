"""One run of one runbook on one host, from the first look to the result."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from learner.actions.host import Host
from learner.errors import LearnerError
from learner.executor.cancel import Cancellation
from learner.executor.capture import capture, probes_for
from learner.executor.performer import DryPerformer, LivePerformer, utc_now
from learner.facts import Path, diff
from learner.flow import Attempt, Run, parameters
from learner.flow import run as interpret
from learner.mentions import facts_in
from learner.models.execution import ExecutionResult, ExecutionStatus, Executor, HostFacts, StateCapture, StepExecution
from learner.models.incident import Incident
from learner.runbook_file import RunbookFile

MASK = "***"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_execution_id(now: datetime, randomness: Callable[[int], bytes] = os.urandom) -> str:
    """`exec-YYYYMMDD-<ULID>`: sorts by time, and two hosts never make the same.

    Source: the ULID specification: 48 bits of milliseconds, 80 random bits, Crockford's base 32.
    """
    number = int(now.timestamp() * 1000) << 80 | int.from_bytes(randomness(10), "big")
    letters = "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
    return f"exec-{now:%Y%m%d}-{letters}"


@dataclass(frozen=True)
class Order:
    """What is to be run, where and for what."""

    file: RunbookFile
    incident: Incident
    host: Host
    host_facts: HostFacts
    executor: Executor
    execution_id: str
    given: Mapping[str, Any]
    """Parameter values from the incident and the command line."""
    capture_seconds: float = 5.0
    secrets: tuple[str, ...] = ()
    """What must not be written down, beside the runbook's secret parameters."""


@dataclass(frozen=True)
class Ran:
    """The result, and the secret values that must not be written down with it."""

    result: ExecutionResult
    secrets: tuple[str, ...]
    run: Run
    urgent: bool = False
    """Whether the runbook's or the incident's severity is high or critical: a failure is to be sent at once."""


class Watcher(Protocol):
    """Is told of a run while it goes on; what it keeps outlives a killed executor."""

    def started(self, provisional: ExecutionResult, secrets: tuple[str, ...]) -> None:
        """The result as it would stand if nothing more happened. Nothing has been touched yet."""
        ...

    def began(self, attempt: Attempt) -> None: ...

    def ended(self, step: StepExecution) -> None: ...


class Unwatched:
    """Keeps nothing."""

    def started(self, provisional: ExecutionResult, secrets: tuple[str, ...]) -> None:
        return

    def began(self, attempt: Attempt) -> None:
        return

    def ended(self, step: StepExecution) -> None:
        return


def run(
    order: Order,
    *,
    dry: bool = False,
    cancelled: Cancellation | None = None,
    tell: Callable[[str], None] = lambda _line: None,
    watcher: Watcher | None = None,
    now: Callable[[], datetime] = utc_now,
) -> Ran:
    """Run it, and say truthfully what happened. A dry run tells its `watcher` nothing: nothing happens in it.

    Raises: `LearnerError` when a parameter is missing or does not fit, or the host is of another platform; nothing
    has run then.
    """
    runbook = order.file.runbook
    cancelled, watcher = cancelled or Cancellation(), watcher or Unwatched()
    if dry:
        watcher = Unwatched()
    if order.host.platform != runbook.platform:
        raise LearnerError(
            f"{runbook.ref} is for {runbook.platform}; {order.host.name} runs {order.host.platform}",
            "choose a runbook for this platform",
        )
    values = parameters(runbook, order.given)
    secret = (str(values[n]) for n, p in runbook.parameters.items() if p.secret and values[n] not in (None, ""))
    secrets = (*order.secrets, *secret)
    incident = order.incident.model_dump(mode="json", exclude={"parameters"})
    host = {"name": order.host.name, "platform": order.host.platform, **order.host_facts.model_dump(mode="json")}
    scope = {**values, "incident": incident, "host": host}
    probes = probes_for(runbook, scope)
    tell(f"looking at {order.host.name}: {len(probes)} probes")
    before = capture(order.host, probes, at=now(), seconds=order.capture_seconds)
    masked = {n: MASK if runbook.parameters[n].secret else value for n, value in values.items() if value is not None}
    performer_type = DryPerformer if dry else LivePerformer
    performer = performer_type(
        order.host, probes, cancel=cancelled, tell=tell, began=now(), began_step=watcher.began
    )  # fmt: skip
    watcher.started(_provisional(order, before, masked, performer.now()), secrets)
    done = interpret(
        runbook, values, before.facts(), performer, incident=incident, host=host, recorded=watcher.ended
    )  # fmt: skip
    # The last look is no part of what can be called off: a second request still ends it.
    cancelled.shield()
    if dry:
        return Ran(_result(order, done, before, before, masked), secrets, done)
    named = _named_by_errors(done, tuple(before.services))
    tell("looking again")
    after = capture(order.host, probes_for(runbook, scope, named), at=performer.now(), seconds=order.capture_seconds)
    urgent = not {runbook.severity, order.incident.severity}.isdisjoint(("high", "critical"))
    return Ran(_result(order, done, before, after, masked), secrets, done, urgent)


def not_run(order: Order, reason: str, *, manual: bool, now: datetime) -> ExecutionResult:
    """The result of a run that was held back before anything was looked at or touched."""
    empty = StateCapture(hostname=order.host.name, platform=order.host.platform)
    held = _provisional(order, empty, {}, now)
    return held.model_copy(
        update={
            "status": ExecutionStatus.SKIPPED,
            "error_message": None,
            "notes": reason,
            "manual_intervention_needed": manual,
        }
    )


def _provisional(order: Order, before: StateCapture, masked: dict[str, Any], now: datetime) -> ExecutionResult:
    """What would be known if the executor were killed right now."""
    words = "the executor was killed before the run ended"
    nothing = Run(ExecutionStatus.PARTIAL, now, now, (), (), None, words, None, 0, False, before.facts())
    return _result(order, nothing, before, StateCapture(hostname=before.hostname, platform=before.platform), masked)


def _named_by_errors(done: Run, services: tuple[str, ...]) -> tuple[Path, ...]:
    """Facts that errors name: worth a look afterwards, since they tell why."""
    words = "\n".join(step.error for step in done.steps if not step.success)
    return tuple(sorted(facts_in(words, services=services))) if words else ()


def _result(
    order: Order, done: Run, before: StateCapture, after: StateCapture, masked: dict[str, Any]
) -> ExecutionResult:
    runbook, incident = order.file.runbook, order.incident
    method, confidence = _verified_how(order, done)
    return ExecutionResult(
        execution_id=order.execution_id,
        runbook_id=runbook.id,
        runbook_version=runbook.version,
        runbook_blob=order.file.blob,
        incident_id=incident.incident_id,
        incident_type=incident.incident_type,
        incident_started_at=incident.started_at,
        client_id=incident.client_id,
        hostname=order.host.name,
        platform=runbook.platform,
        host=order.host_facts,
        parameters=masked,
        started_at=done.started_at,
        completed_at=done.completed_at,
        status=done.status,
        success=done.status.value == "success",
        verification_passed=done.verification_passed,
        verification_method=method,
        confidence=confidence,
        state_before=before,
        state_after=after,
        state_diff=diff(before.facts(), after.facts()) if after.captured_at else {},
        executed_steps=done.steps,
        checks=done.checks,
        error_message=done.error_message,
        error_step=done.error_step,
        retry_count=done.retry_count,
        manual_intervention_needed=done.manual,
        evidence_bundle_id=f"ev-{order.execution_id}",
        notes=done.reason,
        executor=order.executor,
    )


def _verified_how(order: Order, done: Run) -> tuple[str | None, float | None]:
    """How it was verified, and how sure that makes: a claim that had to stay true says more than one look."""
    judged = [check for check in done.checks if check.passed is not None]
    if not judged:
        return None, None
    lasting = any(claim.stays_good_seconds > 0 for claim in order.file.runbook.verification)
    names = ", ".join(check.check for check in judged)
    share = len(judged) / len(done.checks)
    return f"live checks: {names}", round(share * (0.99 if lasting else 0.9), 3)
