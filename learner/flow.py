"""The one interpreter: the only code that knows `when`, retry, timeout, `on_failure`, goto, rollback, finally and
verification. Live runs, dry runs and replays are three `Performer`s of the same `run`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import ValidationError

from learner.actions import Action, Check, Outcome, catalogue
from learner.errors import LearnerError
from learner.facts import Facts, Path, diff, merged
from learner.models.execution import CheckResult, ExecutionStatus, StepExecution
from learner.models.runbook import Goto, Runbook, Step, Verification, misfit
from learner.strict import Strict
from learner.template import UndefinedName, evaluate, expression_references, render

MOST_STEPS = 200
"""Steps one run may take; a goto that goes round for longer is aborted."""
LOOK_EVERY_SECONDS = 0.5

Phase = Literal["step", "rollback", "finally"]


@dataclass(frozen=True)
class Attempt:
    """One try of one step: what a performer is asked to do."""

    step: Step
    phase: Phase
    action: Action[Any]
    params: Any
    """The action's own parameter model."""
    rendered: Mapping[str, Any]
    number: int
    timeout_seconds: float
    waited_seconds: float
    """Time since the run began."""
    step_number: int = 0
    """The number its record will have."""


@dataclass(frozen=True)
class Claim:
    """One look at one claim of the verification."""

    verification: Verification
    check: Check[Any]
    params: Any
    rendered: Mapping[str, Any]
    waited_seconds: float
    """Time since the first look."""


@dataclass(frozen=True)
class Observation:
    """What a look saw. `passed` is None when it could not be judged."""

    passed: bool | None
    observed: Any = None
    facts: Facts = field(default_factory=dict)


class Performer(Protocol):
    """Does, pretends or remembers what the interpreter asks for."""

    def now(self) -> datetime: ...

    def perform(self, attempt: Attempt, state: Mapping[str, Any]) -> Outcome: ...

    def look(self, claim: Claim, state: Mapping[str, Any]) -> Observation: ...

    def pause(self, seconds: float) -> None: ...

    def refresh(self, prefixes: frozenset[Path]) -> Facts:
        """Facts below `prefixes`, read again after something changed."""
        ...

    def decide(self, expression: str, error: UndefinedName) -> bool | None:
        """What an expression counts as when it needs something unknown; None makes it an error."""
        ...

    def cancelled(self) -> bool: ...


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


