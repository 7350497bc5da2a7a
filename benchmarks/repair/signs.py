"""Whether an edit is a good one: the signs that a case asks for, and those that every edit must bear.

A case's `good` lists alternatives; of one of them every sign must be there:

`step`, `also`  a step that is new, changed or moved: `id`, `action` (one of), `before`/`after` (a step's id), `params`
                (regular expressions), `when` and `text` (regular expressions; `text` is everything in its parameters)
`budget_grew`   a step may take longer, or is tried more often
`tried_more`    a step is tried more often; for what fails at once, where a longer timeout changes nothing
`check_grew`    a claim may take longer to come true
`on_failure`    what now happens when a step fails
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.repair.cases import Case
from learner import template
from learner.errors import LearnerError
from learner.models import Runbook, RunbookEdit
from learner.models.runbook import Step

MOST_OPERATIONS = 4
DEFAULT_SECONDS = 60.0


def missing(case: Case, parent: Runbook, new: Runbook, edit: RunbookEdit) -> str:
    """What speaks against the edit; empty when it is a good one."""
    if said := _never(parent, new, edit):
        return said
    alternatives = [_first_missing(case, parent, new, alternative) for alternative in case.good]
    if not alternatives or not all(alternatives):
        return ""
    return " / ".join(alternatives)


def _never(parent: Runbook, new: Runbook, edit: RunbookEdit) -> str:
    claims = {claim.id: claim for claim in new.verification}
    for claim in parent.verification:
        kept = claims.get(claim.id)
        if kept is None or (kept.check, kept.params) != (claim.check, claim.params):
            return f"the claim {claim.id} is weakened"
        if kept.stays_good_seconds < claim.stays_good_seconds:
            return f"the claim {claim.id} is weakened"
    if any(step.become for step in new.steps) and not any(step.become for step in parent.steps):
        return "administrator's rights that the parent did not have"
    if gone := {step.id for step in parent.steps} - {step.id for step in new.steps}:
        return f"steps are gone: {', '.join(sorted(gone))}"
    if len(edit.operations) > MOST_OPERATIONS:
        return f"{len(edit.operations)} operations"
    return ""


def _first_missing(case: Case, parent: Runbook, new: Runbook, alternative: Mapping[str, Any]) -> str:
    for sign, wanted in alternative.items():
        if sign in ("step", "also"):
            if not any(_is(step, wanted, case, new) for step in _touched(parent, new)):
                return f"no step {wanted}"
        elif sign == "budget_grew":
            if _budget(new, wanted) <= _budget(parent, wanted):
                return f"the time of {wanted} did not grow"
        elif sign == "tried_more":
            before, after = (next(s.retries.attempts for s in of.steps if s.id == wanted) for of in (parent, new))
            if after <= before:
                return f"{wanted} is not tried more often"
        elif sign == "check_grew":
            old, now = (next(c.within_seconds for c in of.verification if c.id == wanted) for of in (parent, new))
            if now <= old:
                return f"the time of the claim {wanted} did not grow"
        elif sign == "on_failure":
            for step_id, what in wanted.items():
                if next(step.on_failure for step in new.steps if step.id == step_id) != what:
                    return f"{step_id} does not {what} on failure"
        else:
            raise ValueError(f"{case.name}: there is no sign {sign}")
    return ""


def _touched(parent: Runbook, new: Runbook) -> Iterator[Step]:
    old, was, now = {step.id: step for step in parent.steps}, _before(parent), _before(new)
    return (
        step for step in new.steps if old.get(step.id) != step or now[step.id] & old.keys() != was[step.id] & now.keys()
    )


def _before(runbook: Runbook) -> dict[str, set[str]]:
    """Step → the steps that come before it."""
    ids = [step.id for step in runbook.steps]
    return {id: set(ids[:at]) for at, id in enumerate(ids)}


def _is(step: Step, wanted: Mapping[str, Any], case: Case, new: Runbook) -> bool:
    order = [one.id for one in new.steps]
    actions = wanted.get("action", step.action)
    if step.action not in ([actions] if isinstance(actions, str) else actions):
        return False
    if step.id != wanted.get("id", step.id):
        return False
    if "before" in wanted and order.index(step.id) >= order.index(wanted["before"]):
        return False
    if "after" in wanted and order.index(step.id) <= order.index(wanted["after"]):
        return False
    if "when" in wanted and not re.search(wanted["when"], step.when or ""):
        return False
    if "text" in wanted and not any(
        re.search(wanted["text"], text) for text in _both(" ".join(_texts(step.params)), case, new)
    ):
        return False
    return all(
        any(re.search(pattern, text) for text in _both(str(step.params.get(name, "")), case, new))
        for name, pattern in wanted.get("params", {}).items()
    )


def _both(text: str, case: Case, new: Runbook) -> list[str]:
    """A parameter as it is written, and as the case's first run would have rendered it."""
    defaults = {name: of.default for name, of in new.parameters.items() if not of.required}
    scope = {**defaults, **case.parameters}
    rendered = re.sub(r"\{\{[^{}]*\}\}", lambda found: str(_value(found[0], scope)), text)
    return [text, rendered]


def _value(expression: str, scope: Mapping[str, Any]) -> Any:
    try:
        return template.render(expression, scope)
    except LearnerError:
        return expression


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    else:
        yield str(value)


def _budget(runbook: Runbook, step_id: str) -> float:
    """The most seconds that a step may take: its tries, and the waits between them."""
    step = next(step for step in runbook.steps if step.id == step_id)
    retry = step.retries
    waits = sum(retry.delay_seconds * retry.backoff**n for n in range(retry.attempts - 1))
    return retry.attempts * (step.timeout_seconds or DEFAULT_SECONDS) + waits
