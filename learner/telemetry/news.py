"""What is new on `telemetry` since the commit that was read last, or why everything must be read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from learner.archives.read import ids
from learner.errors import GitError
from learner.models.fold import Fold
from learner.repository.batch import Changed, changed, stream
from learner.repository.git import ZERO, Git
from learner.repository.lean import Lean
from learner.telemetry import parse
from learner.telemetry.state import State


@dataclass(frozen=True)
class News:
    """What reading has to do."""

    rebuild: str | None = None
    """Why everything must be read; None when only what follows is new."""
    files: tuple[tuple[str, str], ...] = ()
    """(path, blob id)."""
    archived: tuple[tuple[str, frozenset[str]], ...] = ()
    """(blob id of a Parquet file, paths in it), for results that came and were archived since."""


def news(git: Git, lean: Lean | None, commit: str | None, folds: Sequence[Fold], state: State | None) -> News:
    """What is new at `commit` for `state`.

    The state is a function of the results at a commit, so it can be carried on when some were added and none was
    changed or taken away; an archive that names what it took away takes nothing away.

    Raises: `GitError` when `commit` can't be read.
    """
    if state is None:
        return News("there is no state yet")
    if reason := state.outdated(folds):
        return News(reason)
    if commit == state.commit:
        return News()
    if state.commit is None:
        return News("nothing was read before")
    if commit is None:
        return News("the telemetry branch is gone")
    try:
        differing = (lean.changed if lean else partial(changed, git))(state.commit, commit, parse.ROOT)
    except GitError as e:
        if lean is None and git.resolve(commit) is None:
            raise
        return News(f"the commit read last is not known: {state.commit[:12]} ({e})")
    return _told(git, lean, differing)


def _told(git: Git, lean: Lean | None, differing: list[Changed]) -> News:
    archives = [one for one in differing if one.path.startswith(parse.ARCHIVE)]
    results = [one for one in differing if not one.path.startswith(parse.ARCHIVE)]
    gone = {one.path: one.old[:12] for one in results if one.status == "D"}
    came: dict[str, frozenset[str]] = {}
    parquet = {one.path.removesuffix(".parquet"): one.new for one in archives if one.path.endswith(".parquet")}
    lists = [one for one in archives if one.path.endswith(".ids")]
    if lean:
        lean.blobs(blob for one in lists for blob in (one.old, one.new) if blob != ZERO)
    for one in lists:
        before, after = _ids(git, one.old), _ids(git, one.new)
        if lost := next((path for path, blob in before.items() if after.get(path) != blob), None):
            return News(f"{lost} was taken out of its archive")
        new = {path: blob for path, blob in after.items() if path not in before}
        moved = {path for path, blob in new.items() if gone.get(path) == blob}
        gone = {path: blob for path, blob in gone.items() if path not in moved}
        if late := frozenset(new.keys() - moved):
            came[one.path.removesuffix(".ids")] = late
    odd = next((one for one in results if one.status != "A" and (one.status != "D" or one.path in gone)), None)
    if odd:
        return News(f"{odd.path} was {({'D': 'taken away', 'M': 'changed'}).get(odd.status, 'replaced')}")
    added = tuple((one.path, one.new) for one in results if one.status == "A")
    if lean:
        lean.blobs([*(blob for _, blob in added), *(parquet[name] for name in came)])
    return News(None, added, tuple((parquet[name], paths) for name, paths in sorted(came.items())))


def _ids(git: Git, blob: str) -> dict[str, str]:
    if blob == ZERO:
        return {}
    [(_, content)] = stream(git, [("", blob)])
    return ids(content or b"")
