"""The forge's memory: one sqlite file of JSON documents. It survives a restart, and a request is all or nothing."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from learner.errors import LearnerError
from learner.local_forge.records import Record

R = TypeVar("R", bound=Record)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (kind TEXT, id INTEGER, of TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE INDEX IF NOT EXISTS record_of ON record (kind, of, id);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, body TEXT NOT NULL);
"""


class Store:
    """Records by kind, counters and settings. One writer at a time; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as e:
            raise LearnerError(
                f"{path}: can't open the forge's state: {e}", "check the path, or name another --state"
            ) from e

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes within are kept together, or none when an exception leaves it. Nested ones join the outer."""
        with self._lock:
            outermost = self._depth == 0
            if outermost:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if outermost:
                    self._db.execute("ROLLBACK")
                raise
            self._depth -= 1
            if outermost:
                self._db.execute("COMMIT")

    def next(self, counter: str) -> int:
        """The next number of a counter, from 1."""
        with self._lock:
            row = self._db.execute(
                "INSERT INTO counter VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
                (counter,),
            ).fetchall()
        return int(row[0][0])

    def add(self, record: R) -> R:
        """The record, now with an id."""
        record.id = self.next("id")
        return self.put(record)

    def put(self, record: R) -> R:
        body = json.dumps(asdict(record), ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)", (record.kind, record.id, record.of, body)
            )
        return record

    def remove(self, record: Record) -> None:
        with self._lock:
            self._db.execute("DELETE FROM record WHERE kind = ? AND id = ?", (record.kind, record.id))

    def get(self, kind: type[R], id: int) -> R | None:
        with self._lock:
            rows = self._db.execute("SELECT body FROM record WHERE kind = ? AND id = ?", (kind.kind, id)).fetchall()
        return kind(**json.loads(rows[0][0])) if rows else None

    def all(self, kind: type[R], of: object = None) -> list[R]:
        """Every record of a kind, oldest first; only those that belong to `of` when it is given."""
        sql, values = "SELECT body FROM record WHERE kind = ?", [kind.kind]
        if of is not None:
            sql, values = sql + " AND of = ?", [*values, str(of)]
        with self._lock:
            rows = self._db.execute(sql + " ORDER BY id", values).fetchall()
        return [kind(**json.loads(body)) for (body,) in rows]

    def count(self, kind: type[Record], of: object) -> int:
        with self._lock:
            rows = self._db.execute(
                "SELECT count(*) FROM record WHERE kind = ? AND of = ?", (kind.kind, str(of))
            ).fetchall()
        return int(rows[0][0])

    def setting(self, name: str) -> Any:
        """A setting's JSON value; None when it was never set."""
        with self._lock:
            rows = self._db.execute("SELECT body FROM setting WHERE name = ?", (name,)).fetchall()
        return json.loads(rows[0][0]) if rows else None

    def set(self, name: str, value: Any) -> None:
        with self._lock:
            if value is None:
                self._db.execute("DELETE FROM setting WHERE name = ?", (name,))
            else:
                self._db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, json.dumps(value)))

    def close(self) -> None:
        with self._lock:
            self._db.close()
