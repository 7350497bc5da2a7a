"""Conditions of a candidate, put so that the replay is asked about every one of them.

The interpreter evaluates what it can and asks its performer only about what is not there. But what was recorded
before the run is stale once a step has run, and a stale fact answers wrongly instead of not at all. So the candidate
is replayed with each condition replaced by a name that nothing defines; the performer then answers from the
recording, from what is still known, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from learner.facts import Path
from learner.models import Runbook, Step
from learner.template import expression_references

_ASKED = "_replay"
"""No parameter can be named so: their names begin with a letter."""


@dataclass(frozen=True)
class Condition:
    """One `when`, `until` or precondition, as it was written."""

    kind: Literal["precondition", "when", "until"]
    expression: str
    phase: str = ""
    step: Step | None = None

    def facts(self) -> tuple[Path, ...]:
        """The facts it reads, as far as they are plain paths."""
        return tuple(sorted(path[1:] for path in expression_references(self.expression) if path[0] == "state"))

    def steps(self) -> frozenset[str]:
        """The steps whose results it reads."""
        paths = expression_references(self.expression)
        return frozenset(path[1] for path in paths if path[0] == "steps" and len(path) > 1)


def asking(runbook: Runbook) -> tuple[Runbook, Mapping[str, Condition]]:
    """`runbook` with every condition replaced, and what each stands for."""
    held: dict[str, Condition] = {}

    def name(condition: Condition) -> str:
        held[marker := f"{_ASKED}.c{len(held)}"] = condition
        return marker

    def steps(phase: str, group: tuple[Step, ...]) -> Iterator[Step]:
        for step in group:
            changes: dict[str, Any] = {}
            if step.when is not None:
                changes["when"] = name(Condition("when", step.when, phase, step))
            if step.retry is not None and step.retry.until is not None:
                until = name(Condition("until", step.retry.until, phase, step))
                changes["retry"] = step.retry.model_copy(update={"until": until})
            yield step.model_copy(update=changes)

    return runbook.model_copy(
        update={
            "preconditions": tuple(name(Condition("precondition", text)) for text in runbook.preconditions),
            "steps": tuple(steps("step", runbook.steps)),
            "rollback": tuple(steps("rollback", runbook.rollback)),
            "finally_": tuple(steps("finally", runbook.finally_)),
        }
    ), held
