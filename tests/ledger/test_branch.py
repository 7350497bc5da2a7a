from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from learner import ledger
from learner.errors import LearnerError
from learner.repository.git import Git, Identity, init
from learner.repository.objects import commit
from learner.repository.refs import Update, push
from learner.settings import TelemetrySettings

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
WHO = Identity("learner", "learner@example.org")
SETTINGS = TelemetrySettings()


@pytest.fixture
def remote(tmp_path: Path) -> Git:
    return init(tmp_path / "forge.git", bare=True)


@pytest.fixture
def git(tmp_path: Path, remote: Git) -> Git:
    clone = init(tmp_path / "clone")
    clone.run("remote", "add", "origin", str(remote.path))
    return clone


def write(git: Git, now: datetime = NOW, **what: object) -> str | None:
    given = {"analyses": {}, "reviews": {}, "state": None} | what
    return ledger.write(git, "origin", SETTINGS, author=WHO, now=now, **given)  # type: ignore[arg-type]


def test_no_ledger_yet_reads_as_an_empty_one(git: Git) -> None:
    found = ledger.read(git, "origin", SETTINGS)
    assert (found.commit, found.state, dict(found.reviews), dict(found.analyses)) == (None, None, {}, {})


def test_what_was_written_is_read_back(git: Git, remote: Git) -> None:
    made = write(git, analyses={"run-1": {"a": 1}}, reviews={"RB-X-001-v2": {"b": 2}}, state='{"s":3}')
    assert made == remote.resolve("ledger")
    found = ledger.read(git, "origin", SETTINGS)
    assert (found.commit, found.state, found.reviews) == (made, '{"s":3}', {"RB-X-001-v2": {"b": 2}})
    assert dict(found.analyses) == {"run-1": {"a": 1}}
    assert sorted(remote.listing("ledger")) == ["analyses/2026/11/run-1.json", "reviews/RB-X-001-v2.json", "state.json"]
    assert [p.name for p in git.path.iterdir()] == [".git"]


def test_the_same_again_makes_no_commit_and_the_rest_stays(git: Git, remote: Git) -> None:
    write(git, analyses={"run-1": {"a": 1}}, state="{}")
    assert write(git, analyses={"run-1": {"a": 1}}, state="{}") is None
    # run again in the next month: the analysis keeps its place
    assert write(git, now=datetime(2026, 12, 1, tzinfo=UTC), analyses={"run-1": {"a": 2}}) is not None
    assert sorted(remote.listing("ledger")) == ["analyses/2026/11/run-1.json", "state.json"]


def test_a_lost_race_is_run_again_on_top(tmp_path: Path, git: Git, remote: Git) -> None:
    write(git, reviews={"RB-X-001-v2": {"n": 0}})
    hook = remote.path / "hooks" / "pre-receive"
    # while our push is under way, somebody else's commit lands
    other = commit(
        remote,
        {"reviews/other.json": b"{}"},
        ref="refs/x",
        parent=remote.resolve("ledger"),
        message="m\n",
        author=WHO,
        when=NOW,
    )
    hook.write_text(
        f"#!/bin/sh\nif [ ! -e {tmp_path}/raced ]; then touch {tmp_path}/raced; env -u GIT_QUARANTINE_PATH git update-ref refs/heads/ledger {other}; fi\n"
    )
    hook.chmod(0o755)
    assert write(git, reviews={"RB-X-001-v2": {"n": 1}}) is not None
    found = ledger.read(git, "origin", SETTINGS)
    assert found.reviews == {"RB-X-001-v2": {"n": 1}, "other": {}}


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".x"])
def test_a_name_that_is_no_path_is_refused(git: Git, name: str) -> None:
    with pytest.raises(LearnerError, match="can't be the name"):
        write(git, analyses={name: {}})


def test_a_broken_review_is_told_with_its_path(git: Git) -> None:
    made = commit(git, {"reviews/r.json": b"["}, ref="refs/x", parent=None, message="m\n", author=WHO, when=NOW)
    push(git, "origin", [Update("refs/heads/ledger", made, None)])
    with pytest.raises(LearnerError, match=r"reviews/r\.json"):
        ledger.read(git, "origin", SETTINGS)
