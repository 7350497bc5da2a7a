"""What habits mean: each finding in words, and the edit that would follow where one is safe for a machine to propose.

Taking a step away is never proposed: on the day it is needed, the runbook would fail for want of it. It is reported.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from learner.actions import catalogue
from learner.models.execution import ExecutionResult
from learner.models.fold import Held
from learner.models.records import RunbookEdit
from learner.models.runbook import Step
from learner.runbook_file import RunbookFile

SHARE_OF_SHORTEST = 0.25
"""A shorter way must have been enough for this share of the verified runs."""
GROWN = 1.5
"""The newest week's mean against the oldest's."""
NEAR_TIMEOUT = 0.6
"""Share of its timeout that the slowest run of the newest week took."""
RUNS_IN_A_WEEK = 4
MOST_CITATIONS = 3
LONGEST_SECONDS = 900


@dataclass(frozen=True)
class Habit:
    """One finding; `operation` is the edit's, without citations, or None when it is for people alone."""

    kind: Literal["idle", "second-try", "slower", "shorter"]
    step_id: str
    """Empty for a whole way."""
    words: str
    operation: Mapping[str, Any] | None = None
    summary: str = ""
    effect: str = ""
    risk: str = ""

    @property
    def cause(self) -> str:
        """`slower:start`."""
        return f"{self.kind}:{self.step_id}"


def found(held: Held, file: RunbookFile, least: int) -> tuple[Habit, ...]:
    """The habits of the runs of `file`'s own bytes (and of executors that don't say which bytes they ran), by kind and
    step; none before `least` verified runs. `held` is a `HabitFold`'s."""
    entry = _summed([held.get(file.runbook.ref, {}).get(blob) for blob in (file.blob, "")])
    if entry["runs"] < least:
        return ()
    steps = {step.id: step for step in file.runbook.steps}
    counted = [(steps[key], counts) for key, counts in sorted(entry["steps"].items()) if key in steps]
    habits = [*_shorter(entry, file)]
    # An executor that records no changes at all says nothing of any step's.
    recorded = any(counts["changed"] for _, counts in counted)
    for step, counts in counted:
        habits += [*_slower(step, counts), *_second_try(step, counts, least)]
        habits += _idle(step, counts, least) if recorded else ()
    return tuple(
        sorted(habits, key=lambda habit: (("slower", "second-try", "shorter", "idle").index(habit.kind), habit.step_id))
    )


def evidence_of(held: Held, file: RunbookFile) -> tuple[str, ...]:
    """The first verified runs of `file`'s bytes."""
    entry = _summed([held.get(file.runbook.ref, {}).get(blob) for blob in (file.blob, "")])
    return tuple(execution_id for _, execution_id in sorted(entry["evidence"]))


def edit_for(habit: Habit, runs: Sequence[ExecutionResult]) -> RunbookEdit | None:
    """The habit's edit, citing the step in `runs`; None when it has none, or no run shows the step."""
    because = [
        f"{run.execution_id}#{done.step_number}"
        for run in runs
        for done in run.executed_steps
        if done.step_id == habit.step_id and done.success and not done.skipped
    ]
    if habit.operation is None or not because:
        return None
    return RunbookEdit.model_validate_json(json.dumps({
        "root_cause": habit.words, "summary": habit.summary, "expected_effect": habit.effect, "risk": habit.risk,
        "operations": [{**habit.operation, "because": because[:MOST_CITATIONS]}],
    }))  # fmt: skip


