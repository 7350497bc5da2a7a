"""Files and archives of a commit to results, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from learner.errors import GitError
from learner.models.execution import ExecutionResult
from learner.repository.batch import stream, tree_files
from learner.repository.git import Git
from learner.telemetry import parse
from learner.telemetry.parquet import read_from


def laid_out(git: Git, commit: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(path, blob id) of the results that lie at `commit` as files, and of its archives with their lists.

    Raises: `GitError` when `commit` can't be read.
    """
    found: list[tuple[str, str]] = []
    archives: list[tuple[str, str]] = []
    for path, blob in tree_files(git, commit, parse.ROOT):
        (archives if path.startswith(parse.ARCHIVE) else found).append((path, blob))
    return found, archives


def files(git: Git, wanted: Iterable[tuple[str, str]], max_bytes: int) -> Iterator[tuple[str, ExecutionResult | str]]:
    """(path, the result or why there is none) of every (path, blob id), in one stream.

    Raises: `GitError` when git can't give the bytes.
    """
    for path, content in stream(git, wanted):
        if content is None:
            raise GitError(f"{path}: its bytes are missing", "the clone is not whole: fetch it anew")
        yield path, parse.placed(path, content, max_bytes)


def archived(
    git: Git, blob: str, paths: frozenset[str] | None, max_bytes: int
) -> Iterator[tuple[str, ExecutionResult | str]]:
    """Results of one archive, all of them or those of `paths`.

    Raises: `LearnerError` when pyarrow is missing or the archive can't be read.
    """
    wanted = None if paths is None else frozenset(path.rpartition("/")[2].removesuffix(".json") for path in paths)
    for path, raw in read_from(git, blob, wanted):
        if paths is None or path in paths:
            yield path, parse.placed(path, raw, max_bytes)
