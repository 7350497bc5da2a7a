"""Facts: a dotted path of host state with a value, and what can be said about two states.

A path is a tuple of keys. Written down, a key that holds a dot, a bracket or a quote stands in brackets:
`services.web.status`, `files["/run/app.pid"].exists`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str, ...]
Facts: TypeAlias = dict[Path, Any]

_PLAIN = re.compile(r"[^.\[\]\"\\\s]+")
_PART = re.compile(r'(?:^|\.)([^.\[\]"\\\s]+)|\[("(?:[^"\\]|\\.)*")\]')


def dotted(path: Sequence[str]) -> str:
    """`path` in writing; `parse` reads it back."""
    parts = []
    for i, key in enumerate(path):
        if _PLAIN.fullmatch(key):
            parts.append(("." if i else "") + key)
        else:
            parts.append(f"[{json.dumps(key, ensure_ascii=False)}]")
    return "".join(parts)


def parse(text: str) -> Path:
    """The path that `dotted` wrote.

    Raises: `ValueError` when `text` is no such path.
    """
    keys, at = [], 0
    while at < len(text):
        part = _PART.match(text, at)
        if not part or (at == 0 and text[0] == "."):
            raise ValueError(f"no fact path: {text!r}")
        keys.append(part[1] if part[1] is not None else json.loads(part[2]))
        at = part.end()
    return tuple(keys)


def get(state: Mapping[str, Any], path: Sequence[str], default: Any = None) -> Any:
    """The value at `path`; `default` when it is not there."""
    value: Any = state
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return default
        value = value[key]
    return value


def put(state: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set the value at `path` in place; `None` removes it."""
    for key in path[:-1]:
        below = state.get(key)
        if not isinstance(below, dict):
            below = state[key] = {}
        state = below
    if value is None:
        state.pop(path[-1], None)
    else:
        state[path[-1]] = value


def merged(state: Mapping[str, Any], facts: Mapping[Path, Any]) -> dict[str, Any]:
    """A copy of `state` with `facts` put in."""
    copy: dict[str, Any] = _copy(state)
    for path, value in facts.items():
        put(copy, path, value)
    return copy


def flatten(state: Mapping[str, Any]) -> Facts:
    """Every leaf of `state` by its path; lists are leaves."""
    return dict(_leaves(state, ()))


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What differs: dotted path → `{"before": …, "after": …}`, in path order; a missing side is None."""
    old, new = flatten(before), flatten(after)
    paths = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    return {dotted(path): {"before": old.get(path), "after": new.get(path)} for path in paths}


def touches(one: Path, other: Path) -> bool:
    """Whether two paths speak of the same thing: equal, or one stands inside the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def any_touches(paths: Iterable[Path], others: Iterable[Path]) -> bool:
    """Whether any of `paths` touches any of `others`."""
    others = list(others)
    return any(touches(path, other) for path in paths for other in others)


def _leaves(value: Mapping[str, Any], at: Path) -> Iterator[tuple[Path, Any]]:
    for key, below in value.items():
        if isinstance(below, Mapping) and below:
            yield from _leaves(below, (*at, str(key)))
        else:
            yield (*at, str(key)), below


def _copy(value: Any) -> Any:
    return {key: _copy(below) for key, below in value.items()} if isinstance(value, Mapping) else value
