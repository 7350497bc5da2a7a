"""The branch `telemetry` as a whole: where it stands, and every result on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from learner.archives.read import ids
from learner.models.execution import ExecutionResult
from learner.repository import refs
from learner.repository.batch import stream
from learner.repository.git import Git
from learner.settings import TelemetrySettings
from learner.telemetry import parse, reading


def tip(git: Git, remote: str, settings: TelemetrySettings) -> str | None:
    """The commit `telemetry` stands at on the remote, fetched; None when there is no such branch yet.

    Raises: `GitError` when the remote can't be reached.
    """
    branch = f"refs/heads/{settings.branch}"
    if branch not in refs.advertised(git, remote, branch):
        return None
    refs.fetch(git, remote, [f"+{branch}:{refs.private(remote, 'telemetry')}"])
    return known_tip(git, remote)


def known_tip(git: Git, remote: str) -> str | None:
    """The commit `telemetry` stood at when this clone last asked; None when it never did."""
    return git.resolve(refs.private(remote, "telemetry"))


def read(
    git: Git, commit: str, holds: Callable[[str], bool] = lambda _path: True, *, max_bytes: int = parse.MAX_BYTES
) -> Iterator[tuple[str, ExecutionResult | str]]:
    """(path, the result or why there is none) of everything of `commit` whose path `holds`, archived or not.

    Files whose path does not hold cost no reading, and archives whose list names none that does are not opened.

    Raises: `GitError` when `commit` can't be read; `LearnerError` when an archive is wanted and pyarrow is missing.
    """
    files, archives = reading.laid_out(git, commit)
    yield from reading.files(git, (one for one in files if holds(one[0])), max_bytes)
    lists = {name.removesuffix(".ids"): blob for name, blob in archives if name.endswith(".ids")}
    for name, blob in archives:
        if name.endswith(".parquet"):
            listed = _listed(git, lists.get(name.removesuffix(".parquet")))
            wanted = frozenset(filter(holds, listed))
            if wanted or not listed:
                found = reading.archived(git, blob, wanted if len(wanted) < len(listed) else None, max_bytes)
                yield from ((path, one) for path, one in found if holds(path))


def _listed(git: Git, blob: str | None) -> frozenset[str]:
    """The paths of what an archive holds; none when its list is gone or damaged."""
    if blob is None:
        return frozenset()
    [(_, content)] = stream(git, [("", blob)])
    return frozenset(ids(content or b""))
