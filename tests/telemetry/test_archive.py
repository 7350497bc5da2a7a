from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learner.errors import LearnerError
from learner.models import ExecutionResult
from learner.repository.git import init
from learner.telemetry import branch
from learner.telemetry.archive import Archived, archive, due
from learner.telemetry.collect import collect, results
from learner.telemetry.parse import encoded
from learner.telemetry.state import State
from tests.telemetry.conftest import NOW, SETTINGS, WHO, World, numbered
from tests.telemetry.test_collect import FOLDS

pq = pytest.importorskip("pyarrow.parquet")


def dated(number: int, month: int) -> ExecutionResult:
    return numbered(number, started_at=f"2026-{month:02}-03T05:00:00Z")


def filled(world: World) -> str:
    for number in range(6):
        world.spool("web-1").add(dated(number, 9 + number % 3))
    world.push("web-1")
    return world.fold().commit or ""


def archived(world: World, before: date = date(2026, 11, 1)) -> Archived:
    git = world.clone("learner")
    tip = branch.tip(git, "origin", SETTINGS)
    assert tip
    return archive(git, "origin", tip, settings=SETTINGS, author=WHO, now=NOW, before=before)


def test_months_gone_by_move_and_the_tip_shrinks(world: World, tmp_path: Path) -> None:
    filled(world)
    done = archived(world)
    assert done.months == {"2026-09": 2, "2026-10": 2}
    files = world.files()
    assert sorted(path for path in files if not path.startswith("telemetry/acme")) == [
        ".gitattributes",
        "telemetry/archive/2026-09.ids",
        "telemetry/archive/2026-09.parquet",
        "telemetry/archive/2026-10.ids",
        "telemetry/archive/2026-10.parquet",
    ]
    assert sum(path.startswith("telemetry/acme") for path in files) == 2
    (tmp_path / "x.parquet").write_bytes(files["telemetry/archive/2026-09.parquet"])
    table = pq.read_table(tmp_path / "x.parquet")
    words = [column for column in table.column_names if re.fullmatch("v[0-9]+", column)]
    made = [row["layout"].format(*(row[word] for word in words)).encode() for row in table.to_pylist()]
    assert made == [encoded(dated(0, 9)), encoded(dated(3, 9))], "Python's own format puts the results together"
    assert table["status"].to_pylist() == ["failure", "failure"]
    assert archived(world).months == {}


def test_readers_see_both_without_knowing(world: World) -> None:
    tip = filled(world)
    git = world.clone("learner")
    before = collect(git, tip, FOLDS, None)
    after = archived(world).commit
    carried = collect(git, after, FOLDS, before.state)
    rebuilt = collect(git, after, FOLDS, None)
    assert (carried.new, carried.rebuilt) == (0, None)
    assert carried.state.canonical() == rebuilt.state.canonical()
    assert rebuilt.new == 6
    ids = [f"exec-20261122-{number:04d}" for number in range(6)]
    assert sorted(results(git, after, ids)) == ids
    assert len(list(branch.read(git, after or ""))) == 6


def test_what_came_and_was_archived_in_between_is_read_from_there(world: World) -> None:
    tip = filled(world)
    git = world.clone("learner")
    state = collect(git, tip, FOLDS, None).state
    world.spool("web-1").add(dated(100, 9))
    world.push("web-1")
    world.fold()
    first = archived(world).commit
    got = collect(git, first, FOLDS, state)
    assert (got.new, got.rebuilt) == (1, None)
    assert got.state.canonical() == collect(git, first, FOLDS, None).state.canonical()
    # a late one joins its month
    world.spool("web-1").add(dated(101, 9))
    world.push("web-1")
    world.fold()
    second = archived(world)
    assert second.months == {"2026-09": 1}
    late = collect(git, second.commit, FOLDS, got.state)
    assert (late.new, late.rebuilt) == (1, None)
    assert late.state.canonical() == collect(git, second.commit, FOLDS, None).state.canonical()


def test_an_archived_result_that_is_sent_again_is_known(world: World) -> None:
    filled(world)
    archived(world)
    before = world.remote.resolve("telemetry")
    world.spool("web-2").add(dated(0, 9))
    world.spool("web-2").add(numbered(3, started_at="2026-09-03T05:00:00Z", notes="other"))
    world.push("web-2")
    folded = world.fold()
    assert folded.results == 0
    assert [one.reason[:27] for one in folded.quarantined] == ["another result with this id"]
    assert before != world.remote.resolve("telemetry")
    assert world.push("web-2").remaining == 0


