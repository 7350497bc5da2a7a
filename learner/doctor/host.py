"""An executor's host: its spool, its pinned signers, and what its gate says of every runbook."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from learner.doctor.check import Check
from learner.errors import LearnerError, Refused
from learner.executor import gate
from learner.repository.git import Git
from learner.settings import HostSettings, host_settings


def checks(path: Path | None, now: datetime) -> Iterator[Check]:
    """The host whose settings are at `path` (None: where they usually are)."""
    try:
        settings = host_settings(path)
    except LearnerError as e:
        yield Check("host", "bad", e.message, e.hint or "")
        return
    yield Check("host", "ok", f"{settings.executor_id} of {settings.client_id}")
    spool = Path(settings.spool)
    if os.access(spool if spool.exists() else spool.parent, os.W_OK):
        yield Check("spool", "ok", str(spool))
    else:
        yield Check("spool", "bad", str(spool), "make it writable for the executor's user")
    yield from _gate(settings, now)


def _gate(settings: HostSettings, now: datetime) -> Iterator[Check]:
    if not (settings.gate.allowed_signers or settings.gate.gpg_home):
        yield Check("gate", "warn", "no signers are pinned: main is trusted as fetched",
                    "`learner gate trust github.com`, or your team's keys")  # fmt: skip
    git, branch = Git(Path(settings.repository)), f"{settings.gate.remote}/{settings.gate.branch}"
    tip = git.resolve(f"refs/remotes/{branch}") if git.path.is_dir() else None
    if tip is None:
        yield Check(
            "gate", "bad", f"{settings.repository} is no clone with {branch}", "clone the runbook repository there"
        )
        return
    # What holds for many runbooks (a stale fetch, say) is said once.
    refused: dict[tuple[str, str], list[str]] = defaultdict(list)
    approved = 0
    for name in sorted(git.listing(tip, "runbooks/")):
        if not name.endswith(".yaml") or name.startswith("runbooks/patterns/"):
            continue
        try:
            gate.check(git, settings.gate, Path(name).stem, now)
            approved += 1
        except Refused as e:
            refused[e.message, e.hint or ""].append(Path(name).stem)
    for (message, hint), names in refused.items():
        which = f"{len(names)} runbooks: " if len(names) > 1 else ""
        yield Check("gate", "bad", f"{which}{message}", hint)
    if approved:
        yield Check("gate", "ok", f"{approved} runbooks may run")
