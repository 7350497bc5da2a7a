"""Packs of a spool: the oldest of what waits, compressed together, so that an outage of weeks fits on a small disk."""

from __future__ import annotations

import os
import secrets
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

MOST = 1000
"""Entries in one pack: what must be written again when one of them has arrived."""


class Packs:
    """Zip files in one folder; every member is an entry under the name it had in the spool."""

    def __init__(self, folder: Path, step: Callable[[str], None]) -> None:
        self._folder = folder
        self._step = step

    def names(self) -> dict[str, Path]:
        """Entry name → the pack that holds it."""
        found: dict[str, Path] = {}
        for pack in self._all():
            try:
                with zipfile.ZipFile(pack) as file:
                    found |= dict.fromkeys(file.namelist(), pack)
            except FileNotFoundError:
                continue  # written anew meanwhile; it is listed under its new name next time
        return found

    def read(self, pack: Path, name: str) -> bytes:
        """The bytes of one entry.

        Raises: `OSError` when they can't be read.
        """
        try:
            with zipfile.ZipFile(pack) as file:
                return file.read(name)
        except KeyError as e:
            raise FileNotFoundError(name) from e
        except zipfile.BadZipFile as e:
            raise OSError(f"{pack.name}: {e}") from e

    def damaged(self) -> Iterator[tuple[Path, str]]:
        """Packs that can't be opened, and why."""
        for pack in self._all():
            try:
                zipfile.ZipFile(pack).close()
            except zipfile.BadZipFile as e:
                yield pack, str(e)
            except FileNotFoundError:
                continue

    def write(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Put entries into a new pack; on return it survives a power failure."""
        temporary = self._folder / f".{secrets.token_hex(8)}.tmp"
        try:
            with temporary.open("wb") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as pack:
                    for name, content in entries:
                        # a fixed date: zip's own clock has no zone and ends in 2107
                        pack.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._step("packed")
        os.replace(temporary, self._folder / f"{secrets.token_hex(8)}.zip")
        sync_folder(self._folder)
        self._step("pack kept")

    def drop(self, gone: set[str]) -> None:
        """Take entries out: a pack that loses some is written anew, one that loses all is removed."""
        for pack in self._all():
            with zipfile.ZipFile(pack) as file:
                names = file.namelist()
                kept = [name for name in names if name not in gone]
                if len(kept) == len(names):
                    continue
                if kept:
                    self.write((name, file.read(name)) for name in kept)
            pack.unlink(missing_ok=True)
            self._step("pack dropped")

    def size(self) -> int:
        """Bytes on disk."""
        return sum(pack.stat().st_size for pack in self._all())

    def _all(self) -> list[Path]:
        return sorted(self._folder.glob("*.zip"))


def sync_folder(folder: Path) -> None:
    """A rename survives power loss only once its folder is on disk. Source: fsync(2), Linux manual."""
    if os.name == "nt":  # a folder can't be opened there; NTFS journals the rename
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
