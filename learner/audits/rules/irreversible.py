"""Changes that can't be taken back."""

from __future__ import annotations

import re
from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule
from learner.audits.paths import plain, reach
from learner.models import Finding, Level, Step

_WORTHLESS = re.compile(
    r"\.(?:pid|lock|sock|socket|tmp|swp|cache)$|/(?:lock|locks|cache|tmp)/|/\.s\.PGSQL|^/(?:var/)?run/|lock(?:-\w+)?$"
)


class Irreversible(Rule):
    """A file is removed or overwritten that no earlier step backs up.

    Files that are made anew (pid files, locks, sockets, caches, logs) are not worth keeping.
    """

    name = "irreversible"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        for pair in change.touched:
            step = pair.new
            assert step is not None
            what = _lost(step)
            if what is None or (pair.old and _lost(pair.old) == what):
                continue
            group = {"steps": change.new.runbook.steps, "rollback": change.new.runbook.rollback}.get(pair.phase, ())
            earlier = group[: group.index(step)] if step in group else ()
            if any(other.action == "backup_file" and other.params.get("path") == what for other in earlier):
                continue
            yield self.says(Level.NOTICE, f"{what} is lost: no earlier step backs it up", pair.where)


def _lost(step: Step) -> str | None:
    """The path whose content a step takes away; None when nothing of worth goes."""
    params = step.params
    if step.action == "remove_file":
        path = str(params.get("path", ""))
        return None if _WORTHLESS.search(plain(path)) or reach(path) == "passing" else path
    if step.action == "write_file" and params.get("backup") is False:
        return str(params.get("path", ""))
    if step.action == "copy_file":
        path = str(params.get("destination", ""))
        return None if reach(path) == "passing" or path.endswith((".bak", ".orig", ".learner-backup")) else path
    if step.action == "clean_directory":
        path = str(params.get("path", ""))
        return None if reach(path) == "passing" or "/cache" in path or path.startswith(("/var/log", "/tmp")) else path  # noqa: S108
    return None
