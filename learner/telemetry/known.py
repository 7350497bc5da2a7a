"""What lies on `telemetry` already, asked folder by folder, so that history costs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta

from learner.archives.read import ids
from learner.repository.batch import Objects, objects
from learner.repository.lean import Lean
from learner.telemetry import parse
from learner.telemetry.archive import ids_path, month_of
from learner.telemetry.parse import Place


class Known:
    """The branch at one commit, asked by path."""

    def __init__(self, reader: Objects, tip: str | None) -> None:
        self._reader = reader
        self._tip = tip
        self._folders: dict[str, Mapping[str, str]] = {}
        self._months: dict[str, Mapping[str, str]] = {}

    def at(self, path: str) -> str | None:
        """The blob id at `path`."""
        folder, _, name = path.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._list(folder)
        return self._folders[folder].get(name)

    def elsewhere(self, place: Place) -> tuple[str, str] | None:
        """(path, blob id) of a result with this client and id.

        Looked for at its own date, at the date in its id, and a day around both: clocks are set wrong and runs cross
        midnight, but no executor gives one id twice months apart.
        """
        for day in days(place):
            path = f"telemetry/{place.client_id}/{day}/{place.execution_id}.json"
            if blob := self.at(path) or self.archived(path):
                return path, blob
        return None

    def archived(self, path: str) -> str | None:
        """The first 12 digits of the blob id of a result that lies in its month's archive."""
        month = month_of(path)
        if month is None:
            return None
        if month not in self._months:
            blob = self.at(ids_path(month))
            found = self._reader.read(blob) if blob else None
            self._months[month] = ids((found.content if found else None) or b"")
        return self._months[month].get(path)

    def _list(self, folder: str) -> Mapping[str, str]:
        if self._tip is None:
            return {}
        found = self._reader.info(f"{self._tip}:{folder}")
        return (
            {entry.name: entry.oid for entry in self._reader.tree(found.oid)} if found and found.kind == "tree" else {}
        )


def days(place: Place) -> Iterator[str]:
    """`YYYY/MM/DD` of every day on which another result with this id could lie, its own first."""
    yield place.date
    seen = {place.date}
    digits = place.execution_id[5:13]
    for text in (place.date.replace("/", ""), digits):
        try:
            day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
            around = [day + timedelta(days=d) for d in (-1, 0, 1)]
        except (ValueError, OverflowError):
            continue
        for one in around:
            if (name := one.isoformat().replace("-", "/")) not in seen:
                seen.add(name)
                yield name


def bring(lean: Lean, tip: str, inboxes: Iterable[tuple[str, str, str]]) -> None:
    """Fetch what reading inboxes, each (client, executor, tip), asks of the branch, and what writing to it needs."""
    folders: set[str] = {parse.ARCHIVE.rstrip("/")}
    months: set[str | None] = set()
    with objects(lean.git) as reader:
        for client_id, executor_id, commit in inboxes:
            folders.add(f"{parse.QUARANTINE}other/{client_id}/{executor_id}")
            for path, _ in reader.files(commit):
                if place := parse.place(path):
                    around = [f"{parse.ROOT}{place.client_id}/{day}" for day in days(place)]
                    folders |= {*around, f"{parse.QUARANTINE}{parse.ROOT}{place.client_id}/{place.date}"}
                    months |= {month_of(f"{folder}/{place.execution_id}.json") for folder in around}
    lean.folders(tip, folders)
    with objects(lean.git) as reader:
        lists = {ids_path(month) for month in months if month}
        names = reader.tree(f"{tip}:{parse.ARCHIVE.rstrip('/')}")
        blobs = [entry.oid for entry in names if parse.ARCHIVE + entry.name in lists]
    lean.blobs(blobs)
