"""What follows from versions that people merged, and from runs that worked: pull requests that no failure asks for."""

from __future__ import annotations

import hashlib
from typing import Literal

from learner.models.execution import ExecutionId
from learner.models.records import CapabilityDiff, Finding, Replay, RunbookEdit
from learner.models.runbook import RunbookId, RunbookRef, Version
from learner.models.score import Score
from learner.strict import Strict

Kind = Literal["revert", "pattern", "optimisation"]


class FollowUp(Strict):
    """One of them, with what became of it in this run."""

    kind: Kind
    runbook_id: RunbookId
    version: Version
    """The version it proposes; of a `pattern`, the one whose repair it would teach."""
    outcome: Literal["proposed", "deferred", "refused", "reported"]
    """`refused`: nothing can be proposed; `reported`: there is nothing to propose, people are told."""
    reason: str = ""
    """For a machine and a person: `one_open: …`, `rejected_before: …`; empty when it is proposed."""
    cause: str = ""
    """What an optimisation is about, such as `slower:start`; it tells two of one version apart."""
    path: str = ""
    content: str = ""
    """The whole file, as it is to stand at `path`; empty when nothing is proposed."""
    summary: str = ""
    why: tuple[str, ...] = ()
    """What a reviewer should know, a sentence each."""
    old: Score | None = None
    new: Score | None = None
    edit: RunbookEdit | None = None
    evidence: tuple[ExecutionId, ...] = ()
    findings: tuple[Finding, ...] = ()
    capabilities: CapabilityDiff = CapabilityDiff()
    replay: Replay | None = None
    pattern_id: str | None = None

    @property
    def ref(self) -> RunbookRef:
        return f"{self.runbook_id}-v{self.version}"

    @property
    def key(self) -> str:
        """What it is, whatever it says: `revert/RB-LIN-SERVICE-001-v3`, `optimisation/RB-LIN-SERVICE-001/slower:start`."""
        return f"{self.kind}/{self.runbook_id}/{self.cause}" if self.cause else f"{self.kind}/{self.ref}"

    @property
    def signature(self) -> str:
        """`key` as 12 hex digits: what the forge and the ledger remember it by."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:12]

    @property
    def fingerprint(self) -> str:
        """64 hex digits of what it would put where."""
        return hashlib.sha256("\0".join((self.key, self.path, self.content)).encode()).hexdigest()

    @property
    def branch(self) -> str:
        """`learner/RB-LIN-SERVICE-001-v3-3fa94c01`, `learner/pattern-learned-….-3fa94c01`."""
        what = f"pattern-{self.pattern_id}" if self.kind == "pattern" else self.ref
        return f"learner/{what}-{self.fingerprint[:8]}"

    @property
    def priority(self) -> Literal["high", "medium", "low"]:
        return "high" if self.kind == "revert" else "low"
