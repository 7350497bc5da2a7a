"""`learner init`: repositories, hosts and forges, set up for real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from learner.cli import cli
from learner.errors import LearnerError, Refused
from learner.forge import protect as protecting
from learner.forge.gateway import Gateway
from learner.repository.git import Git, init
from learner.repository.setup import look
from learner.settings import ForgeSettings, HostSettings, read
from learner.setup.files import LABELS, NOBODY, source
from learner.yaml_tree import load
from tests.places import DANA, TOKENS, Place, place  # noqa: F401


def run(*words: str | Path, ok: bool = True) -> Result:
    done = CliRunner().invoke(cli, ["init", *map(str, words)])
    if ok:
        assert done.exit_code == 0, done.output
    return done


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(root).parts
    }


# ------------------------------------------------------------------------------------ a repository


def test_an_empty_repository_gets_everything_it_needs(tmp_path: Path) -> None:
    git = init(tmp_path / "runbooks")
    (git.path / "deeper").mkdir()
    done = run("--repo", git.path / "deeper", "--owner", "@acme/sre")
    written = tree(git.path)
    assert {
        ".github/CODEOWNERS", ".github/learner.yml", ".github/workflows/learn.yml", ".github/workflows/validate.yml",
        ".github/workflows/report.yml", ".github/workflows/execute.yml", "telemetry/README.md", "runbooks/README.md",
        "schemas/runbook.schema.json", "runbooks/linux/RB-LIN-SERVICE-001.yaml",
    } <= set(written)  # fmt: skip
    assert b"/runbooks/  @acme/sre" in written[".github/CODEOWNERS"]
    assert "git remote add origin" in done.output

    # What it wrote holds: the learner reads it without a word.
    git.run("add", "-A")
    git.run("commit", "-qm", "first", env=DANA.environment())
    checked = CliRunner().invoke(cli, ["validate", str(git.path / "runbooks")])
    assert checked.exit_code == 0, checked.output
    same = CliRunner().invoke(cli, ["schema", "--check", "--directory", str(git.path / "schemas")])
    assert same.exit_code == 0, same.output


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    git = init(tmp_path / "runbooks")
    (git.path / ".github").mkdir()
    (git.path / ".github/learner.yml").write_text("limits: {per_run: 1}\n")
    first = json.loads(run("--repo", git.path, "--json").stdout)
    assert first["kept"] == [".github/learner.yml"]
    assert (git.path / ".github/learner.yml").read_text() == "limits: {per_run: 1}\n"
    (git.path / "runbooks/README.md").write_text("ours\n")
    before = tree(git.path)
    second = json.loads(run("--repo", git.path, "--json").stdout)
    assert second["written"] == []
    assert tree(git.path) == before
    # Nobody was named, and the file says so where the forge shows it.
    assert NOBODY in (git.path / ".github/CODEOWNERS").read_text()
    assert "name your reviewers in .github/CODEOWNERS: people or teams with write access" in first["next"]


def test_what_git_would_not_take_is_said(tmp_path: Path) -> None:
    git = init(tmp_path / "runbooks")
    (git.path / ".gitignore").write_text("schemas/\n")
    assert "schemas/plan.schema.json" in json.loads(run("--repo", git.path, "--json").stdout)["ignored"]


def test_a_link_out_of_the_repository_is_not_followed(tmp_path: Path) -> None:
    git = init(tmp_path / "runbooks")
    (tmp_path / "elsewhere").mkdir()
    (git.path / ".github").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LearnerError, match="leads out of"):
        CliRunner().invoke(cli, ["init", "--repo", str(git.path)], standalone_mode=False, catch_exceptions=False)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_is_no_work_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LearnerError, match="no Git repository"):
        look(tmp_path)
    init(tmp_path / "bare.git", bare=True)
    with pytest.raises(LearnerError, match="bare"):
        look(tmp_path / "bare.git")


def test_addresses_are_told_without_their_credentials(tmp_path: Path) -> None:
    git = init(tmp_path / "runbooks")
    git.run("remote", "add", "origin", "https://me:secret@github.com/acme/runbooks")
    assert look(git.path).remotes == {"origin": "https://github.com/acme/runbooks"}
    assert look(git.path).branch == "main"


@pytest.mark.parametrize(
    "words",
    [
        ["--host", "--protect"], ["--host"], ["--client-id", "acme"], ["--without-app"], ["--owner", "sre"],
        ["--protect", "--executor-id", "x"],
    ],
)  # fmt: skip
def test_options_that_do_not_go_together(words: list[str]) -> None:
    assert run(*words, ok=False).exit_code == 2


# ------------------------------------------------------------------------------------------ a host


def test_a_host_gets_settings_that_it_can_read(place: Place, tmp_path: Path) -> None:  # noqa: F811
    target = tmp_path / "etc/learner/host.yml"
    words = (
        "--host", "--client-id", "acme", "--executor-id", "web-1", "--repository", place.git.path,
        "--spool", tmp_path / "spool", "--out", target,
    )  # fmt: skip
    done = run(*words)
    settings = read(HostSettings, target.read_bytes(), "host.yml")
    assert (settings.client_id, settings.executor_id) == ("acme", "web-1")
    assert Path(settings.repository) == place.git.path
    assert "install -d -m 700" in done.output
    assert "learner gate trust github.com" in done.output
    with pytest.raises(LearnerError, match="is there already"):
        CliRunner().invoke(cli, ["init", *map(str, words)], standalone_mode=False, catch_exceptions=False)


def test_a_place_that_can_not_be_written_has_a_next_step(place: Place, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "etc").write_text("a file, where a folder is wanted")
    words = ["init", "--host", "--client-id", "a", "--executor-id", "b", "--repository", str(place.git.path)]
    with pytest.raises(LearnerError, match=r"etc/x\.yml") as told:
        CliRunner().invoke(
            cli, [*words, "--out", str(tmp_path / "etc/x.yml")], standalone_mode=False, catch_exceptions=False
        )
    assert "--out" in (told.value.hint or "")


def test_a_wrong_id_is_told_before_anything_is_written(place: Place, tmp_path: Path) -> None:  # noqa: F811
    words = [
        "init",
        "--host",
        "--client-id",
        "a b",
        "--executor-id",
        "b",
        "--repository",
        str(place.git.path),
        "--out",
        str(tmp_path / "x.yml"),
    ]
    with pytest.raises(LearnerError, match="client_id"):
        CliRunner().invoke(cli, words, standalone_mode=False, catch_exceptions=False)
    assert not (tmp_path / "x.yml").exists()


# ------------------------------------------------------------------------------------------ a forge


def protect(place: Place, who: str = "dana", **more: Any) -> list[str]:  # noqa: F811
    labels = load(source(LABELS)).value
    return list(protecting.protect(place.gateway(who), "main", labels=labels, **more))


def test_main_is_protected_and_doctor_agrees(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    place.forge.forge.protect("main", None)
    monkeypatch.setenv("LEARNER_TOKEN", TOKENS["dana"])
    monkeypatch.setenv("GITHUB_API_URL", place.forge.api_url)
    words = ["--protect", "--repo", str(place.git.path), "--require-check", "Runbooks"]
    assert "main takes pull requests alone" in run(*words).output
    rules = place.forge.forge.protection("main")
    assert rules is not None
    assert (rules.approvals, rules.dismiss_stale_reviews, rules.require_code_owner_reviews) == (1, True, True)
    assert (rules.require_last_push_approval, rules.enforce_admins, rules.checks) == (True, True, ("Runbooks",))
    assert not (rules.linear_history or rules.allow_force_pushes or rules.allow_deletions)
    assert "nothing to do" in run(*words).output
    said = CliRunner().invoke(cli, ["doctor", "--repo", str(place.git.path), "--json"])
    checks = {check["name"]: check["state"] for check in json.loads(said.stdout)}
    assert checks["protection"] == "ok"
    assert "merging" not in checks


def test_what_is_stricter_stays(place: Place) -> None:  # noqa: F811
    held = place.gateway("dana").look("x", lambda repo: repo)
    held.get_branch("main").edit_protection(required_approving_review_count=2, strict=True, contexts=["security"])
    protect(place, checks=("Runbooks",))
    rules = place.forge.forge.protection("main")
    assert rules is not None
    assert (rules.approvals, rules.strict_checks, rules.checks) == (2, True, ("security", "Runbooks"))


def test_bypasses_go_and_restrictions_stay() -> None:
    """GitHub's answer in full, as its documentation shows it; the local forge has no organisations."""
    held = {
        "required_pull_request_reviews": {
            "dismiss_stale_reviews": True, "require_code_owner_reviews": True, "require_last_push_approval": True,
            "required_approving_review_count": 1,
            "bypass_pull_request_allowances": {"users": [{"login": "boss"}], "teams": [], "apps": []},
            "dismissal_restrictions": {"users": [], "teams": [{"slug": "sre"}], "apps": []},
        },
        "restrictions": {"users": [{"login": "dana"}], "teams": [], "apps": [{"slug": "deployer"}]},
        "enforce_admins": {"enabled": True},
        "required_conversation_resolution": {"enabled": True},
    }  # fmt: skip
    wanted = protecting.rules(held, ())
    reviews = wanted["required_pull_request_reviews"]
    assert "bypass_pull_request_allowances" not in reviews
    assert reviews["dismissal_restrictions"] == {"users": [], "teams": ["sre"], "apps": []}
    assert wanted["restrictions"] == {"users": ["dana"], "teams": [], "apps": ["deployer"]}
    assert wanted["required_conversation_resolution"] is True
    assert protecting._told(held) != wanted


