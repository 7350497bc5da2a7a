"""The folder on the host where a result rests until it is known to have arrived.

    pending/<date>~<client>~<execution id>~<blob id>.json   what is to be sent
    packs/*.zip                                             the oldest of it, compressed
    tmp/<the same name>.<process>                           what is being written
    aside/<name> and <name>.reason                          what can't be sent, and why

The name tells all that sending needs, and the blob id in it tells whether the bytes are still what was written.
"""

from __future__ import annotations

import math
import os
import secrets
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from learner.errors import LearnerError
from learner.models.execution import ExecutionResult
from learner.models.records import SkippedFile
from learner.repository.objects import blob_id
from learner.telemetry.entry import NAME, Entry, Level
from learner.telemetry.lock import locked
from learner.telemetry.packs import MOST, Packs, sync_folder
from learner.telemetry.parse import MAX_BYTES, encoded

_SETTLED_SECONDS = 60.0
"""A temporary file this old has no writer any more."""
_LOOKED_SECONDS = 1.0
"""While far less waits than may, what others add in so long fills no disk: looking through it for every result would."""
_LOOSE_MOST = 2000
_LOOSE_KEPT = 200
_LOOSE_SECONDS = 86_400.0
"""More files than the most, or more old ones than the kept, are packed; so many of the newest stay as they are."""


def _nowhere(_step: str) -> None:
    return None


