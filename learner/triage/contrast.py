"""What failures and verified successes of one runbook version differ in."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from learner.facts import dotted, flatten
from learner.models.execution import ExecutionResult

MOST_LINES = 12
MOST_VALUES = 3

# Facts that differ between any two moments say nothing.
_FLEETING = re.compile(r"state\.(?:cpu\.load_average|files\..*\.(?:modified_at|size_bytes)|time\.|processes\.)")
_HOST = ("os_id", "os_version", "arch", "service_manager")

Values = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Difference:
    """One thing that failures and successes differ in, with how many runs had which value, most frequent first."""

    name: str
    """`host.os_id`, `platform`, `parameters.port`, `state.services.redis`, `duration_seconds`."""
    failed: Values
    worked: Values
    separates: bool
    """No value stands on both sides, and every run says its own."""

    def __str__(self) -> str:
        return f"{self.name}: {_shown(self.failed)} where it failed, {_shown(self.worked)} where it worked"


@dataclass(frozen=True)
class Contrast:
    """What differs, for rules; and the same in `lines`, for people."""

    failures: int = 0
    successes: int = 0
    differences: tuple[Difference, ...] = ()
    lines: tuple[str, ...] = ()

    def of(self, name: str) -> Difference | None:
        """The difference in `name`; None when there is none."""
        return next((difference for difference in self.differences if difference.name == name), None)

    def separating(self, *names: str) -> Difference | None:
        """The first of `names` that tells every failure from every success."""
        found = (self.of(name) for name in names)
        return next((difference for difference in found if difference and difference.separates), None)


def contrast(failures: Sequence[ExecutionResult], successes: Sequence[ExecutionResult]) -> Contrast:
    """What `failures` and verified `successes` differ in: the kind of host, parameters, state before, duration.

    Differences that separate the two come first. Without a success there is nothing to compare with.
    """
    if not failures or not successes:
        line = "no run of this version is known to have worked, so there is nothing to compare with"
        return Contrast(len(failures), len(successes), (), (line,) if failures else ())
    failed = [_described(result) for result in failures]
    worked = [_described(result) for result in successes]
    names = sorted({name for run in failed for name in run} & {name for run in worked for name in run})
    found = [difference for name in names if (difference := _difference(name, failed, worked))]
    found.sort(key=lambda difference: (not difference.separates, _weight(difference.name), difference.name))
    lines = [_counted(failures, successes), *(str(difference) for difference in found)]
    left = len(lines) - MOST_LINES
    if left > 0:
        lines = [*lines[:MOST_LINES], f"and {left} more"]
    return Contrast(len(failures), len(successes), tuple(found), tuple(lines))


def _counted(failures: Sequence[ExecutionResult], successes: Sequence[ExecutionResult]) -> str:
    failed = {(result.client_id, result.hostname) for result in failures}
    worked = {(result.client_id, result.hostname) for result in successes}
    both = len(failed & worked)
    said = f"failed on {_many(len(failed), 'host')}, worked on {_many(len(worked), 'host')}"
    return f"{said}, {both} of them both" if both else said


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _described(result: ExecutionResult) -> dict[str, Any]:
    run: dict[str, Any] = {"platform": result.platform, "duration_seconds": result.duration_seconds}
    for name in _HOST:
        if (value := getattr(result.host, name)) is not None:
            run[f"host.{name}"] = value
    for name, value in result.parameters.items():
        run[f"parameters.{name}"] = value
    own = {str(v): k for k, v in sorted(result.parameters.items(), reverse=True) if isinstance(v, str) and len(v) > 1}
    for path, value in flatten(result.state_before.facts()).items():
        # `services.web` of one host and `services.shop` of another are both the service that the incident names.
        name = "state." + dotted(tuple(_generic(part, own) for part in path))
        if not _FLEETING.match(name):
            run[name] = value
    for name, why in result.state_before.unread.items():
        run.setdefault(f"state.{name}", f"not read: {why}"[:80])
    return run


def _generic(part: str, own: Mapping[str, str]) -> str:
    if part in own:
        return f"<{own[part]}>"
    if "/" in part:
        return "/".join(_stemmed(piece, own) for piece in part.split("/"))
    return part


def _stemmed(piece: str, own: Mapping[str, str]) -> str:
    stem, dot, ending = piece.partition(".")
    return f"<{own[stem]}>{dot}{ending}" if stem in own else piece


def _difference(name: str, failed: list[dict[str, Any]], worked: list[dict[str, Any]]) -> Difference | None:
    ours = [run[name] for run in failed if name in run]
    theirs = [run[name] for run in worked if name in run]
    complete = len(ours) == len(failed) and len(theirs) == len(worked)
    if _numbers(ours) and _numbers(theirs):
        return _ranges(name, ours, theirs, complete)
    left, right = Counter(map(_text, ours)), Counter(map(_text, theirs))
    apart = not set(left) & set(right)
    if apart or _leaning(left, right):
        return Difference(name, _top(left), _top(right), apart and complete)
    return None


def _ranges(name: str, ours: list[Any], theirs: list[Any], complete: bool) -> Difference | None:
    """Numbers differ when their ranges lie apart by a tenth of the larger one; ports and the like when unequal."""
    if name.startswith("parameters."):
        left, right = Counter(map(_text, ours)), Counter(map(_text, theirs))
        return Difference(name, _top(left), _top(right), complete) if not set(left) & set(right) else None
    low, high = (ours, theirs) if max(ours) < min(theirs) else (theirs, ours)
    gap = min(high) - max(low)
    if gap <= 0 or gap < 0.1 * max(abs(max(high)), 1e-9):
        return None
    return Difference(name, ((_range(ours), len(ours)),), ((_range(theirs), len(theirs)),), complete)


def _numbers(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _range(values: list[Any]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _leaning(left: Counter[str], right: Counter[str]) -> bool:
    """Whether some value is at least 60 points more frequent on one side, with three runs on each."""
    if left.total() < 3 or right.total() < 3:
        return False
    return any(
        abs(left[value] / left.total() - right[value] / right.total()) >= 0.6 for value in sorted({*left, *right})
    )


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 80 else text[:77] + "…"


def _top(counts: Counter[str]) -> Values:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _shown(values: Values) -> str:
    words = ", ".join(f"{value} ({count})" for value, count in values[:MOST_VALUES])
    return words + (f" and {len(values) - MOST_VALUES} other values" if len(values) > MOST_VALUES else "")


def _weight(name: str) -> int:
    order = ("host.os_id", "platform", "host.service_manager", "host.", "parameters.", "state.", "duration")
    return next((i for i, prefix in enumerate(order) if name.startswith(prefix)), len(order))
