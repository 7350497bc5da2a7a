"""A runner with an empty disk: the same answers, and no history fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from learner.errors import GitError
from learner.repository.lean import Lean, beside
from learner.telemetry import fold as folding
from learner.telemetry.collect import collect, results
from learner.telemetry.state import State
from tests.telemetry.conftest import NOW, SETTINGS, WHO, World, numbered
from tests.telemetry.test_collect import FOLDS


@pytest.fixture(params=["filters", "no filters"])
def served(world: World, request: pytest.FixtureRequest) -> World:
    """A remote that is asked over its protocol, with 40 results of the day before."""
    world.remote.run("config", "uploadpack.allowFilter", str(request.param == "filters").lower())
    for number in range(40):
        day = 2 + number % 20
        world.spool("old").add(numbered(number, started_at=f"2026-11-{day:02}T05:00:00Z"))
    world.push("old")
    world.fold()
    return world


def runner(world: World, name: str) -> Lean:
    """A fresh one, as on every scheduled run."""
    clone = world.clone("ci")
    clone.run("remote", "set-url", "origin", f"file://{world.remote.path}")
    return beside(clone, "origin", world.path / name)


def fold(world: World, lean: Lean) -> folding.Folded:
    return folding.fold(world.clone("ci"), "origin", settings=SETTINGS, author=WHO, now=NOW, lean=lean)


def blobs_in(lean: Lean) -> int:
    return lean.git.text("cat-file", "--batch-check=%(objecttype)", "--batch-all-objects").split().count("blob")


def test_folding_and_collecting_without_history(served: World) -> None:
    first = runner(served, "run1")
    folded = fold(served, first)
    assert folded.results == 0
    before = collect(first.git, folded.commit, FOLDS, None, lean=first)
    assert before.new == 40
    for number in range(100, 103):
        served.spool("new").add(numbered(number, started_at="2026-11-21T05:00:00Z"))  # a day that holds others
    served.push("new")
    second = runner(served, "run2")
    folded = fold(served, second)
    assert (folded.results, folded.left) == (3, ())
    state = State.parse(before.state.canonical())
    after = collect(second.git, folded.commit, FOLDS, state, lean=second)
    assert (after.new, after.rebuilt) == (3, None)
    whole = served.clone("whole")
    whole.run("fetch", "-q", "origin", "telemetry")
    assert after.state.canonical() == collect(whole, folded.commit, FOLDS, None).state.canonical()
    assert len(served.results()) == 43
    if served.remote.text("config", "uploadpack.allowFilter") == "true":
        assert blobs_in(second) == 3, "what is new, and no more"
    evidence = runner(served, "run4")
    wanted = ["exec-20261122-0100", "exec-20261122-0102"]
    assert sorted(results(evidence.git, folded.commit, wanted, lean=evidence)) == wanted
    if served.remote.text("config", "uploadpack.allowFilter") == "true":
        assert blobs_in(evidence) == 2
    odd = "exec-20261122-0007"
    assert list(results(evidence.git, folded.commit, [odd], lean=evidence)) == [odd]
    third = runner(served, "run3")
    third.commits([folded.commit or ""])
    again = collect(third.git, folded.commit, FOLDS, after.state, lean=third)
    assert (again.new, again.rebuilt) == (0, None)


def test_the_same_id_again_is_seen_without_history(served: World) -> None:
    served.spool("new").add(numbered(1, started_at="2026-11-03T05:00:00Z"))
    served.spool("new").add(numbered(2, started_at="2026-11-04T05:00:00Z", notes="other"))
    served.push("new")
    folded = fold(served, runner(served, "run1"))
    assert folded.results == 0
    assert [one.reason[:27] for one in folded.quarantined] == ["another result with this id"]
    assert len(served.results()) == 40


def test_a_changed_file_is_seen_and_everything_read(served: World) -> None:
    first = runner(served, "run1")
    tip = fold(served, first).commit
    state = collect(first.git, tip, FOLDS, None, lean=first).state
    from tests.telemetry.test_collect import committed

    path = next(path for path in served.files() if path.startswith("telemetry/"))
    new = committed(served.remote, tip, {path: None})
    second = runner(served, "run2")
    got = collect(second.git, new, FOLDS, state, lean=second)
    assert "taken away" in (got.rebuilt or "")
    assert got.state.results == 39


def test_a_commit_that_is_gone_means_a_rebuild(served: World) -> None:
    first = runner(served, "run1")
    tip = fold(served, first).commit
    state = collect(first.git, tip, FOLDS, None, lean=first).state
    got = collect(first.git, tip, FOLDS, State("1" * 40, 40, state.folds), lean=runner(served, "run2"))
    assert "not known" in (got.rebuilt or "")
    assert got.state.results == 40


def test_how_to_reach_the_remote_is_taken_over_from_the_clone(world: World, tmp_path: Path) -> None:
    clone = world.clone("ci")
    clone.run("config", "http.https://example.org/.extraheader", "AUTHORIZATION: basic abc")
    lean = beside(clone, "origin", tmp_path / "lean")
    assert lean.git.text("config", "http.https://example.org/.extraheader") == "AUTHORIZATION: basic abc"
    assert lean.git.text("config", "remote.origin.url") == str(world.remote.path)
    with pytest.raises(GitError):
        lean.commits(["1" * 40])


def test_files_of_a_commit_without_their_bytes(served: World) -> None:
    tip = served.remote.resolve("telemetry") or ""
    lean = runner(served, "run1")
    assert lean.files(tip) == served.remote.listing(tip)
    if served.remote.text("config", "uploadpack.allowFilter") == "true":
        assert blobs_in(lean) == 0
