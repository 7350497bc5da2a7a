"""A runner with an empty disk: it fetches what is new, not history, where the server can leave history out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from learner.errors import GitError
from learner.repository import refs
from learner.repository.git import Git
from learner.repository.lean import Lean, beside
from learner.settings import TelemetrySettings
from learner.telemetry.parse import ROOT

_STAYS_SECONDS = 86_400.0
"""A disk that still holds yesterday's is no empty one: there history is worth fetching, once."""


def lean_for(
    git: Git, remote: str, settings: TelemetrySettings, tell: Callable[[str], None] = lambda _line: None
) -> Lean | None:
    """A repository that holds next to nothing, to read what is new in; None when the branch itself is to be fetched.

    That is when this clone holds the branch already, when there is no state to carry on from, or when the server
    knows no filters. Which way it is is told, unless there is nothing to choose.

    Raises: `GitError` when the remote can't be reached.
    """
    branch, ledger = f"refs/heads/{settings.branch}", f"refs/heads/{settings.ledger_branch}"
    if git.resolve(refs.private(remote, "telemetry")):
        return None
    there = refs.advertised(git, remote, branch, ledger)
    if branch not in there or ledger not in there:
        return None
    folder = Path(git.text("rev-parse", "--absolute-git-dir"), "learner", "lean.git")
    if folder.exists() and time.time() - (folder / "description").stat().st_mtime > _STAYS_SECONDS:
        shutil.rmtree(folder)
        tell(f"fetching {settings.branch} with its history, once: this disk stays")
        return None
    try:
        lean = beside(git, remote, folder)
        if lean.filters():
            lean.commits([there[branch]])
            lean.folders(there[branch], [ROOT.rstrip("/")])
            tell(f"fetching what is new on {settings.branch}, not its history")
            return lean
        reason = "the server knows no filters"
    except GitError as e:
        reason = str(e)
    shutil.rmtree(folder, ignore_errors=True)
    tell(f"fetching {settings.branch} with its history: {reason}")
    return None
