"""What a proposer is given, and what it answers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Protocol

from learner.models import (
    CheckResult,
    ExecutionResult,
    FailureCluster,
    RunbookEdit,
    StepExecution,
    Usage,
    Verdict,
    Word,
)
from learner.runbook_file import RunbookFile


@dataclass(frozen=True)
class Sibling:
    """How another runbook was repaired, by an edit that people merged and that proved better. Names no client."""

    ref: str
    near: str
    """What it has in common with this one."""
    summary: str
    figures: str
    diff: str
    """The change as a unified diff, cut to size."""


@dataclass(frozen=True)
class Brief:
    """One cluster to draft for, with everything that may be known about it."""

    parent: RunbookFile
    cluster: FailureCluster
    verdict: Verdict
    failures: tuple[ExecutionResult, ...]
    """The cluster's evidence, in the order of (started_at, execution_id)."""
    successes: tuple[ExecutionResult, ...] = ()
    """Verified successes of the same version."""
    contrast: tuple[str, ...] = ()
    """What failures and successes differ in."""
    words: tuple[Word, ...] = ()
    """What reviewers with write access said to earlier attempts."""
    refused: tuple[str, ...] = ()
    """Why earlier rounds of this run were refused, to do better in the next."""
    rejected_fingerprints: frozenset[str] = frozenset()
    """Edits not to be proposed again: rejected by people, taken back, or refused earlier in this run."""
    siblings: tuple[Sibling, ...] = ()
    """Proven repairs of runbooks like this one, the nearest first."""
    setbacks: tuple[str, ...] = ()
    """What was merged into this runbook before and did worse, in words."""


@dataclass(frozen=True)
class Draft:
    """An edit, and who made it."""

    edit: RunbookEdit
    proposer: str
    """`patterns/<pattern id>` or a model's name."""
    usage: Usage = field(default_factory=Usage)
    notes: tuple[str, ...] = ()
    """To be said on the pull request."""


@dataclass(frozen=True)
class NoProposal:
    """Nothing to propose; `reason` is a machine word, a colon and words for people."""

    reason: str
    usage: Usage = field(default_factory=Usage)


class Proposer(Protocol):
    """Makes edits."""

    @property
    def name(self) -> str: ...

    def propose(self, brief: Brief) -> Draft | NoProposal: ...


@dataclass(frozen=True)
class Failing:
    """Where one run failed: at a step, or at a claim of its verification."""

    result: ExecutionResult
    step: StepExecution | None
    check: CheckResult | None
    said: str | None = None
    """What the run found out about the step later, when the step itself seemed to work."""

    @property
    def citation(self) -> str:
        """`exec-…#3` or `exec-…#check:running`."""
        if self.step is not None:
            return f"{self.result.execution_id}#{self.step.step_number}"
        return f"{self.result.execution_id}#check:{self.check.id}" if self.check else self.result.execution_id

    @property
    def text(self) -> str:
        """Everything the failure says, each part once."""
        if self.said is not None:
            return self.said
        parts: list[str] = []
        if self.step is not None:
            parts = [self.step.error, self.step.output]
        elif self.check is not None:
            observed = self.check.observed
            parts = [observed if isinstance(observed, str) else json.dumps(observed, ensure_ascii=False)]
        whole: list[str] = []
        for part in (*parts, self.result.error_message or ""):
            if part.strip() and not any(part.strip() in earlier for earlier in whole):
                whole.append(part.strip())
        return "\n".join(whole)


def failing(result: ExecutionResult) -> Failing | None:
    """Where `result` failed; None when it does not say."""
    steps = [step for step in result.executed_steps if step.phase == "step" and not step.success]
    if result.error_step is not None:
        named = [step for step in result.executed_steps if step.step_number == result.error_step and not step.success]
        if named:
            return Failing(result, named[0], None)
    checks = [check for check in result.checks if check.passed is False]
    if checks:  # steps that failed before were told to continue
        return Failing(result, None, checks[0])
    return Failing(result, steps[-1], None) if steps else None


def fingerprint(parent: RunbookFile, edit: RunbookEdit) -> str:
    """What makes two edits of one version the same: `Proposal.fingerprint` before there is a proposal."""
    operations = [operation.model_dump(mode="json", exclude={"because"}) for operation in edit.operations]
    said = [parent.runbook.id, parent.runbook.version, operations]
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
