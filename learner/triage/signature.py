"""What makes two failures the same: a pure function of one result, stable across hosts and clients."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from learner.facts import Path
from learner.mentions import facts_in, readable
from learner.models.execution import CheckResult, ExecutionResult, StepExecution
from learner.triage.masking import mask

_SAYS_NOTHING = re.compile(
    r"\s*(?:exit(?:ed with)?(?: code| status)?:? ?-?\d+|command failed(?: with exit (?:code|status) \d+)?|failed|error|"
    r"timed out|step failed|unknown error|none|null)?[.!]?\s*",
    re.IGNORECASE,
)
_TITLE = 300


@dataclass(frozen=True)
class Signature:
    """One kind of failure. `key` alone is compared; the rest is for people and for rules."""

    key: str
    """12 hex digits."""
    title: str
    """The masked error."""
    action: str | None
    step_id: str | None
    check: str | None
    error: str = field(default="", compare=False, repr=False)
    """The error as it was, unmasked: of this one result."""
    source: ExecutionResult | None = field(default=None, compare=False, repr=False)

    @cached_property
    def facts(self) -> frozenset[Path]:
        """What the error names, unmasked: of this one result. Worked out when asked for; folds never ask."""
        return facts_in(self.error, services=services_of(self.source) if self.source else ())


def signature(result: ExecutionResult) -> Signature:
    """The signature of a failed run: its failing step (or check) and the masked error.

    Of a run that did not fail it is the signature of "nothing said".
    """
    step = failing_step(result)
    check = None if step else failing_check(result)
    error = error_text(result, step, check)
    masked = mask(readable(error), own_words(result)) or "no error was recorded"
    if check:
        masked = masked.replace(": -#", ": #")  # a clock may be wrong either way
    action = step.action if step else None
    step_id = step.step_id if step else None
    name = check.check if check else None
    whole = "\0".join((action or "", step_id or "", name or "", check.id if check else "", masked))
    key = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return Signature(key, masked[:_TITLE], action, step_id, name, error, result)


def failing_step(result: ExecutionResult) -> StepExecution | None:
    """The step that ended the run; None when a check failed, or when no step is on record."""
    ran = [step for step in result.executed_steps if not step.skipped]
    if result.error_step is not None:
        named = next((step for step in ran if step.step_number == result.error_step), None)
        if named and not named.success:
            return named
    if any(check.passed is False for check in result.checks):
        return None  # steps that failed before were told to continue
    failed = [step for step in ran if not step.success]
    in_order = [step for step in failed if step.phase == "step"] or failed
    return in_order[-1] if in_order else None


def failing_check(result: ExecutionResult) -> CheckResult | None:
    """The first claim that did not hold."""
    return next((check for check in result.checks if check.passed is False), None)


def error_text(result: ExecutionResult, step: StepExecution | None, check: CheckResult | None) -> str:
    """The words that say what went wrong, in the order of how much they say; never empty for a failed run."""
    if step:
        said = step.error.strip() or (result.error_message or "").strip()
        if _SAYS_NOTHING.fullmatch(said) and step.output.strip():
            # `make: *** Error 1` says little; the last lines of what a command printed say why.
            said = "\n".join([*step.output.strip().split("\n")[-3:], said])
        return said or (result.error_message or "")
    if check:
        return f"{check.check}: {_words(check.observed)}"
    said = (result.error_message or "").strip()
    if said:
        return said
    if result.verification_passed is False:
        return f"verification did not pass: {result.verification_method or 'method unknown'}"
    return (result.error_traceback or "").strip()[-2000:]


def own_words(result: ExecutionResult) -> dict[str, str]:
    """This run's own words and what stands for them: its parameters' values, its ids, its host, its client."""
    given: dict[str, Any] = result.parameters
    if not given and (step := failing_step(result)):
        given = step.params
    words: dict[str, str] = {}
    for name in sorted(given):
        value = given[name]
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            text = str(value)
            if 2 <= len(text) <= 400:
                words.setdefault(text, name)
    host = result.hostname
    for text, name, shortest in (
        (result.execution_id, "execution", 2), (result.incident_id, "incident", 4), (result.evidence_bundle_id, "evidence", 6),
        (host, "host", 2), (host.partition(".")[0], "host", 3), (result.client_id, "client", 3), (result.executor.id or "", "executor", 4),
    ):  # fmt: skip
        if shortest <= len(text):
            words.setdefault(text, name)
    return words


def services_of(result: ExecutionResult) -> tuple[str, ...]:
    """The services that the run knows of: those in its states and those that its parameters name."""
    named = [result.parameters[key] for key in ("service", "service_name", "name") if key in result.parameters]
    known = {*result.state_before.services, *result.state_after.services}
    return tuple(sorted(known | {name for name in named if isinstance(name, str) and name}))


def _words(observed: Any) -> str:
    if isinstance(observed, str):
        return observed
    if isinstance(observed, Mapping) and len(observed) == 1:
        return _words(next(iter(observed.values())))
    if isinstance(observed, int) and not isinstance(observed, bool) and 100 <= observed <= 599:
        return f"HTTP {observed}"
    return json.dumps(observed, ensure_ascii=False, sort_keys=True)
