from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.telemetry.data import result as bench_result
from learner import pipeline
from learner.errors import LearnerError
from learner.models import ExecutionResult
from learner.models.fold import Fold, Held, add_counts, canonical, keep_smallest, smallest_of
from learner.repository.git import Git, init
from learner.repository.objects import commit
from learner.telemetry.collect import collect, from_folder, results, results_from_folder
from learner.telemetry.crew import summed
from learner.telemetry.parse import encoded
from learner.telemetry.state import State
from tests.samples import document
from tests.telemetry.conftest import NOW, WHO, numbered


class Counts:
    """Results by status, and the three smallest ids."""

    name = "counts"

    def __init__(self, version: int = 1) -> None:
        self.version = version

    def add(self, held: Held, result: ExecutionResult) -> None:
        held[result.status] = held.get(result.status, 0) + 1
        held["first"] = keep_smallest(held.get("first", []), result.execution_id, 3)

    def merge(self, held: Held, other: Held) -> None:
        first = smallest_of(held.pop("first", []), other.pop("first", []), 3)
        add_counts(held, other)
        held |= {"first": first} if first else {}


FOLDS = (Counts(),)


def committed(git: Git, parent: str | None, files: dict[str, bytes | None]) -> str:
    return commit(git, files, ref="refs/heads/telemetry", parent=parent, message="m\n", author=WHO, when=NOW)


def written(*found: ExecutionResult) -> dict[str, bytes | None]:
    return {one.path: encoded(one) for one in found}


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return init(tmp_path / "r", bare=True)


def test_a_first_reading_reads_everything_and_says_so(git: Git) -> None:
    tip = committed(git, None, written(numbered(1), numbered(2)))
    got = collect(git, tip, FOLDS, None)
    assert (got.new, got.skipped, got.rebuilt) == (2, (), "there is no state yet")
    assert got.state.held("counts")["failure"] == 2
    assert got.state.results == 2


def test_afterwards_only_what_is_new_is_read(git: Git) -> None:
    first = committed(git, None, written(numbered(1)))
    state = collect(git, first, FOLDS, None).state
    before = state.canonical()
    second = committed(git, first, written(numbered(0)))
    got = collect(git, second, FOLDS, state)
    assert (got.new, got.rebuilt) == (1, None)
    assert got.state.canonical() == collect(git, second, FOLDS, None).state.canonical()
    assert state.canonical() == before, "the state that was passed in is not changed"
    again = collect(git, second, FOLDS, got.state)
    assert (again.new, again.rebuilt, again.state) == (0, None, got.state)


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("was changed", {numbered(1).path: encoded(numbered(1, notes="x"))}),
        ("was taken away", {numbered(1).path: None}),
    ],
)
def test_a_changed_or_deleted_file_means_a_rebuild(git: Git, why: str, change: dict[str, bytes | None]) -> None:
    first = committed(git, None, written(numbered(1), numbered(2)))
    state = collect(git, first, FOLDS, None).state
    second = committed(git, first, change)
    got = collect(git, second, FOLDS, state)
    assert why in (got.rebuilt or "")
    assert got.state.canonical() == collect(git, second, FOLDS, None).state.canonical()


def test_an_unknown_commit_another_format_or_another_fold_means_a_rebuild(git: Git) -> None:
    tip = committed(git, None, written(numbered(1)))
    state = collect(git, tip, FOLDS, None).state
    reasons = [
        collect(git, tip, FOLDS, State("0" * 40, 1, state.folds)).rebuilt,
        collect(git, tip, FOLDS, State(tip, 1, state.folds, format=99)).rebuilt,
        collect(git, tip, (Counts(2),), state).rebuilt,
        collect(git, tip, (), state).rebuilt,
        collect(git, None, FOLDS, state).rebuilt,
    ]
    assert (reasons.pop(0) or "").startswith("the commit read last is not known: 000000000000")
    assert reasons == [
        "the state has format 99, this program writes 1",
        "fold counts: version 1 in the state, 2 in this program",
        "fold counts: version 1 in the state, none in this program",
        "the telemetry branch is gone",
    ]


def test_a_file_that_is_no_result_is_skipped_with_its_reason(git: Git) -> None:
    bad = "telemetry/acme/2026/11/22/exec-20261122-0009.json"
    tip = committed(git, None, written(numbered(1)) | {bad: b"{}", "telemetry/README.md": b"hello"})
    got = collect(git, tip, FOLDS, None)
    assert got.new == 1
    assert sorted(one.path for one in got.skipped) == sorted([bad, "telemetry/README.md"])


def test_the_state_survives_writing_and_reading(git: Git) -> None:
    state = collect(git, committed(git, None, written(numbered(1))), FOLDS, None).state
    assert State.parse(state.canonical()) == state
    assert State.parse("{}") is None
    assert State.parse("nonsense") is None
    assert State.parse('{"format":1,"commit":null,"results":0,"folds":[]}') is None


def test_results_are_found_by_id_wherever_their_path_says(git: Git) -> None:
    usual, midnight, odd = (
        numbered(1),
        numbered(2, started_at="2026-11-21T23:59:59Z"),
        numbered(3, started_at="2025-01-01T00:00:00Z"),
    )
    tip = committed(git, None, written(usual, midnight, odd, numbered(4)))
    ids = [one.execution_id for one in (usual, midnight, odd)]
    assert results(git, tip, [*ids, "exec-20261122-nope"]) == {one.execution_id: one for one in (usual, midnight, odd)}
    assert results(git, None, ids) == {}
    assert results(git, tip, []) == {}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), days=st.integers(1, 5))
