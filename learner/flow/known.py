"""What a run knows of its host, and the expressions that are asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from learner.actions import Outcome
from learner.facts import Facts, merged
from learner.flow.performer import Performer
from learner.models.execution import StepExecution
from learner.template import UndefinedName, evaluate, expression_references, render


class Known:
    """The state of the host as far as it is known, with the names that templates may use.

    After a step that may have changed anything, a condition has the performer read again what it asks about.
    """

    def __init__(self, performer: Performer, state: dict[str, Any], scope: dict[str, Any]) -> None:
        self.state = state
        self._performer = performer
        self._scope: dict[str, Any] = {**scope, "steps": {}}
        self._stale = False

    def holds(self, expression: str, attempt: tuple[str, Outcome] | None = None) -> bool:
        """Whether a condition is true; `attempt` is a step that is being tried, and what it came to.

        Raises: `LearnerError` when it needs something that is not known and the performer won't decide.
        """
        if self._stale:
            prefixes = frozenset(path[1:] for path in expression_references(expression) if path[0] == "state")
            if prefixes:
                self.learn(self._performer.refresh(prefixes))
        scope = {**self._scope, "state": self.state}
        if attempt:
            scope["steps"] = {**scope["steps"], attempt[0]: _seen(attempt[1])}
        try:
            return bool(evaluate(expression, scope))
        except UndefinedName as e:
            decided = self._performer.decide(expression, e)
            if decided is None:
                raise
            return decided

    def rendered(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """`params` with their templates filled in.

        Raises: `LearnerError`.
        """
        return dict(render(params, {**self._scope, "state": self.state}))

    def learn(self, facts: Facts) -> None:
        """Take facts in."""
        if facts:
            self.state = merged(self.state, facts)

    def touched(self) -> None:
        """Something may have changed without telling what."""
        self._stale = True

    def recorded(self, record: StepExecution) -> None:
        """From here on expressions can speak of this step."""
        self._scope["steps"][record.step_id] = {
            "success": record.success,
            "skipped": record.skipped,
            "stdout": record.output,
            "stderr": record.error,
            "exit_code": record.exit_code,
            "data": record.data,
        }


def _seen(outcome: Outcome) -> dict[str, Any]:
    return {
        "success": True,
        "stdout": outcome.stdout,
        "stderr": outcome.stderr,
        "exit_code": outcome.exit_code,
        "data": outcome.data,
    }
