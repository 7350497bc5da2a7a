"""What several failures say in common, as the expression of a repair pattern, with captures for what differs."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from learner.errors import LearnerError
from learner.proposals.patterns.kinds import KINDS, accepted, compiled
from learner.proposals.patterns.situation import Situation
from learner.strict import Json
from learner.template import render

FEWEST_LETTERS = 10
"""Letters that an expression must have of its own; fewer would find other failures too."""
LONGEST_LINE = 240
_VARIES = re.compile(
    r"(?<![\w.@+~-])/[\w.@+~/-]*[\w@+]|[a-z][a-z0-9+.-]*://[^\s\"'<>|]+|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
    r"|\b\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?|\b0x[0-9a-fA-F]+\b|\b\d+(?:\.\d+)*\b"
)
"""Paths, addresses, ids, times and numbers."""
_ANYTHING = "[^ ]+"
_AT_THE_ENDS = re.compile(rf"^(?:[ :]*{re.escape(_ANYTHING)}[ :]+)+|(?:[ :]+{re.escape(_ANYTHING)}[ :]*)+$")


@dataclass(frozen=True)
class Expression:
    """A regular expression with captures, and what they stand for in the first failure."""

    regex: str
    line: str
    """The line of the first failure that it finds."""
    names: Mapping[str, str]
    """Value → the name it is captured or derived under."""
    derived: Mapping[str, str] = field(default_factory=dict)
    """Name → the captured path whose directory it is."""
    written: Mapping[str, str] = field(default_factory=dict)
    """A runbook's own text for a value, such as `{{ run_dir }}/web.pid` → the value."""

    def name_of(self, value: Json) -> str | None:
        """The name of a value as an edit writes it."""
        text = str(value)
        return self.names.get(self.written.get(text, text))


def expression(situations: Sequence[Situation], wanted: Sequence[Json]) -> Expression | None:
    """The expression of the line that says most of `wanted`, the values that the edit needs; None when the failures have
    no line in common that says enough."""
    first = situations[0]
    written = _rendered(first, wanted)
    values = {str(value) for value in wanted if isinstance(value, str | int) and not isinstance(value, bool)}
    values |= set(written.values())
    found: list[tuple[int, int, Expression]] = []
    for number, line in enumerate(first.text.splitlines()):
        one = _of_line(line.strip()[:LONGEST_LINE], first, values, written)
        if one is not None and all(_finds(one.regex, situation.text) for situation in situations):
            found.append((-len(one.names), number, one))
    return min(found, key=lambda item: item[:2])[2] if found else None


def _rendered(situation: Situation, wanted: Sequence[Json]) -> dict[str, str]:
    result = situation.failing.result
    scope = {"state": result.state_before.facts(), "host": result.host.model_dump(), **result.parameters}
    found = {}
    for value in wanted:
        if isinstance(value, str) and "{{" in value:
            try:
                found[value] = str(render(value, scope))
            except LearnerError:
                continue  # it needs earlier steps, which no error shows
    return found


def _of_line(line: str, situation: Situation, values: set[str], written: Mapping[str, str]) -> Expression | None:
    names: dict[str, str] = {}
    derived: dict[str, str] = {}
    parts: list[str] = []
    letters, at = 0, 0
    for start, end in _spans(line, situation, values):
        text = line[start:end]
        letters += sum(map(str.isalpha, line[at:start]))
        parts.append(_literal(line[at:start]))
        parts.append(_captured(text, situation, values, names, derived))
        at = end
    parts.append(_literal(line[at:]))
    letters += sum(map(str.isalpha, line[at:]))
    # What stands for anything at either end says nothing.
    regex = _AT_THE_ENDS.sub("", "".join(parts).strip())
    if letters < FEWEST_LETTERS:
        return None
    try:
        compiled(regex)
    except ValueError:
        return None
    return Expression(regex, line, names, derived, written)


def _spans(line: str, situation: Situation, values: set[str]) -> Iterator[tuple[int, int]]:
    """Where the line says what only this failure says: variable things, this run's own words, and wanted values."""
    result = situation.failing.result
    own = {str(value) for value in result.parameters.values() if isinstance(value, str | int)}
    own |= {result.hostname, result.client_id, result.incident_id, result.execution_id, *result.state_before.services}
    own |= {value for value in values if value in result.state_before.services}
    words = "|".join(re.escape(word) for word in sorted(own, key=lambda w: (-len(w), w)) if len(word) > 1)
    pattern = re.compile(
        f"{_VARIES.pattern}|(?<![A-Za-z0-9_/.-])(?:{words})(?![A-Za-z0-9_/-])" if words else _VARIES.pattern
    )
    for match in pattern.finditer(line):
        yield match.span()


def _captured(text: str, situation: Situation, values: set[str], names: dict[str, str], derived: dict[str, str]) -> str:
    """The part of an expression for `text`: a capture when the edit needs it, else anything."""
    directory = posixpath.dirname(text) if text.startswith("/") else ""
    kind = _kind(text, situation)
    if kind and text in values and text not in names:
        name = kind
        names[text] = name if name not in names.values() else f"{kind}_{len(names) + 1}"
        return f"%{{{kind}:{names[text]}}}"
    if directory in values and directory not in names and accepted("path", text) and accepted("path", directory):
        name = "file" if "file" not in names.values() else f"file_{len(names) + 1}"
        names[text], names[directory] = name, f"{name}_directory"
        derived[f"{name}_directory"] = name
        return f"%{{path:{name}}}"
    return _ANYTHING


def _kind(text: str, situation: Situation) -> str | None:
    if text.startswith("/"):
        return "path" if accepted("path", text) else None
    if text.isdigit():
        return "port" if accepted("port", text) else None
    if text in situation.failing.result.state_before.services and re.fullmatch(KINDS["service"].regex, text):
        return "service"
    return None


def _literal(text: str) -> str:
    """`text` as an expression that a person can read: brackets instead of backslashes."""
    words = " ".join(text.split())
    words = (" " if text[:1].isspace() else "") + words + (" " if text[-1:].isspace() and words else "")
    return re.sub(r"[.$*+?{}|()]|[\[\]\\^]", lambda m: f"\\{m[0]}" if m[0] in "[]\\^" else f"[{m[0]}]", words)


def _finds(regex: str, text: str) -> bool:
    return compiled(regex)[0].search(text) is not None
