"""A text as a layout with holes, and the words that fill them.

Results of one kind differ in few words: times, numbers, names. A layout is written down once for all of them, the
words stand beside those of the other results at the same place, and both then compress well: a tenth of the bytes that
the same compression makes of the texts.

    layout   {{"id":"INC-{0}","tries":{1},"note":"{0} again"}}
    words    ["4711", "3"]

It is the form that `format` of DuckDB and `str.format` of Python understand, so whoever has them needs nothing of ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

WORDS = 128
"""The most words of one text; further ones stay in its layout."""
_WORD = re.compile(r"(?<![A-Za-z_-])[A-Za-z_-]*+[0-9][0-9A-Za-z.:_+-]*")
# looking back and never giving back keep the time linear, also for a megabyte of letters
_SAME = 3
"""From this length on a word that comes again fills the hole it filled before; shorter ones are the same by chance."""
_MARK = re.compile(r"\{\{|\}\}|\{([0-9]{1,3})\}")
_LONGEST = 64 << 20


def split(text: str) -> tuple[str, list[str]]:
    """Layout and words of a text; `filled` makes the same text of them."""
    words: list[str] = []
    known: dict[str, int] = {}
    parts: list[str] = []
    at = 0
    braces = "{" in text or "}" in text
    for found in _WORD.finditer(text):
        word = found.group()
        hole = known.get(word)
        if hole is None:
            if len(words) == WORDS:
                continue
            hole = len(words)
            words.append(word)
            if len(word) >= _SAME:
                known[word] = hole
        between = text[at : found.start()]
        parts.append(f"{_escaped(between) if braces else between}{{{hole}}}")
        at = found.end()
    parts.append(_escaped(text[at:]))
    return "".join(parts), words


class Filler:
    """Fills layouts, each of which is taken apart once. Archives can be written by others, so `str.format` is not used:
    it knows more than holes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[list[str], list[int]]] = {}

    def filled(self, layout: str, words: Sequence[str]) -> str:
        """The text that `split` gave layout and words of.

        Raises: `ValueError` when a word is missing, or the text would be longer than any result.
        """
        between, holes = self._known.get(layout) or self._apart(layout)
        try:
            chosen = [words[hole] for hole in holes]
        except IndexError as e:
            raise ValueError("a layout with a hole that no word fills") from e
        if len(layout) + sum(map(len, chosen)) > _LONGEST:
            raise ValueError("a layout that makes more of its words than a result may have")
        return "".join([part for pair in zip(between, chosen, strict=False) for part in pair]) + between[-1]

    def _apart(self, layout: str) -> tuple[list[str], list[int]]:
        between: list[str] = []
        holes: list[int] = []
        piece: list[str] = []
        at = 0
        for mark in _MARK.finditer(layout):
            piece.append(layout[at : mark.start()])
            if mark[1] is None:
                piece.append(mark[0][0])
            else:
                between.append("".join(piece))
                holes.append(int(mark[1]))
                piece = []
            at = mark.end()
        between.append("".join([*piece, layout[at:]]))
        if len(self._known) >= 1000:
            self._known.clear()
        self._known[layout] = between, holes
        return between, holes


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
