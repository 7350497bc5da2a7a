"""Characters that a reviewer does not see."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule
from learner.audits.sinks import of_check, of_step
from learner.models import Finding, Level

_UNSEEN = frozenset("\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff\u00ad\u180e\u3164\u115f\u1160")  # fmt: skip
_FAR_RIGHT = 200
"""Columns; what stands behind that many blanks is out of sight on a review page."""


class HiddenText(Rule):
    """The new version holds text that a reader does not see, or sees as something else.

    Characters without width or that turn the direction of reading, control characters, letters of other scripts
    that look like Latin ones in commands and paths, and text pushed far to the right.
    """

    name = "hidden-text"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        before = set(change.old.text.decode("utf-8", "replace").splitlines())
        for number, line in enumerate(change.new.text.decode("utf-8", "replace").splitlines(), start=1):
            if line in before:
                continue
            if unseen := sorted({c for c in line if c in _UNSEEN or unicodedata.category(c) in ("Cf", "Co", "Cn")}):
                names = ", ".join(f"U+{ord(c):04X}" for c in unseen)
                yield self.says(Level.BLOCK, f"holds characters that nobody sees: {names}", f"line {number}")
            if any(unicodedata.category(c) == "Cc" and c != "\t" for c in line):
                yield self.says(Level.BLOCK, "holds a control character", f"line {number}")
            blank = line.rstrip().lstrip().find(" " * 40)
            if blank >= 0 or len(line) - len(line.lstrip()) > _FAR_RIGHT:
                yield self.says(Level.WARNING, "text stands far to the right, out of sight", f"line {number}")
        sinks = [(pair.where, sink) for pair in change.touched if pair.new for sink in of_step(pair.new)]
        sinks += [
            (check.where, sink)
            for check in change.checks
            if check.new and check.new != check.old
            for sink in of_check(check.new)
        ]
        for where, sink in sinks:
            if sink.kind in ("words", "content"):
                continue
            if any(c in _UNSEEN or (unicodedata.category(c) == "Cc" and c not in "\n\t") for c in sink.text):
                # An escape in a quoted text hides what the line itself shows as plain letters.
                yield self.says(Level.BLOCK, "holds characters that nobody sees", f"{where}.{sink.where}")
            elif mixed := _mixed(sink.text):
                yield self.says(Level.BLOCK, f"mixes scripts within a word: {mixed}", f"{where}.{sink.where}")


def _mixed(text: str) -> str | None:
    """A word of Latin letters and of letters that only look like them."""
    for word in re.findall(r"[^\W\d_]+", text):
        scripts = {unicodedata.name(c, "?").split()[0] for c in word if c.isalpha()}
        if "LATIN" in scripts and scripts & {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "FULLWIDTH", "MATHEMATICAL"}:
            return str(word)[:60]
    return None
