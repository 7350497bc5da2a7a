"""The folder on the host where a result rests until it is known to have arrived.

    pending/<date>~<client>~<execution id>~<blob id>.json   what is to be sent
    tmp/<the same name>.<process>                           what is being written
    aside/<name> and <name>.reason                          what can't be sent, and why

The name tells all that sending needs, and the blob id in it tells whether the bytes are still what was written.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from learner.errors import LearnerError
from learner.models.execution import ExecutionResult
from learner.models.records import SkippedFile
from learner.repository.objects import blob_id
from learner.telemetry.lock import locked
from learner.telemetry.parse import MAX_BYTES, encoded

_NAME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})~([A-Za-z0-9._-]+)~(exec-[0-9]{8}-[0-9A-Za-z]{4,40})~([0-9a-f]{40})\.json"
)
_SETTLED_SECONDS = 60.0
"""A temporary file this old has no writer any more."""


@dataclass(frozen=True)
class Entry:
    """One result in the spool."""

    execution_id: str
    client_id: str
    path_in_repo: str
    blob: str
    """The id Git gives to the bytes."""
    file: Path

    @property
    def bytes(self) -> bytes:
        """What is to be sent, as it was written.

        Raises: `OSError` when it is gone by now.
        """
        return self.file.read_bytes()


def _nowhere(_step: str) -> None:
    return None


class Spool:
    """Results that wait on this host. Several processes may use one spool at once."""

    def __init__(
        self, path: Path, *, max_result_bytes: int = MAX_BYTES, step: Callable[[str], None] = _nowhere
    ) -> None:
        """`step` is told each point at which a process could die.

        Raises: `LearnerError` when the folder can't be made.
        """
        self.path = path
        self.max_result_bytes = max_result_bytes
        self._step = step
        self._pending, self._tmp, self._aside = path / "pending", path / "tmp", path / "aside"
        try:
            for folder in (self._pending, self._tmp, self._aside):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise _unusable(path, e) from e

    def add(self, result: ExecutionResult) -> Path:
        """Where `result` rests now; on return it survives a power failure. The same result again is the same file.

        A result whose id is taken by another content is set aside with the reason.

        Raises: `LearnerError` when the disk is full, the folder can't be written or the result is too large.
        """
        content = encoded(result)
        if len(content) > self.max_result_bytes:
            raise LearnerError(
                f"{result.execution_id}: {len(content)} bytes are more than the {self.max_result_bytes} that one result may have",
                "cap what steps print, or raise telemetry.max_result_bytes",
            )
        blob = blob_id(content)
        name = f"{result.started_at:%Y-%m-%d}~{result.client_id}~{result.execution_id}~{blob}.json"
        self._step("begin")
        try:
            temporary = self._write(name, content)
            kept = self._publish(temporary, name)
        except OSError as e:
            raise _unusable(self.path, e) from e
        self._step("kept")
        return kept

    def pending(self) -> list[Entry]:
        """What waits, oldest first. Files that are no longer what was written are set aside."""
        self._recover()
        found = []
        for name in sorted(os.listdir(self._pending)):
            match = _NAME.fullmatch(name)
            file = self._pending / name
            if not match:
                self._set_aside(file, "no name that the spool gives")
                continue
            date, client, execution_id, blob = match.groups()
            path = f"telemetry/{client}/{date.replace('-', '/')}/{execution_id}.json"
            found.append(Entry(execution_id, client, path, blob, file))
        return found

    def whole(self, entry: Entry) -> bytes | None:
        """The bytes of `entry`; None when it was purged meanwhile, or is damaged and now set aside."""
        try:
            content = entry.bytes
        except FileNotFoundError:
            return None
        except OSError as e:
            self._set_aside(entry.file, f"can't be read: {e.strerror}")
            return None
        if blob_id(content) != entry.blob:
            self._set_aside(entry.file, f"damaged: {len(content)} bytes that are not what was written")
            return None
        return content

    def purge(self, execution_ids: Iterable[str]) -> int:
        """How many entries were taken out: those of `execution_ids`, which are known to have arrived."""
        gone = set(execution_ids)
        purged = 0
        for name in os.listdir(self._pending) if gone else ():
            match = _NAME.fullmatch(name)
            if match and match[3] in gone:
                self.drop(self._pending / name)
                purged += 1
        return purged

    def drop(self, file: Path) -> None:
        """Take one file out."""
        file.unlink(missing_ok=True)
        self._step("purged one")

    def refuse(self, entry: Entry, reason: str) -> None:
        """Set `entry` aside: it can never be sent."""
        self._set_aside(entry.file, reason)

    def quarantined(self) -> tuple[SkippedFile, ...]:
        """What was set aside, and why."""
        return tuple(
            SkippedFile(path=file.name.removesuffix(".reason"), reason=file.read_text("utf-8"))
            for file in sorted(self._aside.glob("*.reason"))
        )

    def _write(self, name: str, content: bytes) -> Path:
        temporary = self._tmp / f"{name}.{os.getpid()}-{secrets.token_hex(4)}"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                self._step("opened")
                file.write(content)
                file.flush()
                self._step("written")
                os.fsync(file.fileno())
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._step("synced")
        return temporary

    def _publish(self, temporary: Path, name: str) -> Path:
        """Where the result lies now: among the pending, or aside when its id was taken by another content."""
        target = self._pending / name
        # the look and the rename are one: two writers of one id must not both see it free
        with locked(self.path / "lock"):
            rival = next((other for other in self._same_id(name) if other != name), None)
            if rival:
                self._set_aside(temporary, f"another result with this id waits as {rival}", name)
                return self._aside / name
            self._step("locked")
            os.replace(temporary, target)
        self._step("renamed")
        _sync_folder(self._pending)
        return target

    def _same_id(self, name: str) -> list[str]:
        match = _NAME.fullmatch(name)
        assert match
        sign = f"~{match[2]}~{match[3]}~"
        return [other for other in os.listdir(self._pending) if sign in other]

    def _recover(self) -> None:
        """What a killed writer had written whole is taken up; what it had not is set aside."""
        for file in list(self._tmp.iterdir()):
            name = file.name.rpartition(".")[0]
            match = _NAME.fullmatch(name)
            try:
                if time.time() - file.stat().st_mtime < _SETTLED_SECONDS:
                    continue
                content = file.read_bytes()
                if match and blob_id(content) == match[4]:
                    self._publish(file, name)
                else:
                    self._set_aside(file, "cut short while it was written")
            except FileNotFoundError:
                continue  # its writer was only slow

    def _set_aside(self, file: Path, reason: str, name: str | None = None) -> None:
        name = name or file.name
        reason_file = self._aside / f"{name}.reason"
        # the reason first: a file aside without one could not be told from a mistake
        reason_file.write_text(reason, "utf-8")
        try:
            os.replace(file, self._aside / name)
        except FileNotFoundError:
            reason_file.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """A rename survives power loss only once its folder is on disk. Source: fsync(2), Linux manual."""
    if os.name == "nt":  # a folder can't be opened there; NTFS journals the rename
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unusable(path: Path, e: OSError) -> LearnerError:
    return LearnerError(
        f"spool {path}: {e.strerror or e}",
        "the result was not kept: free some space or correct the folder's owner, then record it again",
    )
