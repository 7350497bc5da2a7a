"""The performer that remembers: it answers a candidate's attempts from a recording of its parent.

An attempt is action, rendered parameters, timeout, retry, the time already waited, and the facts it depends on. One
that comes round unchanged has the outcome that was recorded. One about which something is new has an outcome that
follows from declared effects, or one that is assumed; assumed outcomes are always good ones, so nothing is ever
refused on a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from learner.actions import Outcome, catalogue
from learner.actions.base import UNKNOWN
from learner.errors import LearnerError
from learner.facts import Facts, Path, parse, touches
from learner.flow import Attempt, Claim, Observation, concrete
from learner.mentions import facts_in
from learner.replay import complaints, matching
from learner.replay.complaints import Need
from learner.replay.conditions import Condition
from learner.replay.course import Course
from learner.replay.deciding import decide
from learner.replay.demands import contradiction, reached
from learner.replay.inert import slept_seconds
from learner.replay.inputs import Inputs
from learner.replay.recording import Record, Recording, verification_of
from learner.replay.world import Basis
from learner.template import UndefinedName

ENOUGH_SECONDS = 0.9
"""Time that must have been added before it counts: clocks of recordings are not finer."""

DEAF_SECONDS = 10.0
"""A process that is still there so long after a signal has been asked: more time is no answer."""

_CUT_OFF = (None, 124, 137, 143)
"""Exit codes of what did not end by itself: none, `timeout`'s own, and those of SIGKILL and SIGTERM."""


@dataclass(frozen=True)
class Event:
    """What one step or check came to in the replay."""

    where: str
    success: bool | None
    basis: Basis
    why: str = ""
    came_round: bool = False
    """It is what the recorded run failed on, and nothing about it was new."""
    novelties: int = 0
    """How much was new when it happened."""
    needs: tuple[Need, ...] = ()
    owed: frozenset[int] = frozenset()
    """Recorded steps (their places) that were left out, when that alone made it go well."""


