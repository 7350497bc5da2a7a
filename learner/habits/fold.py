"""The habits of verified runs, as sums: per runbook version, blob and step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from learner.models.execution import ExecutionResult
from learner.models.fold import Held, add_counts, keep_smallest, smallest_of

MOST_WEEKS = 16
MOST_EVIDENCE = 8
_EPOCH = datetime(1969, 12, 29, tzinfo=UTC)
"""A Monday: weeks are counted from it."""


class HabitFold:
    """`{ref: {blob: {"runs", "evidence", "paths": {"a>b": n}, "steps": {id: {…}}}}}`, of verified runs alone.

    A step holds how often it ran, changed something, was done at the second try, and per week its runs, milliseconds
    and slowest run. Of the weeks the newest are kept: whatever order results come in, those are the same weeks, and
    each is whole.
    """

    name = "habits"
    version = 1

    def add(self, held: Held, result: ExecutionResult) -> None:
        """Add a verified run; others leave `held` as it is."""
        if not result.verified:
            return
        of_version = held.setdefault(result.runbook_ref, {})
        entry = of_version.setdefault(result.runbook_blob or "", {"runs": 0, "evidence": [], "paths": {}, "steps": {}})
        entry["runs"] += 1
        started = (result.started_at - _EPOCH) // timedelta(microseconds=1)
        entry["evidence"] = keep_smallest(entry["evidence"], [started, result.execution_id], MOST_EVIDENCE)
        way = []
        week = str((result.started_at - _EPOCH) // timedelta(weeks=1))
        for done in result.executed_steps:
            if done.skipped or not done.success or done.phase != "step" or done.step_id is None:
                continue
            way.append(done.step_id)
            step = entry["steps"].setdefault(
                done.step_id, {"action": done.action, "ran": 0, "changed": 0, "second": 0, "weeks": {}}
            )
            step["action"] = min(step["action"], done.action)
            step["ran"] += 1
            step["changed"] += bool(done.state_changes)
            step["second"] += done.attempts == 2
            ms = round((done.duration_seconds or 0.0) * 1000)
            runs, total, slowest = step["weeks"].get(week, (0, 0, 0))
            step["weeks"][week] = [runs + 1, total + ms, max(slowest, ms)]
            if len(step["weeks"]) > MOST_WEEKS:
                del step["weeks"][min(step["weeks"], key=int)]
        key = ">".join(way)
        entry["paths"][key] = entry["paths"].get(key, 0) + 1

    def merge(self, held: Held, other: Held) -> None:
        """Add what was held of other runs: a week that one side let go is older than those that stay."""
        for ref, blobs in other.items():
            for blob, theirs in blobs.items():
                entry = held.setdefault(ref, {}).setdefault(blob, theirs)
                if entry is theirs:
                    continue
                entry["runs"] += theirs["runs"]
                entry["evidence"] = smallest_of(entry["evidence"], theirs["evidence"], MOST_EVIDENCE)
                add_counts(entry["paths"], theirs["paths"])
                for step_id, their_step in theirs["steps"].items():
                    step = entry["steps"].setdefault(step_id, their_step)
                    if step is not their_step:
                        _merge_step(step, their_step)


def _merge_step(step: Held, theirs: Held) -> None:
    step["action"] = min(step["action"], theirs["action"])
    for count in ("ran", "changed", "second"):
        step[count] += theirs[count]
    for week, (runs, total, slowest) in theirs["weeks"].items():
        ours = step["weeks"].get(week, (0, 0, 0))
        step["weeks"][week] = [ours[0] + runs, ours[1] + total, max(ours[2], slowest)]
    for week in sorted(step["weeks"], key=int)[:-MOST_WEEKS]:
        del step["weeks"][week]
