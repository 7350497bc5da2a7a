"""A fold: one named, commutative sum over results, held as plain JSON.

A room that needs to know something of all history owns a fold; the pipeline composes them. Because adding is
commutative and associative, the state built step by step is byte for byte the state built from scratch.
"""

from __future__ import annotations

import json
from typing import Any, Protocol, TypeAlias

from learner.models.execution import ExecutionResult

Held: TypeAlias = dict[str, Any]


class Fold(Protocol):
    """Integers, and the k smallest of things: whatever is held must not depend on the order of adding."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int:
        """Raised when what is held changes its meaning: the state is then rebuilt from scratch."""
        ...

    def add(self, held: Held, result: ExecutionResult) -> None:
        """Add one result to `held`, in place; `held` starts as an empty mapping."""
        ...

    def merge(self, held: Held, other: Held) -> None:
        """Add to `held`, in place, what was held of other results: the same as adding these one by one.

        `other` may become part of `held`.
        """
        ...


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def keep_smallest(items: list[Any], item: Any, most: int) -> list[Any]:
    """`items` with `item` in it, sorted, no item twice, cut to the `most` smallest."""
    return items if item in items else sorted([*items, item])[:most]


def add_counts(counts: dict[str, int], others: dict[str, int]) -> None:
    """Add `others` to `counts`, name by name, in place."""
    for name, count in others.items():
        counts[name] = counts.get(name, 0) + count


def smallest_of(items: list[Any], others: list[Any], most: int) -> list[Any]:
    """The `most` smallest of both lists, sorted, none twice."""
    return sorted([*items, *(item for item in others if item not in items)])[:most]
