"""Months gone by, as Parquet: off the tip of the branch, still part of it, readable by DuckDB and pandas.

    telemetry/archive/<YYYY-MM>.parquet    slim columns, and `raw`: the bytes of the result as they were
    telemetry/archive/<YYYY-MM>.ids        `<path> <first 12 of the blob id>`, one line each, sorted

The list of ids lets folding and collecting know what lies in an archive without reading it, and without pyarrow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from learner.errors import LearnerError
from learner.models.execution import ExecutionResult
from learner.repository import refs
from learner.repository.batch import stream, tree_files
from learner.repository.git import Git, Identity
from learner.repository.objects import Change, blob_id, commit
from learner.repository.refs import Update
from learner.settings import TelemetrySettings
from learner.telemetry import parse

_WHERE = ("client_id", "started_at", "execution_id", "raw")
"""Columns that tell a result and its path."""
_ROWS = 4000
"""Rows in one row group: what is held in memory at once."""
_LEVEL = 12


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


def ids(raw: bytes) -> dict[str, str]:
    """Path → first 12 digits of the blob id, out of an `.ids` file."""
    return dict(line.split(" ", 1) for line in raw.decode("utf-8", "replace").splitlines() if " " in line)


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
            blobs = write(target, _rows(git, tip, month, files))
            lost = [path for path, blob in files if path in blobs and blobs[path] != blob]
            taken = [(path, blob) for path, blob in files if blobs.get(path) == blob]
            if lost:
                raise LearnerError(
                    f"{lost[0]} did not survive being archived", "nothing was changed; please report this"
                )
            if not taken:
                continue
            changes |= dict.fromkeys((path for path, _ in taken), None)
            changes[parquet_path(month)] = git.text("hash-object", "-w", "--no-filters", str(target))
            changes[ids_path(month)] = "".join(f"{path} {blob[:12]}\n" for path, blob in sorted(blobs.items())).encode()
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


def write(target: Path, rows: Iterable[tuple[str, bytes, ExecutionResult]]) -> dict[str, str]:
    """Path → blob id of what was written to `target`, read back from it."""
    pa, pq = _arrow()
    schema = _schema(pa)
    with pq.ParquetWriter(
        target, schema, compression="zstd", compression_level=_LEVEL, data_page_size=16 << 20, use_dictionary=_SHORT
    ) as writer:
        for group in _grouped(rows):
            writer.write_table(pa.Table.from_pylist([_row(*one) for one in group], schema=schema))
    return {path: blob_id(raw) for path, raw in read(target)}


def read(source: Path | Any, execution_ids: frozenset[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of every result in a Parquet file, or of those with one of `execution_ids`; a row group at a time.

    Raises: `LearnerError` when pyarrow is missing or the file is no such archive.
    """
    pa, pq = _arrow()
    try:
        with pq.ParquetFile(source) as file:
            for group in range(file.num_row_groups):
                if execution_ids is not None:
                    column = file.read_row_group(group, columns=["execution_id"])["execution_id"]
                    if execution_ids.isdisjoint(column.to_pylist()):
                        continue
                table = file.read_row_group(group, columns=list(_WHERE))
                for client, when, execution_id, raw in zip(*(table[name].to_pylist() for name in _WHERE), strict=True):
                    if execution_ids is None or execution_id in execution_ids:
                        yield (
                            parse.Place(client, f"{when.year:04}/{when.month:02}/{when.day:02}", execution_id).path,
                            raw,
                        )
    except (pa.ArrowException, KeyError) as e:
        raise LearnerError(
            f"an archive can't be read: {e}", "restore it from the history of the telemetry branch"
        ) from e


def read_from(git: Git, blob: str, execution_ids: frozenset[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """`read`, of an archive that Git holds."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "archive.parquet")
        [(_, content)] = stream(git, [("", blob)])
        target.write_bytes(content or b"")
        del content
        yield from read(target, execution_ids)


def _rows(git: Git, tip: str, month: str, files: list[tuple[str, str]]) -> Iterator[tuple[str, bytes, ExecutionResult]]:
    """What the month's archive will hold: what it held, and the files; what is no result stays where it is."""
    held = git.listing(tip, parquet_path(month)).get(parquet_path(month))
    seen: set[str] = set()
    for path, raw in read_from(git, held) if held else ():
        seen.add(path)
        found = parse.placed(path, raw, len(raw))
        if isinstance(found, ExecutionResult):
            yield path, raw, found
    for path, content in stream(git, files):
        found = parse.placed(path, content or b"", len(content or b""))
        if path not in seen and content is not None and isinstance(found, ExecutionResult):
            yield path, content, found


def _row(_path: str, raw: bytes, result: ExecutionResult) -> dict[str, Any]:
    return {
        "execution_id": result.execution_id,
        "client_id": result.client_id,
        "hostname": result.hostname,
        "platform": result.platform,
        "runbook_id": result.runbook_id,
        "runbook_version": result.runbook_version,
        "incident_id": result.incident_id,
        "incident_type": result.incident_type,
        "started_at": result.started_at,
        "duration_seconds": result.duration_seconds,
        "status": result.status.value,
        "success": result.success,
        "verification_passed": result.verification_passed,
        "failure_type": result.failure_type.value if result.failure_type else None,
        "error_message": result.error_message,
        "raw": raw,
    }


_SHORT = [
    "client_id", "hostname", "platform", "runbook_id", "runbook_version", "incident_type", "status", "failure_type",
    "error_message",
]  # fmt: skip
"""Columns with few different values."""


def _schema(pa: Any) -> Any:
    kinds = {
        "runbook_version": pa.int32(),
        "started_at": pa.timestamp("us", tz="UTC"),
        "duration_seconds": pa.float64(),
        "success": pa.bool_(),
        "verification_passed": pa.bool_(),
        "raw": pa.binary(),
    }
    names = (
        "execution_id", "client_id", "hostname", "platform", "runbook_id", "runbook_version", "incident_id",
        "incident_type", "started_at", "duration_seconds", "status", "success", "verification_passed", "failure_type",
        "error_message", "raw",
    )  # fmt: skip
    return pa.schema([(name, kinds.get(name, pa.string())) for name in names])


def _grouped(
    rows: Iterable[tuple[str, bytes, ExecutionResult]],
) -> Iterator[list[tuple[str, bytes, ExecutionResult]]]:
    group: list[tuple[str, bytes, ExecutionResult]] = []
    for row in rows:
        group.append(row)
        if len(group) == _ROWS:
            yield group
            group = []
    if group:
        yield group


def _arrow() -> tuple[Any, Any]:
    try:
        pa, pq = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as e:
        raise LearnerError("archives need pyarrow", "pip install 'runbook-learner[archive]'") from e
    return pa, pq
