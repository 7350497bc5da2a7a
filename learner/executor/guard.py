"""Guards between runs: one run of a runbook on a host at a time, and no runbook again and again for one incident."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from learner.errors import LearnerError, Refused
from learner.executor.lock import FileLock


class Runs:
    """What this executor has run and is running, in a folder of its own beside the spool."""

    def __init__(self, folder: Path) -> None:
        """Raises: `LearnerError` when the folder can't be made."""
        self.folder = folder
        try:
            for name in ("lock", "history"):
                (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise LearnerError(f"{folder}: {e.strerror}", "nothing was run: correct the spool's folder") from e

    @contextmanager
    def alone(self, host: str, runbook_id: str, execution_id: str) -> Iterator[None]:
        """Holds the right to run `runbook_id` on `host`.

        Raises: `Refused` when another run holds it; it says which.
        """
        key = _key(host, runbook_id)
        lock = FileLock(self.folder / "lock" / key)
        holder = self.folder / "lock" / f"{key}.holder"
        if not lock.take():
            try:
                who = holder.read_text("utf-8")
            except OSError:
                who = "another run"
            raise Refused(
                f"{runbook_id} is being run on {host} already, by {who}", "wait for it to end; nothing was touched"
            )
        try:
            with suppress(OSError):  # it only tells the next one who it was
                holder.write_text(execution_id, "utf-8")
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.free()

    def recent(self, host: str, runbook_id: str, incident_id: str, now: datetime, minutes: float) -> int:
        """How many runs of the runbook on the host for this very incident began in the last `minutes`."""
        since = now - timedelta(minutes=minutes)
        return sum(since < when <= now for when in self._history(_key(host, runbook_id, incident_id)))

    def note(self, host: str, runbook_id: str, incident_id: str, now: datetime) -> None:
        """Remember that a run begins now. To be called under `alone`.

        Raises: `LearnerError` when that can't be written down; then nothing may run.
        """
        key = _key(host, runbook_id, incident_id)
        kept = [*self._history(key)[-99:], now]
        file = self.folder / "history" / key
        temporary = file.with_suffix(".new")
        try:
            temporary.write_text(json.dumps([when.astimezone(UTC).isoformat() for when in kept]), "utf-8")
            temporary.replace(file)
        except OSError as e:
            raise LearnerError(f"{file}: {e.strerror}", "nothing was run: free some space") from e
        self._forget(now)

    def _history(self, key: str) -> list[datetime]:
        try:
            return [datetime.fromisoformat(when) for when in json.loads((self.folder / "history" / key).read_text())]
        except (OSError, ValueError, TypeError):
            return []

    def _forget(self, now: datetime) -> None:
        """Histories that nobody added to for a week are gone."""
        oldest = (now - timedelta(days=7)).timestamp()
        for file in (self.folder / "history").iterdir():
            try:
                if file.stat().st_mtime < oldest:
                    file.unlink()
            except FileNotFoundError:
                continue


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
