"""How far a replay has come: which records it has used, what it knows, and where it left the recording."""

from __future__ import annotations

from typing import Any

from learner.actions import Outcome, catalogue
from learner.actions.base import UNKNOWN
from learner.errors import LearnerError
from learner.facts import Facts, Path
from learner.flow import Attempt, concrete
from learner.models import Step
from learner.replay.inputs import Inputs
from learner.replay.matching import same
from learner.replay.recording import Record, Recording
from learner.replay.world import Novelty, World


class Course:
    """The state of one replay."""

    def __init__(self, recording: Recording, inputs: Inputs) -> None:
        self.recording = recording
        self.world = World(recording.result.state_before.facts(), held_open=recording.held_open)
        self.scope: dict[str, Any] = {
            **inputs.values,
            "incident": inputs.incident,
            "host": inputs.host,
            "steps": {},
        }
        """What conditions are evaluated over, `state` aside."""
        self.done: set[int] = set()
        """Records that an attempt was answered from."""
        self.over: set[int | str] = set()
        """Records (by place) and checks (by id) with nothing left to replay."""
        self.unlike: set[str] = set()
        """Steps that came to something else than in the recording, or that it does not have."""
        self.passed: set[str] = set()
        """Steps that a condition passed over."""
        self.inert: set[str] = set()
        """Steps that ran and change nothing, whatever host they run on."""
        self.aims: dict[str, tuple[Path, ...]] = {}
        """What the candidate's new steps are for, whether or not it was so already."""
        self.guesses: list[str] = []
        """Conditions that were taken to hold because nothing tells."""

    @property
    def cancelled(self) -> bool:
        """Whether a cancelled recording is at its end: where its last step and its last check are."""
        return (
            self.recording.cancelled
            and all(record.at in self.over for record in self.recording.records if record.step.phase == "step")
            and self.over.issuperset(self.recording.checks)
        )

    def next_record(self, phase: str, step_id: str) -> Record | None:
        """The next record of a step; its last one when it comes round more often than it did."""
        records = [r for r in self.recording.records if (r.step.phase, r.step.step_id) == (phase, step_id)]
        return next((r for r in records if r.at not in self.done), records[-1] if records else None)

    def find(self, attempt: Attempt) -> Record | None:
        """The record of this very attempt, under whatever step id it is made now."""
        own = self.next_record(attempt.phase, attempt.step.id)
        if own and same(attempt, own):
            return own
        alike = [
            record
            for record in self.recording.records
            if not record.step.skipped and record.step.phase == attempt.phase and same(attempt, record, rendered=True)
        ]
        return next((r for r in alike if r.at not in self.done), alike[-1] if alike else None)

    def ran(self, attempt: Attempt, record: Record | None, outcome: Outcome) -> None:
        """Note what an attempt came to."""
        if record:
            self.done.add(record.at)
            if attempt.number >= record.step.attempts:
                self.over.add(record.at)
        if record is None or record.step.success != outcome.success:
            self.unlike.add(attempt.step.id)
        self.scope["steps"][attempt.step.id] = {
            "success": outcome.success,
            "skipped": False,
            "stdout": outcome.stdout,
            "stderr": outcome.stderr,
            "exit_code": outcome.exit_code,
            "data": dict(outcome.data),
        }

    def passed_over(self, step: Step, record: Record | None, decided: bool | None) -> None:
        """Note a step that did not run: its condition was false, or (None) could not be evaluated."""
        skipped = decided is False
        if skipped:
            self.passed.add(step.id)
        if record and record.step.skipped == skipped and record.step.success == skipped:
            self.done.add(record.at)
            self.over.add(record.at)
        else:
            self.unlike.add(step.id)
        self.scope["steps"][step.id] = {
            "success": skipped,
            "skipped": skipped,
            "stdout": "",
            "stderr": "",
            "exit_code": None,
            "data": {},
        }

    def left_out(self, record: Record | None) -> list[Novelty]:
        """What recorded steps before `record` (or all) did to the host that has not been done in the replay."""
        missing = []
        for other in self.recording.records:
            if record is not None and other.at >= record.at:
                break
            if other.at in self.done or other.step.skipped or not other.step.success or other.step.phase != "step":
                continue
            action = catalogue().actions.get(other.step.action)
            if action is None or action.read_only:
                continue
            try:
                effects = self.effects(action, concrete(action.Params, other.step.params))
            except LearnerError:
                effects = None
            paths = [()] if effects is None else list(effects)
            missing += [Novelty(path, UNKNOWN, f"without {other.step.step_id}", without=other.at) for path in paths]
        return missing

    def effects(self, action: Any, params: Any) -> Facts | None:
        """What the catalogue says an action leaves behind, here and now."""
        effects: Facts | None = action.effects(params, self.world.state)
        return effects
