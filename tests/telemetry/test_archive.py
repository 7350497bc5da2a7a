from __future__ import annotations

import io
import json
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learner.errors import LearnerError
from learner.models import ExecutionResult
from learner.repository.git import init
from learner.repository.objects import blob_id
from learner.telemetry import branch
from learner.telemetry.archive import Archived, archive, due
from learner.telemetry.choose import Choice
from learner.telemetry.collect import collect, results
from learner.telemetry.parse import encoded
from learner.telemetry.state import State
from tests.telemetry.conftest import NOW, SETTINGS, WHO, World, numbered
from tests.telemetry.test_collect import FOLDS

pa = pytest.importorskip("pyarrow")
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


def of_the_first_layout(world: World, raws: dict[str, bytes]) -> str:
    """The tip after a month was archived as the first versions did: each result whole, in a column `raw`, and its path."""
    from tests.telemetry.test_collect import committed

    found = [(path, raw, json.loads(raw)) for path, raw in raws.items()]
    columns = {
        "execution_id": pa.array([one["execution_id"] for *_, one in found]),
        "client_id": pa.array([one["client_id"] for *_, one in found]),
        "started_at": pa.array([datetime(2026, 9, 3, 5, tzinfo=UTC)] * len(found), pa.timestamp("us", tz="UTC")),
        "status": pa.array([one["status"] for *_, one in found]),
        "path": pa.array(list(raws)),
        "raw": pa.array(list(raws.values()), pa.binary()),
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    listed = "".join(f"{path} {blob_id(raw)[:12]}\n" for path, raw in sorted(raws.items()))
    files = {"telemetry/archive/2026-09.parquet": sink.getvalue(), "telemetry/archive/2026-09.ids": listed.encode()}
    return committed(world.remote, world.remote.resolve("telemetry"), files)


def test_an_archive_of_the_first_layout_is_read_and_goes_on(world: World) -> None:
    world.spool("web-1").add(numbered(50))
    world.push("web-1")
    world.fold()
    old = [dated(0, 9), dated(3, 9)]
    tip = of_the_first_layout(world, {one.path: encoded(one) for one in old})
    git = world.clone("learner")
    assert branch.tip(git, "origin", SETTINGS) == tip
    got = collect(git, tip, FOLDS, None)
    assert (got.state.results, got.skipped) == (3, ())
    assert results(git, tip, ["exec-20261122-0003"]) == {"exec-20261122-0003": old[1]}
    assert len(list(branch.read(git, tip))) == 3
    # one of it that is sent again is known, and a late one joins it in the layout of today
    world.spool("web-2").add(old[0])
    world.spool("web-2").add(dated(6, 9))
    world.push("web-2")
    assert world.fold().results == 1
    after = archived(world)
    assert after.months == {"2026-09": 1}
    (world.path / "x.parquet").write_bytes(world.files()["telemetry/archive/2026-09.parquet"])
    names = pq.read_schema(world.path / "x.parquet").names
    assert "raw" not in names and "layout" in names
    carried = collect(git, after.commit, FOLDS, got.state)
    assert (carried.new, carried.rebuilt) == (1, None)
    assert carried.state.canonical() == collect(git, after.commit, FOLDS, None).state.canonical()


def test_what_an_archive_holds_is_not_lost_when_this_version_reads_it_otherwise(world: World) -> None:
    world.spool("web-1").add(dated(0, 9))
    world.push("web-1")
    world.fold()
    stricter = encoded(dated(3, 9)).replace(b'"status": "failure"', b'"status": "gone since"')
    tip = of_the_first_layout(world, {dated(3, 9).path: stricter})
    with pytest.raises(LearnerError, match="this version can't read"):
        archived(world)
    assert world.remote.resolve("telemetry") == tip


def test_archives_that_hold_nothing_that_is_asked_for_are_not_opened(world: World) -> None:
    from tests.telemetry.test_collect import committed

    filled(world)
    broken = committed(
        world.remote,
        archived(world).commit,
        {f"telemetry/archive/2026-{month}.parquet": b"no Parquet" for month in ("09", "10")},
    )
    git = world.clone("learner")
    assert branch.tip(git, "origin", SETTINGS) == broken
    assert len(list(branch.read(git, broken, Choice(since="2026-11-01").path))) == 2
    with pytest.raises(LearnerError, match="an archive can't be read"):
        list(branch.read(git, broken, Choice(since="2026-10-01").path))


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
