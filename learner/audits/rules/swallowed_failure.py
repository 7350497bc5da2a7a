"""Failures that are not repaired but hidden."""

from __future__ import annotations

import re
from collections.abc import Iterator

from learner.actions import catalogue
from learner.audits.base import Change, Evidence, Rule, StepPair
from learner.errors import LearnerError
from learner.models import ExecutionResult, Finding, Goto, Level, Step
from learner.template import EXPRESSION, evaluate, expression_references

_SWALLOWS = re.compile(
    r"\|\|\s*(?::|true|/bin/true|exit\s+0|echo\b)|;\s*(?:true|:|exit\s+0)\s*$|\bset\s+\+e\b|2>\s*/dev/null\s*\|\|"
    r"|-ErrorAction\s+(?:SilentlyContinue|Ignore)|\$ErrorActionPreference\s*=\s*['\"]?SilentlyContinue|except(?:\s+\w+)?\s*:\s*pass",
    re.IGNORECASE,
)
_ACTS = frozenset({"start_service", "restart_service", "run_command", "run_script", "renew_certificate", "sync_time"})


class SwallowedFailure(Rule):
    """The edit makes the failure invisible instead of impossible.

    `on_failure: continue` on the step that failed, exit codes widened to let the failing one count as success, a
    retry's condition dropped, a step switched off by a `when` that is never true, a failing step removed, errors
    thrown away in a script. Nor does a machine take away a step that changed something and worked: what failed after
    it would only fail for want of it.
    """

    name = "swallowed-failure"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        failed = _failed_steps(evidence.results)
        worked = _steps_that_worked(evidence.results)
        for pair in change.steps:
            failing = bool(pair.old and pair.old.id in failed)
            cited = failed.get(pair.old.id, ()) if pair.old else ()
            if (
                pair.new is None
                and pair.old
                and not failing
                and pair.old.id in worked
                and _repairs_no_more(change, pair.old)
            ):
                yield self.says(Level.BLOCK, "a step that worked is removed", pair.where, worked[pair.old.id][:3])
                continue
            for level, what in self._of(change, pair, failing, cited):
                yield self.says(level, what, pair.where, tuple(result.execution_id for result, _ in cited[:3]))

    def _of(
        self, change: Change, pair: StepPair, failing: bool, cited: tuple[tuple[ExecutionResult, int | None], ...]
    ) -> Iterator[tuple[Level, str]]:
        old, new = pair.old, pair.new
        if new is None:
            assert old is not None
            if failing:
                replaced = any(p.old is None and p.new and p.new.action in (old.action, *_ACTS) for p in change.steps)
                yield (Level.WARNING if replaced else Level.BLOCK), "the step that failed is removed"
            elif pair.phase != "finally" and change.by_machine:
                yield Level.WARNING, "a step that did not fail is removed"
            return
        if old is None or old == new:
            if old is None and _never(change, new):
                yield Level.WARNING, "a new step that never runs"
            if old is None and _swallows(new):
                yield Level.WARNING, "throws its errors away"
            return
        yield from _on_failure(change, pair, failing)
        yield from _exit_codes(old, new, failing, cited)
        if _never(change, new) and not _never(change, old):
            yield Level.BLOCK, f"never runs any more: when {new.when}"
        elif failing and new.when != old.when and new.when is not None and change.by_machine:
            yield Level.NOTICE, "the step that failed runs under a new condition"
        until_old, until_new = old.retries.until, new.retries.until
        if until_old and not until_new:
            yield (Level.BLOCK if failing else Level.WARNING), f"does not wait any more until {until_old}"
        elif until_old and until_new and until_old != until_new:
            trivial = _always(until_new)
            yield (Level.BLOCK if trivial else Level.WARNING), f"waits until {until_new} instead of {until_old}"
        if _swallows(new) and not _swallows(old):
            yield (Level.BLOCK if failing else Level.WARNING), "throws its errors away"


def _failed_steps(results: tuple[ExecutionResult, ...]) -> dict[str, tuple[tuple[ExecutionResult, int | None], ...]]:
    """The steps that failed in the evidence, by id, with the runs and their exit codes."""
    found: dict[str, tuple[tuple[ExecutionResult, int | None], ...]] = {}
    for result in results:
        for step in result.executed_steps:
            if not step.success and not step.skipped and step.step_id:
                found[step.step_id] = (*found.get(step.step_id, ()), (result, step.exit_code))
    return found


def _steps_that_worked(results: tuple[ExecutionResult, ...]) -> dict[str, tuple[str, ...]]:
    """The steps that ran and succeeded in the evidence, by id, with the runs."""
    found: dict[str, tuple[str, ...]] = {}
    for result in results:
        for step in result.executed_steps:
            if step.success and not step.skipped and step.step_id:
                found[step.step_id] = (*found.get(step.step_id, ()), result.execution_id)
    return found


