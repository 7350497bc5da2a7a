"""Unified diffs: files, hunks, and where in them a line of a file stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_STATUS = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied", "T": "changed"}


@dataclass(frozen=True)
class DiffLine:
    """A line of a patch. `position` counts as GitHub does: 1 is the line below the file's first `@@`."""

    position: int
    sign: str
    text: str
    old: int | None
    new: int | None
    hunk: str


@dataclass(frozen=True)
class FilePatch:
    """One file of a diff; `patch` is its hunks as text, None for a binary file or a mere rename."""

    path: str
    previous: str | None
    status: str
    old_sha: str
    new_sha: str
    patch: str | None

    @property
    def additions(self) -> int:
        return sum(line.sign == "+" for line in self.lines())

    @property
    def deletions(self) -> int:
        return sum(line.sign == "-" for line in self.lines())

    def lines(self) -> Iterator[DiffLine]:
        """The lines of all hunks, in order, without the `@@` headers."""
        old = new = 0
        hunk: list[str] = []
        for position, raw in enumerate((self.patch or "").split("\n") if self.patch else ()):
            if header := _HUNK.match(raw):
                old, new, hunk = int(header[1]), int(header[3]), [raw]
                continue
            sign = raw[:1] or " "
            hunk.append(raw)
            if sign == "\\":
                continue
            yield DiffLine(
                position, sign, raw[1:], None if sign == "+" else old, None if sign == "-" else new, "\n".join(hunk)
            )
            old += sign != "+"
            new += sign != "-"

    def at(self, line: int, side: str) -> DiffLine | None:
        """The line of the diff that is `line` of the old (LEFT) or new (RIGHT) file; None outside the diff."""
        return next((x for x in self.lines() if (x.old if side == "LEFT" else x.new) == line), None)

    def at_position(self, position: int) -> DiffLine | None:
        return next((x for x in self.lines() if x.position == position), None)


def parse_patches(raw: bytes, text: bytes) -> list[FilePatch]:
    """The files of `git diff-tree -z --raw` joined with the hunks of `git diff-tree -p`, which keep one order."""
    sections = re.split(r"^diff --git .*\n", text.decode("utf-8", "replace"), flags=re.M)[1:]
    tokens = iter(raw.split(b"\0"))
    patches: list[FilePatch] = []
    for meta in tokens:
        if not meta.startswith(b":"):
            continue
        _, _, old, new, status = meta.decode().split()
        first = next(tokens).decode("utf-8", "replace")
        moved = status[0] in "RC"
        path = next(tokens).decode("utf-8", "replace") if moved else first
        section = sections[len(patches)] if len(patches) < len(sections) else ""
        start = re.search(r"^@@ ", section, flags=re.M)
        hunks = section[start.start() :].removesuffix("\n") if start else None
        patches.append(FilePatch(path, first if moved else None, _STATUS.get(status[0], "changed"), old, new, hunks))
    return patches


def carried(line: int, old: list[str], new: list[str]) -> int | None:
    """Where line `line` (from 1) of `old` stands in `new`; None when it was changed or taken away."""
    for tag, start, end, to, _ in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal" and start < line <= end:
            return line - start + to
    return None
