"""One step: its condition, its attempts with the waits between them, its record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from learner.actions import Outcome, catalogue
from learner.errors import LearnerError
from learner.facts import diff
from learner.flow.known import Known
from learner.flow.parameters import concrete, plain
from learner.flow.performer import Attempt, Performer, Phase
from learner.models.execution import StepExecution
from learner.models.runbook import Step


@dataclass
class Steps:
    """Takes the steps of one run, and counts."""

    performer: Performer
    known: Known
    began: datetime
    retries: int = 0
    manual: bool = False
    """Whether a step said that a person is needed."""

    def take(self, step: Step, phase: Phase, number: int) -> StepExecution:
        """The record of one step, the run's `number`-th; whatever goes wrong in it is its failure."""
        started_at = self.performer.now()

        def record(**found: Any) -> StepExecution:
            ended = self.performer.now()
            return StepExecution(
                step_number=number, step_id=step.id, phase=phase, action=step.action,
                started_at=started_at, completed_at=ended,
                duration_seconds=round(max(0.0, (ended - started_at).total_seconds()), 6),
                **found,
            )  # fmt: skip

        try:
            if step.when is not None and not self.known.holds(step.when):
                return record(success=True, skipped=True, attempts=0)
        except LearnerError as e:
            return record(success=False, attempts=0, error=f"when: {e.message}")
        action = catalogue().actions[step.action]
        try:
            rendered = self.known.rendered(step.params)
            params = concrete(action.Params, rendered)
        except LearnerError as e:
            return record(success=False, attempts=0, error=f"params: {e.message}")
        timeout = step.timeout_seconds or action.default_timeout_seconds
        before = self.known.state
        delay = step.retries.delay_seconds
        tries, error, outcome = 0, "", Outcome.failed("cancelled")
        while tries < step.retries.attempts and not (tries and self.performer.cancelled()):
            if tries:
                self.performer.pause(delay)
                delay *= step.retries.backoff
                self.retries += 1
            tries += 1
            waited = (self.performer.now() - self.began).total_seconds()
            outcome = self.performer.perform(
                Attempt(step, phase, action, params, rendered, tries, timeout, waited, number), self.known.state
            )
            self.known.learn(outcome.facts)
            if not action.read_only:
                self.known.touched()
            self.manual = self.manual or outcome.manual
            error = self._why_not(step, outcome)
            if not error:
                break
        return record(
            params=plain(rendered),
            success=not error,
            attempts=tries,
            output=outcome.stdout,
            error=error or outcome.stderr,
            exit_code=outcome.exit_code,
            data=plain(outcome.data),
            state_changes=diff(before, self.known.state) if before is not self.known.state else {},
            timed_out=outcome.timed_out,
        )

    def _why_not(self, step: Step, outcome: Outcome) -> str:
        """Empty when the attempt counts as done."""
        if not outcome.success:
            return outcome.stderr.strip() or outcome.stdout.strip() or f"exit code {outcome.exit_code}"
        if step.retries.until is None:
            return ""
        try:
            done = self.known.holds(step.retries.until, (step.id, outcome))
        except LearnerError as e:
            return f"until: {e.message}"
        return "" if done else f"not reached: {step.retries.until}"
