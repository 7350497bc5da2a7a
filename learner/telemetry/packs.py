"""Packs of a spool: the oldest of what waits, compressed together, so that an outage of weeks fits on a small disk."""

from __future__ import annotations

import os
import secrets
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

MOST = 1000
"""Entries in one pack: what must be written again when one of them has arrived."""


class Packs:
    """Zip files in one folder; every member is an entry under the name it had in the spool."""

    def __init__(self, folder: Path, step: Callable[[str], None]) -> None:
        self._folder = folder
        self._step = step
        self._known: dict[tuple[str, int, int], list[str]] = {}
        self._open: zipfile.ZipFile | None = None
        """The pack read from last: entries are read one after the other, and a list of a thousand takes its time."""

    def names(self) -> tuple[dict[str, Path], dict[Path, str]]:
        """Entry name → the pack that holds it, and packs that can't be opened → why.

        A pack is never written again under its name, so each is opened once, however often this is asked.
        """
        found: dict[str, Path] = {}
        damaged: dict[Path, str] = {}
        known: dict[tuple[str, int, int], list[str]] = {}
        for pack in self._all():
            try:
                stat = pack.stat()
                sign = pack.name, stat.st_mtime_ns, stat.st_size
                if sign not in self._known:
                    with zipfile.ZipFile(pack) as file:
                        self._known[sign] = file.namelist()
                known[sign] = self._known[sign]
                found |= dict.fromkeys(known[sign], pack)
            except FileNotFoundError:
                continue  # written anew meanwhile; it is listed under its new name next time
            except zipfile.BadZipFile as e:
                damaged[pack] = str(e)
        self._known = known
        return found, damaged

    def read(self, pack: Path, name: str) -> bytes:
        """The bytes of one entry.

        Raises: `OSError` when they can't be read.
        """
        try:
            pack.stat()  # one that was dropped meanwhile is gone, also when it is still open here
            if self._open is None or self._open.filename != str(pack):
                self._close()
                self._open = zipfile.ZipFile(pack)
            return self._open.read(name)
        except KeyError as e:
            raise FileNotFoundError(name) from e
        except (zipfile.BadZipFile, zlib.error) as e:
            raise OSError(f"{pack.name}: {e}") from e

    def write(self, entries: Iterable[tuple[str, bytes]], since: float) -> None:
        """Put entries into a new pack; on return it survives a power failure. It is as old as the oldest, `since`."""
        temporary = self._folder / f".{secrets.token_hex(8)}.tmp"
        try:
            with temporary.open("wb") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as pack:
                    for name, content in entries:
                        # a fixed date: zip's own clock has no zone and ends in 2107
                        pack.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
                file.flush()
                os.fsync(file.fileno())
            os.utime(temporary, (since, since))
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._step("packed")
        os.replace(temporary, self._folder / f"{secrets.token_hex(8)}.zip")
        sync_folder(self._folder)
        self._step("pack kept")

    def drop(self, gone: set[str], aside: Callable[[Path, str], None]) -> None:
        """Take entries out: a pack that loses some is written anew, one that loses all is removed.

        One with others that can't be read any more goes `aside` as it is, with the reason; what can be read stays.
        """
        self._close()
        for pack in self._all():
            lost: dict[str, str] = {}
            try:
                with zipfile.ZipFile(pack) as file:
                    names = file.namelist()
                    if gone.isdisjoint(names):
                        continue
                    kept = [name for name in names if name not in gone]
                    lost = {name: problem for name in kept if (problem := _problem(file, name))}
                    if whole := [name for name in kept if name not in lost]:
                        self.write(((name, file.read(name)) for name in whole), pack.stat().st_mtime)
            except (FileNotFoundError, zipfile.BadZipFile):
                continue  # gone meanwhile, or damaged as a whole: then it is set aside when the packs are listed next
            if lost:
                aside(pack, "\n".join(f"can't be read: {name}: {problem}" for name, problem in lost.items()))
            else:
                pack.unlink(missing_ok=True)
            self._step("pack dropped")

    def since(self) -> list[float]:
        """For every pack, since when the oldest in it waits: seconds since 1970."""
        return [pack.stat().st_mtime for pack in self._all()]

    def size(self) -> int:
        """Bytes on disk."""
        return sum(pack.stat().st_size for pack in self._all())

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _all(self) -> list[Path]:
        return sorted(self._folder.glob("*.zip"))


def _problem(pack: zipfile.ZipFile, name: str) -> str:
    """Why an entry can't be read; empty when it can."""
    try:
        pack.read(name)
    except (zipfile.BadZipFile, zlib.error, OSError) as e:
        return str(e)
    return ""


def sync_folder(folder: Path) -> None:
    """A rename survives power loss only once its folder is on disk. Source: fsync(2), Linux manual."""
    if os.name == "nt":  # a folder can't be opened there; NTFS journals the rename
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
