"""The workflows, run by act against a local forge: the schedule opens a pull request, a pull request gets its verdict,
an incident gets its run."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from learner.repository.git import Git, Identity
from learner.telemetry.inbox import push
from learner.telemetry.spool import Spool
from tests.places import DANA, TOKENS, Place
from tests.samples import result
from tests.workflows.stage import Act, act_in

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
APPS = {"LEARNER_APP_CLIENT_ID": "Iv23writer", "LEARNER_READER_CLIENT_ID": "Iv23reader"}
KEYS = {"LEARNER_APP_KEY": "the-key-of-the-app", "LEARNER_READER_KEY": "the-key-of-the-reader"}
# What an attacker may put into any text of an event.
HOSTILE = "\"; touch owned; $(touch owned) `touch owned` ${{ secrets.GITHUB_TOKEN }} ' ::stop-commands::x"


@pytest.fixture
def act(place: Place, tmp_path: Path) -> Act:
    settings = "limits: {cooldown_hours: 0}\nalerts: {review_backlog: 0}\n"
    return act_in(
        place,
        tmp_path,
        "learn.yml",
        "report.yml",
        "validate.yml",
        "execute.yml",
        more={".github/learner.yml": settings},
    )


def send_failures(place: Place, tmp_path: Path) -> None:
    """Two runs that failed on a stale pid file wait in an executor's inbox."""
    spool = Spool(tmp_path / "spool")
    for number in (1, 2):
        ident = f"exec-20261122-{number:08d}"
        spool.add(
            result(execution_id=ident, evidence_bundle_id=f"ev-{ident}", parameters={"service": "web", "port": 8080})
        )
    done = push(spool, place.git, "origin", client_id="acme", executor_id="agent", author=Identity("a", "a@x"), now=NOW)
    assert done.sent == 2


def test_from_the_schedule_to_a_pull_request_and_an_alert(act: Act, tmp_path: Path) -> None:
    send_failures(act.place, tmp_path)
    act.variables = APPS
    # GITHUB_TOKEN can do nothing on this forge; everything below is done with the Apps' tokens. The plan's can't write.
    act.secrets = KEYS | {"GITHUB_TOKEN": "no-token-of-this-forge"}

    ran = act.run("learn.yml", "schedule")

    assert ran.status == 0, ran.text
    gateway = act.place.gateway()
    (pull,) = gateway.pulls("learner/")
    assert (pull.state, pull.author) == ("open", "learner[bot]")
    assert {"learner", "runbook-improvement", "priority:high"} <= set(pull.labels)
    held = act.place.git.text("ls-remote", "origin")
    assert "refs/heads/telemetry" in held
    assert "refs/heads/ledger" in held
    assert "refs/learner/inbox/" not in held
    assert "opened #1" in ran.of("apply")
    assert "No GitHub App" not in ran.text
    plan = json.loads((act.scratch / "artifacts/plan/plan.json").read_text())
    assert [decision["outcome"] for decision in plan["decisions"]] == ["proposed"]

    # Without an App the forge's own token does, with a warning; and a second run right after changes nothing.
    act.variables, act.secrets = {}, {"GITHUB_TOKEN": TOKENS["learner"]}
    again = act.run("learn.yml", "schedule")
    assert again.status == 0, again.text
    assert "No GitHub App is set up" in again.of("apply")
    assert "nothing to do" in again.of("fold")
    assert [p.head for p in gateway.pulls("learner/")] == [pull.head]

    # The report opens an issue for the alert that speaks: a review waits, and none may.
    assert act.run("report.yml", "schedule").status == 0
    assert list(gateway.issues("learner-alert")) == ["Learner alert: review-backlog"]


# --------------------------------------------------------------------------------------- validate.yml


def propose(act: Act, old: str, new: str) -> dict[str, Any]:
    """A person's branch that changes the runbook, its pull request, and GitHub's merge commit of it in the clone; the
    event GitHub would send."""
    git, path = Git(act.clone), "runbooks/linux/RB-LIN-SERVICE-001.yaml"
    git.run("switch", "-q", "-C", "change", "origin/main")
    text = (act.clone / path).read_text()
    assert old in text
    (act.clone / path).write_text(text.replace(old, new))
    git.run("commit", "-qam", "change", env=DANA.environment())
    git.run("push", "-qf", act.place.forge.git_url(TOKENS["dana"]), "change")
    gateway = act.place.gateway("dana")
    pull = gateway.pull_of("change") or gateway.open(branch="change", base="main", title=HOSTILE, body="", labels=())
    git.run("switch", "-q", "--detach", "origin/main")
    git.run("merge", "-q", "--no-ff", "-m", "merge", "change", env=DANA.environment())
    return {
        "number": pull.number,
        "repository": {"full_name": "acme/runbooks"},
        "pull_request": {
            "number": pull.number, "title": HOSTILE, "head": {"ref": "change", "repo": {"full_name": "acme/runbooks"}},
            "base": {"ref": "main"},
        },
    }  # fmt: skip


