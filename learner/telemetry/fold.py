"""Folding: what lies in the inboxes becomes one commit on `telemetry`, and the same push writes the receipts.

The push is atomic and every ref in it has a lease. So a folder that dies, loses a race or runs beside another one
leaves the remote as it was or as it should be, never in between.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import islice

from learner.models.execution import ExecutionResult
from learner.models.records import SkippedFile
from learner.repository import refs
from learner.repository.batch import Item, Objects, TreeEntry, objects
from learner.repository.git import Git, Identity
from learner.repository.lean import Lean
from learner.repository.objects import Change, commit
from learner.repository.refs import Update
from learner.settings import TelemetrySettings
from learner.strict import instant_text
from learner.telemetry import parse
from learner.telemetry.known import Known, bring
from learner.telemetry.parse import Place

_AT_ONCE = 500
"""Inboxes in one push: their leases are arguments of one command, and an argument list is bounded."""
_MOST_FILES = 200_000
_FILES_AT_ONCE = 64
"""Results in memory at once."""
_RETRIES = 1
_ATTRIBUTES = b"""\
# written once and read once: repacking need not look for deltas among hundreds of thousands of files
/telemetry/** -delta
/quarantine/** -delta
"""


@dataclass(frozen=True)
class Folded:
    """What one run of the folder did."""

    results: int
    """New on `telemetry`."""
    quarantined: tuple[SkippedFile, ...]
    """Newly refused, under the path they were sent as."""
    commit: str | None
    """The tip of `telemetry` now; None when there is no such branch yet."""
    left: tuple[str, ...] = ()
    """Inboxes that could not be folded in now: a race was lost, or they are none (no commit, or files without end)."""


@dataclass(frozen=True)
class _Inbox:
    ref: str
    client_id: str
    executor_id: str
    tip: str
    receipt: str
    received: str | None


@dataclass
class _Batch:
    """What one push will carry."""

    changes: dict[str, Change] = field(default_factory=dict)
    """Of both kinds: results and quarantine."""
    taken: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """(client, execution id) → (path, blob id), of results that this batch brings."""
    quarantined: list[SkippedFile] = field(default_factory=list)


def fold(
    git: Git,
    remote: str,
    *,
    settings: TelemetrySettings,
    author: Identity,
    now: datetime,
    lean: Lean | None = None,
    step: Callable[[str], None] = lambda _step: None,
) -> Folded:
    """Results that are new on `telemetry`, what was refused and why, and the branch's tip.

    A race that is lost twice leaves its inboxes for the next run. With `lean`, a repository that holds next to
    nothing, the folding is done there, and history stays where it is.

    Raises: `GitError` when the remote can't be reached or refuses.
    """
    git, remote = (lean.git, lean.remote) if lean else (git, remote)
    results, lost = 0, 0
    quarantined: list[SkippedFile] = []
    while True:
        tip, inboxes, strange = _look(git, remote, settings, lean)
        step("looked")
        refused = False
        while inboxes and not refused:
            group = inboxes[:_AT_ONCE]
            batch = _read(git, tip, group, settings, now, lean)
            step("read")
            made = tip
            if batch.changes:
                made = commit(
                    git,
                    batch.changes,
                    ref=refs.private(remote, "folded"),
                    parent=tip,
                    message=_message(batch, group),
                    author=author,
                    when=now,
                )
            step("committed")
            refused = bool(refs.push(git, remote, _updates(settings, tip, made, group)))
            step("pushed")
            if not refused:
                if made != tip and made is not None:
                    git.run("update-ref", refs.private(remote, "telemetry"), made)
                tip, inboxes = made, inboxes[_AT_ONCE:]
                results += len(batch.taken)
                quarantined += batch.quarantined
        lost += refused
        if not refused or lost > _RETRIES:
            return Folded(results, tuple(quarantined), tip, (*(inbox.ref for inbox in inboxes), *strange))


def _look(
    git: Git, remote: str, settings: TelemetrySettings, lean: Lean | None
) -> tuple[str | None, list[_Inbox], tuple[str, ...]]:
    """The tip of `telemetry`, the inboxes with their receipts, and refs that are no inbox; all fetched."""
    prefix, branch = settings.ref_prefix, f"refs/heads/{settings.branch}"
    there = refs.advertised(git, remote, branch, f"{prefix}/inbox/*", f"{prefix}/receipts/*")
    here, mine = refs.private(remote, "inbox"), refs.private(remote, "telemetry")
    specs = [f"+{prefix}/inbox/*:{here}/*"] + ([f"+{branch}:{mine}"] if branch in there and not lean else [])
    held = refs.held(git, refs.private(remote))
    waiting = any(ref.startswith(f"{prefix}/inbox/") for ref in there) or any(
        ref.startswith(f"{here}/") for ref in held
    )
    if waiting or (branch in there and not lean and there[branch] != held.get(mine)):
        # an inbox that another folder just emptied goes away here as well
        refs.fetch(git, remote, specs, "--prune")
        held = refs.held(git, refs.private(remote))
    if lean and branch in there:
        lean.commits([there[branch]])
        git.run("update-ref", mine, there[branch])
        held[mine] = there[branch]
    inboxes, strange = [], []
    with objects(git) as reader:
        for ref, tip in sorted(held.items()):
            if not ref.startswith(f"{here}/"):
                continue
            parts = ref.removeprefix(f"{here}/").split("/")
            found = reader.info(tip)
            theirs = f"{prefix}/inbox/{'/'.join(parts)}"
            if len(parts) != 2 or found is None or found.kind != "commit" or _endless(reader, tip):
                strange.append(theirs)
                continue
            receipt = f"{prefix}/receipts/{parts[0]}/{parts[1]}"
            inboxes.append(_Inbox(theirs, parts[0], parts[1], tip, receipt, there.get(receipt)))
    return held.get(mine) if branch in there else None, inboxes, tuple(strange)


def _endless(reader: Objects, tip: str) -> bool:
    """Whether an inbox holds more files than any executor has: a few trees that nest can name billions."""
    return sum(1 for _ in islice(reader.files(tip), _MOST_FILES + 1)) > _MOST_FILES


def _updates(settings: TelemetrySettings, tip: str | None, made: str | None, group: list[_Inbox]) -> list[Update]:
    moved = [Update(f"refs/heads/{settings.branch}", made, tip)] if made != tip else []
    for inbox in group:
        if inbox.received != inbox.tip:
            moved.append(Update(inbox.receipt, inbox.tip, inbox.received))
        moved.append(Update(inbox.ref, None, inbox.tip))
    return moved


def _read(
    git: Git, tip: str | None, group: list[_Inbox], settings: TelemetrySettings, now: datetime, lean: Lean | None
) -> _Batch:
    batch = _Batch()
    if lean and tip:
        bring(lean, tip, [(inbox.client_id, inbox.executor_id, inbox.tip) for inbox in group])
    with objects(git) as reader:
        known = Known(reader, tip)
        for inbox in group:
            files = reader.files(inbox.tip)
            while some := list(islice(files, _FILES_AT_ONCE)):
                held = reader.blobs((entry.oid for _, entry in some), settings.max_result_bytes)
                for path, entry in some:
                    _judge(batch, known, inbox, path, entry, held.get(entry.oid), settings, now)
    if tip is None and batch.changes:
        batch.changes[".gitattributes"] = _ATTRIBUTES
    return batch


def _judge(
    batch: _Batch,
    known: Known,
    inbox: _Inbox,
    path: str,
    entry: TreeEntry,
    found: Item | None,
    settings: TelemetrySettings,
    now: datetime,
) -> None:
    place = parse.place(path)
    if place and (known.at(path) == entry.oid or known.archived(path) == entry.oid[:12]):
        return  # folded in before; the executor had not seen its receipt
    reason = _refusal(inbox, place, entry, found, settings)
    if not reason and place:
        key = (place.client_id, place.execution_id)
        other = batch.taken.get(key) or known.elsewhere(place)
        if other == (path, entry.oid):
            return  # two inboxes brought the same
        if not other:
            batch.taken[key] = (path, entry.oid)
            batch.changes[path] = entry.oid
            return
        reason = f"another result with this id lies at {other[0]}"
    _quarantine(batch, known, inbox, path if place else None, path, entry, reason, now)


def _refusal(
    inbox: _Inbox, place: Place | None, entry: TreeEntry, found: Item | None, settings: TelemetrySettings
) -> str:
    """Why this file can't be folded in; empty when it can."""
    if place is None:
        return "no path of a result: telemetry/<client>/<YYYY>/<MM>/<DD>/<execution id>.json"
    if place.client_id != inbox.client_id:
        return f"client {place.client_id} in an inbox of client {inbox.client_id}"
    if entry.mode not in ("100644", "100755"):
        return f"no plain file: mode {entry.mode}"
    if found is None or found.kind != "blob":
        return "its bytes are missing"
    if found.size > settings.max_result_bytes:
        return f"{found.size} bytes are more than the {settings.max_result_bytes} that one result may have"
    judged = parse.placed(place.path, found.content or b"", settings.max_result_bytes)
    if not isinstance(judged, ExecutionResult):
        return judged
    if not may_report(settings.hosts, inbox.client_id, inbox.executor_id, judged.hostname):
        return f"host {judged.hostname} is none that executor {inbox.executor_id} may report"
    return ""


def may_report(hosts: Mapping[str, tuple[str, ...]], client_id: str, executor_id: str, hostname: str) -> bool:
    """Whether an executor may report a host: any, unless `hosts` names the executor."""
    executor = f"{client_id}/{executor_id}"
    lists = [names for pattern, names in hosts.items() if fnmatchcase(executor, pattern)]
    return not lists or any(fnmatchcase(hostname, name) for names in lists for name in names)


def _quarantine(
    batch: _Batch,
    known: Known,
    inbox: _Inbox,
    wanted: str | None,
    path: str,
    entry: TreeEntry,
    reason: str,
    now: datetime,
) -> None:
    """Put what was refused where nothing can be overwritten by it: neither a result nor an earlier refusal."""
    plain = entry.mode in ("100644", "100755")
    # paths of no known form could make a folder of an earlier file, so they all lie flat under their sender
    at = parse.QUARANTINE + (wanted or f"other/{inbox.client_id}/{inbox.executor_id}/{entry.oid}")
    for candidate in (at, at.removesuffix(".json") + f".{entry.oid[:12]}.json"):
        there = batch.changes.get(candidate) or known.at(candidate)
        if there == entry.oid:
            return  # refused before, for the same bytes
        if (
            there is None
            and batch.changes.get(f"{candidate}.reason.json") is None
            and known.at(f"{candidate}.reason.json") is None
        ):
            at = candidate
            break
    why = {
        "path": path,
        "reason": reason,
        "client_id": inbox.client_id,
        "executor_id": inbox.executor_id,
        "blob": entry.oid,
        "seen_at": instant_text(now),
    }
    if plain:
        batch.changes[at] = entry.oid
    batch.changes[f"{at}.reason.json"] = (
        json.dumps(why, indent=1, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"
    )
    batch.quarantined.append(SkippedFile(path=path.encode("utf-8", "replace").decode(), reason=reason))


def _message(batch: _Batch, group: list[_Inbox]) -> str:
    refused = f", {len(batch.quarantined)} quarantined" if batch.quarantined else ""
    return f"Fold in {len(batch.taken)} results from {len(group)} inboxes{refused}\n"
