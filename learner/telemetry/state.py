"""What is known of all history in a few numbers: the folded state, and the commit up to which it was read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from learner.models.fold import Fold, Held, canonical

FORMAT = 1


@dataclass(frozen=True)
class FoldState:
    """What one fold holds, and the version of the fold that made it."""

    version: int
    held: Held


@dataclass(frozen=True)
class State:
    """The sums of every fold over the results of `commit`. Equal results give equal bytes, in whatever order they came."""

    commit: str | None = None
    results: int = 0
    """How many went in."""
    folds: dict[str, FoldState] = field(default_factory=dict)
    format: int = FORMAT

    def canonical(self) -> str:
        """The state as canonical JSON."""
        return canonical(
            {
                "format": self.format,
                "commit": self.commit,
                "results": self.results,
                "folds": {name: {"version": f.version, "held": f.held} for name, f in self.folds.items()},
            }
        )

    @classmethod
    def parse(cls, text: str) -> State | None:
        """The state that `canonical` wrote; None when this is none, so that it is made anew."""
        try:
            tree = json.loads(text)
            return cls(
                commit=None if tree["commit"] is None else str(tree["commit"]),
                results=int(tree["results"]),
                folds={name: FoldState(int(f["version"]), dict(f["held"])) for name, f in tree["folds"].items()},
                format=int(tree["format"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def held(self, name: str) -> Held:
        """What the fold `name` holds; an empty mapping when it has seen nothing."""
        return self.folds[name].held if name in self.folds else {}

    def outdated(self, folds: Sequence[Fold]) -> str | None:
        """Why this state can't be carried on by `folds`; None when it can."""
        if self.format != FORMAT:
            return f"the state has format {self.format}, this program writes {FORMAT}"
        wanted = {fold.name: fold.version for fold in folds}
        there = {name: f.version for name, f in self.folds.items()}
        for name in sorted(wanted.keys() | there.keys()):
            if wanted.get(name) != there.get(name):
                return f"fold {name}: version {there.get(name, 'none')} in the state, {wanted.get(name, 'none')} in this program"
        return None
