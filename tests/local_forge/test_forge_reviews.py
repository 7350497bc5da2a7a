"""Reviews, words on lines, comments, labels, events, search."""

from __future__ import annotations

import pytest
from forge_world import RUNBOOK, World
from github import GithubException
from test_forge_pulls import approve, refused

FILE = "runbooks/linux/a.yaml"


def test_nobody_approves_their_own(world: World) -> None:
    world.branch("bob", "mine", {"a": "b"})
    pull = world.repo("bob").create_pull(title="T", body="", base="main", head="mine")
    assert refused(lambda: pull.create_review(event="APPROVE")) == (422, "Can not approve your own pull request")
    assert refused(lambda: pull.create_review(body="no", event="REQUEST_CHANGES")) == (
        422,
        "Can not request changes on your own pull request",
    )
    assert pull.create_review(body="a note", event="COMMENT").state == "COMMENTED"


@pytest.mark.parametrize("event", ["REQUEST_CHANGES", "COMMENT"])
def test_words_are_asked_for(world: World, event: str) -> None:
    world.pull()
    assert refused(lambda: world.repo("ada").get_pull(1).create_review(event=event))[0] == 422


def test_an_unknown_event(world: World) -> None:
    world.pull()
    answer = world.call("ada", "POST", "pulls/1/reviews", json={"event": "LIKE", "body": "x"})
    assert answer.status_code == 422


def test_words_on_lines(world: World) -> None:
    world.pull()
    mine = world.repo("ada").get_pull(1)
    review = mine.create_review(
        body="Almost",
        event="REQUEST_CHANGES",
        comments=[
            {"path": FILE, "line": 2, "side": "RIGHT", "body": "Why 2?"},
            {"path": FILE, "line": 2, "side": "LEFT", "body": "Was 1"},
        ],
    )
    assert (review.state, review.commit_id, review.submitted_at is not None) == (
        "CHANGES_REQUESTED",
        mine.head.sha,
        True,
    )
    said = list(mine.get_review_comments())
    assert [(c.line, c.side, c.position, c.body) for c in said] == [(2, "RIGHT", 3, "Why 2?"), (2, "LEFT", 2, "Was 1")]
    assert said[0].diff_hunk.endswith("+version: 2")
    assert [c.id for c in mine.get_single_review_comments(review.id)] == [c.id for c in said]


@pytest.mark.parametrize(
    ("path", "line", "word"), [(FILE, 99, "Line could not be resolved"), ("none", 1, "Path could not be resolved")]
)
def test_lines_outside_the_diff(world: World, path: str, line: int, word: str) -> None:
    world.pull()
    comments = [{"path": path, "line": line, "side": "RIGHT", "body": "?"}]
    mine = world.repo("ada").get_pull(1)
    assert refused(lambda: mine.create_review(body="x", event="COMMENT", comments=comments)) == (422, word)  # type: ignore[arg-type]
    assert mine.get_reviews().totalCount == 0


def test_a_pending_review_is_its_authors_until_said(world: World) -> None:
    world.pull()
    mine = world.repo("ada").get_pull(1)
    review = mine.create_review(body="draft", comments=[{"path": FILE, "line": 2, "side": "RIGHT", "body": "hm"}])
    assert review.state == "PENDING"
    assert world.repo("bob").get_pull(1).get_reviews().totalCount == 0
    assert world.repo("bob").get_pull(1).get_review_comments().totalCount == 0
    assert refused(lambda: mine.create_review(body="again"))[0] == 422
    done = world.call("ada", "POST", f"pulls/1/reviews/{review.id}/events", json={"event": "APPROVE", "body": "fine"})
    assert (done.status_code, done.json()["state"], done.json()["body"]) == (200, "APPROVED", "fine")
    assert world.repo("bob").get_pull(1).get_review_comments().totalCount == 1
    again = world.call("ada", "POST", f"pulls/1/reviews/{review.id}/events", json={"event": "APPROVE"})
    assert again.status_code == 422


