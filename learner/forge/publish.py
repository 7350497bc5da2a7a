"""Publishing: branches, pull requests, answers and closings. Idempotent: what is there is left, what is missing is made.

Nothing here decides. A proposal arrives checked, its commit is known beforehand (so that the ledger can name it
before it is pushed), and a crash between any two steps is healed by the next run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from learner.errors import GitError
from learner.forge import body as page
from learner.forge.escape import code, prose
from learner.forge.gateway import Gateway, Pull
from learner.forge.marks import PREFIX, labels
from learner.models.execution import ExecutionResult
from learner.models.memory import Remembered
from learner.models.plan import Plan
from learner.models.records import Proposal
from learner.models.runbook import Runbook
from learner.repository import objects, refs
from learner.repository.git import Git, Identity


@dataclass(frozen=True)
class Prepared:
    """A proposal's branch, ready to be pushed."""

    proposal: Proposal
    branch: str
    commit: str
    base: str
    onto: str | None = None
    """The branch's head that this commit follows, when a pull request is revised."""


@dataclass(frozen=True)
class Published:
    """What became of one proposal or pull request on the forge."""

    runbook_ref: str
    action: Literal["opened", "updated", "unchanged", "revised", "closed", "left"]
    number: int | None = None
    url: str | None = None
    reason: str = ""


def prepare(git: Git, proposal: Proposal, main: str, author: Identity, revises: Remembered | None = None) -> Prepared:
    """The commit of a proposal, made but not pushed. The same proposal on the same `main` gives the same commit."""
    when = _when(proposal)
    parent = revises.head if revises else main
    branch = revises.branch if revises else proposal.branch
    commit = objects.commit(
        git,
        {proposal.path: proposal.new_version.encode()},
        ref=refs.private("proposals", branch.replace("/", "-")),
        parent=parent,
        message=page.commit_message(proposal),
        author=author,
        when=when,
    )
    return Prepared(proposal, branch, commit, main, revises.head if revises else None)


def _when(proposal: Proposal) -> datetime:
    return proposal.cluster.last_seen.astimezone(UTC)


def publish(
    gateway: Gateway,
    git: Git,
    remote: str,
    prepared: Prepared,
    *,
    base: str,
    old: Runbook,
    new: Runbook,
    results: Mapping[str, ExecutionResult],
    links: page.Links,
    known_heads: frozenset[str],
) -> Published:
    """Push the branch and see that its pull request is open and says what it should.

    A branch that carries somebody's commits, or one whose pull request was closed, is left alone.

    Raises: `ForgeError`, `GitError` when the forge can't be reached; what was done stays done.
    """
    proposal = prepared.proposal
    there = refs.advertised(git, remote, f"refs/heads/{prepared.branch}").get(f"refs/heads/{prepared.branch}")
    existing = gateway.pull_of(prepared.branch)
    if existing and existing.state != "open":
        return Published(proposal.ref, "left", existing.number, existing.url, f"#{existing.number} is {existing.state}")
    if there in (None, prepared.onto):
        _push(git, remote, prepared, there)
    elif there != prepared.commit and there not in known_heads:
        reason = f"{prepared.branch} carries commits that are not the learner's"
        return Published(proposal.ref, "left", existing.number if existing else None, None, reason)
    # A branch of an earlier run holds the same edit: its name says so. It is adopted as it is, never forced.
    title = page.title(proposal)
    text = page.body(proposal, old, new, results, links)
    if existing is None:
        pull = gateway.open(branch=prepared.branch, base=base, title=title, body=text, labels=labels(proposal))
        return Published(proposal.ref, "opened", pull.number, pull.url)
    gateway.label(existing, labels(proposal))
    changed = gateway.rewrite(existing, title, text)
    action: Literal["revised", "updated", "unchanged"] = "updated" if changed else "unchanged"
    return Published(proposal.ref, "revised" if prepared.onto else action, existing.number, existing.url)


def _push(git: Git, remote: str, prepared: Prepared, there: str | None) -> None:
    lost = refs.push(git, remote, [refs.Update(f"refs/heads/{prepared.branch}", prepared.commit, there)])
    if lost:
        raise GitError(
            f"somebody else moved {prepared.branch} just now", "nothing was overwritten; the next run looks again"
        )


def answer(gateway: Gateway, asked: Remembered, proposal: Proposal) -> None:
    """Answer every comment on a line, and the review itself, with what the revision did about it."""
    pull = gateway.pull_of(asked.branch)
    if pull is None:
        return
    changes = "; ".join(operation.op.replace("_", " ") for operation in proposal.edit.operations)
    words = f"Revised: {prose(proposal.edit.summary, 200)} ({prose(changes, 300)})."
    for word in asked.words:
        if word.path and word.comment_id:
            gateway.answer(pull, word.comment_id, words)
    gateway.note(pull, f"revised-{proposal.fingerprint[:8]}", words)


def more_evidence(gateway: Gateway, pull: Pull, failures: int, newest: Sequence[str]) -> bool:
    """One comment, kept up to date, that says how much more evidence came in; whether it changed."""
    listed = " ".join(code(execution) for execution in newest[:10])
    return gateway.note(pull, "evidence", f"The same failure has now been seen **{failures}** times. Newest: {listed}")


def close_moot(gateway: Gateway, pull: Pull, reason: str) -> Published:
    """Close a pull request that `main` made moot, saying why."""
    gateway.close(pull, f"Closed by the learner: {prose(reason)} A new failure is looked at anew.", ("rejected:moot",))
    return Published(pull.branch, "closed", pull.number, pull.url, reason)


def follow_up(gateway: Gateway, plan: Plan) -> list[Published]:
    """Close what `main` made moot, and say on open pull requests how much more evidence came in."""
    if not plan.closings and not plan.news:
        return []
    open_now = {pull.number: pull for pull in gateway.pulls(PREFIX) if pull.state == "open"}
    done = [
        close_moot(gateway, open_now.pop(closing.number), closing.reason)
        for closing in plan.closings
        if closing.number in open_now
    ]
    for news in plan.news:
        pull = open_now.get(news.number)
        if pull is not None:
            changed = more_evidence(gateway, pull, news.failures, news.newest)
            done.append(
                Published(pull.title.split(":")[0], "updated" if changed else "unchanged", pull.number, pull.url)
            )
    return done
