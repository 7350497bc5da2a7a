"""Whatever is sent, the forge answers; it never breaks."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from forge_world import World
from test_forge_pulls import approve

ODD: list[Any] = [
    None, True, 0, -1, 10**30, 1.5, "", " ", "\0", "\ud800", "x" * 70000, "../..", "-x", "--upload-pack=x", "refs/heads/main", "main^", "a..b",
    "@{-1}", "\u202e", [], [None], [1], ["x"], {}, {"name": None}, {"name": "x"}, [{"path": "a"}], "main", "0" * 40,
]  # fmt: skip
KEYS = (
    "title", "body", "head", "base", "state", "draft", "labels", "assignees", "reviewers", "event", "comments", "commit_id", "line", "path", "sha",
    "ref", "force", "tree", "base_tree", "parents", "message", "author", "content", "encoding", "branch", "context", "conclusion", "status", "name",
    "color", "output", "head_sha", "merge_method", "required_pull_request_reviews", "required_status_checks", "enforce_admins", "restrictions",
    "event_type", "client_payload", "in_reply_to", "title", "issue", "description",
)  # fmt: skip
PATHS = (
    "POST pulls", "PATCH pulls/1", "PUT pulls/1/merge", "PUT pulls/1/update-branch", "POST pulls/1/reviews", "POST pulls/1/comments",
    "POST pulls/1/requested_reviewers", "DELETE pulls/1/requested_reviewers", "POST issues", "PATCH issues/1", "POST issues/1/comments",
    "POST issues/1/labels", "PUT issues/1/labels", "POST issues/1/assignees", "POST labels", "PATCH labels/learner", "POST git/blobs",
    "POST git/trees", "POST git/commits", "POST git/refs", "PATCH git/refs/heads/mine", "PUT contents/a/b", "DELETE contents/a/b",
    "POST check-runs", "PUT branches/mine/protection", "PATCH branches/main/protection/required_pull_request_reviews", "PATCH ", "POST dispatches",
    "POST statuses/HEAD",
)  # fmt: skip


def send(world: World, method: str, path: str, **options: Any) -> requests.Response:
    """A call past the guard: what is odd on purpose need not fit GitHub's description."""
    url = f"{world.running.api_url}/repos/acme/runbooks/{path}".rstrip("/")
    request = requests.Request(method, url, headers={"Authorization": "Bearer token-of-ada"}, **options).prepare()
    with requests.Session() as http:
        return http.get_adapter(url).send(request, timeout=30)


def test_odd_bodies(world: World) -> None:
    world.pull().add_to_labels("learner")
    world.branch("bob", "mine", {"a/b": "x"})
    chance = random.Random(7)
    for call in PATHS:
        method, path = call.split(" ")
        bodies: list[Any] = [{key: chance.choice(ODD) for key in KEYS} for _ in range(8)]
        for body in [*bodies, [], [1], "x", None, 7]:
            answer = send(world, method, path, json=body)
            assert answer.status_code < 500, (call, body, answer.text)


def test_odd_paths(world: World) -> None:
    paths = ["commits/{}", "commits/{}/status", "git/ref/{}", "git/refs/{}", "git/trees/{}", "git/blobs/{}"]
    paths += ["git/commits/{}", "git/matching-refs/{}", "branches/{}", "branches/{}/protection", "labels/{}"]
    paths += ["contents/{}", "contents/a?ref={}", "compare/{}...main", "compare/main...{}", "commits?author={}"]
    paths += [
        "commits?sha={}",
        "commits?path={}",
        "commits?since={}",
        "pulls?head={}",
        "pulls?page={}",
        "issues?labels={}",
    ]
    for odd in ("%00", "..%2f..", "-x", "--all", "a..b", "main%5E", "%ff", "HEAD%40%7B1%7D", "x" * 3000):
        for path in paths:
            answer = send(world, "GET", path.format(odd))
            assert answer.status_code < 500, (path, odd, answer.text)


def test_many_at_once(world: World) -> None:
    """Numbers stay unique and nothing is lost when everybody speaks at the same time."""
    pull = world.pull()
    approve(world, pull)

    def speak(n: int) -> int:
        if n % 4 == 0:
            return send(world, "POST", "issues/1/labels", json=[f"label-{n}"]).status_code
        return int(send(world, "POST", "issues", json={"title": f"T{n}"}).json()["number"])

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(speak, range(40)))
    numbers = [s for n, s in enumerate(said) if n % 4]
    assert len(set(numbers)) == 30
    assert len(world.repo("bob").get_issue(1).labels) == 10


def test_only_one_of_many_merges(world: World) -> None:
    approve(world, world.pull())
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: send(world, "PUT", "pulls/1/merge", json={}).status_code, range(6)))
    assert sorted(answers) == [200, 405, 405, 405, 405, 405]
