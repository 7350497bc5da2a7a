"""The rules, found by being there: every module of this package holds the rules of one family of causes."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules

from learner.models.execution import FailureType
from learner.models.records import Verdict
from learner.triage.case import Case, Rule

__all__ = ["Case", "Rule", "all_rules", "judge", "table", "undecided", "verdicts"]

SURE = 0.6
"""Below this a verdict is doubt."""
MARGIN = 0.1
"""Two types whose confidence lies closer than this contradict each other."""


@lru_cache(maxsize=1)
def all_rules() -> tuple[Rule, ...]:
    """Every rule, by name."""
    found: dict[str, Rule] = {}
    for module in iter_modules(__path__, f"{__name__}."):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, Rule):
                found[value.name] = value
    return tuple(found[name] for name in sorted(found))


def verdicts(case: Case) -> list[Verdict]:
    """What every rule that has something to say says of the case, surest first; the last ones only when no other does."""
    found = [v for rule in all_rules() if not rule.last and (v := rule(case)) and v.confidence >= SURE]
    if not found:
        found = [v for rule in all_rules() if rule.last and (v := rule(case)) and v.confidence >= SURE]
    return sorted(found, key=lambda verdict: (-verdict.confidence, verdict.decided_by))


def judge(case: Case) -> Verdict | None:
    """The rules' verdict; None when none applies, or when they contradict each other about what to do.

    A permission problem stands before everything: no runbook may learn its way around one. Then come rules that
    overrule the rest, then the surest, unless a close second says the opposite about whether a better runbook helps.
    """
    found = verdicts(case)
    overruling = {f"rule:{rule.name}" for rule in all_rules() if rule.overrules}
    strong = [verdict for verdict in found if verdict.decided_by in overruling]
    strong.sort(key=lambda verdict: verdict.failure_type is not FailureType.PERMISSION_DENIED)
    if strong:
        return strong[0]
    if not found:
        return None
    best = found[0]
    for other in found[1:]:
        close = round(best.confidence - other.confidence, 4) <= MARGIN
        if close and other.failure_type.improvable is not best.failure_type.improvable:
            return None
    return best


def undecided(case: Case, why: str) -> Verdict:
    """The verdict `unknown`, with what rules said when they contradict each other."""
    found = verdicts(case)
    opinions = "; ".join(
        f"{v.decided_by.removeprefix('rule:')}: {v.failure_type} ({v.confidence:.0%})" for v in found[:4]
    )
    reason = f"rules contradict each other ({opinions})" if found else "no rule knows this failure"
    return Verdict(
        failure_type=FailureType.UNKNOWN,
        confidence=0.0,
        decided_by="none",
        reasoning=f"{reason}; {why}",
        evidence=tuple(seen.cite for seen in case.seen[:5]),
    )


def table() -> str:
    """Every rule with its type and what it knows, as a Markdown table: the one in `docs/triage.md`."""
    rows = [
        f"| `{rule.name}` | {rule.failure_type.value} | {' '.join((rule.look.__doc__ or '').split())} |"
        for rule in sorted(all_rules(), key=lambda rule: (rule.failure_type.value, rule.name))
    ]
    return "\n".join(["| rule | type | what it knows |", "|---|---|---|", *rows])