def test_labels_are_made_once(place: Place) -> None:  # noqa: F811
    assert any("labels" in words for words in protect(place))
    assert not any("labels" in words for words in protect(place))


@pytest.mark.parametrize("who", ["learner", "eve"])
def test_only_an_administrator_protects(place: Place, who: str) -> None:  # noqa: F811
    with pytest.raises(Refused):
        protect(place, who)


def test_a_repository_without_main_is_told_to_push_it(tmp_path: Path) -> None:
    from learner.local_forge import Forge, User, serve

    bare = init(tmp_path / "empty.git", bare=True)
    users = [User("dana", TOKENS["dana"], "admin", "User", DANA.name, DANA.email)]
    with serve(Forge(bare.path, users, "acme/empty")) as forge:
        gateway = Gateway(ForgeSettings(api_url=forge.api_url), "acme/empty", TOKENS["dana"], retries=0)
        with pytest.raises(LearnerError, match="has no branch main") as told:
            list(protecting.protect(gateway, "main", labels=()))
    assert "git push origin main" in (told.value.hint or "")


def test_it_asks_nothing_of_gits_own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a hook `GIT_DIR` names another repository; the path given counts."""
    git, other = init(tmp_path / "runbooks"), init(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    assert look(git.path).root == Git(git.path).path


@pytest.mark.parametrize("app", [True, False])
def test_actions_own_token_may_open_pull_requests_only_without_an_app(httpserver: HTTPServer, app: bool) -> None:
    """The local forge has no Actions; this is GitHub's answer as its API description shows it."""
    page, sent = "/repos/acme/runbooks", []
    httpserver.expect_request(page).respond_with_json({"full_name": "acme/runbooks", "url": httpserver.url_for(page)})
    held = {"default_workflow_permissions": "write", "can_approve_pull_request_reviews": app}
    path = f"{page}/actions/permissions/workflow"

    def answer(request: Request) -> Response:
        if request.method == "PUT":
            sent.append(request.get_json())
            held.update(sent[-1])
            return Response(status=204)
        return Response(json.dumps(held), content_type="application/json")

    httpserver.expect_request(path).respond_with_handler(answer)
    settings = ForgeSettings(api_url=httpserver.url_for("/").rstrip("/"))
    for _ in range(2):
        list(protecting._actions(Gateway(settings, "acme/runbooks", "x", retries=0), app))
    assert sent == [{"default_workflow_permissions": "read", "can_approve_pull_request_reviews": not app}]
