"""What people made of a pattern's proposals: merged, or closed. Read from the forge; nothing else keeps count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from learner.models import Memory

_BY_PATTERN = "patterns/"
_MOOT = "rejected:moot"


@dataclass(frozen=True)
class Acceptance:
    """How often people merged and closed what one pattern proposed."""

    merged: int = 0
    closed: int = 0

    @property
    def share(self) -> float:
        """The expected share of merges: 0.5 for a pattern that nobody has decided on.

        Source: Laplace's rule of succession.
        """
        return (self.merged + 1) / (self.merged + self.closed + 2)


def acceptance(memory: Memory) -> Mapping[str, Acceptance]:
    """Pattern id → what people decided. What `main` overtook says nothing of the pattern."""
    merged: Counter[str] = Counter()
    closed: Counter[str] = Counter()
    for pull in memory.pulls:
        if pull.proposer.startswith(_BY_PATTERN) and _MOOT not in pull.labels:
            pattern = pull.proposer.removeprefix(_BY_PATTERN)
            merged[pattern] += pull.state == "merged"
            closed[pattern] += pull.state == "closed"
    return {pattern: Acceptance(merged[pattern], closed[pattern]) for pattern in sorted(merged.keys() | closed.keys())}
