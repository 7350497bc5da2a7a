"""The lines of a YAML text by offset: what YAML itself takes for line breaks, and nothing else."""

from __future__ import annotations

import re

# Source: YAML 1.1, section 5.4; PyYAML counts all of these as line breaks.
BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
BREAKS = "\n\r\x85\u2028\u2029"


def line_start(text: str, at: int) -> int:
    """Where the line of `at` begins."""
    return max(text.rfind(character, 0, at) for character in BREAKS) + 1


def line_end(text: str, at: int) -> int:
    """Where the line of `at` ends, before its break."""
    found = BREAK.search(text, at)
    return found.start() if found else len(text)


def next_line(text: str, at: int) -> int:
    """Where the line below `at` begins; the end of the text below the last."""
    found = BREAK.search(text, at)
    return found.end() if found else len(text)


def break_before(text: str, at: int) -> str:
    """The line break right before `at`; empty when there is none."""
    if text[max(0, at - 2) : at] == "\r\n":
        return "\r\n"
    return text[at - 1] if at and text[at - 1] in BREAKS else ""


def blank_above(text: str, at: int) -> bool:
    """Whether the line above the one that begins at `at` is blank."""
    above = line_start(text, at - len(break_before(text, at)))
    return above < at and not text[above:at].strip(" " + BREAKS)