def test_an_archive_that_loses_something_means_a_rebuild(world: World) -> None:
    filled(world)
    git = world.clone("learner")
    tip = archived(world).commit
    state = collect(git, tip, FOLDS, None).state
    from tests.telemetry.test_collect import committed

    new = committed(git, tip, {"telemetry/archive/2026-09.ids": b"", "telemetry/archive/2026-09.parquet": None})
    got = collect(git, new, FOLDS, state)
    assert "taken out of its archive" in (got.rebuilt or "")
    assert got.state.results == 4


def test_what_is_no_result_stays_where_it_is(world: World) -> None:
    from tests.telemetry.test_collect import committed

    tip = filled(world)
    bad = "telemetry/acme/2026/09/03/exec-20260903-9999.json"
    committed(world.remote, tip, {bad: b"{"})
    assert archived(world).months == {"2026-09": 2, "2026-10": 2}
    assert world.files()[bad] == b"{"


def test_a_race_changes_nothing(world: World) -> None:
    tip = filled(world)
    world.spool("web-1").add(numbered(50))
    world.push("web-1")
    world.fold("other")
    with pytest.raises(LearnerError, match="moved meanwhile"):
        archive(world.clone("learner"), "origin", tip, settings=SETTINGS, author=WHO, now=NOW, before=date(2026, 11, 1))
    assert len(world.results()) == 7


def test_due_is_what_lies_before_the_month(world: World) -> None:
    tip = filled(world)
    git = world.clone("learner")
    assert {month: len(files) for month, files in due(git, tip, date(2026, 10, 31)).items()} == {"2026-09": 2}


def test_the_command_says_first_and_does_then(world: World) -> None:
    from tests.telemetry.test_cli import run

    filled(world)
    repo = world.clone("learner").path
    assert (
        "2026-09: 2 results would be archived"
        in run("archive", "--repo", repo, "--before", "2026-11", "--dry-run").stdout
    )
    assert world.results()[0] == "exec-20261122-0000"
    done = run("archive", "--repo", repo, "--before", "2026-11", "--json")
    assert json.loads(done.stdout)["months"] == {"2026-09": 2, "2026-10": 2}
    assert run("archive", "--repo", repo, "--before", "2026-11").stdout == "nothing to do\n"


def test_folding_without_history_knows_archives_too(world: World) -> None:
    from tests.telemetry.test_lean import fold, runner

    world.remote.run("config", "uploadpack.allowFilter", "true")
    tip = filled(world)
    state = collect(world.clone("learner"), tip, FOLDS, None).state
    archived(world)
    world.spool("web-2").add(dated(0, 9))
    world.spool("web-2").add(dated(70, 9))
    world.push("web-2")
    lean = runner(world, "run1")
    folded = fold(world, lean)
    assert (folded.results, folded.quarantined) == (1, ())
    assert dated(0, 9).path not in world.files()
    got = collect(lean.git, folded.commit, FOLDS, state, lean=lean)
    assert (got.new, got.rebuilt) == (1, None)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.sampled_from(["add", "add", "fold", "archive", "collect"]), max_size=14))
def test_law_whatever_happens_the_state_is_a_rebuild(tmp_path: Path, acts: list[str]) -> None:
    where = tmp_path / ("-".join(acts) or "none")
    where.mkdir(exist_ok=True)
    world = World(where, init(where / "forge.git", bare=True))
    git = world.clone("learner")
    state: State | None = None
    for number, act in enumerate([*acts, "fold", "collect"]):
        if act == "add":
            world.spool("web-1").add(dated(number, 9 + number % 3))
        elif act == "fold":
            world.push("web-1")
            world.fold()
        elif tip := branch.tip(git, "origin", SETTINGS):
            if act == "archive":
                archived(world)
            else:
                state = collect(git, tip, FOLDS, state).state
    tip = branch.tip(git, "origin", SETTINGS)
    assert collect(git, tip, FOLDS, state).state.canonical() == collect(git, tip, FOLDS, None).state.canonical()
