"""The branch `telemetry` as a whole: where it stands, and every result on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from learner.models.execution import ExecutionResult
from learner.repository import refs
from learner.repository.git import Git
from learner.settings import TelemetrySettings
from learner.telemetry import parse, reading
from learner.telemetry.parquet import read_from


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

    Files whose path does not hold cost no reading.

    Raises: `GitError` when `commit` can't be read; `LearnerError` when there are archives and pyarrow is missing.
    """
    files, archives = reading.laid_out(git, commit)
    yield from reading.files(git, (one for one in files if holds(one[0])), max_bytes)
    for name, blob in archives:
        if name.endswith(".parquet"):
            for path, raw in read_from(git, blob):
                if holds(path):
                    yield path, parse.placed(path, raw, max_bytes)
