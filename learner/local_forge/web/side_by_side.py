"""Two versions of a file side by side: changed lines and words marked, what did not change folded away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher

CONTEXT = 3
MAX_LINES = 5000
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_STEP = re.compile(r"^(?P<indent>\s*)- (?:id|name):\s*[\"']?(?P<id>[^\s\"'#]+)")


@dataclass(frozen=True)
class Piece:
    """A run of text in a line; `changed` words stand out."""

    text: str
    changed: bool = False


@dataclass
class Row:
    """One line of each side; a side that has no such line is None. `kind`: same, changed, added or removed."""

    kind: str
    old_number: int | None = None
    new_number: int | None = None
    old: list[Piece] = field(default_factory=list)
    new: list[Piece] = field(default_factory=list)
    badge: str = ""


@dataclass
class Block:
    """Rows that stand together; a folded one is hidden until somebody asks for it."""

    rows: list[Row]
    folded: bool = False


def compare(old: str, new: str) -> list[Block]:
    """The rows of both texts in blocks. Steps that are new or changed carry a badge on their first line."""
    rows = _rows(_lines(old), _lines(new))
    _badge(rows)
    return _fold(rows)


def _lines(text: str) -> list[str]:
    return text.split("\n")[: MAX_LINES + 1] if not text.endswith("\n") else text[:-1].split("\n")[:MAX_LINES]


def _rows(old: list[str], new: list[str]) -> list[Row]:
    rows: list[Row] = []
    if old == [""]:
        old = []
    if new == [""]:
        new = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            rows += [
                Row("same", i1 + n + 1, j1 + n + 1, [Piece(old[i1 + n])], [Piece(new[j1 + n])]) for n in range(i2 - i1)
            ]
        else:
            rows += _replaced(old[i1:i2], new[j1:j2], i1, j1)
    return rows


def _replaced(old: list[str], new: list[str], i: int, j: int) -> Iterator[Row]:
    """Lines that took others' place: those that resemble each other stand side by side."""
    pairs = dict(_alike(old, new))
    at = 0
    for n, line in enumerate(old):
        if n not in pairs:
            yield Row("removed", old_number=i + n + 1, old=[Piece(line)])
            continue
        while at < pairs[n]:
            yield Row("added", new_number=j + at + 1, new=[Piece(new[at])])
            at += 1
        left, right = _words(line, new[at])
        yield Row("changed", i + n + 1, j + at + 1, left, right)
        at += 1
    for m in range(at, len(new)):
        yield Row("added", new_number=j + m + 1, new=[Piece(new[m])])


def _alike(old: list[str], new: list[str]) -> Iterator[tuple[int, int]]:
    """Which old line became which new one, in order: the best likeness above one half."""
    start = 0
    if len(old) * len(new) > 10_000:
        return
    for n, line in enumerate(old):
        best, where = 0.5, -1
        for m in range(start, len(new)):
            likeness = SequenceMatcher(None, line.strip(), new[m].strip(), autojunk=False).ratio()
            if likeness > best:
                best, where = likeness, m
        if where >= 0:
            yield n, where
            start = where + 1


def _words(old: str, new: str) -> tuple[list[Piece], list[Piece]]:
    one, two = _WORD.findall(old), _WORD.findall(new)
    left: list[Piece] = []
    right: list[Piece] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        for pieces, words in ((left, one[i1:i2]), (right, two[j1:j2])):
            if words:
                pieces.append(Piece("".join(words), tag != "equal"))
    return left, right


def _badge(rows: list[Row]) -> None:
    """Say on a step's first line that the step is new or changed."""
    step: Row | None = None
    indent = 0
    changed = fresh = False

    def close() -> None:
        if step is not None and changed:
            step.badge = "new step" if fresh else "changed step"

    for row in rows:
        line = "".join(p.text for p in row.new) if row.new_number else ""
        found = _STEP.match(line) if row.new_number else None
        if found and (step is None or len(found["indent"]) <= indent):
            close()
            step, indent, changed, fresh = row, len(found["indent"]), row.kind != "same", row.kind == "added"
        elif step is not None and row.new_number and line.strip() and len(line) - len(line.lstrip()) <= indent:
            close()
            step = None
        elif step is not None and row.kind != "same" and (line.strip() or row.kind == "removed"):
            changed = True
        elif step is not None and row.kind == "same" and line.strip():
            fresh = False
    close()


def _fold(rows: list[Row]) -> list[Block]:
    """Unchanged rows further than `CONTEXT` lines from any change are folded, when that saves more than it costs."""
    shown = {i for i, row in enumerate(rows) if row.badge}
    for i, row in enumerate(rows):
        if row.kind != "same":
            shown |= set(range(i - CONTEXT, i + CONTEXT + 1))
    blocks: list[Block] = []
    for i, row in enumerate(rows):
        folded = i not in shown
        if not blocks or blocks[-1].folded != folded:
            blocks.append(Block([], folded))
        blocks[-1].rows.append(row)
    for block in blocks:
        block.folded = block.folded and len(block.rows) > 2
    return blocks
