"""Where results lie: in files on the telemetry branch, or in the archive of their month. The caller need not know."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from learner.archives.read import ids as archived_ids
from learner.archives.read import read
from learner.errors import LearnerError
from learner.local_forge.bare import Bare

MAX_BYTES = 4 << 20
MAX_ARCHIVE_BYTES = 512 << 20
ID = re.compile(r"exec-(\d{4})(\d{2})(\d{2})-[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Found:
    """A result's path and bytes; without bytes, `problem` says why."""

    path: str
    raw: bytes | None = None
    problem: str = ""


def find(repo: Bare, head: str, execution_ids: Sequence[str]) -> dict[str, Found]:
    """Execution id → what `head` holds of it. The date in an id tells folder and month, give or take a day."""
    paths = _paths(repo, head, execution_ids)
    found = {i: _file(repo, head, path) for i, path in paths.items()}
    return found | _archived(repo, head, [i for i in execution_ids if i not in found])


def _file(repo: Bare, head: str, path: str) -> Found:
    entry = repo.entry(head, path)
    if entry is None or entry.type != "blob":
        return Found(path, problem="its result is no file")
    if (entry.size or 0) > MAX_BYTES:
        return Found(path, problem="its result is too large to show")
    return Found(path, repo.blob(entry.sha))


def _paths(repo: Bare, head: str, ids: Sequence[str]) -> dict[str, str]:
    """Where results lie as files; the client is tried out."""
    root = repo.entry(head, "telemetry")
    if root is None:
        return {}
    clients = [e.path for e in repo.tree(root.sha) if e.type == "tree" and e.path != "archive"][:500]
    candidates = [(i, f"telemetry/{client}/{day}/{i}.json") for i in ids for day in _days(i) for client in clients]
    asked = "".join(f"{head}:{path}\n" for _, path in candidates).encode()
    answers = repo.git.run("cat-file", "--batch-check", stdin=asked).decode().splitlines() if candidates else []
    return {i: path for (i, path), answer in zip(candidates, answers, strict=True) if not answer.endswith("missing")}


def _archived(repo: Bare, head: str, ids: Sequence[str]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for month in sorted({day[:7].replace("/", "-") for i in ids for day in _days(i)}):
        listed = repo.file(head, f"telemetry/archive/{month}.ids")
        wanted = _named(archived_ids(listed), ids) if listed else {}
        if wanted:
            found |= _unpacked(repo, head, f"telemetry/archive/{month}.parquet", wanted)
    return found


def _named(paths: Iterable[str], ids: Sequence[str]) -> dict[str, str]:
    named = {path.rpartition("/")[2].removesuffix(".json"): path for path in paths}
    return {i: named[i] for i in ids if i in named}


def _unpacked(repo: Bare, head: str, archive: str, wanted: Mapping[str, str]) -> dict[str, Found]:
    entry = repo.entry(head, archive)
    if entry is None or (entry.size or 0) > MAX_ARCHIVE_BYTES:
        return {i: Found(path, problem=f"{archive} can't be read") for i, path in wanted.items()}
    try:
        held = dict(read(io.BytesIO(repo.blob(entry.sha)), frozenset(wanted)))
    except LearnerError as e:
        words = f"its result lies in {archive}: {e.message}" + (f" ({e.hint})" if e.hint else "")
        return {i: Found(path, problem=words) for i, path in wanted.items()}
    return {
        i: Found(path, held[path]) if len(held[path]) <= MAX_BYTES else Found(path, problem="its result is too large")
        for i, path in wanted.items()
        if path in held
    }


def _days(execution_id: str) -> list[str]:
    match = ID.fullmatch(execution_id)
    try:
        day = date(*(int(part) for part in match.groups())) if match else None
        return [f"{day + timedelta(days=n):%Y/%m/%d}" for n in (0, -1, 1)] if day else []
    except (ValueError, OverflowError):
        return []
