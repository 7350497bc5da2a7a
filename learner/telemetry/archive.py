"""Months gone by, as Parquet: off the tip of the branch, still part of it, readable by DuckDB and pandas.

    telemetry/archive/<YYYY-MM>.parquet    see `telemetry.parquet`, and `archives.read`
    telemetry/archive/<YYYY-MM>.ids        `<path> <first 12 of the blob id>`, one line each, sorted; gzip

The list of ids lets folding and collecting know what lies in an archive without reading it, and without pyarrow.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from learner.archives.read import read
from learner.errors import LearnerError
from learner.models.execution import ExecutionResult
from learner.repository import refs
from learner.repository.batch import stream, tree_files
from learner.repository.git import Git, Identity
from learner.repository.objects import Change, blob_id, commit
from learner.repository.refs import Update
from learner.settings import TelemetrySettings
from learner.telemetry import parquet, parse


@dataclass(frozen=True)
class Archived:
    """What one run moved."""

    months: Mapping[str, int]
    """`YYYY-MM` → results that went into its archive."""
    commit: str | None
    """The tip of `telemetry` now."""


def ids_path(month: str) -> str:
    """Where the list of a month's archived results lies."""
    return f"{parse.ARCHIVE}{month}.ids"


def parquet_path(month: str) -> str:
    """Where a month's archive lies."""
    return f"{parse.ARCHIVE}{month}.parquet"


def month_of(path: str) -> str | None:
    """`YYYY-MM` of the result that lies at `path`; None when none may lie there."""
    place = parse.place(path)
    return place.date[:7].replace("/", "-") if place else None


def listed(blobs: Mapping[str, str]) -> bytes:
    """An `.ids` file of path → blob id: the same for the same results."""
    lines = "".join(f"{path} {blob[:12]}\n" for path, blob in sorted(blobs.items()))
    return gzip.compress(lines.encode(), 9, mtime=0)


def due(git: Git, tip: str, before: date) -> dict[str, list[tuple[str, str]]]:
    """Month → (path, blob id) of the results that lie on the tip as files and belong to months before `before`'s."""
    months: dict[str, list[tuple[str, str]]] = {}
    for path, blob in tree_files(git, tip, parse.ROOT):
        month = month_of(path)
        if month and month < f"{before:%Y-%m}":
            months.setdefault(month, []).append((path, blob))
    return months


def archive(
    git: Git,
    remote: str,
    tip: str,
    *,
    settings: TelemetrySettings,
    author: Identity,
    now: datetime,
    before: date,
    told: Callable[[str], None] = lambda _line: None,
) -> Archived:
    """What was moved: one commit writes the archives and takes the files off the tip. Late results join their month's.

    What was written is read back and held against the blob ids before anything is taken away.

    Raises: `LearnerError` when pyarrow is missing, a file can't be read back, or the branch was moved meanwhile;
    `GitError` when the remote can't be reached.
    """
    months = due(git, tip, before)
    changes: dict[str, Change] = {}
    moved: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for month, files in sorted(months.items()):
            told(f"{month}: {len(files)} results")
            target = Path(folder, f"{month}.parquet")
            parquet.write(target, _rows(git, tip, month, files))
            blobs = {path: blob_id(raw) for path, raw in read(target)}
            lost = [path for path, blob in files if path in blobs and blobs[path] != blob]
            taken = [(path, blob) for path, blob in files if blobs.get(path) == blob]
            if lost:
                raise LearnerError(
                    f"{lost[0]} did not survive being archived", "nothing was changed; please report this"
                )
            for path in sorted({path for path, _ in files} - blobs.keys()):
                told(f"{path} stays: it is no result that this version can read")
            if not taken:
                continue
            changes |= dict.fromkeys((path for path, _ in taken), None)
            changes[parquet_path(month)] = git.text("hash-object", "-w", "--no-filters", str(target))
            changes[ids_path(month)] = listed(blobs)
            moved[month] = len(taken)
    if not changes:
        return Archived({}, tip)
    made = commit(
        git,
        changes,
        ref=refs.private(remote, "archived"),
        parent=tip,
        message=f"Archive {', '.join(moved)}\n",
        author=author,
        when=now,
    )
    if refs.push(git, remote, [Update(f"refs/heads/{settings.branch}", made, tip)]):
        raise LearnerError(f"{settings.branch} was moved meanwhile", "nothing was changed; run it again")
    return Archived(moved, made)


def _rows(git: Git, tip: str, month: str, files: list[tuple[str, str]]) -> Iterator[parquet.Row]:
    """What the month's archive will hold: what it held, and the files; what is no result stays where it is.

    Raises: `LearnerError` when the archive holds what can't be read as a result any more.
    """
    held = git.listing(tip, parquet_path(month)).get(parquet_path(month))
    seen: set[str] = set()
    for path, raw in parquet.read_from(git, held) if held else ():
        seen.add(path)
        found = parse.placed(path, raw, len(raw))
        if not isinstance(found, ExecutionResult):
            # what an earlier version took for a result must not be lost because this one does not
            raise LearnerError(
                f"{parquet_path(month)} holds what this version can't read: {path}: {found}",
                "nothing was changed; archive with the version that wrote it",
            )
        yield raw, found
    for path, content in stream(git, files):
        found = parse.placed(path, content or b"", len(content or b""))
        if path not in seen and content is not None and isinstance(found, ExecutionResult):
            yield content, found
