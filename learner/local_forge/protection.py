"""Branch protection: its settings, and what they still ask of a pull request.

Source: GitHub docs, "About protected branches".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from learner.local_forge.records import CheckRun, Pull, Review, Status
from learner.local_forge.users import Directory


@dataclass(frozen=True)
class Protection:
    """The rules of one branch. `approvals` is None when no pull request is asked for."""

    approvals: int | None = 1
    dismiss_stale_reviews: bool = True
    require_code_owner_reviews: bool = True
    require_last_push_approval: bool = True
    enforce_admins: bool = True
    checks: tuple[str, ...] = ()
    strict_checks: bool = False
    checks_required: bool = False
    linear_history: bool = False
    allow_force_pushes: bool = False
    allow_deletions: bool = False
    lock_branch: bool = False


@dataclass(frozen=True)
class Opinion:
    """The word that counts of one reviewer: their last approval or request for changes."""

    login: str
    state: str
    commit_id: str
    review_id: int
    counts: bool


@dataclass(frozen=True)
class Standing:
    """Where a pull request stands against its base's rules. `blocks` is empty when nothing is missing."""

    opinions: tuple[Opinion, ...] = ()
    blocks: tuple[str, ...] = field(default=())

    @property
    def approvals(self) -> tuple[str, ...]:
        return tuple(o.login for o in self.opinions if o.counts and o.state == "APPROVED")

    @property
    def refusals(self) -> tuple[str, ...]:
        return tuple(o.login for o in self.opinions if o.counts and o.state == "CHANGES_REQUESTED")


def opinions(pull: Pull, reviews: Sequence[Review], users: Directory) -> tuple[Opinion, ...]:
    """The last decisive review of each reviewer. The author's, a bot's and a reader's do not count."""
    last: dict[str, Review] = {}
    for review in reviews:
        if review.state in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED"):
            last[review.author] = review
    found = []
    for login, review in last.items():
        user = users.named(login)
        counts = user is not None and user.may("write") and not user.is_bot and login != pull.author
        if review.state != "DISMISSED":
            found.append(Opinion(login, review.state, review.commit_id, review.id, counts))
    return tuple(found)


def standing(
    pull: Pull,
    rules: Protection | None,
    reviews: Sequence[Review],
    users: Directory,
    *,
    pusher: str | None,
    owners: Sequence[frozenset[str]],
    checks: Sequence[CheckRun],
    statuses: Sequence[Status],
) -> Standing:
    """What the rules of the base branch still miss, in GitHub's words; `owners` is the owners of each owned path."""
    said = opinions(pull, reviews, users)
    here = Standing(said)
    if rules is None:
        return here
    blocks = []
    approved = set(here.approvals)
    if rules.approvals is not None:
        if here.refusals:
            blocks.append("Changes have been requested by reviewers with write access.")
        fresh = {o.login for o in said if o.counts and o.state == "APPROVED" and o.commit_id == pull.head_sha}
        if len(approved) < rules.approvals:
            n = rules.approvals
            blocks.append(
                f"At least {n} approving review{'s are' if n > 1 else ' is'} required by reviewers with write access."
            )
        elif rules.require_last_push_approval and not fresh - {pusher}:
            blocks.append("New changes require approval from someone other than the last pusher.")
        if rules.require_code_owner_reviews:
            waiting = {owner for each in owners if not each & approved for owner in each}
            if waiting:
                blocks.append(f"Waiting on code owner review from {' and/or '.join(sorted(waiting))}.")
    if rules.checks_required:
        good = {run.name for run in checks if run.conclusion in ("success", "neutral", "skipped")}
        good |= {context for context, state in {s.context: s.state for s in statuses}.items() if state == "success"}
        blocks += [f'Required status check "{name}" is expected.' for name in rules.checks if name not in good]
    if rules.lock_branch:
        blocks.append("This branch is locked.")
    return Standing(said, tuple(blocks))
