"""What the forge remembers: what was proposed, what people decided, and what they said."""

from __future__ import annotations

from typing import Literal

from learner.models.runbook import RunbookId, Version
from learner.strict import Count, Strict, Text, UtcInstant


class Word(Strict):
    """Something a person with write access said in a review."""

    login: Text
    body: str
    path: str | None = None
    line: Count | None = None
    said_at: UtcInstant
    comment_id: Count = 0


class Asking(Strict):
    """A review by a person with write access that asks for changes of the newest commit."""

    review_id: Count
    login: Text


class Remembered(Strict):
    """One pull request of the learner's, as the forge holds it now."""

    number: Count
    runbook_id: RunbookId
    version: Version
    """The version it proposes."""
    signature: Text
    fingerprint: Text
    branch: Text
    head: Text
    """The branch's newest commit."""
    state: Literal["open", "merged", "closed"]
    """`closed` means closed without a merge: rejected."""
    created_at: UtcInstant
    decided_at: UtcInstant | None = None
    decided_by: str | None = None
    priority: Literal["high", "medium", "low"] = "medium"
    labels: tuple[str, ...] = ()
    failures: Count = 0
    """How often it had been seen when the page was written."""
    executions: tuple[str, ...] = ()
    """The evidence its page names."""
    verdict: Literal["approved", "changes_requested", "none"] = "none"
    touched_by_person: bool = False
    """A commit on its branch is not the learner's own: the learner keeps off."""
    words: tuple[Word, ...] = ()
    """Of people with write access; other people's are not kept."""
    unanswered: tuple[Asking, ...] = ()
    """Reviews that ask for changes and that the learner has said nothing to."""
    failure_type: str | None = None
    proposer: str = ""
    """`patterns/<pattern id>`, a model's name, or empty where the page does not say."""
    kind: Literal["improvement", "revert", "optimisation", "pattern"] = "improvement"
    """What it is about; a `pattern` changes no runbook, it names the version whose repair it would teach."""
    by_learner: bool = True

    @property
    def ref(self) -> str:
        return f"{self.runbook_id}-v{self.version}"

    @property
    def revived(self) -> bool:
        """Whether a person asked for another try."""
        return "learner:revive" in self.labels


class Memory(Strict):
    """Everything remembered, in order of number."""

    pulls: tuple[Remembered, ...] = ()

    @property
    def open(self) -> tuple[Remembered, ...]:
        return tuple(pull for pull in self.pulls if pull.state == "open")

    def of(self, runbook_id: str) -> tuple[Remembered, ...]:
        """Those that change a runbook."""
        return tuple(pull for pull in self.pulls if pull.runbook_id == runbook_id and pull.kind != "pattern")
