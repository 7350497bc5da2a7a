"""The catalogue: everything a runbook can do or ask, by family.

The step's JSON Schema, the prompt's list of actions, the audits, the replay and the docs are generated from
it, so a proposal can never hold what the executor can't run. Other packages add a family through the entry
point group `learner.families`: a module with `ACTIONS` and `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from learner.actions.base import Action, Capabilities, Check, Outcome, Probe
from learner.errors import LearnerError

FAMILIES = ("service", "process", "disk", "file", "network", "certificate", "time", "command", "flow")

__all__ = ["FAMILIES", "Action", "Capabilities", "Catalogue", "Check", "Outcome", "Probe", "catalogue"]


@dataclass(frozen=True)
class Catalogue:
    """Actions and checks by name, and the family each belongs to."""

    actions: Mapping[str, Action[Any]]
    checks: Mapping[str, Check[Any]]
    family: Mapping[str, str]

    def __iter__(self) -> Iterator[Action[Any]]:
        return iter(self.actions.values())


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """The catalogue of this installation.

    Raises: `LearnerError` when a family from another package can't be loaded or names something twice.
    """
    modules = [(name, import_module(f"learner.actions.{name}")) for name in FAMILIES]
    for entry in entry_points(group="learner.families"):
        try:
            modules.append((entry.name, entry.load()))
        except Exception as e:
            raise LearnerError(
                f"action family {entry.name} ({entry.value}) can't be loaded: {e}",
                "upgrade or remove its package",
            ) from e
    actions: dict[str, Action[Any]] = {}
    checks: dict[str, Check[Any]] = {}
    family: dict[str, str] = {}
    for name, module in modules:
        for thing in (*module.ACTIONS, *module.CHECKS):
            if thing.name in family:
                raise LearnerError(
                    f"{thing.name} is defined by {family[thing.name]} and by {name}", "rename one of them"
                )
            family[thing.name] = name
            if isinstance(thing, Action):
                actions[thing.name] = thing
            else:
                checks[thing.name] = thing
    return Catalogue(MappingProxyType(actions), MappingProxyType(checks), MappingProxyType(family))
