"""What lies in a spool: entries, whose names tell all that sending needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

NAME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})~([A-Za-z0-9._-]+)~(exec-[0-9]{8}-[0-9A-Za-z]{4,40})~([0-9a-f]{40})\.json"
)
"""`<date>~<client>~<execution id>~<blob id>.json`"""


@dataclass(frozen=True)
class Entry:
    """One result in the spool."""

    execution_id: str
    client_id: str
    path_in_repo: str
    blob: str
    """The id Git gives to the bytes."""
    file: Path
    """Its file, or the pack it lies in."""
    read: Callable[[], bytes] = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """The file name it has, or had before it was packed."""
        date = "-".join(self.path_in_repo.split("/")[2:5])
        return f"{date}~{self.client_id}~{self.execution_id}~{self.blob}.json"

    @property
    def bytes(self) -> bytes:
        """What is to be sent, as it was written.

        Raises: `OSError` when it is gone by now or can't be read.
        """
        return self.read()


@dataclass(frozen=True)
class Level:
    """How full a spool is."""

    waiting: int
    bytes: int
    """On disk."""
    oldest: datetime | None
    """Since when the one that waits longest does; None when nothing waits."""