def _repairs_no_more(change: Change, old: Step) -> bool:
    """Whether a machine took away a step that changes hosts, and put nothing of its kind in its place."""
    known = catalogue().actions[old.action]
    return (
        change.by_machine
        and not known.read_only
        and not any(p.new and p.new.action == old.action for p in change.touched)
    )


def _on_failure(change: Change, pair: StepPair, failing: bool) -> Iterator[tuple[Level, str]]:
    old, new = pair.old, pair.new
    assert old is not None and new is not None  # noqa: PT018 - the caller has seen both
    if old.on_failure == new.on_failure:
        return
    if new.on_failure == "continue":
        if _asserted(change, new):
            yield Level.NOTICE, "goes on when it fails, to a later step that ends the run then"
        else:
            grave = failing and not _taken_over(change, new)
            yield (Level.BLOCK if grave else Level.WARNING), "goes on when it fails"
    elif isinstance(new.on_failure, Goto):
        yield Level.NOTICE, f"goes to {new.on_failure.goto} when it fails"
    elif old.on_failure == "rollback":
        yield Level.WARNING, "is not rolled back any more when it fails"


def _asserted(change: Change, step: Step) -> bool:
    """Whether a later step ends the run when `step` has failed."""
    steps = change.new.runbook.steps
    failed = {"success": False, "skipped": False, "stdout": "", "stderr": "", "exit_code": 1, "data": {}}
    for later in steps[steps.index(step) + 1 :] if step in steps else ():
        that = EXPRESSION.fullmatch(str(later.params.get("that", "")))
        if later.action != "assert" or later.when is not None or later.on_failure == "continue" or not that:
            continue
        try:
            if not evaluate(that["inner"], {"steps": {step.id: failed}}):
                return True
        except LearnerError:
            continue
    return False


def _taken_over(change: Change, step: Step) -> bool:
    """Whether something acts after `step` on its failure, or `step` only looks and the repair comes after it."""
    steps = change.new.runbook.steps
    known = catalogue().actions
    acting = [s for s in steps[steps.index(step) + 1 :] if not known[s.action].read_only] if step in steps else []
    if known[step.action].read_only:
        return bool(acting)
    return any(s.when is not None and ("steps", step.id, "success") in expression_references(s.when) for s in acting)


def _exit_codes(
    old: Step, new: Step, failing: bool, cited: tuple[tuple[ExecutionResult, int | None], ...]
) -> Iterator[tuple[Level, str]]:
    before, after = old.params.get("success_exit_codes", [0]), new.params.get("success_exit_codes", [0])
    if old.action != new.action or before == after:
        return
    if not isinstance(after, list | tuple):
        yield Level.BLOCK, "which exit codes count as success depends on a parameter"
        return
    more = [code for code in after if code not in (before if isinstance(before, list | tuple) else [0])]
    codes = {code for _, code in cited if code is not None}
    if hidden := sorted(set(more) & codes):
        yield Level.BLOCK, f"exit code {', '.join(map(str, hidden))}, with which it failed, counts as success"
    elif more:
        yield (
            (Level.BLOCK if failing and not codes else Level.WARNING),
            f"exit code {', '.join(map(str, more[:5]))} counts as success",
        )


def _never(change: Change, step: Step) -> bool:
    """Whether a step's condition can't come true, whatever the host's state is."""
    if step.when is None:
        return False
    fixed = {
        name: p.default for name, p in change.new.runbook.parameters.items() if p.enum is not None and len(p.enum) == 1
    }
    text = step.when.strip()
    if re.search(
        r"\band\s+(?:false|0)\b|^(?:false|0)\s+and\b|\bnot\s+true\b|(['\"]?)(\w+)\1\s*!=\s*\1\2\1(?!\w)",
        text,
        re.IGNORECASE,
    ):
        return True
    unknown = {reference[0] for reference in expression_references(text)} - fixed.keys()
    if unknown and not change.by_machine and re.search(r"\|\s*d(?:efault)?\b", text):
        return False  # a default stands in for what only a run knows; a machine could name what no run ever has
    try:
        return not evaluate(step.when, fixed)
    except LearnerError:
        return False


def _always(expression: str) -> bool:
    try:
        return bool(evaluate(expression, {}))
    except LearnerError:
        return False


def _swallows(step: Step) -> bool:
    if step.action == "run_script":
        return bool(_SWALLOWS.search(str(step.params.get("script", ""))))
    if step.action == "run_command":
        argv = step.params.get("argv")
        return isinstance(argv, list) and "-c" in argv and bool(_SWALLOWS.search(str(argv[-1])))
    return False
