"""`learner learn` when nothing has changed: it asks, and says so at once; whatever changed means a whole run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from learner import pipeline
from learner.cli import job as jobs
from learner.cli import quiet, run
from learner.repository.git import Identity
from learner.telemetry.inbox import push
from learner.telemetry.spool import Spool
from places import DANA, TOKENS, Place
from samples import result

SAID = "nothing has changed: nothing to do\n"


@pytest.fixture
def learn(
    place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """`learner learn` in the clone: exit code and standard output."""
    monkeypatch.setenv("GITHUB_API_URL", place.settings.api_url)
    monkeypatch.setenv("LEARNER_TOKEN", TOKENS["learner"])

    def learned(*options: str) -> tuple[int, str]:
        capfd.readouterr()
        code = run(["learn", "--repo", str(place.git.path), *options])
        return code, capfd.readouterr().out

    return learned


def send(place: Place, folder: Path, number: int) -> None:
    spool = Spool(folder / "spool")
    spool.add(result(execution_id=f"exec-20261122-{number:08d}", runbook_blob=None))
    push(
        spool,
        place.git,
        "origin",
        client_id="acme",
        executor_id="agent",
        author=Identity("a", "a@x"),
        now=datetime.now(UTC),
    )


def test_a_quiet_run_asks_and_whatever_changed_means_a_whole_one(
    place: Place, learn: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        send(place, tmp_path, number)
    assert "opened" in learn()[1]

    def settled() -> dict[str, object]:
        """After a whole run that found nothing, another one need not look."""
        time.sleep(2.1)  # the forge's seconds must be over before a note is trusted
        code, whole = learn("--json")
        assert code == 0
        quick = learn("--json")
        assert json.loads(whole)["did_nothing"]
        assert quick == (0, whole), "a quiet run says what the whole one said"
        assert learn() == (0, SAID)
        return dict(json.loads(whole))

    [cluster] = settled()["clusters"]  # type: ignore[misc]
    assert cluster["outcome"] == "deferred"

    # a note that is old, or whose run had other options or another environment, is not believed
    note = place.git.path / ".git/learner/quiet.json"
    fresh = note.read_text()
    held = json.loads(fresh)
    for hours in (-7, 1):
        note.write_text(json.dumps(held | {"at": (datetime.now(UTC) + timedelta(hours=hours)).isoformat()}))
        assert learn()[1] != SAID
    note.write_text(fresh)
    assert learn("--candidates", "2")[1] != SAID
    note.write_text(fresh)
    monkeypatch.setenv("LEARNER_MODEL_KEY", "")
    assert learn()[1] != SAID
    monkeypatch.delenv("LEARNER_MODEL_KEY")
    note.write_text("{")
    assert learn()[1] != SAID
    assert TOKENS["learner"] not in note.read_text()

    # a word on the pull request, new results, a commit on main
    note.write_text(fresh)
    pull = place.gateway().pull_of(next(iter(place.gateway().pulls("learner/"))).branch)
    assert pull is not None
    place.gateway("dana")._issue(pull).create_comment("have a look")
    assert learn()[1] != SAID
    send(place, tmp_path, 3)
    assert "1 new results" in learn()[1]
    settled()
    (tmp_path / "seed/README.md").write_text("changed\n")
    seed = type(place.git)(tmp_path / "seed")
    seed.run("add", "-A")
    seed.run("commit", "-qm", "more", env=DANA.environment())
    seed.run("push", "-q", str(tmp_path / "runbooks.git"), "main")
    assert learn()[1] != SAID


def test_a_run_that_waits_for_a_time_or_a_model_leaves_no_note(
    place: Place, learn: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    for number in (1, 2):
        send(place, tmp_path, number)
    learn()
    job = jobs.build(place.git.path, "origin")
    learned = pipeline.learn(job)
    [decision] = learned.plan.decisions
    left = {}
    for reason in ("one_open: #1", "cooldown: until tomorrow", "per_run: five", "model_unreachable: no answer"):
        plan = learned.plan.model_copy(update={"decisions": (decision.model_copy(update={"reason": reason}),)})
        quiet.keep(place.git.path, {}, job, "answers", replace(learned, plan=plan), {})
        note = place.git.path / ".git/learner/quiet.json"
        left[reason.partition(":")[0]] = note.exists()
        note.unlink(missing_ok=True)
    assert left == {"one_open": True, "cooldown": False, "per_run": False, "model_unreachable": False}


def test_a_forge_that_does_not_answer_is_told_as_ever(
    place: Place, learn: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    learn()
    learn()  # the first wrote to the ledger
    assert learn() == (0, SAID)
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9/api/v3")
    assert learn()[0] == 1
