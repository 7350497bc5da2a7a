"""Appending: what has no receipt yet goes to the executor's own ref, without a checkout and without history.

An inbox commit holds everything of this executor that nobody has folded in yet. Its parent is the inbox commit
before it, or nothing after a fold; so it stays small, whatever `telemetry` has grown to.

The inbox is taken to hold what this clone sent last, so that most pushes ask the remote nothing beforehand. A fold
takes the inbox away, so the first push after it loses its lease, looks, and finds the receipt.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from learner.errors import LearnerError
from learner.repository import refs
from learner.repository.batch import objects
from learner.repository.git import Git, Identity
from learner.repository.objects import commit, tidy
from learner.repository.refs import Update
from learner.telemetry.entry import Entry
from learner.telemetry.spool import Spool

_RETRIES = 5
"""Races lost in a row before the rest is left for the next push."""
_NO_REF = re.compile(r"\.\.|\.lock$|\.$")


@dataclass(frozen=True)
class Pushed:
    """What one push did, in results."""

    sent: int
    acknowledged: int
    """Known to be folded in; gone from the spool."""
    remaining: int
    """Still in the spool: to be sent, or sent and waiting for a receipt."""


@dataclass(frozen=True)
class _Remote:
    """What the remote holds of this executor: path → blob id."""

    tip: str | None
    waiting: dict[str, str]
    received: dict[str, str]


def names(prefix: str, client_id: str, executor_id: str) -> tuple[str, str]:
    """The inbox and the receipt ref of one executor.

    Raises: `LearnerError` when Git could not hold such a ref.
    """
    for label, value in (("client_id", client_id), ("executor_id", executor_id)):
        if _NO_REF.search(value) or not value:
            raise LearnerError(
                f"{label} {value!r} can't be part of a ref",
                "no '..', no '.' or '.lock' at its end: change it in the host's settings",
            )
    if client_id == "archive":
        raise LearnerError(
            "client_id 'archive' is taken: that is where telemetry keeps its archives", "choose another client_id"
        )
    return f"{prefix}/inbox/{client_id}/{executor_id}", f"{prefix}/receipts/{client_id}/{executor_id}"


def push(
    spool: Spool,
    git: Git,
    remote: str,
    *,
    client_id: str,
    executor_id: str,
    prefix: str = "refs/learner",
    author: Identity,
    now: datetime,
    batch: int = 200,
    step: Callable[[str], None] = lambda _step: None,
) -> Pushed:
    """What was sent and what was acknowledged. Only what the receipt covers leaves the spool.

    Idempotent: what waits in the inbox already is not sent again, what was folded in twice is folded once.

    Raises: `GitError` when the remote can't be reached or refuses; everything stays in the spool.
    """
    inbox, receipt = names(prefix, client_id, executor_id)
    mine = refs.private(remote, "sent", client_id, executor_id)
    sent = acknowledged = lost = 0
    there = _sent_last(git, mine)
    while True:
        if there is None or not (unsent := _unsent(spool, client_id, there.waiting)):
            there = _look(git, remote, inbox, receipt)
            step("looked")
            acknowledged += _purge(spool, there)
            step("purged")
            unsent = _unsent(spool, client_id, there.waiting)
        tip, refused = there.tip, False
        for entries in (unsent[i : i + batch] for i in range(0, len(unsent), batch)):
            contents = {e.path_in_repo: content for e in entries if (content := spool.whole(e)) is not None}
            if not contents:
                continue  # all of them were damaged and are aside now
            made = commit(
                git,
                contents,
                ref=mine,
                parent=tip,
                message=f"{len(contents)} results from {executor_id}\n",
                author=author,
                when=now,
            )
            step("committed")
            refused = bool(refs.push(git, remote, [Update(inbox, made, tip)]))
            step("pushed")
            if refused:
                break
            sent, lost, tip = sent + len(contents), 0, made
        lost, there = lost + refused, None
        if not refused or lost > _RETRIES:
            tidy(git)
            return Pushed(sent, acknowledged, len(spool.pending()))


def _sent_last(git: Git, mine: str) -> _Remote | None:
    """What the inbox holds if nobody folded it and the last push got through; a lease tells when that is not so."""
    with objects(git) as here:
        made = here.info(mine)
        if made is None:
            return None
        return _Remote(made.oid, {path: entry.oid for path, entry in here.files(made.oid)}, {})


def _look(git: Git, remote: str, inbox: str, receipt: str, tries: int = 3) -> _Remote:
    tips = refs.advertised(git, remote, inbox, receipt)
    if not tips:
        return _Remote(None, {}, {})
    listed, unknown = _listed(git, tips)
    if unknown:
        # Made by another clone: a host of the same name, or this one before it was set up anew. What it holds must
        # be known, so that nothing of it is dropped; this is at most what is not folded in yet. The `*` lets a ref
        # that is folded in meanwhile be absent, not an error.
        refs.fetch(git, remote, [f"+{ref}*:{refs.private(remote, 'seen', *ref.split('/')[-3:])}*" for ref in unknown])
        listed, unknown = _listed(git, tips)
        if unknown and tries > 1:  # folded in and begun anew between the look and the fetch
            return _look(git, remote, inbox, receipt, tries - 1)
    return _Remote(tips.get(inbox), listed.get(inbox, {}), listed.get(receipt, {}))


def _listed(git: Git, tips: dict[str, str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Ref → what its commit holds, and the refs whose commit is not here."""
    with objects(git) as here:
        unknown = [ref for ref, oid in tips.items() if here.info(oid) is None]
        known = {ref: oid for ref, oid in tips.items() if ref not in unknown}
        return {ref: {path: entry.oid for path, entry in here.files(oid)} for ref, oid in known.items()}, unknown


def _purge(spool: Spool, there: _Remote) -> int:
    arrived = [entry for entry in spool.pending() if there.received.get(entry.path_in_repo) == entry.blob]
    return spool.drop(arrived)


def _unsent(spool: Spool, client_id: str, waiting: dict[str, str]) -> list[Entry]:
    """What is to be sent, oldest first.

    A result whose path is taken in the inbox by another content waits until that one is folded in; the fold then
    sees both and puts the second into quarantine.
    """
    unsent = []
    for entry in spool.pending():
        if entry.client_id != client_id:
            spool.refuse(entry, f"a result of client {entry.client_id}, but this host reports for {client_id}")
        elif entry.path_in_repo not in waiting:
            unsent.append(entry)
    return unsent