class Spool:
    """Results that wait on this host. Several processes may use one spool at once."""

    def __init__(
        self,
        path: Path,
        *,
        max_result_bytes: int = MAX_BYTES,
        max_bytes: int = 256 << 20,
        step: Callable[[str], None] = _nowhere,
    ) -> None:
        """`max_bytes` on disk are the most that may wait; `step` is told each point at which a process could die.

        Raises: `LearnerError` when the folder can't be made.
        """
        self.path = path
        self.max_result_bytes = max_result_bytes
        self.max_bytes = max_bytes
        self._step = step
        self._pending, self._tmp, self._aside = path / "pending", path / "tmp", path / "aside"
        self._packs = Packs(path / "packs", step)
        self._urgent = path / "urgent"
        self._seen = (0, 0, -math.inf)
        """How many files waited and how many bytes in all when that was looked at last, and when, in seconds."""
        try:
            for folder in (self._pending, self._tmp, self._aside, path / "packs"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise _unusable(path, e) from e

    def ready(self) -> None:
        """Nothing, when a result can be kept; to be asked before something is done that must be recorded.

        Raises: `LearnerError` when the spool is full or can't be written.
        """
        try:
            self._make_room(self.max_result_bytes)
            probe = self._tmp / f"probe.{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as e:
            raise _unusable(self.path, e) from e

    def add(self, result: ExecutionResult, *, urgent: bool = False) -> Path:
        """Where `result` rests now; on return it survives a power failure. The same result again is the same file.

        A result whose id is taken by another content is set aside with the reason. An `urgent` one asks whoever
        watches the spool to push at once.

        Raises: `LearnerError` when spool or disk is full, the folder can't be written or the result is too large.
        """
        return self.keep(result, encoded(result), urgent=urgent)

    def keep(self, result: ExecutionResult, content: bytes, *, urgent: bool = False) -> Path:
        """`add`, for a result that came with its bytes: they are kept as they are."""
        if len(content) > self.max_result_bytes:
            raise LearnerError(
                f"{result.execution_id}: {len(content)} bytes are more than the {self.max_result_bytes} that one result may have",
                "cap what steps print, or raise telemetry.max_result_bytes",
            )
        blob = blob_id(content)
        name = f"{result.started_at:%Y-%m-%d}~{result.client_id}~{result.execution_id}~{blob}.json"
        self._step("begin")
        try:
            self._make_room(len(content))
            temporary = self._write(name, content)
            kept = self._publish(temporary, name)
            if urgent:
                self.mark_urgent()
        except OSError as e:
            raise _unusable(self.path, e) from e
        self._step("kept")
        return kept

    def reason(self, kept: Path) -> str | None:
        """Why what `add` put at `kept` was set aside; None when it waits to be sent."""
        return Path(f"{kept}.reason").read_text("utf-8") if kept.parent == self._aside else None

    def mark_urgent(self) -> None:
        """Ask whoever watches the spool to push at once."""
        self._urgent.write_bytes(b"")

    def take_urgent(self) -> bool:
        """Whether something urgent was added since this was asked last."""
        try:
            self._urgent.unlink()
        except FileNotFoundError:
            return False
        return True

    def level(self) -> Level:
        """How full it is."""
        names = self._names()
        loose = self._loose()
        since = min([*(stat.st_mtime for stat in loose), *self._packs.since()], default=None)
        return Level(
            len(names),
            sum(stat.st_size for stat in loose) + self._packs.size(),
            None if since is None else datetime.fromtimestamp(since, UTC),
        )

    def pending(self) -> list[Entry]:
        """What waits, oldest first. Files that are no longer what was written are set aside."""
        self._recover()
        found = []
        for name, pack in sorted(self._names().items()):
            match = NAME.fullmatch(name)
            assert match
            date, client, execution_id, blob = match.groups()
            path = f"telemetry/{client}/{date.replace('-', '/')}/{execution_id}.json"
            read = partial(self._packs.read, pack, name) if pack else (self._pending / name).read_bytes
            found.append(Entry(execution_id, client, path, blob, pack or self._pending / name, read))
        return found

    def whole(self, entry: Entry) -> bytes | None:
        """The bytes of `entry`; None when it was purged meanwhile, or is damaged and now set aside."""
        try:
            content = entry.bytes
        except FileNotFoundError:
            return None
        except (OSError, zlib.error) as e:
            self.refuse(entry, f"can't be read: {e}")
            return None
        if blob_id(content) != entry.blob:
            self.refuse(entry, f"damaged: {len(content)} bytes that are not what was written")
            return None
        return content

    def purge(self, execution_ids: Iterable[str]) -> int:
        """How many entries were taken out: those of `execution_ids`, which are known to have arrived."""
        gone = set(execution_ids)
        return self.drop([entry for entry in self.pending() if entry.execution_id in gone]) if gone else 0

    def drop(self, entries: Sequence[Entry]) -> int:
        """How many entries were taken out: all of `entries`."""
        packed = set()
        for entry in entries:
            # also when it lies in a pack: a writer killed while packing leaves it in both places
            (self._pending / entry.name).unlink(missing_ok=True)
            if entry.file.parent != self._pending:
                packed.add(entry.name)
            self._step("purged one")
        if packed:
            with locked(self.path / "lock"):
                self._packs.drop(packed, self._set_aside)
        return len(entries)

    def refuse(self, entry: Entry, reason: str) -> None:
        """Set `entry` aside: it can never be sent."""
        if entry.file.parent != self._pending:
            name = entry.name
            try:
                (self._aside / name).write_bytes(entry.bytes)
            except (OSError, zlib.error):
                (self._aside / name).write_bytes(b"")  # the pack itself is broken there; the reason tells
            (self._aside / f"{name}.reason").write_text(reason, "utf-8")
            self.drop([entry])
        else:
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
        sync_folder(self._pending)
        return target

    def _same_id(self, name: str) -> list[str]:
        match = NAME.fullmatch(name)
        assert match
        sign = f"~{match[2]}~{match[3]}~"
        # no more than a look at names: this is asked for every result, however many wait
        return [other for names in (os.listdir(self._pending), self._packed()) for other in names if sign in other]

    def _names(self) -> dict[str, Path | None]:
        """Entry name → its pack, None for one that has a file of its own."""
        packed = self._packed()
        names: dict[str, Path | None] = {name: pack for name, pack in packed.items() if NAME.fullmatch(name)}
        for name in os.listdir(self._pending):
            if NAME.fullmatch(name):
                names[name] = None
            else:
                self._set_aside(self._pending / name, "no name that the spool gives")
        return names

    def _packed(self) -> dict[str, Path]:
        """Entry name → its pack; packs that can't be opened are set aside."""
        packed, damaged = self._packs.names()
        for pack, problem in damaged.items():
            self._set_aside(pack, f"a pack that can't be opened: {problem}")
        return packed

    def _make_room(self, wanted: int) -> None:
        """Pack the oldest when much or old is waiting.

        Raises: `LearnerError` when even packed it is too much.
        """
        many, size, looked = self._seen
        if many < _LOOSE_MOST and size + wanted < self.max_bytes // 8 and time.monotonic() - looked < _LOOKED_SECONDS:
            self._seen = many + 1, size + wanted, looked
            return
        loose = self._loose()
        size = sum(stat.st_size for stat in loose)
        before = time.time() - _LOOSE_SECONDS
        old = sum(stat.st_mtime < before for stat in loose)
        if old > _LOOSE_KEPT or len(loose) > _LOOSE_MOST or size + wanted > self.max_bytes // 4:
            self._pack(_LOOSE_KEPT if len(loose) > 2 * _LOOSE_KEPT else len(loose) // 2)
            loose = self._loose()
        taken = sum(stat.st_size for stat in loose) + self._packs.size()
        if taken + wanted > self.max_bytes:
            self._pack(0)
            loose = self._loose()
            taken = sum(stat.st_size for stat in loose) + self._packs.size()
        self._seen = len(loose) + 1, taken + wanted, time.monotonic()
        if taken + wanted > self.max_bytes:
            raise LearnerError(
                f"spool {self.path} is full: {taken} of {self.max_bytes} bytes wait to be sent",
                "nothing was dropped; see why `learner telemetry push` does not get through, or raise spool_limits.max_bytes",
            )

    def _loose(self) -> list[os.stat_result]:
        """Of every pending file; one that another process takes away meanwhile counts no more."""
        found = []
        with os.scandir(self._pending) as listing:
            for file in listing:
                with suppress(FileNotFoundError):
                    found.append(file.stat())
        return found

    def _pack(self, kept: int) -> None:
        """Pack all but the newest `kept`."""
        with locked(self.path / "lock"):
            loose = sorted(name for name in os.listdir(self._pending) if NAME.fullmatch(name))
            old = loose[: len(loose) - kept]
            for names in (old[i : i + MOST] for i in range(0, len(old), MOST)):
                since = min((_since(self._pending / name) for name in names), default=0.0)
                self._packs.write(self._held(names), since)
                for name in names:
                    (self._pending / name).unlink(missing_ok=True)
                self._step("loose dropped")

    def _held(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """(name, bytes) of pending files; without those that whoever sends has taken out meanwhile."""
        for name in names:
            with suppress(FileNotFoundError):
                yield name, (self._pending / name).read_bytes()

    def _recover(self) -> None:
        """What a killed writer had written whole is taken up; what it had not is set aside."""
        for file in list(self._tmp.iterdir()):
            name = file.name.rpartition(".")[0]
            match = NAME.fullmatch(name)
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


def _since(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _unusable(path: Path, e: OSError) -> LearnerError:
    return LearnerError(
        f"spool {path}: {e.strerror or e}",
        "the result was not kept: free some space or correct the folder's owner, then record it again",
    )
