"""The learner on a runner with an empty disk: what is new is fetched, not history, and which way is told."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from test_learn import NOW, at, outcomes, send, stale

from learner import pipeline
from learner.cli.job import proposers
from learner.repository import refs
from learner.repository.git import Git
from learner.settings import LimitSettings, RepositorySettings
from places import LEARNER, TOKENS, Place

LEAN = "fetching what is new on telemetry, not its history"


@pytest.fixture
def job(place: Place) -> pipeline.Job:
    settings = RepositorySettings(forge=place.settings, limits=LimitSettings(cooldown_hours=0))
    return pipeline.Job(
        git=place.git, remote="origin", settings=settings, author=LEARNER, run_id="run-1", now=NOW,
        proposers=proposers(None), gateway=place.gateway(),
    )  # fmt: skip


def fresh(place: Place, job: pipeline.Job, folder: Path, name: str, minutes: int) -> tuple[pipeline.Job, list[str]]:
    """The same job in a clone of its own that holds main alone, and what it tells."""
    Git(folder).run("clone", "-q", "--depth=1", "-b", "main", place.forge.git_url(TOKENS["learner"]), name)
    said: list[str] = []
    return replace(at(job, minutes), git=Git(folder / name), tell=said.append), said


def telemetry_blobs(git: Git, place: Place) -> int:
    """How many of the results on telemetry this clone holds in itself."""
    bare = Git(place.git.path.parent / "runbooks.git")
    blobs = [oid for path, oid in bare.listing("telemetry").items() if path.startswith("telemetry/")]
    answers = git.run("cat-file", "--batch-check", stdin="\n".join(blobs).encode()).decode()
    return len(blobs) - answers.count("missing")


def test_an_empty_disk_fetches_what_is_new_and_decides_the_same(
    place: Place,
    job: pipeline.Job,
    tmp_path: Path,
) -> None:
    send(place, tmp_path, *(stale(number) for number in range(1, 9)))
    runner, said = fresh(place, job, tmp_path, "run1", 1)
    assert outcomes(pipeline.learn(runner)) == [("RB-LIN-SERVICE-001-v1", "proposed")]
    assert LEAN not in said, "there is no state to carry on from"
    send(place, tmp_path, stale(20, "web-2"), stale(21, "web-3"))
    runner, said = fresh(place, job, tmp_path, "run2", 5)
    learned = pipeline.learn(runner)
    assert LEAN in said
    assert learned.folded
    assert learned.folded.results == 2
    assert learned.plan.decisions[0].cluster.failures == 10, "the state was carried on, not begun anew"
    assert not any("again" in line for line in said)
    assert runner.git.resolve(refs.private("origin", "telemetry")) is None
    assert telemetry_blobs(runner.git, place) == 0
    # the halves, each on a disk of its own, and a whole clone decide the same
    halves, said = fresh(place, job, tmp_path, "run3", 9)
    planned = pipeline.plan(halves)
    assert LEAN in said
    assert pipeline.apply(fresh(place, job, tmp_path, "run4", 10)[0], planned).did_nothing
    whole = pipeline.plan(at(job, 9))
    assert planned.decisions == whole.decisions
    assert pipeline.report(fresh(place, job, tmp_path, "run5", 11)[0]) == pipeline.report(
        replace(job, now=NOW + timedelta(minutes=11))
    )


def test_a_disk_that_stays_fetches_history_once(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    send(place, tmp_path, stale(1))
    pipeline.learn(job)
    runner, said = fresh(place, job, tmp_path, "stays", 5)
    pipeline.plan(runner)
    lean = runner.git.path / ".git/learner/lean.git"
    assert lean.is_dir()
    os.utime(lean / "description", (0, 0))
    pipeline.plan(runner)
    assert said == [LEAN, "fetching telemetry with its history, once: this disk stays"]
    assert not lean.exists()
    assert telemetry_blobs(runner.git, place) == 1
    pipeline.plan(runner)
    assert len(said) == 2, "nothing to choose any more"


def test_a_server_without_filters_sends_history_and_that_is_told(
    place: Place,
    job: pipeline.Job,
    tmp_path: Path,
) -> None:
    send(place, tmp_path, stale(1))
    pipeline.learn(job)
    runner, said = fresh(place, job, tmp_path, "plain", 5)
    bare = place.git.path.parent / "runbooks.git"
    runner.git.run("remote", "set-url", "origin", f"file://{bare}")  # a plain repository: filters are off
    planned = pipeline.plan(runner)
    assert said == ["fetching telemetry with its history: the server knows no filters"]
    assert planned.decisions == pipeline.plan(at(job, 5)).decisions
    assert telemetry_blobs(runner.git, place) == 1


def test_a_remote_that_is_gone_is_an_error(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    from learner.errors import GitError

    with pytest.raises(GitError):
        pipeline.lean_of(replace(job, git=Git(tmp_path / "seed"), remote=str(tmp_path / "nothing")))
