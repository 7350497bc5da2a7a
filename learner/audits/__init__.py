"""Audits: what a reviewer would not forgive us for missing.

`run` holds every rule against a change of a runbook. A rule is one class in one file of `learner/audits/rules/`,
found by being there. Rules get values and return findings; a `block` never reaches a pull request.
"""

from __future__ import annotations

import pkgutil
from functools import lru_cache
from importlib import import_module

from learner.audits.base import Change, Evidence, Rule
from learner.models import Finding

__all__ = ["Change", "Evidence", "Rule", "every_rule", "run"]


def run(change: Change, evidence: Evidence) -> tuple[Finding, ...]:
    """What every rule has to say, the gravest first; a finding said twice stands once."""
    found = dict.fromkeys(finding for rule in every_rule() for finding in rule.look(change, evidence))
    return tuple(sorted(found, key=lambda finding: (-finding.level.rank, finding.rule, finding.where, finding.message)))


@lru_cache(maxsize=1)
def every_rule() -> tuple[Rule, ...]:
    """One of every rule there is, by name."""
    package = import_module("learner.audits.rules")
    found = []
    for info in pkgutil.iter_modules(package.__path__):
        module = import_module(f"{package.__name__}.{info.name}")
        classes = [thing for thing in vars(module).values() if isinstance(thing, type) and issubclass(thing, Rule)]
        found += [cls() for cls in classes if cls.__module__ == module.__name__]
    return tuple(sorted(found, key=lambda rule: rule.name))
