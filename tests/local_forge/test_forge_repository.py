"""Users, the repository, branches, commits, contents, Git data."""

from __future__ import annotations

import base64

import pytest
from forge_world import RUNBOOK, World
from github import GithubException


def status_of(error: pytest.ExceptionInfo[GithubException]) -> tuple[int, str]:
    return error.value.status, error.value.data["message"]


def test_who_am_i(world: World) -> None:
    me = world.github("ada").get_user()
    assert (me.login, me.type, me.email) == ("ada", "User", "ada@example.com")
    bot = world.github("bob").get_user("learner[bot]")
    assert bot.type == "Bot"
    assert world.call("bob", "GET", "/users/nobody").status_code == 404


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ({}, 401, "Requires authentication"),
        ({"Authorization": "Bearer wrong"}, 401, "Bad credentials"),
        ({"Authorization": "Basic !!!"}, 401, "Bad credentials"),
        ({"Authorization": "token token-of-ada"}, 200, None),
        ({"Authorization": "Basic " + base64.b64encode(b"x-access-token:token-of-ada").decode()}, 200, None),
    ],
)
def test_credentials(world: World, headers: dict[str, str], status: int, message: str | None) -> None:
    import requests

    answer = requests.get(f"{world.running.api_url}/user", headers=headers, timeout=10)
    assert answer.status_code == status
    assert message is None or answer.json()["message"] == message


def test_another_repository_is_not_found(world: World) -> None:
    assert world.call("ada", "GET", "/repos/acme/other").status_code == 404
    assert world.call("ada", "GET", "/repos/evil/runbooks").status_code == 404


def test_repository_settings_are_the_administrators(world: World) -> None:
    repo = world.repo("ada")
    assert (repo.allow_merge_commit, repo.allow_squash_merge, repo.default_branch) == (True, False, "main")
    assert (repo.permissions.admin, world.repo("rita").permissions.push) == (True, False)
    repo.edit(allow_squash_merge=True, description="Runbooks")
    assert (world.repo("bob").allow_squash_merge, world.repo("bob").description) == (True, "Runbooks")
    assert world.call("bob", "PATCH", "", json={"allow_squash_merge": False}).status_code == 403
    none = world.call("ada", "PATCH", "", json={"allow_squash_merge": False, "allow_merge_commit": False})
    assert none.status_code == 422


@pytest.mark.parametrize(
    ("login", "permission", "role"),
    [
        ("ada", "admin", "admin"),
        ("cleo", "write", "maintain"),
        ("bob", "write", "write"),
        ("tim", "read", "triage"),
        ("rita", "read", "read"),
    ],
)
def test_collaborator_permission(world: World, login: str, permission: str, role: str) -> None:
    assert world.repo("ada").get_collaborator_permission(login) == permission
    assert world.repo("ada").get_collaborator_role_name(login) == role


def test_rate_limit_never_bites(world: World) -> None:
    assert world.github("ada").get_rate_limit().rate.remaining == 5000


def test_main_is_protected_and_says_so(world: World) -> None:
    branch = world.repo("bob").get_branch("main")
    assert branch.protected
    reviews = world.repo("ada").get_branch("main").get_protection().required_pull_request_reviews
    assert (
        reviews.required_approving_review_count,
        reviews.dismiss_stale_reviews,
        reviews.require_code_owner_reviews,
    ) == (1, True, True)
    assert reviews.require_last_push_approval
    rules = {r["type"]: r for r in world.call("rita", "GET", "rules/branches/main").json()}
    assert rules["pull_request"]["parameters"]["allowed_merge_methods"] == ["merge"]
    assert {"deletion", "non_fast_forward"} <= set(rules)
    assert world.call("rita", "GET", "rules/branches/other/one").json() == []
    assert world.call("bob", "GET", "branches/main/protection").status_code == 403


def test_protection_can_be_changed_and_dropped(world: World) -> None:
    branch = world.repo("ada").get_branch("main")
    branch.edit_protection(
        required_approving_review_count=2, dismiss_stale_reviews=True, strict=True, contexts=["validate"]
    )
    got = branch.get_protection()
    assert got.required_pull_request_reviews.required_approving_review_count == 2
    assert got.required_status_checks.contexts == ["validate"]
    branch.edit_required_pull_request_reviews(required_approving_review_count=1)
    assert branch.get_required_pull_request_reviews().required_approving_review_count == 1
    branch.remove_required_pull_request_reviews()
    assert world.call("ada", "GET", "branches/main/protection/required_pull_request_reviews").status_code == 404
    branch.remove_protection()
    assert world.call("ada", "GET", "branches/main/protection").json()["message"] == "Branch not protected"
    assert not world.repo("bob").get_branch("main").protected


def test_a_branch_with_slashes_can_be_protected(world: World) -> None:
    world.branch("bob", "release/one", {"a": "b"})
    world.repo("ada").get_branch("release/one").edit_protection(required_approving_review_count=1)
    assert (
        world.call(
            "bob", "PUT", "contents/x", json={"message": "m", "content": "eA==", "branch": "release/one"}
        ).status_code
        == 409
    )


