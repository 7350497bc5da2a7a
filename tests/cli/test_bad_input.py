"""No remote, no network, no key, a forge that answers 500, telemetry that is nonsense: one line, the next step, nothing half done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from learner.repository.git import Git, Identity
from places import DANA, Place
from samples import document

TOKEN = "token-of-the-learner"


def learner(place: Place, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    settings = {"LEARNER_TOKEN": TOKEN, "GITHUB_API_URL": place.settings.api_url, **env}
    kept = {k: v for k, v in {**os.environ, **settings}.items() if v}
    return subprocess.run(
        [sys.executable, "-m", "learner", *words, "--repo", str(place.git.path)],
        capture_output=True,
        text=True,
        env=kept,
        timeout=90,
    )


def one_line_and_a_next_step(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 1, done.stderr
    assert words in done.stderr
    assert "next:" in done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


def inbox(place: Place, name: str, content: bytes) -> None:
    """Put bytes into an executor's inbox, past our own writer."""
    from learner.repository import objects

    made = objects.commit(
        place.git, {name: content}, ref="refs/learner-local/test", parent=None, message="x\n", author=Identity("a", "a@x"),
        when=datetime.now(UTC),
    )  # fmt: skip
    place.git.run("push", "-q", "origin", f"{made}:refs/learner/inbox/acme/agent")


def test_no_remote(place: Place) -> None:
    place.git.run("remote", "remove", "origin")
    one_line_and_a_next_step(learner(place, "learn"), "origin")


def test_a_remote_that_is_out_of_reach(place: Place) -> None:
    place.git.run("remote", "set-url", "origin", "http://127.0.0.1:9/acme/runbooks.git")
    done = learner(place, "learn")
    one_line_and_a_next_step(done, "git ls-remote")
    assert "is kept" in done.stderr or "running" in done.stderr


def test_no_token(place: Place) -> None:
    one_line_and_a_next_step(learner(place, "learn", LEARNER_TOKEN=""), "no token")


def test_a_token_the_forge_does_not_know(place: Place) -> None:
    done = learner(place, "learn", LEARNER_TOKEN="not-a-token-of-theirs")
    one_line_and_a_next_step(done, "does not know this token")
    assert "not-a-token-of-theirs" not in done.stderr + done.stdout


def test_a_forge_that_answers_500_is_healed_by_the_next_run(place: Place, httpserver: HTTPServer) -> None:
    path = "telemetry/acme/2026/11/22/exec-20261122-01JDABCD.json"
    inbox(place, path, json.dumps(document(parameters={"service": "web", "port": 1})).encode())
    httpserver.expect_request("/api/v3/repos/acme/runbooks").respond_with_json({"message": "boom"}, status=500)
    done = learner(place, "learn", GITHUB_API_URL=httpserver.url_for("/api/v3"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    healed = learner(place, "learn")
    assert healed.returncode == 0, healed.stderr
    assert "opened #1" in healed.stdout
    again = learner(place, "learn")
    assert again.returncode == 0
    assert "nothing to do" in again.stdout


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("telemetry/acme/2026/11/22/exec-20261122-01JDABCD.json", b"{nonsense"),
        ("telemetry/acme/2026/11/22/exec-20261122-01JDABCD.json", b"\xff\xfe"),
        ("telemetry/other/2026/11/22/exec-20261122-01JDABCD.json", json.dumps(document(client_id="other")).encode()),
        ("telemetry/acme/2026/11/22/exec-20261122-01JDABCD.json", json.dumps(document(notes="x" * (2 << 20))).encode()),
        ("telemetry/acme/../../etc/passwd.json", b"{}"),
    ],
    ids=["no json", "no utf-8", "another client's", "too large", "a path out of the tree"],
)
def test_bad_telemetry_is_set_aside_with_its_reason_and_the_run_goes_on(
    place: Place, name: str, content: bytes
) -> None:
    inbox(place, name, content)
    done = learner(place, "learn")
    assert done.returncode == 3, done.stderr
    assert "skipped" in done.stderr
    held = place.git.text("ls-remote", "origin", "refs/learner/inbox/*")
    assert held == "", "the inbox was not emptied"
    place.git.run("fetch", "-q", "origin", "telemetry")
    aside = place.git.text("ls-tree", "-r", "--name-only", "FETCH_HEAD").splitlines()
    assert any(path.startswith("quarantine/") and path.endswith(".reason.json") for path in aside)
    assert not any(".." in path for path in aside)
    assert learner(place, "learn").returncode == 0


def test_an_invalid_runbook_on_main_is_told_and_the_others_go_on(place: Place, tmp_path: Path) -> None:
    seed = Git(tmp_path / "seed")
    (tmp_path / "seed/runbooks/linux/RB-LIN-BAD-001.yaml").write_text("id: RB-LIN-BAD-001\nversion: one\n")
    seed.run("add", "-A")
    seed.run("commit", "-qm", "a bad one", env=DANA.environment())
    seed.run("push", "-q", str(tmp_path / "runbooks.git"), "main")
    done = learner(place, "learn")
    assert done.returncode == 3
    assert "RB-LIN-BAD-001.yaml" in done.stderr
    assert "version" in done.stderr
