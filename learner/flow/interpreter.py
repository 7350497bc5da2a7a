"""The course of a run: what comes next, and what it all amounts to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from learner.errors import LearnerError
from learner.flow.claims import look_until, verdict
from learner.flow.known import Known
from learner.flow.performer import Performer, Phase
from learner.flow.steps import Steps
from learner.models.execution import CheckResult, ExecutionStatus, StepExecution
from learner.models.runbook import Goto, Runbook, Step

MOST_STEPS = 200
"""Steps one run may take; a goto that goes round for longer is aborted."""


@dataclass(frozen=True)
class Run:
    """What a run did. `state` is everything known about the host at its end."""

    status: ExecutionStatus
    started_at: datetime
    completed_at: datetime
    steps: tuple[StepExecution, ...]
    checks: tuple[CheckResult, ...]
    verification_passed: bool | None
    error_message: str | None
    error_step: int | None
    retry_count: int
    manual: bool
    state: Mapping[str, Any]
    reason: str | None = None
    """Why it was skipped."""


def run(
    runbook: Runbook,
    values: Mapping[str, Any],
    state: Mapping[str, Any],
    performer: Performer,
    *,
    incident: Mapping[str, Any] | None = None,
    host: Mapping[str, Any] | None = None,
    recorded: Callable[[StepExecution], None] = lambda _step: None,
) -> Run:
    """Run `runbook` with parameter `values` on a host in `state`, by way of `performer`.

    `recorded` is told each step's record as soon as it stands.
    """
    scope = {**values, "incident": dict(incident or {}), "host": dict(host or {})}
    return _Interpreter(runbook, Known(performer, dict(state), scope), performer, recorded).run()


class _StepFailed(Exception):
    """Ends the main steps; carries the failed record and what is to follow."""

    def __init__(self, record: StepExecution, then: Literal["abort", "rollback"]) -> None:
        super().__init__(record.error)
        self.record = record
        self.then = then


class _Interpreter:
    def __init__(
        self, runbook: Runbook, known: Known, performer: Performer, recorded: Callable[[StepExecution], None]
    ) -> None:
        self.runbook = runbook
        self.known = known
        self.performer = performer
        self.recorded = recorded
        self.started_at = performer.now()
        self.steps = Steps(performer, known, self.started_at)
        self.records: list[StepExecution] = []
        self.checks: list[CheckResult] = []

    def run(self) -> Run:
        if reason := self._unmet():
            return self._done(ExecutionStatus.SKIPPED, None, None, reason)
        failed: _StepFailed | None = None
        verified: bool | None = None
        try:
            self._main()
            if not self.performer.cancelled():
                self.checks += [look_until(claim, self.performer, self.known) for claim in self.runbook.verification]
                verified = verdict(self.checks)
        except _StepFailed as e:
            failed = e
        cancelled = self.performer.cancelled()
        if self.runbook.rollback and ((failed and failed.then == "rollback") or (verified is False and not failed)):
            self._phase("rollback", self.runbook.rollback)
        self._phase("finally", self.runbook.finally_)
        return self._verdict(failed, verified, cancelled)

    def _unmet(self) -> str | None:
        for expression in self.runbook.preconditions:
            try:
                if not self.known.holds(expression):
                    return f"precondition does not hold: {expression}"
            except LearnerError as e:
                return f"precondition can't be judged: {expression} ({e.message})"
        return None

    def _main(self) -> None:
        order = {step.id: i for i, step in enumerate(self.runbook.steps)}
        at = 0
        while at < len(self.runbook.steps) and not self.performer.cancelled():
            step = self.runbook.steps[at]
            record = self._step(step, "step")
            at += 1
            if len(self.records) >= MOST_STEPS:
                raise _StepFailed(
                    record.model_copy(update={"error": f"the runbook went round for {MOST_STEPS} steps"}),
                    "abort",
                )
            if record.success or step.on_failure == "continue":
                continue
            if isinstance(step.on_failure, Goto):
                at = order[step.on_failure.goto]
                continue
            raise _StepFailed(record, "rollback" if step.on_failure == "rollback" else "abort")

    def _phase(self, phase: Phase, steps: tuple[Step, ...]) -> None:
        """Rollback stops at a step that fails and says abort; cleanup goes through all of them."""
        for step in steps:
            record = self._step(step, phase)
            if phase == "rollback" and not record.success and step.on_failure != "continue":
                return

    def _step(self, step: Step, phase: Phase) -> StepExecution:
        record = self.steps.take(step, phase, len(self.records) + 1)
        self.records.append(record)
        self.recorded(record)
        self.known.recorded(record)
        return record

    def _verdict(self, failed: _StepFailed | None, verified: bool | None, cancelled: bool) -> Run:
        if cancelled:
            error = "cancelled" + (f": {failed.record.error}" if failed and failed.record.error else "")
            return self._done(ExecutionStatus.PARTIAL, None, (error, failed.record.step_number if failed else None))
        if failed:
            return self._done(ExecutionStatus.FAILURE, verified, (failed.record.error, failed.record.step_number))
        if verified is False:
            bad = next(check for check in self.checks if check.passed is False)
            return self._done(
                ExecutionStatus.FAILURE,
                False,
                (f"verification {bad.id} ({bad.check}): {_words(bad.observed)}", None),
            )
        untidy = next((r for r in self.records if r.phase == "finally" and not r.success), None)
        if untidy:
            return self._done(ExecutionStatus.PARTIAL, verified, (f"cleanup: {untidy.error}", untidy.step_number))
        return self._done(ExecutionStatus.SUCCESS, verified, None)

    def _done(
        self,
        status: ExecutionStatus,
        verified: bool | None,
        error: tuple[str, int | None] | None,
        reason: str | None = None,
    ) -> Run:
        return Run(
            status=status,
            started_at=self.started_at,
            completed_at=self.performer.now(),
            steps=tuple(self.records),
            checks=tuple(self.checks),
            verification_passed=verified,
            error_message=error[0] if error else None,
            error_step=error[1] if error else None,
            retry_count=self.steps.retries,
            manual=self.steps.manual,
            state=self.known.state,
            reason=reason,
        )


def _words(observed: Any) -> str:
    return observed if isinstance(observed, str) else json.dumps(observed, ensure_ascii=False)
