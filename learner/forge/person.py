"""What a person may do to a proposal: approve, send back, reject, merge. With the person's own token, never a bot's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from learner.errors import LearnerError, Refused
from learner.forge.gateway import Gateway, Pull, translated
from learner.forge.marks import PREFIX, REJECTED, revealed

REASONS = ("wrong", "duplicate", "dangerous", "not-worth-it", "other")


class Person:
    """A reviewer at a terminal."""

    def __init__(self, gateway: Gateway) -> None:
        """Raises: `Refused` when the token belongs to a bot or an App."""
        who: Mapping[str, Any] = gateway._me
        if who.get("login") is None or who.get("type") == "Bot" or str(who["login"]).endswith("[bot]"):
            raise Refused(
                "this token is a machine's; a machine can neither approve nor reject",
                "give your own token: LEARNER_TOKEN=… learner review …",
            )
        self._gateway = gateway
        self.login = str(who["login"])

    def waiting(self) -> list[Pull]:
        """Open proposals, the most urgent first, then the oldest."""
        order = {"priority:high": 0, "priority:medium": 1, "priority:low": 2}
        found = [pull for pull in self._gateway.pulls(PREFIX) if pull.state == "open" and revealed(pull.body)]
        return sorted(found, key=lambda p: (min((order.get(x, 3) for x in p.labels), default=3), p.created_at))

    def pull(self, number: int) -> Pull:
        """One proposal.

        Raises: `LearnerError` when there is no such proposal.
        """
        found = [pull for pull in self._gateway.pulls(PREFIX) if pull.number == number]
        if not found:
            raise LearnerError(f"#{number} is no proposal of the learner's", "`learner review list` shows them")
        return found[0]

    def approve(self, pull: Pull, words: str = "") -> None:
        """Approve the head that was looked at; a later commit needs a look of its own."""
        self._review(pull, "APPROVE", words)

    def request_changes(self, pull: Pull, words: str) -> None:
        """Send it back with words; the learner revises."""
        self._review(pull, "REQUEST_CHANGES", words)

    def _review(self, pull: Pull, event: str, words: str) -> None:
        with translated(f"reviewing #{pull.number}"):
            commit = pull.raw.base.repo.get_commit(pull.head)
            pull.raw.create_review(commit=commit, event=event, **({"body": words} if words else {}))

    def reject(self, pull: Pull, reason: str, words: str) -> None:
        """Close it so that it stays closed, with a reason for the record."""
        if reason not in REASONS:
            raise LearnerError(f"there is no reason {reason}", f"there are: {', '.join(REASONS)}")
        with translated(f"rejecting #{pull.number}"):
            issue = pull.raw.as_issue()
            issue.add_to_labels(f"{REJECTED}{reason}")
            if words:
                issue.create_comment(words)
            pull.raw.edit(state="closed")

    def merge(self, pull: Pull) -> str:
        """Merge it with a merge commit; the commit's id. The merge is the approval that executors look for.

        Raises: `Refused` when the forge says it may not be merged (yet), with the forge's reason.
        """
        from github import GithubException

        try:
            with translated(f"merging #{pull.number}"):
                return str(pull.raw.merge(merge_method="merge", sha=pull.head).sha)
        except LearnerError as e:
            cause = e.__cause__
            if isinstance(cause, GithubException) and cause.status in (405, 409):
                raise Refused(e.message, "approve it first; reload when its branch has moved") from e
            raise
