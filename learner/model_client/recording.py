"""Exchanges with a model as files, to look at and to play back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from learner.errors import LearnerError


class Recording:
    """Keeps exchanges in one folder, or gives back what another run kept.

    Raises: `LearnerError` when a folder can't be made, read or written.
    """

    def __init__(self, *, record: Path | None, replay: Path | None) -> None:
        self._record = record
        self._kept: dict[str, list[dict[str, Any]]] | None = None
        self._number = 0
        if record is not None:
            try:
                record.mkdir(parents=True, exist_ok=True)
            except OSError as e:
                raise LearnerError(f"{record}: {e.strerror}", "choose another folder for --record") from e
            self._number = len(list(record.glob("*.json")))
        if replay is not None:
            self._kept = _read(replay)

    @property
    def replaying(self) -> bool:
        return self._kept is not None

    @staticmethod
    def key(system: str, user: str, boundary: str, schema: dict[str, Any], name: str, model: str) -> str:
        """12 hex digits that are the same for the same question, whatever its random boundary."""
        if boundary:
            system, user = system.replace(boundary, "<boundary>"), user.replace(boundary, "<boundary>")
        whole = json.dumps([system, user, schema, name, model], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()[:12]

    def keep(self, key: str, exchange: dict[str, Any]) -> None:
        """Write one exchange, when recording."""
        if self._record is None:
            return
        self._number += 1
        path = self._record / f"{self._number:04d}-{exchange['name']}-{key}.json"
        try:
            path.write_text(json.dumps({"key": key} | exchange, ensure_ascii=True, indent=2) + "\n", encoding="utf-8")
        except OSError as e:
            raise LearnerError(f"{path}: {e.strerror}", "choose another folder for --record") from e

    def next(self, key: str) -> dict[str, Any] | None:
        """The next kept exchange for `key`; the last one again when there are no more; None when there is none."""
        kept = (self._kept or {}).get(key)
        if not kept:
            return None
        return kept.pop(0) if len(kept) > 1 else kept[0]


def _read(folder: Path) -> dict[str, list[dict[str, Any]]]:
    if not folder.is_dir():
        raise LearnerError(f"{folder}: no such folder", "give --replay a folder that --record made")
    kept: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            exchange = json.loads(path.read_text(encoding="utf-8"))
            kept.setdefault(exchange["key"], []).append(exchange)
        except (OSError, ValueError, TypeError, KeyError) as e:
            raise LearnerError(f"{path}: no recorded exchange ({e})", "take the file out of the folder") from e
    return kept
