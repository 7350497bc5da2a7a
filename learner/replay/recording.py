"""One recorded run, made ready for a replay: which step each record is of, when it ran, what the run failed on.

Old results, and those of other people's executors, may lack step ids, rendered parameters or whole steps. What can
be inferred is, and `thin` says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from learner.actions import catalogue
from learner.facts import merged
from learner.models import CheckResult, ExecutionResult, ExecutionStatus, Runbook, Step, StepExecution, Verification

Key = tuple[str, str]
"""Phase and step id."""


@dataclass(frozen=True)
class Record:
    """A recorded step and the parent's step that it is of, when that can be told."""

    at: int
    step: StepExecution
    of: Step | None
    began: float
    """Seconds of work before it, since the run began."""
    last_began: float
    """The same for its last attempt."""
    attempt_seconds: float
    settled: float
    """Seconds between the last thing that may have changed the host and its last attempt."""


@dataclass(frozen=True)
class Looked:
    """A recorded check, and how long after the last change its last look was."""

    check: CheckResult
    settled: float


@dataclass
class Recording:
    """What one result recorded of one run of the parent."""

    result: ExecutionResult
    parent: Runbook
    records: tuple[Record, ...] = ()
    checks: dict[str, Looked] = field(default_factory=dict)
    cause: Record | None = None
    """The step the run failed on."""
    thin: tuple[str, ...] = ()
    """What the result does not say."""

    @property
    def started_at(self) -> datetime:
        return self.result.started_at

    @property
    def cancelled(self) -> bool:
        return self.result.status is ExecutionStatus.PARTIAL and (self.result.error_message or "").startswith(
            "cancelled"
        )

    @property
    def skipped(self) -> bool:
        return self.result.status is ExecutionStatus.SKIPPED

    @property
    def failed_checks(self) -> frozenset[str]:
        return frozenset(id for id, looked in self.checks.items() if looked.check.passed is False)

    @property
    def held_open(self) -> bool:
        """Whether a step's output lists removed files that a program holds open, as lsof and /proc write them."""
        return any(" (deleted)" in record.step.output for record in self.records)

    @property
    def silent(self) -> bool:
        """Whether a failed run does not say what it failed on."""
        return self.result.failed and self.cause is None and not self.failed_checks


def of(result: ExecutionResult, parent: Runbook) -> Recording:
    """The recording that `result` holds of `parent`."""
    thin: list[str] = []
    steps = tuple(_with_steps(result, parent, thin))
    if result.parameters == {} and any(p.required for p in parent.parameters.values()):
        thin.append("parameters")
    if any(not s.params and s.attempts and not s.skipped and _takes_params(parent, s) for s in steps):
        thin.append("rendered parameters")
    records = tuple(_timed(steps, parent))
    recording = Recording(result, parent, records)
    recording.cause = _cause(result, records)
    settled = _settled_at_end(records)
    checks = result.checks
    if not checks and result.verification_passed is False and recording.cause is None:
        checks = tuple(_judged(result, parent))
        thin.append("checks")
    for check in checks:
        recording.checks[check.id] = Looked(check, settled + (check.waited_seconds or 0.0))
        settled += check.waited_seconds or 0.0
    recording.thin = tuple(thin)
    return recording


def _with_steps(result: ExecutionResult, parent: Runbook, thin: list[str]) -> Iterator[StepExecution]:
    """The recorded steps with their ids; made up from the error's step when none were recorded."""
    if result.executed_steps:
        by_phase = {"step": parent.steps, "rollback": parent.rollback, "finally": parent.finally_}
        at = dict.fromkeys(by_phase, 0)
        for record in result.executed_steps:
            steps = by_phase[record.phase]
            if record.step_id is None:
                found = next((i for i in range(at[record.phase], len(steps)) if steps[i].action == record.action), None)
                if found is not None:
                    record = record.model_copy(update={"step_id": steps[found].id})
                    at[record.phase] = found + 1
                if "step ids" not in thin:
                    thin.append("step ids")
            yield record
        return
    if result.status is ExecutionStatus.SKIPPED:
        return
    if not result.failed or result.verification_passed is False:
        thin.append("steps")
        last = len(parent.steps)
    elif result.error_step is not None and 1 <= result.error_step <= len(parent.steps):
        thin.append("steps")
        last = result.error_step - 1
    else:
        thin.append("steps")
        return
    for i, step in enumerate(parent.steps[: last + 1]):
        failed = i == last
        yield StepExecution(
            step_number=i + 1,
            step_id=step.id,
            action=step.action,
            success=not failed,
            error=(result.error_message or "") if failed else "",
            timed_out=failed and "timed out" in (result.error_message or "").lower(),
        )


