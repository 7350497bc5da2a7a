"""What a condition comes to in a replay: as recorded, as known, or taken to hold."""

from __future__ import annotations

from learner.errors import LearnerError
from learner.facts import touches
from learner.replay.conditions import Condition
from learner.replay.course import Course
from learner.replay.recording import Record
from learner.template import evaluate


def decide(course: Course, condition: Condition, current: Record | None) -> bool | None:
    """Whether `condition` holds; None when it can't be evaluated, as in the recording. Notes what it passes over."""
    if condition.kind == "precondition":
        return _admits(course, condition)
    step = condition.step
    assert step is not None
    if condition.kind == "until":
        if current is not None and step.id not in course.unlike:
            return current.step.success
        return _evaluated(course, condition)
    record = course.next_record(condition.phase, step.id)
    decided: bool | None
    if record and record.of and record.of.when == condition.expression and not _differs(course, condition):
        stuck = record.step.attempts == 0 and record.step.error.startswith("when:")
        decided = None if stuck else not record.step.skipped
    else:
        decided = _evaluated(course, condition)
    if decided is not True:
        course.passed_over(step, record, decided)
    return decided


def _admits(course: Course, condition: Condition) -> bool:
    known = condition.expression in course.recording.parent.preconditions
    if known and not course.recording.skipped:
        return True
    if known:
        return _known(course, condition) is True
    return _evaluated(course, condition)


def _evaluated(course: Course, condition: Condition) -> bool:
    found = _known(course, condition)
    if found is None:
        course.guesses.append(condition.expression)
    return found is not False


def _known(course: Course, condition: Condition) -> bool | None:
    """What a condition comes to by what is known; None when that is not enough."""
    if any(course.world.is_open(path) for path in condition.facts()):
        return None
    try:
        return bool(evaluate(condition.expression, {**course.scope, "state": course.world.state}))
    except LearnerError:
        return None


def _differs(course: Course, condition: Condition) -> bool:
    """Whether something that a condition reads is not as it was in the recording."""
    if condition.steps() & course.unlike:
        return True
    facts = condition.facts()
    return any(touches(path, novelty.path) for path in facts for novelty in course.world.novelties)