def _summed(entries: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    whole: dict[str, Any] = {"runs": 0, "evidence": [], "paths": {}, "steps": {}}
    for entry in entries:
        if entry is None:
            continue
        whole["runs"] += entry["runs"]
        whole["evidence"] += entry["evidence"]
        for way, runs in entry["paths"].items():
            whole["paths"][way] = whole["paths"].get(way, 0) + runs
        for key, counts in entry["steps"].items():
            step = whole["steps"].setdefault(key, {"ran": 0, "changed": 0, "second": 0, "weeks": {}})
            for name in ("ran", "changed", "second"):
                step[name] += counts[name]
            for week, (runs, total, slowest) in counts["weeks"].items():
                there = step["weeks"].get(week, (0, 0, 0))
                step["weeks"][week] = (there[0] + runs, there[1] + total, max(there[2], slowest))
    return whole


def _shorter(entry: Mapping[str, Any], file: RunbookFile) -> Iterator[Habit]:
    """The shortest way that led to verified success, when others went further."""
    ways = {tuple(way.split(">")) if way else (): runs for way, runs in entry["paths"].items()}
    shortest = min(ways, key=lambda way: (len(way), way))
    longer = [way for way in ways if set(way) > set(shortest)]
    if not longer or ways[shortest] < SHARE_OF_SHORTEST * entry["runs"]:
        return
    spare = [
        step.id for step in file.runbook.steps if step.id not in shortest and any(step.id in way for way in longer)
    ]
    taken = " → ".join(shortest) or "no step at all"
    yield Habit(
        "shorter", "",
        f"{ways[shortest]} of {entry['runs']} verified runs needed {taken} only; the others also ran {', '.join(spare)}",
    )  # fmt: skip


def _idle(step: Step, counts: Mapping[str, Any], least: int) -> Iterator[Habit]:
    action = catalogue().actions[step.action]
    if action.read_only or counts["changed"] or counts["ran"] < least or catalogue().family[step.action] in ("command", "flow"):  # fmt: skip
        return  # what a command changes is not always seen
    yield Habit(
        "idle",
        step.id,
        f"the step {step.id} ({step.action}) changed nothing in any of its {counts['ran']} verified runs",
    )


def _second_try(step: Step, counts: Mapping[str, Any], least: int) -> Iterator[Habit]:
    if counts["ran"] < least or counts["second"] < counts["ran"] or step.retries.attempts < 2:
        return
    seconds = max(1, math.ceil(step.retries.delay_seconds))
    pause: dict[str, Any] = {
        "id": f"wait_before_{step.id}", "action": "wait", "params": {"seconds": seconds},
        "timeout_seconds": seconds + 30, "why": f"{step.id} never works at once",
    }  # fmt: skip
    if step.when is not None:
        pause["when"] = step.when
    yield Habit(
        "second-try", step.id,
        f"In all of its {counts['ran']} verified runs the step {step.id} failed at first and worked at the second try.",
        {"op": "insert_step", "before": step.id, "step": pause},
        f"Wait {seconds} s before the step {step.id}, which never works at once",
        f"The step {step.id} works at the first try; no failed attempt is left behind on the host. The retry stays.",
        f"Low. A host on which {step.id} would have worked at once waits {seconds} s more.",
    )  # fmt: skip


def _slower(step: Step, counts: Mapping[str, Any]) -> Iterator[Habit]:
    weeks = [counts["weeks"][week] for week in sorted(counts["weeks"], key=int)]
    weeks = [week for week in weeks if week[0] >= RUNS_IN_A_WEEK]
    if len(weeks) < 3:
        return
    first, last = weeks[0][1] / weeks[0][0] / 1000, weeks[-1][1] / weeks[-1][0] / 1000
    middle = weeks[len(weeks) // 2][1] / weeks[len(weeks) // 2][0] / 1000
    if not (last >= GROWN * first and first <= middle <= last and last - first >= 1):
        return
    timeout = step.timeout_seconds or catalogue().actions[step.action].default_timeout_seconds
    slowest = weeks[-1][2] / 1000
    words = (
        f"The step {step.id} took {first:.1f} s on average in the first and {last:.1f} s in the last of {len(weeks)} weeks; "
        f"its slowest run of that week took {slowest:.1f} s of {timeout:g} s."
    )
    new = math.ceil(timeout * 2 / 5) * 5
    if slowest < NEAR_TIMEOUT * timeout or new > LONGEST_SECONDS:
        yield Habit("slower", step.id, words)
        return
    yield Habit(
        "slower", step.id, words,
        {"op": "set_timeout", "step_id": step.id, "timeout_seconds": new},
        f"Give the step {step.id} {new} s before it runs into its timeout",
        f"The step {step.id} keeps working while the reason for its growth is looked for.",
        f"Low. When {step.id} hangs, the run notices after {new} s instead of {timeout:g} s. The growth itself needs a person.",
    )  # fmt: skip