@dataclass
class ReplayPerformer:
    """Answers `flow.run` from one recording; `events` says what each answer rested on."""

    recording: Recording
    inputs: Inputs
    conditions: Mapping[str, Condition]
    clock: float = 0.0
    events: dict[tuple[str, int], Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.course = Course(self.recording, self.inputs)
        self.world = self.course.world
        self._record: Record | None = None
        self._runs = 0
        self._changes: list[tuple[float, frozenset[Path] | None, bool]] = []
        self._leap = 0.0
        self._owed: frozenset[int] = frozenset()

    def now(self) -> datetime:
        return self.recording.started_at + timedelta(seconds=self.clock)

    def cancelled(self) -> bool:
        return self.course.cancelled

    def refresh(self, prefixes: frozenset[Path]) -> Facts:
        return {}

    def pause(self, seconds: float) -> None:
        self.clock += max(seconds, self._leap)
        self._leap = 0.0

    def perform(self, attempt: Attempt, state: Mapping[str, Any]) -> Outcome:
        self._leap = 0.0
        if attempt.number == 1:
            self._record = self.course.find(attempt)
            self._runs += 1
        record = self._record
        outcome, event = self._again(attempt, record) if record else self._first_time(attempt)
        self.events[f"{attempt.phase}:{attempt.step.id}", self._runs] = event
        self.course.ran(attempt, record, outcome)
        return outcome

    def look(self, claim: Claim, state: Mapping[str, Any]) -> Observation:
        id = claim.verification.id
        passed, basis, why, came_round = self._judge(claim)
        within, stays = claim.verification.within_seconds, claim.verification.stays_good_seconds
        # Nothing happens between two looks of a replay, so it leaps to the next moment that matters.
        self._leap = stays if passed is True else max(0.0, within - claim.waited_seconds)
        looked = self.recording.checks.get(id)
        if passed is False and looked and claim.waited_seconds < (grown := looked.check.waited_seconds + 1.0) < within:
            self._leap = grown - claim.waited_seconds
        if passed is not True or claim.waited_seconds >= stays:
            self.course.over.add(id)
        self.events[f"check:{id}", 0] = Event(
            f"verification.{id}", passed, basis, why, came_round, len(self.world.novelties), owed=self._owed
        )
        return Observation(passed, why or None)

    def decide(self, expression: str, error: UndefinedName) -> bool | None:
        condition = self.conditions.get(expression)
        return None if condition is None else decide(self.course, condition, self._record)

    def _again(self, attempt: Attempt, record: Record) -> tuple[Outcome, Event]:
        needs = self.needs(attempt, record)
        new, owed = self._news(needs, record)
        self.clock += record.attempt_seconds
        where = f"{'steps' if attempt.phase == 'step' else attempt.phase}.{attempt.step.id}"
        succeeds = record.step.success or matching.accepted(attempt, record)
        if record.step.success:
            if attempt.number < record.step.attempts and new is None:
                return self._replayed(attempt, record, False), self._event(where, False, "recorded", needs)
            if new is not None and (why := contradiction(attempt.action, attempt.params, self.world)):
                return Outcome.failed(why), self._event(where, False, "implied", needs, why)
            if matching.cut_short(attempt, record):
                why = f"took {record.attempt_seconds:g} s, and has {attempt.timeout_seconds:g} s now"
                return Outcome.failed(why, timed_out=True), self._event(where, False, "implied", needs, why)
            if matching.no_longer_accepted(attempt, record):
                why = f"exit code {record.step.exit_code} is no success any more"
                return Outcome.failed(why), self._event(where, False, "implied", needs, why)
            fell = self._fell(record)
            stays_up = bool(fell) and (
                new is not None or (complaints.expires(fell) and self._has_more_time(attempt, record, needs))
            )
            self._took_place(attempt, record, novel=stays_up)
            basis: Basis = "assumed" if stays_up else new or "recorded"
            return self._replayed(attempt, record, True), self._event(where, True, basis, needs)
        why = "what its error named is different now" if new else ""
        if new is None and self._has_more_time(attempt, record, needs):
            why = "it has more time now"
        elif new is None and matching.has_more_rights(attempt, record):
            why = "it has more rights now"
        if not why:
            cause = self.recording.cause
            mine = cause is not None and matching.alike(cause, record)
            event = self._event(where, succeeds, "recorded", needs, record.step.error, came_round=mine)
            return self._replayed(attempt, record, succeeds), event
        if against := contradiction(attempt.action, attempt.params, self.world):
            return Outcome.failed(against), self._event(where, False, "implied", needs, against)
        self._took_place(attempt, record, novel=True)
        return Outcome(True), replace(self._event(where, True, new or "assumed", needs, why), owed=owed)

    def _first_time(self, attempt: Attempt) -> tuple[Outcome, Event]:
        where = f"{'steps' if attempt.phase == 'step' else attempt.phase}.{attempt.step.id}"
        action, params = attempt.action, attempt.params
        if why := contradiction(action, params, self.world):
            return Outcome.failed(why), self._event(where, False, "implied", (), why)
        if blocked := self._same_obstacle(attempt):
            record, needs = blocked
            why = f"does what failed before, and nothing is new about it: {record.step.error}"
            return Outcome.failed(record.step.error), self._event(where, False, "implied", needs, why, came_round=True)
        waits = params.seconds if action.name == "wait" else slept_seconds(params)
        if waits is not None:
            self.course.inert.add(attempt.step.id)
            if waits > attempt.timeout_seconds:
                why = f"{waits:g} s do not fit into the step's timeout"
                return Outcome.failed(why, timed_out=True), self._event(where, False, "implied", (), why)
            self.clock += waits
            return Outcome(True), self._event(where, True, "implied", ())
        effects = self.course.effects(action, params)
        wanted = action.effects(params, {})
        self.course.aims[attempt.step.id] = ((),) if wanted is None else tuple(wanted)
        waited = reached(action, params, self.world)
        sure = effects is not None and UNKNOWN not in effects.values() and not waited and not _asks(action)
        basis: Basis = "implied" if sure or action.name == "escalate" else "assumed"
        if waited:
            effects = {**(effects or {}), **waited}
        self._note_change(action.read_only, effects, matched=False)
        self.world.apply(effects, novel_by=attempt.step.id)
        facts = {path: value for path, value in (effects or {}).items() if value != UNKNOWN}
        return Outcome(True, facts=facts, manual=action.name == "escalate"), self._event(where, True, basis, ())

    def needs(self, attempt: Attempt, record: Record) -> tuple[Need, ...]:
        """The facts that a recorded attempt depends on: declared reads, and what its error names."""
        found = [Need(path) for path in attempt.action.reads(attempt.params)]
        error = "" if record.step.success else record.step.error or self.recording.result.error_message or ""
        services = self.world.state.get("services", {})
        found += complaints.needs(error or self._fell(record), services)
        if not found or self.course.effects(attempt.action, attempt.params) is None:
            # Nobody declares what a command depends on; what it names is the best that can be had.
            env = attempt.rendered.get("env") or {}
            said = [*attempt.rendered.get("argv", ()), attempt.rendered.get("script", ""), *env.values()]
            words = " ".join(map(str, said))
            found += [Need(path) for path in sorted(facts_in(words, services=services))]
            for word in attempt.rendered.get("argv", ())[:1]:
                found.append(Need(("processes", str(word).rpartition("/")[2])))
        return tuple(found)

    def _fell(self, record: Record) -> str:
        """What later steps printed about a start that seemed to work, and whose service was down in the end."""
        step, result = record.step, self.recording.result
        down = result.state_after.services.get(str(step.params.get("name"))) in ("stopped", "failed")
        if not (step.success and down and step.action in ("start_service", "restart_service")):
            return ""
        later = (done for done in result.executed_steps if done.step_number > step.step_number and not done.skipped)
        return "\n".join(done.output for done in later if done.output.strip())

    def _news(self, needs: Sequence[Need], record: Record | None) -> tuple[Basis | None, frozenset[int]]:
        """What is new about `needs`, and the recorded steps that were left out when nothing else is."""
        if (new := self.world.difference(needs)) is not None:
            return new, frozenset()
        left = self.course.left_out(record)
        owed = {n.without for n in left if n.without is not None and self.world.difference(needs, [n])}
        return self.world.difference(needs, left), frozenset(owed)

    def _judge(self, claim: Claim) -> tuple[bool | None, Basis, str, bool]:
        looked = self.recording.checks.get(claim.verification.id)
        parent = verification_of(self.recording.parent, claim.verification.id)
        paths = claim.check.probe(claim.params).paths
        needs = [Need(path) for path in paths]
        same = (
            looked
            and looked.check.check == claim.verification.check
            and (
                looked.check.params == dict(claim.rendered)
                or (parent is not None and parent.params == claim.verification.params)
            )
        )
        new, owed = self._news(needs, None)
        self._owed = owed if looked and looked.check.passed is False else frozenset()
        if looked and same and new is None:
            if looked.check.passed is True:
                good_after = looked.check.waited_seconds - (parent.stays_good_seconds if parent else 0.0)
                shrunk = parent is not None and claim.verification.within_seconds < parent.within_seconds
                if shrunk and good_after > claim.verification.within_seconds + 1.0:
                    return False, "implied", f"took {good_after:g} s to hold", False
                longer = parent is not None and claim.verification.stays_good_seconds > parent.stays_good_seconds
                return True, "assumed" if longer else "recorded", "", False
            if looked.check.passed is None:
                return None, "recorded", "", False
            grown = self.clock - self._changed_at(needs) - looked.settled
            if grown >= ENOUGH_SECONDS and not self.recording.cancelled:
                return True, "assumed", "it has more time now", False
            return False, "recorded", f"observed {looked.check.observed}", True
        holds = claim.check.holds(claim.params, self.world.state)
        if holds is not None:
            return holds, "implied", "" if holds else "what is known speaks against it", False
        if self.world.was_changed(paths):
            return True, "assumed", "", False
        return None, "recorded", "nothing that ran is known to change it", False

    def _same_obstacle(self, attempt: Attempt) -> tuple[Record, tuple[Need, ...]] | None:
        """The recorded failure that an attempt by other means runs into: same aim, and the error's facts unchanged."""
        cause = self.recording.cause
        if cause is None or cause.step.step_id is None:
            return None
        known = catalogue().actions.get(cause.step.action)
        if known is None or known.name == attempt.action.name:
            return None
        try:
            params = concrete(known.Params, cause.step.params)
        except LearnerError:
            return None
        mine, theirs = self.course.effects(attempt.action, attempt.params), self.course.effects(known, params)
        aim = _settled(mine)
        if not aim or aim != _settled(theirs):
            return None
        asked = [
            need
            for need in complaints.needs(cause.step.error, self.world.state.get("services", {}))
            if need.wanted is not None and need.path not in aim
        ]
        if not asked or self.world.difference(asked) is not None:
            return None
        return cause, tuple(asked)

    def _has_more_time(self, attempt: Attempt, record: Record, needs: tuple[Need, ...]) -> bool:
        error = record.step.error
        old = (record.of.timeout_seconds if record.of else None) or attempt.action.default_timeout_seconds
        deaf = attempt.action.name == "kill_process" and complaints.outlived(error)
        if deaf and record.attempt_seconds >= DEAF_SECONDS:
            return False
        if (record.step.timed_out or _used_up(record, old)) and attempt.timeout_seconds > old + ENOUGH_SECONDS:
            return True
        # Between the steps and what comes after them lies the verification, whose looks are not recorded one by one.
        if complaints.stays(error) or attempt.phase != "step":
            return False
        began = self.clock - record.attempt_seconds
        return began - self._changed_at(needs) - record.settled >= ENOUGH_SECONDS

    def _changed_at(self, needs: tuple[Need, ...] | list[Need]) -> float:
        """When the host last changed for the attempt: a new step that touches nothing of it does not count."""
        for at, paths, matched in reversed(self._changes):
            if matched or paths is None or any(touches(need.path, path) for need in needs for path in paths):
                return at
        return 0.0

    def _note_change(self, read_only: bool, effects: Facts | None, *, matched: bool) -> None:
        if not read_only:
            self._changes.append((self.clock, None if effects is None else frozenset(effects), matched))

    def _took_place(self, attempt: Attempt, record: Record, *, novel: bool) -> None:
        effects = self.course.effects(attempt.action, attempt.params)
        self._note_change(attempt.action.read_only, effects, matched=True)
        self.world.apply(effects, novel_by=attempt.step.id if novel else None)
        if not novel:
            self.world.recorded(record.step.state_changes)

    def _replayed(self, attempt: Attempt, record: Record, success: bool) -> Outcome:
        step = record.step
        if not success and step.success:
            return Outcome.failed("failed before it succeeded")
        if not success and attempt.number >= record.step.attempts:
            self._note_change(attempt.action.read_only, {}, matched=True)
            self.world.recorded(step.state_changes)
        facts: Facts = {}
        for dotted, change in step.state_changes.items():
            try:
                facts[parse(dotted)] = change.get("after")
            except ValueError:
                continue
        return Outcome(
            success, step.output, step.error, step.exit_code, dict(step.data), facts, step.timed_out,
            manual=success and step.action == "escalate",
        )  # fmt: skip

    def _event(
        self, where: str, success: bool, basis: Basis, needs: tuple[Need, ...], why: str = "", came_round: bool = False
    ) -> Event:
        return Event(where, success, basis, why, came_round, len(self.world.novelties), needs)


def _used_up(record: Record, timeout_seconds: float) -> bool:
    """Whether a failed attempt ended for want of time, going by its words, exit code and duration.

    A program that gave up by itself, long before it was made to, has no use for more.
    """
    long = record.attempt_seconds >= 0.9 * timeout_seconds
    said = complaints.timed_out(record.step.error)
    return (long and (said or record.step.exit_code in _CUT_OFF)) or (said and not record.attempt_seconds)


def _asks(action: Any) -> bool:
    """Whether an action that changes nothing can fail for what it finds."""
    return bool(action.read_only) and action.name not in ("assert", "wait", "escalate", "find_processes")


def _settled(effects: Facts | None) -> Facts:
    return {path: value for path, value in (effects or {}).items() if value != UNKNOWN}
