"""Publishing: branches, pull requests, answers and closings. Idempotent: what is there is left, what is missing is made.

Nothing here decides. A proposal arrives checked, its commit is known beforehand (so that the ledger can name it
before it is pushed), and a crash between any two steps is healed by the next run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from learner.errors import GitError
from learner.forge import answers, follow_up_page
from learner.forge import body as page
from learner.forge.escape import code, prose
from learner.forge.gateway import Gateway, Pull
from learner.forge.marks import PREFIX, answer_mark, labels, labels_of_follow_up
from learner.models.follow_up import FollowUp
from learner.models.memory import Memory, Remembered
from learner.models.plan import Plan
from learner.models.records import Proposal
from learner.repository import objects, refs
from learner.repository.git import Git, Identity


@dataclass(frozen=True)
class Offer:
    """One file's new content, for one pull request."""

    ref: str
    """The runbook version it is about."""
    branch: str
    path: str
    content: str
    title: str
    message: str
    labels: tuple[str, ...]
    when: datetime


@dataclass(frozen=True)
class Prepared:
    """An offer's branch, ready to be pushed."""

    offer: Offer
    branch: str
    commit: str
    base: str
    onto: str | None = None
    """The branch's head that this commit follows, when a pull request is revised."""


@dataclass(frozen=True)
class Published:
    """What became of one proposal or pull request on the forge."""

    runbook_ref: str
    action: Literal["opened", "updated", "unchanged", "revised", "answered", "closed", "left"]
    number: int | None = None
    url: str | None = None
    reason: str = ""


def of_proposal(proposal: Proposal) -> Offer:
    """A proposal as an offer."""
    when = proposal.cluster.last_seen.astimezone(UTC)
    return Offer(
        proposal.ref, proposal.branch, proposal.path, proposal.new_version, page.title(proposal),
        page.commit_message(proposal), labels(proposal), when,
    )  # fmt: skip


def of_follow_up(up: FollowUp, now: datetime) -> Offer:
    """What follows from a merged version or from success, as an offer."""
    when = (up.new.last_run if up.new else None) or now
    title, message = follow_up_page.title(up), follow_up_page.commit_message(up)
    return Offer(up.ref, up.branch, up.path, up.content, title, message, labels_of_follow_up(up), when.astimezone(UTC))


def prepare(git: Git, offer: Offer, main: str, author: Identity, revises: Remembered | None = None) -> Prepared:
    """The commit of an offer, made but not pushed. The same offer on the same `main` gives the same commit."""
    parent = revises.head if revises else main
    branch = revises.branch if revises else offer.branch
    commit = objects.commit(
        git,
        {offer.path: offer.content.encode()},
        ref=refs.private("proposals", branch.replace("/", "-")),
        parent=parent,
        message=offer.message,
        author=author,
        when=offer.when,
    )
    return Prepared(offer, branch, commit, main, revises.head if revises else None)


def publish(
    gateway: Gateway, git: Git, remote: str, prepared: Prepared, text: str, *, base: str, known_heads: frozenset[str]
) -> Published:
    """Push the branch and see that its pull request is open and says `text`.

    A branch that carries somebody's commits, or one whose pull request was closed, is left alone.

    Raises: `ForgeError`, `GitError` when the forge can't be reached; what was done stays done.
    """
    offer = prepared.offer
    there = refs.advertised(git, remote, f"refs/heads/{prepared.branch}").get(f"refs/heads/{prepared.branch}")
    existing = gateway.pull_of(prepared.branch)
    if existing and existing.state != "open":
        return Published(offer.ref, "left", existing.number, existing.url, f"#{existing.number} is {existing.state}")
    if there in (None, prepared.onto):
        _push(git, remote, prepared, there)
    elif there != prepared.commit and there not in known_heads:
        reason = f"{prepared.branch} carries commits that are not the learner's"
        return Published(offer.ref, "left", existing.number if existing else None, None, reason)
    # A branch of an earlier run holds the same content: its name says so. It is adopted as it is, never forced.
    if existing is None:
        pull = gateway.open(branch=prepared.branch, base=base, title=offer.title, body=text, labels=offer.labels)
        return Published(offer.ref, "opened", pull.number, pull.url)
    gateway.label(existing, offer.labels)
    changed = gateway.rewrite(existing, offer.title, text)
    action: Literal["revised", "updated", "unchanged"] = "updated" if changed else "unchanged"
    return Published(offer.ref, "revised" if prepared.onto else action, existing.number, existing.url)


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


def follow_up(gateway: Gateway, plan: Plan, memory: Memory) -> list[Published]:
    """Close what `main` made moot, say on open pull requests how much more evidence came in, and answer reviews that
    get no revision; of these only what `memory` holds as unanswered, and in words that no plan brings."""
    if not (plan.closings or plan.news or plan.answers):
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
    wanted = {(answer.number, answer.review_id) for answer in plan.answers}
    for held in memory.open:
        for asking in held.unanswered:
            if (held.number, asking.review_id) in wanted and (pull := open_now.get(held.number)) is not None:
                gateway.note(pull, answer_mark(asking.review_id), answers.words(held, asking))
                done.append(Published(held.ref, "answered", pull.number, pull.url))
    return done
