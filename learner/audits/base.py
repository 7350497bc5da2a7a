"""What an audit gets to see, and what a rule is."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

from learner.models import ExecutionResult, Finding, Level, RunbookEdit, Step, Verification
from learner.runbook_file import RunbookFile

Phase = Literal["steps", "rollback", "finally"]


@dataclass(frozen=True)
class Evidence:
    """The runs that an edit may cite."""

    results: tuple[ExecutionResult, ...] = ()


@dataclass(frozen=True)
class StepPair:
    """A step before and after; a new one has no `old`, a removed one no `new`."""

    phase: Phase
    old: Step | None
    new: Step | None

    @property
    def where(self) -> str:
        step = self.new or self.old
        return f"{self.phase}.{step.id if step else ''}"

    @property
    def changed(self) -> bool:
        return self.old != self.new


@dataclass(frozen=True)
class CheckPair:
    """A claim of the verification before and after."""

    old: Verification | None
    new: Verification | None

    @property
    def where(self) -> str:
        claim = self.new or self.old
        return f"verification.{claim.id if claim else ''}"


@dataclass(frozen=True)
class Change:
    """Two versions of a runbook, and the edit that led from one to the other when a machine made it."""

    old: RunbookFile
    new: RunbookFile
    edit: RunbookEdit | None = None

    @classmethod
    def first(cls, new: RunbookFile) -> Change:
        """A runbook that had no earlier version, held against one that does nothing: all it does is new."""
        nothing = {"version": 0, "steps": (), "rollback": (), "finally_": (), "verification": (), "metadata": None}
        return cls(RunbookFile(new.runbook.model_copy(update=nothing), b"", new.tree), new)

    @property
    def is_first(self) -> bool:
        """Whether there is no earlier version."""
        return self.old.runbook.version == 0

    @property
    def by_machine(self) -> bool:
        """Whether a machine made it: an edit is at hand, or the new version says so of itself."""
        metadata = self.new.runbook.metadata
        says_so = metadata is not None and bool(metadata.generated_by) and metadata != self.old.runbook.metadata
        return self.edit is not None or says_so

    @cached_property
    def steps(self) -> tuple[StepPair, ...]:
        """Every step of either version, paired: by id, else with a vanished step that says the same."""
        old = dict(_placed(self.old))
        new = dict(_placed(self.new))
        gone = [id for id in old if id not in new]
        pairs = []
        for id, (phase, step) in new.items():
            twin: Step | None = old[id][1] if id in old else None
            if twin is None:
                same = next((g for g in gone if _says(old[g][1]) == _says(step)), None)
                if same is not None:
                    gone.remove(same)
                    twin = old[same][1]
            pairs.append(StepPair(phase, twin, step))
        pairs += [StepPair(old[id][0], old[id][1], None) for id in gone]
        return tuple(pairs)

    @cached_property
    def touched(self) -> tuple[StepPair, ...]:
        """The steps that are new or say something else than before."""
        return tuple(pair for pair in self.steps if pair.new is not None and pair.changed)

    @cached_property
    def checks(self) -> tuple[CheckPair, ...]:
        """Every claim of either version, paired by id, else with a vanished claim that says the same."""
        old = {claim.id: claim for claim in self.old.runbook.verification}
        new = {claim.id: claim for claim in self.new.runbook.verification}
        gone = [id for id in old if id not in new]
        pairs = []
        for id, claim in new.items():
            twin = old.get(id)
            if twin is None:
                same = next((g for g in gone if (old[g].check, old[g].params) == (claim.check, claim.params)), None)
                if same is not None:
                    gone.remove(same)
                    twin = old[same]
            pairs.append(CheckPair(twin, claim))
        return (*pairs, *(CheckPair(old[id], None) for id in gone))


def _placed(file: RunbookFile) -> Iterator[tuple[str, tuple[Phase, Step]]]:
    book = file.runbook
    for phase, steps in (("steps", book.steps), ("rollback", book.rollback), ("finally", book.finally_)):
        for step in steps:
            yield step.id, (phase, step)  # type: ignore[misc]


def _says(step: Step) -> tuple[object, ...]:
    return step.action, str(sorted(step.params.items())), step.become


class Rule(ABC):
    """One thing to look out for. The docstring's first line is what it says of itself in the docs."""

    name: ClassVar[str]

    @abstractmethod
    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        """What is wrong with `change`; nothing when all is well."""

    @property
    def title(self) -> str:
        """One line about the rule."""
        return (inspect.getdoc(self) or "").splitlines()[0]

    def says(self, level: Level, message: str, where: str = "", evidence: tuple[str, ...] = ()) -> Finding:
        """A finding of this rule."""
        return Finding(rule=self.name, level=level, message=message, where=where, evidence=evidence)
