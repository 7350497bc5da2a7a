"""Failures that a candidate does not repair but steps around.

A run can end well because what it failed on is not asked any more: the failing step was taken out, given a condition
that is never true or something to do that does nothing; the claim was dropped or made easier; a step that worked, and
without which the failure could not have come about, was left out. None of it repairs a host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from learner.actions import catalogue
from learner.actions.base import UNKNOWN
from learner.errors import LearnerError
from learner.facts import Path
from learner.flow import concrete
from learner.models import Runbook, Step, Verification
from learner.replay import complaints
from learner.replay.course import Course
from learner.replay.recording import Record, verification_of
from learner.replay.world import Novelty, concerns
from learner.template import expression_references


@dataclass(frozen=True)
class Owed:
    """An outcome that is good only for want of recorded steps."""

    where: str
    records: frozenset[int]


def avoided(course: Course, candidate: Runbook, owed: Sequence[Owed]) -> str | None:
    """Why a run of `candidate` that ended well repaired nothing; None when it does not look so."""
    return _for_want_of(course, owed) or _step_gone(course, candidate) or _claim_gone(course, candidate)


def _for_want_of(course: Course, owed: Sequence[Owed]) -> str | None:
    for one in owed:
        if missing := sorted(one.records - course.done):
            names = ", ".join(str(course.recording.records[at].step.step_id) for at in missing)
            return f"{one.where} would only pass for want of {names}, which worked"
    return None


def _step_gone(course: Course, candidate: Runbook) -> str | None:
    cause = course.recording.cause
    if cause is None or cause.at in course.done:
        return None
    step = next((s for s in candidate.all_steps if s.id == cause.step.step_id), None)
    if step is not None:
        if step.id in course.passed and _about(step, cause, course):
            return None
        if step.id not in course.passed | course.inert and step.action == cause.step.action:
            return None  # the same thing, done to something else
    aims = [*_aims(cause, course), ("commands", _words(cause))]
    aims = aims if _words(cause) else aims[:-1]
    if _touched(aims, _made_new(course, candidate)):
        return None
    own = course.aims.get(step.id, ()) if step is not None else ()
    if step is not None and _touched(aims, [Novelty(path, UNKNOWN, step.id) for path in own]):
        return None  # the same thing by other means, where it was so already
    return f"{cause.step.step_id}, which failed, is not done any more, and nothing new does its work"


def _claim_gone(course: Course, candidate: Runbook) -> str | None:
    claims = {claim.id: claim for claim in candidate.verification}
    for id in sorted(course.recording.failed_checks):
        old = verification_of(course.recording.parent, id)
        if old is None or _kept(old, claims.get(id), candidate):
            continue
        if not _touched(_claimed(course, id), _made_new(course, candidate)):
            return f"the claim {id}, which failed, is not made as it was, and nothing new makes it true"
    return None


def _kept(old: Verification, new: Verification | None, candidate: Runbook) -> bool:
    if new is not None and new.check == old.check and not _easier(old, new):
        return True
    return any((other.check, other.params) == (old.check, old.params) for other in candidate.verification)


def _easier(old: Verification, new: Verification) -> bool:
    """Whether one thing is looked at as before, and another value of it will do."""
    targets = ("name", "path", "port", "host", "url", "argv")
    changed = {key for key in {*old.params, *new.params} if old.params.get(key) != new.params.get(key)}
    return bool(changed) and not changed.intersection(targets)


def _claimed(course: Course, id: str) -> list[Path]:
    looked = course.recording.checks[id].check
    known = catalogue().checks.get(looked.check)
    if known is None:
        return []
    try:
        return list(known.probe(concrete(known.Params, looked.params)).paths)
    except LearnerError:
        return []


def _aims(cause: Record, course: Course) -> list[Path]:
    """What the failed step was to change, or what it asked, and what its error names."""
    services = course.world.state.get("services", {})
    found = [need.path for need in complaints.needs(cause.step.error, services)]
    action = catalogue().actions.get(cause.step.action)
    if action is None:
        return found
    try:
        params = concrete(action.Params, cause.step.params)
    except LearnerError:
        return found
    effects = course.effects(action, params)
    found += [path for path, value in (effects or {}).items() if value != UNKNOWN]
    found += action.reads(params)
    return found


def _about(step: Step, cause: Record, course: Course) -> bool:
    """Whether the condition that passed the failed step over reads something that bears on it."""
    if step.when is None:
        return False
    if cause.of is not None and step.when == cause.of.when:
        return True  # the parent's own condition, which something new made false
    references = expression_references(step.when)
    if any(path[0] == "steps" for path in references):
        return True
    facts = [path[1:] for path in references if path[0] == "state" and len(path) > 1]
    said = f"{_words(cause)} {cause.step.error}"
    if any(part in said for path in facts for part in path[1:] if _words(cause) and len(part) > 1):
        return True
    return _touched(_aims(cause, course), [Novelty(path, UNKNOWN, step.id) for path in facts])


def _words(cause: Record) -> str:
    """What a failed command or script says; nothing declares what it does."""
    return " ".join(map(str, [*cause.step.params.get("argv", ()), cause.step.params.get("script", "")])).strip()


def _made_new(course: Course, candidate: Runbook) -> list[Novelty]:
    """What new or changed steps did: those of the parent that were not reached before are nothing new."""
    own = {step.id: step for step in course.recording.parent.all_steps}
    changed = {step.id for step in candidate.all_steps if own.get(step.id) != step}
    return [novelty for novelty in course.world.novelties if novelty.by in changed]


def _touched(paths: Iterable[Path], novelties: Iterable[Novelty]) -> bool:
    novelties = list(novelties)
    return any(concerns(path, novelty.path) for path in paths for novelty in novelties)
