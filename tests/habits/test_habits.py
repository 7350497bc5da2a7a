"""What verified runs show: sums that no order changes, and findings that say what to do or who should look."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.habits import HabitFold, edit_for, found
from learner.habits.fold import MOST_WEEKS
from learner.models import ExecutionResult
from learner.models.fold import canonical
from learner.pipeline import FOLDS
from learner.runbook_file import RunbookFile, parse
from samples import result

TEXT = (Path(__file__).parents[2] / "learner/demo/runbooks/RB-LIN-SERVICE-001.yaml").read_text()
STEPS = """\
  - id: make
    action: create_directory
    params: {path: /run/web}
  - id: start
    action: start_service
    params: {name: "{{ service }}"}
    timeout_seconds: 20
    retry: {attempts: 3, delay_seconds: 4}
"""
FILE: RunbookFile = parse((TEXT[: TEXT.index("  # A service")] + STEPS + TEXT[TEXT.index("verification:") :]).encode())
CHANGED = {"services.web": {"before": "failed", "after": "running"}}


def run(
    number: int, week: int = 0, seconds: float = 5, attempts: int = 1, steps: str = "make start", **changes: Any
) -> ExecutionResult:
    day = 1 + 7 * week
    at = f"2026-{1 + day // 28:02d}-{1 + day % 28:02d}T05:{number % 60:02d}"
    done = [
        {"step_number": i, "step_id": name, "action": {"make": "create_directory", "start": "start_service"}[name], "success": True,
         "duration_seconds": seconds if name == "start" else 0.1, "attempts": attempts if name == "start" else 1,
         "state_changes": CHANGED if name == "start" else {}}
        for i, name in enumerate(steps.split(), 1)
    ]  # fmt: skip
    held: dict[str, Any] = {
        "execution_id": f"exec-20261122-{number:06d}", "started_at": f"{at}:00Z", "completed_at": f"{at}:30Z", "status": "success",
        "success": True, "verification_passed": True, "error_message": None, "error_step": None, "executed_steps": done,
    }  # fmt: skip
    return result(**(held | changes))


def held(*results: ExecutionResult) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for one in results:
        HabitFold().add(state, one)
    return state


def kinds(*results: ExecutionResult, least: int = 12) -> list[str]:
    return [habit.cause for habit in found(held(*results), FILE, least)]


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(30)), st.integers(0, 2**16), st.integers(0, 30))
def test_law_every_fold_carried_on_is_byte_for_byte_a_rebuild(order: list[int], seed: int, stop: int) -> None:
    """Whatever the order, and wherever the state was written down and read again in between."""
    chance = random.Random(seed)
    runs = [
        run(n, chance.randrange(MOST_WEEKS + 8), chance.random() * 9, chance.randint(1, 3), chance.choice(["start", "make start"]),
            verification_passed=chance.choice([True, True, None, False]), runbook_blob=chance.choice([None, "a" * 40]))
        for n in range(30)
    ]  # fmt: skip
    for fold in FOLDS:
        rebuilt: dict[str, Any] = {}
        for one in runs:
            fold.add(rebuilt, one)
        carried: dict[str, Any] = {}
        for at, i in enumerate(order):
            if at == stop:
                carried = json.loads(canonical(carried))
            fold.add(carried, runs[i])
        assert canonical(carried) == canonical(rebuilt), fold.name
    for version in held(*runs).values():
        for entry in version.values():
            assert all(len(step["weeks"]) <= MOST_WEEKS for step in entry["steps"].values())


def test_a_step_that_changes_nothing_is_for_people() -> None:
    runs = [run(n) for n in range(12)]
    assert kinds(*runs) == ["idle:make"]
    assert kinds(*runs, least=13) == []
    (habit,) = found(held(*runs), FILE, 12)
    assert edit_for(habit, runs) is None, "a machine takes no step away"


def test_an_executor_that_records_no_changes_says_nothing_of_idle_steps() -> None:
    silent = [one.model_dump(mode="json") for one in (run(n) for n in range(12))]
    for one in silent:
        for step in one["executed_steps"]:
            step["state_changes"] = {}
    assert kinds(*(ExecutionResult.model_validate_json(json.dumps(one)) for one in silent)) == []


def test_what_always_works_at_the_second_try_waits_first() -> None:
    runs = [run(n, attempts=2) for n in range(12)]
    habit = next(h for h in found(held(*runs), FILE, 12) if h.kind == "second-try")
    edit = edit_for(habit, runs)
    assert edit is not None
    (operation,) = edit.operations
    assert operation.op == "insert_step"
    assert (operation.before, operation.step["params"]) == ("start", {"seconds": 4})
    assert operation.because == tuple(f"exec-20261122-{n:06d}#2" for n in range(3))
    assert "second-try:start" not in kinds(*runs, run(50, attempts=1))


@pytest.mark.parametrize(
    ("seconds", "causes", "proposes"),
    [((5, 8, 14), ["slower:start"], True), ((2, 3, 4), ["slower:start"], False), ((14, 14, 14), [], False), ((5, 2, 14), [], False)],
)  # fmt: skip
def test_growth_gets_more_time_only_near_the_timeout(
    seconds: tuple[float, ...], causes: list[str], proposes: bool
) -> None:
    runs = [run(10 * week + n, week, took) for week, took in enumerate(seconds) for n in range(4)]
    habits = [habit for habit in found(held(*runs), FILE, 12) if habit.kind != "idle"]
    assert [habit.cause for habit in habits] == causes
    if causes:
        edit = edit_for(habits[0], runs)
        assert (edit is not None) == proposes
        if edit is not None:
            assert edit.operations[0].timeout_seconds == 40  # type: ignore[union-attr]


def test_a_shorter_way_that_was_enough_is_told() -> None:
    runs = [run(n) for n in range(8)] + [run(10 + n, steps="start") for n in range(4)]
    habit = next(h for h in found(held(*runs), FILE, 12) if h.kind == "shorter")
    assert habit.words == "4 of 12 verified runs needed start only; the others also ran make"
    assert habit.operation is None
    assert "shorter:" not in kinds(*[run(n) for n in range(40)], run(50, steps="start"))


def test_only_runs_of_these_bytes_count() -> None:
    assert kinds(*[run(n, runbook_blob="a" * 40) for n in range(12)]) == []
    assert kinds(*[run(n, runbook_blob=FILE.blob) for n in range(12)]) == ["idle:make"]
