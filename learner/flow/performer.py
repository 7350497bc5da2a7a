"""What the interpreter asks for, and of whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from learner.actions import Action, Check, Outcome
from learner.facts import Facts, Path
from learner.models.runbook import Step, Verification
from learner.template import UndefinedName

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