def test_a_pending_review_can_be_thrown_away(world: World) -> None:
    world.pull()
    mine = world.repo("ada").get_pull(1)
    review = mine.create_review(body="draft")
    assert world.call("bob", "DELETE", f"pulls/1/reviews/{review.id}").status_code == 404
    review.delete()
    assert mine.get_reviews().totalCount == 0
    said = mine.create_review(body="x", event="COMMENT")
    assert refused(lambda: said.delete())[0] == 422
    edited = world.call("ada", "PUT", f"pulls/1/reviews/{said.id}", json={"body": "y"})
    assert edited.json()["body"] == "y"


def test_line_comments_and_replies(world: World) -> None:
    world.pull()
    mine = world.repo("ada").get_pull(1)
    commit = world.repo("ada").get_commit(mine.head.sha)
    first = mine.create_review_comment("Look", commit, FILE, line=2, side="RIGHT")
    answer = world.repo("bob").get_pull(1).create_review_comment_reply(first.id, "I did")
    assert (answer.in_reply_to_id, answer.line) == (first.id, 2)
    first.edit("Look again")
    assert mine.get_review_comment(first.id).body == "Look again"
    assert world.call("rita", "PATCH", f"pulls/comments/{first.id}", json={"body": "x"}).status_code == 403
    outside = {"body": "x", "commit_id": mine.head.sha, "path": FILE, "line": 77, "side": "RIGHT"}
    assert world.call("ada", "POST", "pulls/1/comments", json=outside).status_code == 422
    first.delete()
    assert mine.get_review_comments().totalCount == 1


def test_a_comment_follows_its_line(world: World) -> None:
    world.pull()
    mine = world.repo("ada").get_pull(1)
    mine.create_review(body="x", event="COMMENT", comments=[{"path": FILE, "line": 2, "side": "RIGHT", "body": "here"}])
    known = world.forge.repo.entry(world.forge.repo.heads()["learner/fix-1"], FILE)
    assert known
    text = RUNBOOK.replace("version: 1", "version: 2")
    changed = world.repo("bob").update_file(FILE, "Shift", "# a first line\n" + text, known.sha, branch="learner/fix-1")
    assert mine.get_review_comments()[0].line == 3
    sha = changed["content"].sha
    world.repo("bob").update_file(FILE, "Change", text.replace("version: 2", "version: 3"), sha, branch="learner/fix-1")
    outdated = world.call("ada", "GET", "pulls/1/comments").json()[0]
    assert ("line" in outdated, "position" in outdated, outdated["original_line"]) == (False, False, 2)


def test_dismissing_is_for_administrators_of_a_protected_branch(world: World) -> None:
    pull = world.pull()
    approve(world, pull, "bob")
    review = world.repo("bob").get_pull(1).get_reviews()[0]
    assert refused(lambda: review.dismiss("mistake"))[0] == 403
    theirs = world.repo("ada").get_pull(1).get_reviews()[0]
    assert refused(lambda: theirs.dismiss(" "))[0] == 422
    theirs.dismiss("It was a mistake")
    assert world.repo("ada").get_pull(1).get_reviews()[0].state == "DISMISSED"
    assert refused(lambda: theirs.dismiss("again"))[0] == 422


def test_review_requests(world: World) -> None:
    pull = world.pull()
    pull.create_review_request(["ada", "bob"])
    assert sorted(u.login for u in pull.get_review_requests()[0]) == ["ada", "bob"]
    approve(world, pull, "ada")
    assert [u.login for u in world.repo("bob").get_pull(1).requested_reviewers] == ["bob"]
    pull.delete_review_request(["bob"])
    assert pull.get_review_requests()[0].totalCount == 0
    assert refused(lambda: pull.create_review_request(["learner[bot]"])) == (
        422,
        "Review cannot be requested from pull request author.",
    )
    assert refused(lambda: pull.create_review_request(["stranger"]))[0] == 422


def test_comments(world: World) -> None:
    issue = world.pull().as_issue()
    said = issue.create_comment("First")
    said.edit("Second")
    assert [(c.body, c.user.login) for c in world.repo("rita").get_issue(1).get_comments()] == [
        ("Second", "learner[bot]")
    ]
    assert refused(lambda: issue.create_comment("  "))[0] == 422
    world.repo("rita").get_issue(1).create_comment("Reader's words")
    assert world.call("rita", "PATCH", f"issues/comments/{said.id}", json={"body": "x"}).status_code == 403
    said.delete()
    assert issue.get_comments().totalCount == 1
    assert world.call("bob", "GET", f"issues/comments/{said.id}").status_code == 404