def test_a_pull_request_gets_one_comment_that_is_kept_up_to_date(act: Act) -> None:
    act.secrets = {"GITHUB_TOKEN": TOKENS["learner"]}
    gateway, verdict = act.place.gateway(), act.scratch / "artifacts/verdict/verdict.md"

    # act starts no job after a failed one, whatever its `if` says; so a refusal is looked at where it is written.
    event = propose(act, "timeout_seconds: 20", "timeout_seconds: 40")
    refused = act.run("validate.yml", "pull_request", event)
    assert refused.status == 1, refused.text
    assert "changed, but still version 1; raise it to 2" in verdict.read_text()
    assert "must be put right first" in verdict.read_text()

    event = propose(act, "version: 1\n", "version: 2\n")
    passed = act.run("validate.yml", "pull_request", event)
    assert passed.status == 0, passed.text
    pull = gateway.pull_of("change")
    assert pull is not None
    (first,) = gateway.said(pull)
    assert "RB-LIN-SERVICE-001-v1 → RB-LIN-SERVICE-001-v2: pass" in first.body
    assert "Nothing stands against it." in first.body

    event = propose(act, "version: 1\n", "version: 2 # why: a comment is a change too\n")
    text = (act.clone / "runbooks/linux/RB-LIN-SERVICE-001.yaml").read_text()
    assert "a change too" in text
    (act.clone / "runbooks/linux/RB-LIN-NEW-001.yaml").write_text(MAKE_A_FOLDER.replace("LIN-FOLDER", "LIN-NEW"))
    git = Git(act.clone)
    git.run("add", "-A")
    git.run("commit", "-q", "--amend", "-m", "merge", env=DANA.environment())
    assert act.run("validate.yml", "pull_request", event).status == 0
    (second,) = gateway.said(pull)
    assert second.identifier == first.identifier
    assert "nothing → RB-LIN-NEW-001-v1: pass" in second.body
    assert "+ path {{ path }}" in second.body

    # From a fork: the verdict is made, nothing is written.
    event["pull_request"]["head"]["repo"]["full_name"] = "mallory/runbooks"
    verdict.unlink()
    forked = act.run("validate.yml", "pull_request", event)
    assert forked.status == 0, forked.text
    assert "RB-LIN-SERVICE-001-v2" in verdict.read_text()
    assert "Run Main" not in forked.of("comment")


# ---------------------------------------------------------------------------------------- execute.yml


MAKE_A_FOLDER = """\
id: RB-LIN-FOLDER-001
version: 1
name: Make a folder
description: Make the folder and prove that it is there.
platform: linux
incident_types: [folder_missing]
severity: low
parameters:
  path: {type: string, description: the folder}
steps:
  - id: make
    action: create_directory
    params: {path: "{{ path }}"}
verification:
  - id: there
    check: file_exists
    params: {path: "{{ path }}"}
"""


def test_an_incident_runs_an_approved_runbook_on_the_host(act: Act, tmp_path: Path) -> None:
    host = act_in(
        act.place, tmp_path / "more", "execute.yml", more={"runbooks/linux/RB-LIN-FOLDER-001.yaml": MAKE_A_FOLDER},
        bare=tmp_path / "runbooks.git",
    )  # fmt: skip
    Git(tmp_path).run("clone", "-q", str(tmp_path / "runbooks.git"), "host")
    (tmp_path / "host.yml").write_text(
        f"client_id: acme\nexecutor_id: agent\nhostname: web-1\nrepository: {tmp_path / 'host'}\nspool: {tmp_path / 'spool'}\n"
    )
    host.environment = {"LEARNER_HOST_CONFIG": str(tmp_path / "host.yml")}
    wanted = tmp_path / "wanted"
    incident = {
        "incident_id": "INC-7", "incident_type": "folder_missing", "client_id": "acme", "hostname": "web-1",
        "parameters": {"path": str(wanted)}, "source": HOSTILE,
    }  # fmt: skip

    event = {"action": "incident", "client_payload": {"incident": incident}}
    ran = host.run("execute.yml", "repository_dispatch", event, platform="self-hosted")

    assert ran.status == 0, ran.text
    assert wanted.is_dir()
    inboxes = Git(tmp_path / "runbooks.git").text("for-each-ref", "refs/learner/inbox")
    assert "refs/learner/inbox/acme/agent" in inboxes

    # Names that are none are refused, and nothing in them runs.
    for name in (HOSTILE, "--no-fetch", "$(touch owned)"):
        event = {"action": "incident", "client_payload": {"incident": incident, "runbook": name}}
        refused = host.run("execute.yml", "repository_dispatch", event, platform="self-hosted")
        assert refused.status == 1, refused.text
    found = subprocess.run(["find", str(tmp_path), "-name", "owned"], capture_output=True, text=True, check=True)
    assert found.stdout == ""