def test_contents_read(world: World) -> None:
    repo = world.repo("rita")
    file = repo.get_contents("runbooks/linux/a.yaml")
    assert file.decoded_content.decode() == RUNBOOK
    assert [(e.name, e.type) for e in repo.get_contents("runbooks")] == [("linux", "dir")]
    assert [e.path for e in repo.get_contents("")] == ["runbooks"]
    assert world.call("rita", "GET", "contents/none").status_code == 404
    assert world.call("rita", "GET", "contents/runbooks?ref=nowhere").status_code == 404


def test_contents_write_knows_what_it_replaces(world: World) -> None:
    repo = world.repo("bob")
    world.branch("bob", "mine", {"notes/a.txt": "one"})
    file = repo.get_contents("notes/a.txt", ref="mine")
    stale = world.call(
        "bob",
        "PUT",
        "contents/notes/a.txt",
        json={"message": "m", "content": "eA==", "branch": "mine", "sha": "0" * 40},
    )
    missing = world.call(
        "bob", "PUT", "contents/notes/a.txt", json={"message": "m", "content": "eA==", "branch": "mine"}
    )
    assert (stale.status_code, missing.status_code) == (409, 422)
    repo.update_file("notes/a.txt", "two", "two", file.sha, branch="mine")
    file = repo.get_contents("notes/a.txt", ref="mine")
    assert file.decoded_content == b"two"
    assert repo.get_commits(sha="mine", path="notes/a.txt").totalCount == 2
    repo.delete_file("notes/a.txt", "gone", file.sha, branch="mine")
    assert world.call("bob", "GET", "contents/notes/a.txt?ref=mine").status_code == 404
    assert (
        world.call(
            "bob", "PUT", "contents/x", json={"message": "m", "content": "eA==", "branch": "nowhere"}
        ).status_code
        == 404
    )
    assert (
        world.call("bob", "PUT", "contents/x", json={"message": "m", "content": "?", "branch": "mine"}).status_code
        == 422
    )


@pytest.mark.parametrize("path", ["../x", "a/../b", ".git/config", "a/.GIT/x", "a//b"])
def test_paths_that_leave_the_repository_are_refused(world: World, path: str) -> None:
    world.branch("bob", "mine", {"a": "b"})
    tree = [{"path": path, "mode": "100644", "type": "blob", "content": "x"}]
    assert world.call("bob", "POST", "git/trees", json={"tree": tree}).status_code == 422


def test_protected_main_takes_no_file_by_hand(world: World) -> None:
    answer = world.call("ada", "PUT", "contents/x", json={"message": "m", "content": "eA=="})
    assert answer.status_code == 409
    assert "Changes must be made through a pull request." in answer.json()["message"]


def test_git_data_from_blob_to_ref(world: World) -> None:
    repo = world.repo("bob")
    head = repo.get_branch("main").commit
    blob = repo.create_git_blob("bytes \u2603", "utf-8")
    assert base64.b64decode(repo.get_git_blob(blob.sha).content).decode() == "bytes \u2603"
    from github import InputGitAuthor, InputGitTreeElement

    elements = [
        InputGitTreeElement("deep/er/file", "100644", "blob", sha=blob.sha),
        InputGitTreeElement("runbooks/linux/a.yaml", "100644", "blob", sha=None),
    ]
    tree = repo.create_git_tree(elements, base_tree=repo.get_git_tree(head.sha))
    paths = {e.path for e in repo.get_git_tree(tree.sha, recursive=True).tree}
    assert paths == {"deep", "deep/er", "deep/er/file"}
    author = InputGitAuthor("Someone", "some@example.com", "2026-11-22T05:00:00Z")
    commit = repo.create_git_commit("Subject\n\nBody", tree, [repo.get_git_commit(head.sha)], author=author)
    assert (commit.author.name, commit.committer.name, commit.message) == ("Someone", "Someone", "Subject\n\nBody")
    ref = repo.create_git_ref("refs/heads/learner/x-1", commit.sha)
    assert repo.get_git_ref("heads/learner/x-1").object.sha == commit.sha
    assert [r.ref for r in repo.get_git_matching_refs("heads/lea")] == ["refs/heads/learner/x-1"]
    ref.delete()
    assert world.call("bob", "GET", "git/ref/heads/learner/x-1").status_code == 404