def test_law_incremental_is_byte_for_byte_a_rebuild(tmp_path: Path, seed: int, days: int) -> None:
    chance = random.Random(seed)
    git = init(tmp_path / f"r{seed}-{days}", bare=True)
    tip: str | None = None
    state: State | None = None
    for _ in range(days):
        found = [
            numbered(
                chance.randrange(10_000),
                client_id=chance.choice(["acme", "beta"]),
                status=chance.choice(["failure", "success"]),
                started_at=f"2026-11-{chance.randint(20, 22)}T05:00:00Z",
            )
            for _ in range(chance.randint(0, 4))
        ]
        files: dict[str, bytes | None] = written(*found)
        if chance.random() < 0.2 and tip:
            files |= {next(iter(git.listing(tip, "telemetry/")), found[0].path if found else "x"): None}
        if chance.random() < 0.2:
            files["telemetry/broken.json"] = b"{"
        tip = committed(git, tip, files)
        if chance.random() < 0.7:  # a run that crashed in between wrote no state
            got = collect(git, tip, FOLDS, state)
            state = State.parse(got.state.canonical())
    incremental = collect(git, tip, FOLDS, state).state.canonical()
    assert incremental == collect(git, tip, FOLDS, None).state.canonical()


def test_a_plain_folder_needs_no_git(tmp_path: Path) -> None:
    one, two = document(execution_id="exec-20261122-0001"), document(execution_id="exec-20261122-0002")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "a" / "b" / "one.json").write_text(json.dumps(one))
    (tmp_path / "more.jsonl").write_text(
        "\n".join([json.dumps(two), "", json.dumps(one), "{", json.dumps(two | {"notes": "x"})])
    )
    (tmp_path / "quarantine" / "x.json").write_text("{")
    (tmp_path / "large.json").write_text(" " * 2_000_000)
    got = from_folder(tmp_path, FOLDS)
    assert got.new == 2
    assert got.state.commit is None
    reasons = {skipped.path: skipped.reason for skipped in got.skipped}
    assert set(reasons) == {"large.json", "more.jsonl:4", "more.jsonl:5"}
    assert "exec-20261122-0002" in reasons["more.jsonl:5"]
    assert set(results_from_folder(tmp_path, ["exec-20261122-0002", "exec-20261122-0003"])) == {"exec-20261122-0002"}
    assert from_folder(tmp_path / "more.jsonl", FOLDS).new == 2
    with pytest.raises(LearnerError, match="no such file"):
        from_folder(tmp_path / "nowhere", FOLDS)


def test_a_line_that_is_too_long_costs_no_memory_and_the_next_is_read(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    file.write_bytes(b"x" * 5_000_000 + b"\n" + json.dumps(document()).encode())
    got = from_folder(file, FOLDS)
    assert got.new == 1
    assert [one.path for one in got.skipped] == ["r.jsonl:1"]


def some_results(count: int) -> list[ExecutionResult]:
    """Of several versions, hosts, outcomes and weeks."""
    return [
        bench_result(number).model_copy(
            update={"client_id": f"client-{number % 3}", "started_at": at, "completed_at": at}
        )
        for number in range(count)
        for at in [datetime(2026, 1 + number % 12, 1 + number % 28, tzinfo=UTC)]
    ]


@pytest.mark.parametrize("fold", pipeline.FOLDS, ids=lambda fold: fold.name)
def test_sums_of_parts_are_the_sum(fold: Fold) -> None:
    everything = some_results(240)
    whole: Held = {}
    for one in everything:
        fold.add(whole, one)
    for seed in range(3):
        random.Random(seed).shuffle(everything)
        merged: Held = {}
        for part in (everything[:7], everything[7:100], everything[100:], []):
            held: Held = {}
            for one in part:
                fold.add(held, one)
            fold.merge(merged, json.loads(json.dumps(held)))
        assert canonical(merged) == canonical(whole)
    assert whole


def test_several_processes_give_the_same_state(git: Git) -> None:
    everything = some_results(60)
    files: dict[str, bytes | None] = {one.path: encoded(one) for one in everything}
    files["telemetry/acme/2026/11/22/exec-20261122-bad1.json"] = b"{}"
    tip = committed(git, None, files)
    alone = collect(git, tip, pipeline.FOLDS, None, workers=1)
    parts = list(summed(git, git.listing(tip).items(), pipeline.FOLDS, 1 << 20, workers=2))
    assert sum(part.count for part in parts) == alone.new == 60
    assert [one for part in parts for one in part.skipped] == list(alone.skipped)
    merged: dict[str, Held] = {fold.name: {} for fold in pipeline.FOLDS}
    for part in parts:
        for fold in pipeline.FOLDS:
            fold.merge(merged[fold.name], part.held[fold.name])
    assert {name: canonical(alone.state.held(name)) for name in merged} == {n: canonical(h) for n, h in merged.items()}
    with pytest.raises(LearnerError):
        list(summed(git, [("telemetry/x", "1" * 40)], pipeline.FOLDS, 1 << 20, workers=2))
