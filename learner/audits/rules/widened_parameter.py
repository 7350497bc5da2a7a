"""Inputs that let in more than before."""

from __future__ import annotations

import re
from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule
from learner.models import Finding, Level, Parameter

_TRIES = (
    "", "web", "a b", "a;b", "$(id)", "`id`", "a|b", "a&b", "../x", "/etc/passwd", "-rf", "a'b", 'a"b', "a\nb", "*", "a/b",
    "http://x/", "a@b", "a:b", "A", "1", "x" * 18, "a.b", "a_b", "é", "{{x}}", "~", "\\", "a,b", "a=b", "%x", "#",
)  # fmt: skip
_SHARP = frozenset(";|&`$<>\n'\"*\\ ")


class WidenedParameter(Rule):
    """A parameter accepts values that the parent refused.

    A pattern removed or loosened, an enum widened or dropped, a type changed to text, a range grown, a required
    value given a default.
    """

    name = "widened-parameter"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        before, after = change.old.runbook.parameters, change.new.runbook.parameters
        for name, new in after.items():
            where = f"parameters.{name}"
            old = before.get(name)
            if old is None:
                if new.required:
                    yield self.says(
                        Level.BLOCK, "a new parameter without a default: incidents of today would be refused", where
                    )
                elif new.type == "string" and not new.pattern and not new.enum and change.by_machine:
                    yield self.says(Level.NOTICE, "a new text parameter that takes any text", where)
                continue
            for level, what in _wider(old, new):
                yield self.says(level, what, where)
        for name in before.keys() - after.keys():
            yield self.says(
                Level.WARNING, "the parameter is gone: incidents that give it would be refused", f"parameters.{name}"
            )


def _wider(old: Parameter, new: Parameter) -> Iterator[tuple[Level, str]]:
    if old.type != new.type:
        narrower = (old.type, new.type) in (
            ("number", "integer"),
            ("string", "integer"),
            ("string", "number"),
            ("string", "boolean"),
        )
        yield (Level.NOTICE if narrower else Level.BLOCK), f"{old.type} became {new.type}"
    if old.enum is not None:
        if new.enum is None:
            yield Level.BLOCK, "takes any value where it took one of a few"
        elif more := [str(value) for value in new.enum if value not in old.enum]:
            yield Level.WARNING, f"takes {', '.join(more)} too"
    if old.pattern is not None and old.pattern != new.pattern and new.enum is None:
        if new.pattern is None:
            yield Level.BLOCK, f"takes any text where it had to match {old.pattern}"
        else:
            let_in = [text for text in _TRIES if _matches(new.pattern, text) and not _matches(old.pattern, text)]
            sharp = any(_SHARP & set(text) for text in let_in)
            if let_in:
                shown = ", ".join(repr(text[:20]) for text in let_in[:3])
                yield (
                    (Level.BLOCK if sharp else Level.WARNING),
                    f"its pattern lets in more than before, such as {shown}",
                )
            else:
                yield Level.NOTICE, "its pattern changed"
    yield from _range("minimum", old.minimum, new.minimum, down=True)
    yield from _range("maximum", old.maximum, new.maximum, down=False)
    if old.required and not new.required:
        yield Level.WARNING, f"runs with {new.default!r} when nobody says otherwise"
    elif not old.required and not new.required and old.default != new.default:
        yield Level.NOTICE, f"its default went from {old.default!r} to {new.default!r}"


def _range(bound: str, old: float | None, new: float | None, *, down: bool) -> Iterator[tuple[Level, str]]:
    if old is not None and new is None:
        yield Level.BLOCK, f"its {bound} of {old:g} is gone"
    elif old is not None and new is not None and (new < old if down else new > old):
        yield Level.WARNING, f"its {bound} went from {old:g} to {new:g}"


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(re.sub(r"(?<!\\)\$$", r"\\Z", pattern), text) is not None
    except re.error:
        return False