def test_refs_outside_heads(world: World) -> None:
    sha = world.repo("bob").get_branch("main").commit.sha
    world.repo("bob").create_git_ref("refs/learner/inbox/acme/host-1", sha)
    assert world.repo("rita").get_git_ref("learner/inbox/acme/host-1").object.sha == sha


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", "git/refs", {"ref": "refs/heads/main", "sha": "MAIN"}, "Protected branch update failed"),
        ("POST", "git/refs", {"ref": "refs/heads/twice", "sha": "MAIN"}, "Reference already exists"),
        ("POST", "git/refs", {"ref": "refs/heads/a b", "sha": "MAIN"}, "is not a valid ref name."),
        ("POST", "git/refs", {"ref": "main", "sha": "MAIN"}, "is not a valid ref name."),
        ("POST", "git/refs", {"ref": "refs/heads/new", "sha": "f" * 40}, "Object does not exist"),
        ("POST", "git/refs", {"ref": "refs/pull/1/head", "sha": "MAIN"}, "read-only"),
        ("PATCH", "git/refs/heads/twice", {"sha": "MAIN"}, "Update is not a fast forward"),
        ("PATCH", "git/refs/heads/none", {"sha": "MAIN"}, "Reference does not exist"),
        ("PATCH", "git/refs/heads/main", {"sha": "TWICE"}, "Protected branch update failed"),
        ("DELETE", "git/refs/heads/none", None, "Reference does not exist"),
        ("DELETE", "git/refs/heads/main", None, "Cannot delete a protected branch"),
        ("POST", "git/commits", {"message": "m", "tree": "f" * 40}, "Tree SHA does not exist"),
        ("POST", "git/commits", {"message": "m"}, '"tree" wasn\'t supplied'),
    ],
)
def test_refs_that_can_not_be_set(
    world: World, method: str, path: str, body: dict[str, str] | None, message: str
) -> None:
    twice = world.branch("bob", "twice", {"x": "y"})
    main = world.repo("bob").get_branch("main").commit.sha
    sent = {k: {"MAIN": main, "TWICE": twice}.get(v, v) for k, v in (body or {}).items()}
    answer = world.call("ada", method, path, json=sent)
    assert answer.status_code == 422
    assert message in answer.json()["message"]


def test_a_forced_update(world: World) -> None:
    main = world.repo("bob").get_branch("main").commit.sha
    world.branch("bob", "mine", {"x": "y"})
    world.repo("bob").get_git_ref("heads/mine").edit(main, force=True)
    assert world.repo("bob").get_branch("mine").commit.sha == main


def test_readers_write_nothing(world: World) -> None:
    sha = world.repo("rita").get_branch("main").commit.sha
    for login in ("rita", "tim"):
        assert world.call(login, "POST", "git/refs", json={"ref": "refs/heads/x", "sha": sha}).status_code == 403
        assert (
            world.call(login, "PUT", "contents/x", json={"message": "m", "content": "eA==", "branch": "x"}).status_code
            == 403
        )
        assert world.call(login, "POST", "git/blobs", json={"content": "x"}).status_code == 403


def test_commits_and_comparison(world: World) -> None:
    head = world.branch("bob", "mine", {"runbooks/linux/a.yaml": RUNBOOK + "# more\n", "b": "b\n"})
    repo = world.repo("bob")
    assert repo.get_commit(head).files[0].filename == "b"
    assert repo.get_commit("mine").sha == head
    assert repo.get_commit(head).author.login == "bob"
    compared = repo.compare("main", "mine")
    assert (compared.status, compared.ahead_by, compared.behind_by, compared.total_commits) == ("ahead", 2, 0, 2)
    assert {f.filename: (f.status, f.additions) for f in compared.files} == {
        "runbooks/linux/a.yaml": ("modified", 1),
        "b": ("added", 1),
    }
    assert repo.get_commits(sha="mine", author="bob").totalCount == 2
    assert world.call("bob", "GET", "commits/nothing").status_code == 422
    assert world.call("bob", "GET", "compare/main...nothing").status_code == 404


def test_statuses_and_check_runs(world: World) -> None:
    head = world.branch("bob", "mine", {"a": "b"})
    commit = world.repo("bob").get_commit(head)
    assert commit.get_combined_status().state == "pending"
    commit.create_status("pending", "https://example.com/1", "running", "validate")
    commit.create_status("success", description="fine", context="validate")
    assert (commit.get_combined_status().state, commit.get_combined_status().total_count) == ("success", 1)
    assert commit.get_statuses().totalCount == 2
    run = world.repo("bob").create_check_run("audit", head, status="in_progress")
    run.edit(conclusion="failure", output={"title": "no", "summary": "two findings"})
    run = world.repo("bob").get_check_run(run.id)
    assert (run.status, run.conclusion, run.output.summary) == ("completed", "failure", "two findings")
    assert [r.name for r in commit.get_check_runs()] == ["audit"]
    assert world.call("bob", "POST", f"statuses/{head}", json={"state": "fine"}).status_code == 422
    assert world.call("bob", "POST", f"statuses/{'0' * 40}", json={"state": "success"}).status_code == 422
    assert world.call("rita", "POST", f"statuses/{head}", json={"state": "success"}).status_code == 403


def test_dispatches_are_kept(world: World) -> None:
    from learner.local_forge.records import Dispatch

    assert world.repo("bob").create_repository_dispatch("learn", {"why": "now"})
    assert world.forge.store.all(Dispatch)[0].payload == {"why": "now"}
    assert world.call("rita", "POST", "dispatches", json={"event_type": "learn"}).status_code == 403


def test_broken_json_is_told_apart(world: World) -> None:
    answer = world.call("bob", "POST", "issues", data=b"{nope")
    assert (answer.status_code, answer.json()["message"]) == (400, "Problems parsing JSON")


def test_codeowners_mistakes(world: World) -> None:
    assert world.call("ada", "GET", "codeowners/errors").status_code == 404