def parameters(runbook: Runbook, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with the defaults filled in; an optional parameter without a default value is None.

    Raises: `LearnerError` for a missing, unknown or ill-fitting value: nothing has run then.
    """
    unknown = sorted(set(given) - set(runbook.parameters))
    if unknown:
        raise LearnerError(
            f"{runbook.ref} has no parameter {', '.join(unknown)}",
            f"it has: {', '.join(runbook.parameters) or 'none'}",
        )
    values = {}
    for name, parameter in runbook.parameters.items():
        if name in given:
            said = misfit(name, parameter, given[name])
            if said:
                hidden = said if not parameter.secret else f"{name}: the secret does not fit"
                raise LearnerError(f"{runbook.ref}: {hidden}", "correct the incident's parameters")
            values[name] = given[name]
        elif parameter.required:
            raise LearnerError(
                f"{runbook.ref} needs the parameter {name}",
                "give it in the incident, or with --param name=value",
            )
        else:
            values[name] = parameter.default
    return values


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
    scope = (dict(incident or {}), dict(host or {}))
    return _Interpreter(runbook, dict(values), dict(state), performer, *scope, recorded).run()


class _StepFailed(Exception):
    """Ends the main steps; carries the failed record and what is to follow."""

    def __init__(self, record: StepExecution, then: Literal["abort", "rollback"]) -> None:
        super().__init__(record.error)
        self.record = record
        self.then = then


class _Interpreter:
    def __init__(
        self,
        runbook: Runbook,
        values: dict[str, Any],
        state: dict[str, Any],
        performer: Performer,
        incident: dict[str, Any],
        host: dict[str, Any],
        recorded: Callable[[StepExecution], None],
    ) -> None:
        self.recorded = recorded
        self.runbook = runbook
        self.performer = performer
        self.state = state
        self.scope: dict[str, Any] = {**values, "incident": incident, "host": host, "steps": {}}
        self.records: list[StepExecution] = []
        self.checks: list[CheckResult] = []
        self.retries = 0
        self.manual = False
        self.stale = False
        self.started_at = performer.now()

    def run(self) -> Run:
        if reason := self._unmet():
            return self._done(ExecutionStatus.SKIPPED, None, None, reason)
        failed: _StepFailed | None = None
        verified: bool | None = None
        try:
            self._steps()
            if not self.performer.cancelled():
                verified = self._verify()
        except _StepFailed as e:
            failed = e
        cancelled = self.performer.cancelled()
        if self.runbook.rollback and ((failed and failed.then == "rollback") or (verified is False and not failed)):
            self._phase("rollback", self.runbook.rollback)
        self._phase("finally", self.runbook.finally_)
        return self._verdict(failed, verified, cancelled)

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
            retry_count=self.retries,
            manual=self.manual,
            state=self.state,
            reason=reason,
        )

    def _unmet(self) -> str | None:
        for expression in self.runbook.preconditions:
            try:
                if not self._true(expression):
                    return f"precondition does not hold: {expression}"
            except LearnerError as e:
                return f"precondition can't be judged: {expression} ({e.message})"
        return None

    def _true(self, expression: str, more: Mapping[str, Any] | None = None) -> bool:
        if self.stale:
            prefixes = frozenset(path[1:] for path in expression_references(expression) if path[0] == "state")
            if prefixes:
                self.state = merged(self.state, self.performer.refresh(prefixes))
        try:
            return bool(evaluate(expression, {**self.scope, **(more or {}), "state": self.state}))
        except UndefinedName as e:
            decided = self.performer.decide(expression, e)
            if decided is None:
                raise
            return decided

    def _steps(self) -> None:
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
        record = self._try(step, phase)
        self.records.append(record)
        self.recorded(record)
        self.scope["steps"][step.id] = {
            "success": record.success,
            "skipped": record.skipped,
            "stdout": record.output,
            "stderr": record.error,
            "exit_code": record.exit_code,
            "data": record.data,
        }
        return record

    def _record(self, step: Step, phase: Phase, started_at: datetime, **found: Any) -> StepExecution:
        ended = self.performer.now()
        return StepExecution(
            step_number=len(self.records) + 1,
            step_id=step.id,
            phase=phase,
            action=step.action,
            started_at=started_at,
            completed_at=ended,
            duration_seconds=round(max(0.0, (ended - started_at).total_seconds()), 6),
            **found,
        )

    def _try(self, step: Step, phase: Phase) -> StepExecution:
        started_at = self.performer.now()
        try:
            if step.when is not None and not self._true(step.when):
                return self._record(step, phase, started_at, success=True, skipped=True, attempts=0)
        except LearnerError as e:
            return self._record(step, phase, started_at, success=False, attempts=0, error=f"when: {e.message}")
        action = catalogue().actions[step.action]
        try:
            rendered = render(step.params, {**self.scope, "state": self.state})
            params = concrete(action.Params, rendered)
        except LearnerError as e:
            return self._record(step, phase, started_at, success=False, attempts=0, error=f"params: {e.message}")
        timeout = step.timeout_seconds or action.default_timeout_seconds
        before = self.state
        delay = step.retries.delay_seconds
        number, error, outcome = 0, "", Outcome.failed("cancelled")
        while number < step.retries.attempts and not (number and self.performer.cancelled()):
            if number:
                self.performer.pause(delay)
                delay *= step.retries.backoff
                self.retries += 1
            number += 1
            waited = (self.performer.now() - self.started_at).total_seconds()
            outcome = self.performer.perform(
                Attempt(step, phase, action, params, rendered, number, timeout, waited, len(self.records) + 1),
                self.state,
            )
            self.state = merged(self.state, outcome.facts)
            self.stale = self.stale or not action.read_only
            self.manual = self.manual or outcome.manual
            error = self._why_not(step, outcome)
            if not error:
                break
        return self._record(
            step,
            phase,
            started_at,
            params=_plain(rendered),
            success=not error,
            attempts=number,
            output=outcome.stdout,
            error=error or outcome.stderr,
            exit_code=outcome.exit_code,
            data=_plain(outcome.data),
            state_changes=diff(before, self.state) if before is not self.state else {},
            timed_out=outcome.timed_out,
        )

    def _why_not(self, step: Step, outcome: Outcome) -> str:
        """Empty when the attempt counts as done."""
        if not outcome.success:
            return outcome.stderr.strip() or outcome.stdout.strip() or f"exit code {outcome.exit_code}"
        if step.retries.until is None:
            return ""
        seen = {
            "success": True,
            "stdout": outcome.stdout,
            "stderr": outcome.stderr,
            "exit_code": outcome.exit_code,
            "data": outcome.data,
        }
        try:
            done = self._true(step.retries.until, {"steps": {**self.scope["steps"], step.id: seen}})
        except LearnerError as e:
            return f"until: {e.message}"
        return "" if done else f"not reached: {step.retries.until}"

    def _verify(self) -> bool | None:
        for verification in self.runbook.verification:
            self.checks.append(self._check(verification))
        verdicts = [check.passed for check in self.checks]
        return False if False in verdicts else None if None in verdicts else True

    def _check(self, verification: Verification) -> CheckResult:
        check = catalogue().checks[verification.check]
        try:
            rendered = render(verification.params, {**self.scope, "state": self.state})
            params = concrete(check.Params, rendered)
        except LearnerError as e:
            return CheckResult(
                id=verification.id,
                check=verification.check,
                params={},
                passed=None,
                observed=f"params: {e.message}",
            )
        began = self.performer.now()
        good_since: float | None = None
        while True:
            waited = (self.performer.now() - began).total_seconds()
            seen = self.performer.look(Claim(verification, check, params, rendered, waited), self.state)
            self.state = merged(self.state, seen.facts)
            waited = (self.performer.now() - began).total_seconds()
            good_since = (waited if good_since is None else good_since) if seen.passed is True else None
            if good_since is not None and waited - good_since >= verification.stays_good_seconds:
                break
            # Once it holds, the settle window is over: what counts now is that it stays so.
            if (good_since is None and waited >= verification.within_seconds) or self.performer.cancelled():
                break
            left = (
                verification.stays_good_seconds - (waited - good_since)
                if good_since is not None
                else verification.within_seconds - waited
            )
            self.performer.pause(max(0.01, min(LOOK_EVERY_SECONDS, left)))
        cut_short = (
            seen.passed is True
            and self.performer.cancelled()
            and waited - (good_since or 0) < verification.stays_good_seconds
        )
        return CheckResult(
            id=verification.id,
            check=verification.check,
            params=_plain(rendered),
            passed=None if cut_short else seen.passed,
            observed=seen.observed,
            waited_seconds=round(max(0.0, waited), 6),
        )


def concrete(model: type[Strict], rendered: Mapping[str, Any]) -> Any:
    """The parameter model of `rendered` values.

    Raises: `LearnerError` naming the value that does not fit.
    """
    try:
        return model.model_validate_json(json.dumps(rendered))
    except (ValidationError, TypeError, ValueError) as e:
        if isinstance(e, ValidationError):
            first = e.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise LearnerError(
                f"{where}: {str(first['msg']).removeprefix('Value error, ')}", "check the parameters"
            ) from e
        raise LearnerError(str(e), "check the parameters") from e


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(value)))


def _words(observed: Any) -> str:
    return observed if isinstance(observed, str) else json.dumps(observed, ensure_ascii=False)
