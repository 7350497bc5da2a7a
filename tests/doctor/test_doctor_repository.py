"""What the doctor says of a repository and a host."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from learner.cli import cli
from learner.cli import job as jobs
from learner.doctor import host, repository
from learner.executor import gate
from learner.settings import GateSettings
from tests.places import DANA, TOKENS, Place, place  # noqa: F401


def owners(place: Place, text: str | None) -> list[str]:  # noqa: F811
    """What is said of this CODEOWNERS on main."""
    git = place.git
    place.forge.forge.protect("main", None)
    if text is not None:
        (git.path / ".github").mkdir(exist_ok=True)
        (git.path / ".github/CODEOWNERS").write_text(text)
        git.run("add", "-A")
        git.run("commit", "-qm", "owners", env=DANA.environment())
        git.run("push", "-q", place.forge.git_url(TOKENS["dana"]), "main")
    job = jobs.build(git.path, "origin", forge=False)
    return [check.words for check in repository.checks(job) if check.name == "code owners"]


def test_code_owners_who_are_nobody_are_told(place: Place) -> None:  # noqa: F811
    assert owners(place, None) == ["main has no CODEOWNERS: anybody with write access may approve"]
    assert owners(place, "# the @OWNER/TEAM\n/runbooks/ @OWNER/TEAM\n") == [
        "CODEOWNERS still names @OWNER/TEAM, who is nobody"
    ]
    assert owners(place, "# once @OWNER/TEAM\n/runbooks/ @dana\n") == []


def test_what_holds_for_every_runbook_is_said_once(place: Place, tmp_path: Path) -> None:  # noqa: F811
    git = place.git
    place.forge.forge.protect("main", None)
    first = git.path / "runbooks/linux/RB-LIN-SERVICE-001.yaml"
    first.with_stem("RB-LIN-SERVICE-002").write_text(first.read_text().replace("SERVICE-001", "SERVICE-002"))
    git.run("add", "-A")
    git.run("commit", "-qm", "second", env=DANA.environment())
    git.run("push", "-q", place.forge.git_url(TOKENS["dana"]), "main")
    config = tmp_path / "host.yml"
    held = {"client_id": "acme", "executor_id": "web-1", "repository": str(git.path), "spool": str(tmp_path / "spool")}
    config.write_text(yaml.safe_dump(held))
    now = datetime.now(UTC)
    gate.fetch(git, GateSettings(), now)
    fresh = [check for check in host.checks(config, now) if check.name == "gate"]
    assert [(check.state, check.words) for check in fresh] == [
        ("warn", "no signers are pinned: main is trusted as fetched"),
        ("ok", "2 runbooks may run"),
    ]
    stale = [check for check in host.checks(config, now + timedelta(days=365)) if check.state == "bad"]
    assert len(stale) == 1
    assert stale[0].words.startswith("2 runbooks: ")


def test_no_clone_and_no_forge_are_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    said = CliRunner().invoke(cli, ["doctor", "--repo", str(tmp_path), "--json"])
    found = {check["name"]: check for check in json.loads(said.stdout)}
    assert found["python"]["state"] == "ok"
    assert found["repository"]["state"] == "bad"
    assert "is no Git repository" in found["repository"]["words"]
    assert "forge" not in found


def test_a_forge_that_takes_no_token_is_a_finding(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("LEARNER_TOKEN", "nobody's")
    monkeypatch.setenv("GITHUB_API_URL", place.forge.api_url)
    said = CliRunner().invoke(cli, ["doctor", "--repo", str(place.git.path), "--json"])
    found = {check["name"]: check["state"] for check in json.loads(said.stdout)}
    assert (found["repository"], found["forge"]) == ("ok", "bad")
