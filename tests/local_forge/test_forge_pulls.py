"""Pull requests: opening, listing, following branches, merging, and each way it is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from forge_world import RUNBOOK, World
from github import GithubException
from github.PullRequest import PullRequest

from learner.local_forge import User


def refused(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(GithubException) as error:
        call()
    data = error.value.data
    said = [
        e if isinstance(e, str) else e.get("message") or f"{e.get('field')} {e['code']}" for e in data.get("errors", [])
    ]
    return error.value.status, said[0] if said else data["message"]


def approve(world: World, pull: PullRequest, login: str = "ada") -> None:
    world.repo(login).get_pull(pull.number).create_review(event="APPROVE")


def test_open_a_pull_request(world: World) -> None:
    pull = world.pull(body="Why not")
    assert (pull.number, pull.state, pull.user.login, pull.user.type) == (1, "open", "learner[bot]", "Bot")
    assert (pull.head.ref, pull.base.ref, pull.commits, pull.changed_files, pull.additions, pull.deletions) == (
        "learner/fix-1",
        "main",
        1,
        1,
        1,
        1,
    )
    assert (pull.mergeable, pull.mergeable_state, pull.merged, pull.draft) == (True, "blocked", False, False)
    assert pull.head.label == "acme:learner/fix-1"
    assert pull.get_files()[0].patch.startswith("@@ -1,5 +1,5 @@")
    assert [c.commit.message for c in pull.get_commits()] == ["Change runbooks/linux/a.yaml"]
    assert world.repo("bob").get_git_matching_refs("pull/")[0].ref == "refs/pull/1/head"


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"head": "none", "base": "main"}, "head invalid"),
        ({"head": "learner/fix-1", "base": "none"}, "base invalid"),
        ({"head": "learner/fix-1", "base": "main"}, "A pull request already exists for acme:learner/fix-1."),
        ({"head": "acme:learner/fix-1", "base": "main"}, "A pull request already exists for acme:learner/fix-1."),
        ({"head": "same", "base": "main"}, "No commits between main and same"),
        ({"head": "main", "base": "main"}, "No commits between main and main"),
        ({"head": "learner/fix-1", "base": "same", "title": " "}, "title missing_field"),
        (
            {"head": "learner/fix-1", "base": "same", "body": "x" * 65537},
            "body is too long (maximum is 65536 characters)",
        ),
    ],
)
def test_pull_requests_that_are_refused(world: World, sent: dict[str, str], message: str) -> None:
    world.pull()
    repo = world.repo("bob")
    repo.create_git_ref("refs/heads/same", repo.get_branch("main").commit.sha)
    assert refused(lambda: repo.create_pull(**{"title": "T", "body": "B", **sent})) == (422, message)  # type: ignore[arg-type]


def test_readers_open_none(world: World) -> None:
    world.branch("bob", "mine", {"a": "b"})
    assert refused(lambda: world.repo("rita").create_pull(title="T", body="B", base="main", head="mine"))[0] == 403


def test_list_filter_and_pages(world: World) -> None:
    for n in range(5):
        world.branch("bob", f"b{n}", {f"f{n}": "x"})
        world.repo("bob").create_pull(title=f"P{n}", body="", base="main", head=f"b{n}")
    repo = world.repo("bob")
    repo.get_pull(3).edit(state="closed")
    assert [p.number for p in repo.get_pulls()] == [5, 4, 2, 1]
    assert [p.number for p in repo.get_pulls(state="all", sort="created", direction="asc")] == [1, 2, 3, 4, 5]
    assert [p.number for p in repo.get_pulls(head="acme:b1")] == [2]
    assert [p.number for p in repo.get_pulls(base="other")] == []
    first = world.call("bob", "GET", "pulls?per_page=2&state=all")
    assert [p["number"] for p in first.json()] == [5, 4]
    assert sorted(first.links) == ["last", "next"]
    second = world.call("bob", "GET", first.links["next"]["url"].removeprefix(world.running.api_url))
    assert [p["number"] for p in second.json()] == [3, 2]
    assert sorted(second.links) == ["first", "last", "next", "prev"]
    assert world.github("bob").get_repo("acme/runbooks").get_pulls(state="all").totalCount == 5


def test_edit_and_close_and_reopen(world: World) -> None:
    pull = world.pull()
    pull.edit(title="Better", body="More")
    assert (pull.title, pull.body) == ("Better", "More")
    theirs = world.repo("rita").get_pull(1)
    assert refused(lambda: theirs.edit(state="closed"))[0] == 403
    world.repo("tim").get_pull(1).edit(state="closed")
    pull = world.repo("bob").get_pull(1)
    assert (pull.state, pull.merged, pull.mergeable_state) == ("closed", False, "unknown")
    pull.edit(state="open")
    assert pull.state == "open"
    assert [e.event for e in pull.as_issue().get_events()] == ["renamed", "closed", "reopened"]
    assert refused(lambda: pull.edit(state="odd"))[0] == 422


def test_merge_asks_for_an_approval(world: World) -> None:
    pull = world.pull()
    status, words = refused(lambda: world.repo("bob").get_pull(1).merge())
    assert status == 405
    assert words.startswith("At least 1 approving review is required by reviewers with write access.")
    approve(world, pull)
    assert world.repo("bob").get_pull(1).mergeable_state == "clean"
    result = world.repo("bob").get_pull(1).merge()
    assert result.merged
    merged = world.repo("bob").get_pull(1)
    assert (merged.state, merged.merged, merged.merged_by.login, merged.merge_commit_sha) == (
        "closed",
        True,
        "bob",
        result.sha,
    )
    assert merged.is_merged()
    assert [e.event for e in merged.as_issue().get_events()] == ["merged", "closed"]
    assert refused(lambda: merged.merge())[0] == 405
    assert refused(lambda: merged.edit(state="open"))[0] == 422


def test_the_merge_commit_is_the_persons(world: World) -> None:
    pull = world.pull()
    approve(world, pull)
    world.repo("cleo").get_pull(1).merge()
    commit = world.repo("bob").get_branch("main").commit
    assert commit.commit.message == "Merge pull request #1 from acme/learner/fix-1\n\nA better runbook"
    assert (commit.commit.author.name, commit.commit.author.email, commit.commit.committer.email) == (
        "Cleo",
        "cleo@example.com",
        "cleo@example.com",
    )
    assert [p.sha for p in commit.parents][1] == pull.head.sha
    assert commit.commit.verification.reason == "unsigned"
    assert [p.number for p in commit.get_pulls()] == [1]
    assert [p.number for p in world.repo("bob").get_commit(pull.head.sha).get_pulls()] == [1]
    assert world.repo("bob").get_commit(commit.parents[0].sha).get_pulls().totalCount == 0


def test_the_merge_is_signed_with_the_persons_key(make_world: Callable[..., World], signing_key: Path) -> None:
    people = [
        User("ada", "token-of-ada", "admin", signing_key=signing_key),
        User("learner[bot]", "token-of-bot", "write", "Bot"),
    ]
    world = make_world(users=people)
    world.repo("ada").create_file("runbooks/linux/a.yaml", "First", RUNBOOK)
    approve(world, world.pull())
    world.repo("ada").get_pull(1).merge()
    verification = world.repo("ada").get_branch("main").commit.commit.verification
    assert (verification.verified, verification.reason) == (True, "valid")
    assert "BEGIN SSH SIGNATURE" in verification.signature
    signers = world.folder / "signers"
    signers.write_text(f"ada@users.noreply.localhost {signing_key.with_suffix('.pub').read_text()}")
    world.git(
        f"--git-dir={world.forge.repo.path}", "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit", "main"
    )


def test_a_bots_approval_does_not_count(world: World) -> None:
    world.branch("bob", "mine", {"a": "b"})
    world.repo("bob").create_pull(title="T", body="", base="main", head="mine")
    approve(world, world.repo("bob").get_pull(1), "learner[bot]")
    assert refused(lambda: world.repo("ada").get_pull(1).merge())[0] == 405


@pytest.mark.parametrize("login", ["rita", "tim"])
def test_approvals_below_write_do_not_count(world: World, login: str) -> None:
    pull = world.pull()
    approve(world, pull, login)
    assert refused(lambda: world.repo("ada").get_pull(1).merge())[0] == 405
    assert refused(lambda: world.repo(login).get_pull(1).merge())[0] == 403


def test_requested_changes_block(world: World) -> None:
    pull = world.pull()
    approve(world, pull, "ada")
    world.repo("bob").get_pull(1).create_review(body="Not yet", event="REQUEST_CHANGES")
    assert refused(lambda: world.repo("ada").get_pull(1).merge()) == (
        405,
        "Changes have been requested by reviewers with write access.",
    )
    approve(world, pull, "bob")
    assert world.repo("ada").get_pull(1).merge().merged


def test_the_last_pusher_can_not_be_the_only_approver(world: World) -> None:
    pull = world.pull()
    repo = world.repo("bob")
    repo.create_file("more", "More", "x", branch="learner/fix-1")
    approve(world, pull, "bob")
    status, words = refused(lambda: world.repo("ada").get_pull(1).merge())
    assert (status, words) == (405, "New changes require approval from someone other than the last pusher.")
    approve(world, pull, "ada")
    assert world.repo("bob").get_pull(1).merge().merged


def test_new_commits_dismiss_approvals(world: World) -> None:
    pull = world.pull()
    approve(world, pull)
    head = world.repo("bob").create_file("more", "More", "x", branch="learner/fix-1")["commit"].sha
    now = world.repo("ada").get_pull(1)
    assert now.head.sha == head
    assert [r.state for r in now.get_reviews()] == ["DISMISSED"]
    assert refused(lambda: now.merge())[0] == 405
    dismissed = next(e for e in world.call("ada", "GET", "issues/1/events").json() if e["event"] == "review_dismissed")
    assert dismissed["dismissed_review"]["dismissal_commit_id"] == head
    assert dismissed["actor"]["login"] == "bob"


def test_stale_approvals_stay_when_the_rules_say_so(world: World) -> None:
    world.forge.update_protection("main", dismiss_stale_reviews=False, require_last_push_approval=False)
    approve(world, world.pull())
    world.repo("bob").create_file("more", "More", "x", branch="learner/fix-1")
    assert world.repo("ada").get_pull(1).merge().merged


def test_conflicts(world: World) -> None:
    for name, word in (("one", "1"), ("two", "2")):
        world.pull("bob", name, {"runbooks/linux/a.yaml": RUNBOOK.replace("crashed", word)})
    for n in (1, 2):
        approve(world, world.repo("bob").get_pull(n))
    world.repo("ada").get_pull(1).merge()
    second = world.repo("ada").get_pull(2)
    assert (second.mergeable, second.mergeable_state) == (False, "dirty")
    assert refused(lambda: second.merge()) == (405, "Pull Request is not mergeable")


def test_drafts_and_closed_ones_do_not_merge(world: World) -> None:
    pull = world.pull(draft=True)
    approve(world, pull)
    assert world.repo("ada").get_pull(1).mergeable_state == "draft"
    assert refused(lambda: world.repo("ada").get_pull(1).merge()) == (405, "Pull Request is still a draft")
    pull.edit(state="closed")
    assert refused(lambda: world.repo("ada").get_pull(1).merge())[0] == 405


def test_the_head_the_merger_saw(world: World) -> None:
    pull = world.pull()
    approve(world, pull)
    mine = world.repo("ada").get_pull(1)
    assert refused(lambda: mine.merge(sha="0" * 40)) == (
        409,
        "Head branch was modified. Review and try the merge again.",
    )
    assert mine.merge(sha=pull.head.sha).merged


@pytest.mark.parametrize(("method", "word"), [("squash", "Squash merges"), ("rebase", "Rebase merges")])
def test_other_merge_methods_are_off(world: World, method: str, word: str) -> None:
    approve(world, world.pull())
    mine = world.repo("ada").get_pull(1)
    assert refused(lambda: mine.merge(merge_method=method)) == (405, f"{word} are not allowed on this repository.")


def test_squash_and_rebase_where_they_are_on(world: World) -> None:
    world.repo("ada").edit(allow_squash_merge=True, allow_rebase_merge=True)
    approve(world, world.pull(name="one", files={"one": "1"}))
    approve(world, world.pull(name="two", files={"two": "2", "three": "3"}))
    world.repo("ada").get_pull(1).merge(merge_method="squash")
    squashed = world.repo("ada").get_branch("main").commit
    assert (squashed.commit.message, len(squashed.parents), squashed.commit.author.email) == (
        "A better runbook (#1)",
        1,
        "learner@example.com",
    )
    world.repo("ada").get_pull(2).merge(merge_method="rebase")
    assert [c.commit.message for c in world.repo("ada").get_commits()][:2] == ["Add three", "Add two"]
    assert {e.name for e in world.repo("ada").get_contents("")} == {"one", "two", "three", "runbooks"}


def test_required_checks(world: World) -> None:
    world.forge.update_protection("main", checks_required=True, checks=("validate",))
    pull = world.pull()
    approve(world, pull)
    assert refused(lambda: world.repo("ada").get_pull(1).merge()) == (
        405,
        'Required status check "validate" is expected.',
    )
    run = world.repo("bob").create_check_run("validate", pull.head.sha, conclusion="failure")
    assert refused(lambda: world.repo("ada").get_pull(1).merge())[0] == 405
    run.edit(conclusion="success")
    assert world.repo("ada").get_pull(1).merge().merged


def test_a_failed_check_makes_it_unstable(world: World) -> None:
    pull = world.pull()
    approve(world, pull)
    world.repo("bob").get_commit(pull.head.sha).create_status("failure", context="lint")
    assert world.repo("ada").get_pull(1).mergeable_state == "unstable"


def test_code_owners(make_world: Callable[..., World]) -> None:
    world = make_world()
    owners = "* @ada\n/runbooks/linux/ @cleo @nobody\n"
    world.repo("ada").create_file(".github/CODEOWNERS", "Owners", owners)
    errors = world.call("ada", "GET", "codeowners/errors").json()["errors"]
    assert [(e["line"], e["column"], e["kind"]) for e in errors] == [(2, 24, "Unknown owner")]
    approve(world, world.pull(files={"runbooks/linux/a.yaml": RUNBOOK}), "ada")
    assert refused(lambda: world.repo("ada").get_pull(1).merge()) == (405, "Waiting on code owner review from cleo.")
    approve(world, world.repo("bob").get_pull(1), "cleo")
    assert world.repo("ada").get_pull(1).merge().merged


def test_rules_bind_administrators_unless_they_say_otherwise(world: World) -> None:
    world.pull()
    assert refused(lambda: world.repo("ada").get_pull(1).merge())[0] == 405
    world.forge.update_protection("main", enforce_admins=False)
    assert world.repo("ada").get_pull(1).merge().merged


def test_a_merge_made_elsewhere_is_seen(world: World) -> None:
    world.pull()
    world.repo("ada").get_branch("main").remove_protection()
    work = world.clone("bob")
    world.git("merge", "-q", "--no-ff", "-m", "By hand", "origin/learner/fix-1", cwd=work)
    world.git("push", "-q", "origin", "HEAD:main", cwd=work)
    merged = world.repo("ada").get_pull(1)
    assert (merged.merged, merged.merged_by.login, merged.state) == (True, "bob", "closed")
    assert merged.merge_commit_sha == world.repo("ada").get_branch("main").commit.sha


def test_a_branch_that_goes_closes_its_pull_request(world: World) -> None:
    world.pull()
    world.repo("bob").get_git_ref("heads/learner/fix-1").delete()
    gone = world.repo("bob").get_pull(1)
    assert (gone.state, gone.merged) == ("closed", False)
    assert [(e.event, e.actor.login) for e in gone.as_issue().get_events()] == [
        ("head_ref_deleted", "bob"),
        ("closed", "bob"),
    ]
    assert refused(lambda: gone.edit(state="open"))[0] == 422


def test_merged_branches_can_be_deleted_by_themselves(world: World) -> None:
    world.repo("ada").edit(delete_branch_on_merge=True)
    approve(world, world.pull())
    world.repo("ada").get_pull(1).merge()
    assert world.call("bob", "GET", "git/ref/heads/learner/fix-1").status_code == 404
    assert world.repo("ada").get_pull(1).merged


def test_update_branch_and_another_base(world: World) -> None:
    world.pull(name="one", files={"one": "1"})
    world.pull(name="two", files={"two": "2"})
    approve(world, world.repo("bob").get_pull(1))
    world.repo("ada").get_pull(1).merge()
    second = world.repo("bob").get_pull(2)
    assert second.update_branch()
    assert world.repo("bob").get_pull(2).commits == 2
    assert world.call("bob", "PUT", "pulls/2/update-branch", json={}).status_code == 422
    world.branch("bob", "release", {"r": "r"})
    second.edit(base="release")
    assert world.repo("bob").get_pull(2).base.ref == "release"
    assert refused(lambda: second.edit(base="nowhere"))[0] == 422


def test_state_survives_a_restart(world: World, make_world: Callable[..., World]) -> None:
    pull = world.pull()
    pull.add_to_labels("learner")
    pull.create_issue_comment("Remember me")
    world.running.close()
    again = make_world()
    found = again.repo("bob").get_pull(1)
    assert ([x.name for x in found.labels], found.get_issue_comments()[0].body) == (["learner"], "Remember me")
    assert again.pull(name="other", files={"o": "o"}).number == 2


def test_a_diff_and_a_patch(world: World) -> None:
    world.pull()
    import requests

    for kind, start in (("diff", "diff --git"), ("patch", "From ")):
        headers = {"Authorization": "Bearer token-of-bob", "Accept": f"application/vnd.github.{kind}"}
        url = f"{world.running.api_url}/repos/acme/runbooks/pulls/1"
        request = requests.Request("GET", url, headers=headers).prepare()
        with requests.Session() as session:
            answer = session.get_adapter(url).send(request)
        assert answer.text.startswith(start)


def test_locked_and_linear(world: World) -> None:
    approve(world, world.pull())
    world.forge.protect("main", replace(world.forge.protection("main"), lock_branch=True))  # type: ignore[type-var]
    assert refused(lambda: world.repo("ada").get_pull(1).merge()) == (405, "This branch is locked.")
    world.forge.update_protection("main", lock_branch=False, linear_history=True)
    assert refused(lambda: world.repo("ada").get_pull(1).merge()) == (
        405,
        "This branch must not contain merge commits.",
    )