def test_labels_make_themselves(world: World) -> None:
    pull = world.pull()
    pull.add_to_labels("learner", "priority:high")
    assert sorted(x.name for x in world.repo("rita").get_labels()) == ["learner", "priority:high"]
    pull.remove_from_labels("learner")
    with pytest.raises(GithubException):
        pull.remove_from_labels("learner")
    pull.set_labels("a", "b")
    assert [x.name for x in pull.get_labels()] == ["a", "b"]
    pull.delete_labels()
    assert pull.get_labels().totalCount == 0
    events = [(e.event, e.label.name) for e in pull.as_issue().get_events()]
    assert events[:3] == [("labeled", "learner"), ("labeled", "priority:high"), ("unlabeled", "learner")]
    assert world.call("rita", "POST", "issues/1/labels", json={"labels": ["x"]}).status_code == 403


def test_labels_of_the_repository(world: World) -> None:
    repo = world.repo("bob")
    label = repo.create_label("rejected:wrong", "B60205", "A person said no")
    assert (label.color, label.description) == ("b60205", "A person said no")
    assert refused(lambda: repo.create_label("Rejected:Wrong", "000000"))[0] == 422
    assert refused(lambda: repo.create_label("new", "red"))[0] == 422
    world.pull().add_to_labels("rejected:wrong")
    label.edit("rejected:dangerous", "000000", "")
    assert [x.name for x in repo.get_issue(1).labels] == ["rejected:dangerous"]
    label.delete()
    assert repo.get_issue(1).labels == []
    assert world.call("tim", "POST", "labels", json={"name": "x", "color": "000000"}).status_code == 403


def test_issues(world: World) -> None:
    issue = world.repo("bob").create_issue("Alert: backlog", "12 open", labels=["alert"], assignees=["ada", "stranger"])
    assert (issue.number, [x.login for x in issue.assignees], issue.pull_request) == (1, ["ada"], None)
    issue.edit(body="13 open", state="closed", state_reason="not_planned")
    assert (issue.body, issue.state, issue.state_reason, issue.closed_by.login) == (
        "13 open",
        "closed",
        "not_planned",
        "bob",
    )
    issue.edit(state="open", labels=["other"], assignees=[])
    assert ([x.name for x in issue.labels], issue.assignees, issue.closed_at) == (["other"], [], None)
    issue.add_to_assignees("bob")
    issue.remove_from_assignees("bob")
    world.pull()
    assert [i.number for i in world.repo("bob").get_issues(state="all")] == [2, 1]
    assert [i.number for i in world.repo("bob").get_issues(labels=["other"])] == [1]
    assert world.call("bob", "GET", "issues/9").status_code == 404
    dropped = world.repo("rita").create_issue("From a reader", labels=["x"])
    assert dropped.labels == []


def test_timeline_in_order(world: World) -> None:
    pull = world.pull()
    pull.create_issue_comment("Words")
    pull.add_to_labels("learner")
    approve(world, pull)
    world.repo("ada").get_pull(1).merge()
    told = [e.event for e in pull.as_issue().get_timeline()]
    assert sorted(told) == sorted(["committed", "commented", "labeled", "reviewed", "merged", "closed"])


def test_search(world: World) -> None:
    world.pull().add_to_labels("learner")
    world.repo("bob").create_issue("An alert", labels=["alert"])
    github = world.github("bob")
    assert [i.number for i in github.search_issues("repo:acme/runbooks is:pr is:open label:learner")] == [1]
    assert [i.number for i in github.search_issues("repo:acme/runbooks is:issue alert")] == [2]
    assert [i.number for i in github.search_issues('repo:acme/runbooks -label:"learner"')] == [2]
    assert github.search_issues("repo:acme/runbooks head:learner/ author:learner[bot]").totalCount == 1
    answer = world.call("bob", "GET", "/search/issues?q=stars:>3")
    assert answer.status_code == 422
