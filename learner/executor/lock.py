"""Locks between runs of one host, on files: freed by the system when their holder dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path


class FileLock:
    """A lock on `path`, held from a successful `take` until `free`, or until this process ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def take(self) -> bool:
        """Whether the lock is this object's now; never waits."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        if not _acquired(handle):
            os.close(handle)
            return False
        self._handle = handle
        return True

    def free(self) -> None:
        """Let go. The file stays: removing it would let two holders have one lock each."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


if sys.platform == "win32":
    import msvcrt

    def _acquired(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _acquired(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