def _takes_params(parent: Runbook, record: StepExecution) -> bool:
    step = next((s for s in parent.all_steps if s.id == record.step_id), None)
    return step is not None and bool(step.params)


def _timed(steps: tuple[StepExecution, ...], parent: Runbook) -> Iterator[Record]:
    by_id = {(phase, s.id): s for phase, group in phases(parent) for s in group}
    clock = changed_at = 0.0
    for at, record in enumerate(steps):
        of_step = by_id.get((record.phase, record.step_id or ""))
        if of_step is not None and of_step.action != record.action:
            of_step = None
        took = record.duration_seconds
        if took is None and record.started_at and record.completed_at:
            took = max(0.0, (record.completed_at - record.started_at).total_seconds())
        delays = pauses(of_step, record.attempts)
        each = max(0.0, (took or 0.0) - delays) / max(1, record.attempts)
        last_began = clock + delays + each * max(0, record.attempts - 1)
        yield Record(at, record, of_step, clock, last_began, each, last_began - changed_at)
        clock = last_began + (each if record.attempts else 0.0)
        if _changes(record):
            changed_at = clock


def _settled_at_end(records: tuple[Record, ...]) -> float:
    clock = changed_at = 0.0
    for record in records:
        if record.step.phase != "step":
            continue
        clock = record.last_began + (record.attempt_seconds if record.step.attempts else 0.0)
        if _changes(record.step):
            changed_at = clock
    return clock - changed_at


def _changes(step: StepExecution) -> bool:
    """Whether the host may be another one after it: it was tried at all, and does more than look."""
    action = catalogue().actions.get(step.action)
    return bool(step.attempts) and not step.skipped and (action is None or not action.read_only)


def pauses(step: Step | None, attempts: int) -> float:
    """Seconds between `attempts` attempts of `step`."""
    if step is None:
        return 0.0
    return sum(step.retries.delay_seconds * step.retries.backoff**n for n in range(max(0, attempts - 1)))


def phases(runbook: Runbook) -> tuple[tuple[str, tuple[Step, ...]], ...]:
    """The runbook's three lists of steps by the name of their phase."""
    return (("step", runbook.steps), ("rollback", runbook.rollback), ("finally", runbook.finally_))


def _cause(result: ExecutionResult, records: tuple[Record, ...]) -> Record | None:
    if not result.failed:
        return None
    failed = [record for record in records if not record.step.success]
    if result.error_step is not None:
        named = next((record for record in failed if record.step.step_number == result.error_step), None)
        if named:
            return named
    if result.verification_passed is False and re.match(r"verification\b", result.error_message or "verification"):
        return None
    # The steps end with the one that failed; an earlier failure was passed over by `on_failure: continue`.
    mains = [record for record in records if record.step.phase == "step"]
    if mains and not mains[-1].step.success:
        return mains[-1]
    return next((record for record in failed if record.step.phase == "finally"), failed[-1] if failed else None)


def _judged(result: ExecutionResult, parent: Runbook) -> Iterator[CheckResult]:
    """The parent's claims, judged by the state afterwards; the only one, when a verification failed, is the failed one."""
    from learner.flow import concrete

    alone = len(parent.verification) == 1
    state = merged(result.state_after.facts(), {})
    for verification in parent.verification:
        check = catalogue().checks[verification.check]
        passed: bool | None = False if alone else None
        if not alone and "{{" not in str(verification.params):
            passed = check.holds(concrete(check.Params, verification.params), state)
        yield CheckResult(
            id=verification.id,
            check=verification.check,
            passed=passed,
            waited_seconds=verification.within_seconds,
        )


def verification_of(parent: Runbook, id: str) -> Verification | None:
    """The parent's claim with this id."""
    return next((v for v in parent.verification if v.id == id), None)
