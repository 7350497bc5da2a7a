"""The pages over HTTP: who gets in, what is refused, and what a form does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import forge_scene as scene
import pytest
import requests
from forge_world import World
from test_forge_pulls import approve

from learner.local_forge.web.desk import inside, span
from learner.local_forge.web.sessions import TICKET_SECONDS, Sessions


class Browser:
    """A browser without a screen: cookies, and the headers that a browser sends with a form."""

    def __init__(self, world: World, login: str | None) -> None:
        self.url = world.running.url
        self.http = requests.Session()
        if login:
            assert self.post("/login", token=world.token(login)).ok

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.http.get(self.url + path, headers=headers, timeout=30)

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> requests.Response:
        sent = {"Origin": self.url, "Sec-Fetch-Site": "same-origin"} | (headers or {})
        return self.http.post(self.url + path, data=fields, headers={k: v for k, v in sent.items() if v}, timeout=30)

    def form(self, page: str, action: str, **fields: str) -> requests.Response:
        """Send the form of a page that has this action, with its hidden fields."""
        text = self.get(page).text
        found = re.search(rf'<form[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', text, re.S)
        assert found, f"{page} has no form for {action}"
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', found[1]))
        return self.post(action, **{**hidden, **fields})


PULL = "/acme/runbooks/pull/1"


@pytest.fixture
def browse(world: World) -> Iterator[Callable[[str | None], Browser]]:
    opened: list[Browser] = []

    def make(login: str | None) -> Browser:
        opened.append(Browser(world, login))
        return opened[-1]

    yield make
    for each in opened:
        each.http.close()


@pytest.mark.parametrize(
    "path", ["/", "/statistics", "/issues", PULL, "/acme/runbooks/blob/main/runbooks/linux/a.yaml"]
)
def test_strangers_are_sent_to_the_door(world: World, path: str) -> None:
    answer = requests.get(world.running.url + path, timeout=10, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (303, "/login")
    assert "version" not in answer.text


def test_a_login_link_works_once(world: World) -> None:
    link = world.running.login_url("ada")
    first = requests.get(link, timeout=10, allow_redirects=False)
    assert (first.status_code, first.headers["Location"]) == (303, "/")
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    again = requests.get(link, timeout=10)
    assert again.status_code == 401
    assert "was used before" in again.text


def test_tickets_and_sessions_grow_old() -> None:
    now = [1000.0]
    sessions = Sessions(lambda: now[0])
    ticket = sessions.ticket("ada")
    now[0] += TICKET_SECONDS + 1
    assert sessions.redeem(ticket) is None
    secret = sessions.open("ada")
    assert sessions.find(secret)
    now[0] += 13 * 3600
    assert sessions.find(secret) is None


def test_a_token_opens_the_door_and_a_wrong_one_does_not(browse: Callable[[str | None], Browser]) -> None:
    stranger = browse(None)
    assert stranger.post("/login", token="wrong").status_code == 401
    assert stranger.get("/").url.endswith("/login?then=/")
    ada = browse("ada")
    assert "Waiting for you" in ada.get("/").text
    assert ada.post("/logout").ok
    assert "Sign in" in ada.get("/").text


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil:{port}", ""]
)
@pytest.mark.parametrize(
    "path", ["/", "/api/v3/user", "/acme/runbooks.git/info/refs?service=git-upload-pack", "/static/style.css"]
)
def test_other_hosts_are_refused(world: World, host: str, path: str) -> None:
    headers = {"Host": host.format(port=world.running.port), "Authorization": "Bearer token-of-ada"}
    request = requests.Request("GET", world.running.url + path, headers=headers).prepare()
    with requests.Session() as http:
        answer = http.get_adapter(world.running.url).send(request, timeout=10)
    assert answer.status_code in (400, 421)


def test_localhost_is_loopback_too(world: World) -> None:
    answer = requests.get(f"{world.running.url}/login", headers={"Host": f"localhost:{world.running.port}"}, timeout=10)
    assert answer.status_code == 200


def test_headers_of_every_page(browse: Callable[[str | None], Browser]) -> None:
    for path in ("/", "/statistics", "/nothing/here", "/static/page.js"):
        answer = browse("ada").get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "<script>" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "", "Sec-Fetch-Site": ""},
    ],
)
def test_forms_of_other_pages_are_refused(
    world: World, browse: Callable[[str | None], Browser], headers: dict[str, str]
) -> None:
    world.pull()
    ada = browse("ada")
    text = ada.get(PULL).text
    csrf, head = (re.search(rf'name="{n}" value="([^"]+)"', text)[1] for n in ("csrf", "head"))  # type: ignore[index]
    answer = ada.post(f"{PULL}/review", headers, csrf=csrf, head=head, event="APPROVE")
    assert answer.status_code == 403
    assert ada.post("/login", headers, token="token-of-bob").status_code == 403
    assert world.repo("ada").get_pull(1).get_reviews().totalCount == 0


def test_a_form_without_its_secret_is_refused(world: World, browse: Callable[[str | None], Browser]) -> None:
    pull = world.pull()
    ada, bob = browse("ada"), browse("bob")
    theirs = re.search(r'name="csrf" value="([^"]+)"', bob.get(PULL).text)[1]  # type: ignore[index]
    for csrf in ("", "wrong", theirs):
        assert ada.post(f"{PULL}/review", csrf=csrf, head=pull.head.sha, event="APPROVE").status_code == 403


def test_a_session_is_no_key_to_the_api(browse: Callable[[str | None], Browser]) -> None:
    ada = browse("ada")
    assert ada.get("/api/v3/user").status_code == 401


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", None]
)
def test_the_door_leads_nowhere_else(target: str | None) -> None:
    assert inside(target) == "/"


def test_the_door_remembers_where_one_wanted_to_go(world: World, browse: Callable[[str | None], Browser]) -> None:
    stranger = browse(None)
    assert stranger.get("/statistics?x=1").url.endswith("/login?then=/statistics%3Fx%3D1")
    assert stranger.post("/login", token="token-of-ada", then="/statistics").url.endswith("/statistics")


def test_approve_and_merge(world: World, browse: Callable[[str | None], Browser]) -> None:
    world.pull()
    ada = browse("ada")
    page = ada.form(PULL, f"{PULL}/review", event="APPROVE", words="Good.\r\n\r\nReally.")
    assert "Approved. Thank you." in page.text
    review = world.repo("bob").get_pull(1).get_reviews()[0]
    assert (review.state, review.body) == ("APPROVED", "Good.\n\nReally.")
    page = ada.form(PULL, f"{PULL}/merge")
    assert "Merged. Executors run this version" in page.text
    assert world.repo("bob").get_pull(1).merged_by.login == "ada"
    assert "Merged (1)" in ada.get("/?state=merged").text


def test_nobody_decides_on_what_they_have_not_seen(world: World, browse: Callable[[str | None], Browser]) -> None:
    pull = world.pull()
    ada = browse("ada")
    csrf = re.search(r'name="csrf" value="([^"]+)"', ada.get(PULL).text)[1]  # type: ignore[index]
    world.repo("bob").create_file("more", "More", "x", branch="learner/fix-1")
    for deed in ("review", "merge"):
        answer = ada.post(f"{PULL}/{deed}", csrf=csrf, head=pull.head.sha, event="APPROVE", words="typed with care")
        assert answer.status_code == 409
        assert "The proposal changed since you loaded this page" in answer.text
        assert "typed with care" in answer.text
    assert world.repo("ada").get_pull(1).get_reviews().totalCount == 0


def test_request_changes_with_words_on_a_line(world: World, browse: Callable[[str | None], Browser]) -> None:
    world.pull()
    bob = browse("bob")
    empty = bob.form(PULL, f"{PULL}/review", event="REQUEST_CHANGES", words=" ")
    assert empty.status_code == 422
    remark = {"remark:RIGHT:2:runbooks/linux/a.yaml": "Why 2?", "remark:LEFT:2:runbooks/linux/a.yaml": " "}
    page = bob.form(PULL, f"{PULL}/review", event="REQUEST_CHANGES", words="See the line.", **remark)
    assert page.status_code == 200
    said = world.repo("ada").get_pull(1).get_review_comments()
    assert [(c.body, c.line, c.side) for c in said] == [("Why 2?", 2, "RIGHT")]
    assert page.text.count("Why 2?") == 2  # at its line, and in the conversation
    page = bob.form(PULL, f"{PULL}/reply/{said[0].id}", words="Because.")
    assert world.repo("ada").get_pull(1).get_review_comments().totalCount == 2
    outside = bob.form(
        PULL, f"{PULL}/review", event="COMMENT", words="", **{"remark:RIGHT:99:runbooks/linux/a.yaml": "?"}
    )
    assert "Line could not be resolved" in outside.text


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 422),
        ({"reason": "nonsense"}, 422),
        ({"reason": "other"}, 422),
        ({"reason": "dangerous", "words": "It kills -9."}, 200),
    ],
)
def test_close_with_a_reason(
    world: World, browse: Callable[[str | None], Browser], fields: dict[str, str], status: int
) -> None:
    world.pull()
    ada = browse("ada")
    page = ada.form(PULL, f"{PULL}/close", **fields)
    assert page.status_code == status
    pull = world.repo("ada").get_pull(1)
    if status == 200:
        assert (pull.state, [x.name for x in pull.labels]) == ("closed", ["rejected:dangerous"])
        assert pull.get_issue_comments()[0].body == "Closed: Dangerous: it may do harm.\n\nIt kills -9."
        assert "Open again" in ada.form(PULL, f"{PULL}/reopen").text
        assert world.repo("ada").get_pull(1).state == "open"
    else:
        assert pull.state == "open"


def test_readers_see_no_buttons_they_may_not_use(world: World, browse: Callable[[str | None], Browser]) -> None:
    world.pull()
    text = browse("rita").get(PULL).text
    assert f'action="{PULL}/merge"' not in text
    assert f'action="{PULL}/close"' not in text
    assert "Your approval does not count here" in text
    rita = browse("rita")
    csrf = re.search(r'name="csrf" value="([^"]+)"', rita.get(PULL).text)[1]  # type: ignore[index]
    head = world.repo("rita").get_pull(1).head.sha
    assert rita.post(f"{PULL}/merge", csrf=csrf, head=head).status_code == 403
    assert rita.post(f"{PULL}/close", csrf=csrf, reason="wrong").status_code == 403


def test_ones_own_proposal_can_not_be_approved(world: World, browse: Callable[[str | None], Browser]) -> None:
    world.branch("bob", "mine", {"a": "b"})
    world.repo("bob").create_pull(title="T", body="", base="main", head="mine")
    bob = browse("bob")
    assert 'value="APPROVE"' not in bob.get(PULL).text
    assert "Can not approve your own pull request" in bob.form(PULL, f"{PULL}/review", event="APPROVE").text


def test_text_of_others_stays_text(world: World, browse: Callable[[str | None], Browser]) -> None:
    evil = '<script>alert(1)</script><img src=x onerror=alert(2)><a href="javascript:alert(3)">x</a>'
    pull = world.pull(title=f"T {evil}", body=evil, files={f"runbooks/{'x' * 5}<b>.yaml": evil})
    pull.create_issue_comment(evil)
    approve(world, pull)
    page = browse("ada").get(PULL).text
    assert "<script>alert" not in page
    assert not re.search(r"<[^>]*onerror", page)
    assert 'href="javascript' not in page
    assert "&lt;script&gt;alert(1)" in page  # the title and the diff show it as it is


def test_the_list_is_sorted_filtered_and_counted(world: World, browse: Callable[[str | None], Browser]) -> None:
    scene.live_in(world)
    ada = browse("ada")
    page = ada.get("/").text
    assert re.findall(r'<h2><a href="/acme/runbooks/pull/(\d+)">', page) == ["1", "2", "5", "4"]
    for words in ("Waiting for review", "Ready to merge", "Changes requested", "Conflicts", "1 of high priority"):
        assert words in page
    assert re.findall(r'<h2><a href="/acme/runbooks/pull/(\d+)">', ada.get("/?priority=medium").text) == ["2", "5"]
    assert re.findall(r'<h2><a href="/acme/runbooks/pull/(\d+)">', ada.get("/?q=disk+journal").text) == ["5"]
    assert re.findall(r'<h2><a href="/acme/runbooks/pull/(\d+)">', ada.get("/?standing=conflicts").text) == ["4"]
    assert "Nothing matches" in ada.get("/?q=zebra").text
    assert re.findall(r'<h2><a href="/acme/runbooks/pull/(\d+)">', ada.get("/?state=merged").text) == ["3"]


def test_all_that_decides_is_on_the_page(world: World, browse: Callable[[str | None], Browser]) -> None:
    scene.live_in(world)
    page = browse("ada").get(PULL).text
    for words in (
        "path /run/{{ service }}/{{ service }}.pid (remove)",
        "A file is removed; only when its process is dead.",
        "3 of 3 recorded failures would be fixed",
        "55% recorded",
        "new step",
        "changed step",
        "pidfile /run/web/web.pid exists",
        "services.web",
        "nor in an archive",
        "2 attempts",
        'class="flowchart"',
        "patterns/stale-pid-file",
        "At least 1 approving review is required",
    ):
        assert words in page.replace("&#39;", "'"), words
    assert "learner:proposal" not in page


def test_statistics(world: World, browse: Callable[[str | None], Browser]) -> None:
    scene.live_in(world)
    ada = browse("ada")
    ada.form("/acme/runbooks/pull/5", "/acme/runbooks/pull/5/close", reason="duplicate")
    page = ada.get("/statistics").text
    numbers = dict(re.findall(r"<dt>([^<]+)</dt>\s*<dd[^>]*>([^<]+)</dd>", page))
    assert numbers["Waiting"] == "3"
    assert numbers["High priority waiting"] == "1"
    assert (numbers["Approved"], numbers["Rejected"], numbers["Approval rate"]) == ("1", "1", "50%")
    assert ">duplicate<" in page


def test_files_and_commits(world: World, browse: Callable[[str | None], Browser]) -> None:
    scene.first_runbooks(world)
    world.branch("bob", "with/slash", {"page.html": "<script>alert(1)</script>"})
    ada, base = browse("ada"), "/acme/runbooks"
    assert "RB-LIN-SERVICE-001" in ada.get(f"{base}/blob/main/runbooks/linux/service-crash.yaml").text
    assert "&lt;script&gt;" in ada.get(f"{base}/blob/with/slash/page.html").text
    raw = ada.get(f"{base}/raw/with/slash/page.html")
    assert raw.headers["Content-Type"].startswith("text/plain")
    assert "sandbox" in raw.headers["Content-Security-Policy"]
    assert "disk-full.yaml" in ada.get(f"{base}/tree/main/runbooks/linux").text
    sha = world.repo("ada").get_branch("main").commit.sha
    assert "Three runbooks" in ada.get(f"{base}/commit/{sha}").text
    for path in ("blob/main/none", "blob/nowhere/x", f"commit/{'0' * 40}", "raw/main/runbooks", "pull/99", "issues/99"):
        assert ada.get(f"{base}/{path}").status_code == 404
    assert ada.get("/other/repo/pull/1").status_code == 404


def test_issues_can_be_read_and_answered(world: World, browse: Callable[[str | None], Browser]) -> None:
    world.repo("bob").create_issue("Backlog above 10", "| a |\n|---|\n| 12 |", labels=["alert"])
    ada, path = browse("ada"), "/acme/runbooks/issues/1"
    assert "Backlog above 10" in ada.get("/issues").text
    assert "<td>12</td>" in ada.get(path).text
    ada.form(path, f"{path}/comment", words="On it.", close="1")
    issue = world.repo("bob").get_issue(1)
    assert (issue.state, issue.get_comments()[0].body) == ("closed", "On it.")
    assert "Backlog above 10" in ada.get("/issues?state=closed").text


def test_bodies_have_a_limit(world: World) -> None:
    big = b"x" * (41 * 1024 * 1024)
    answer = world.call("bob", "POST", "git/blobs", data=big)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "under a minute"), (61, "1 minute"), (7200, "2 hours"), (86400 * 40, "1 month"), (-5, "under a minute")],
)
def test_lengths_of_time(seconds: float, words: str) -> None:
    assert span(seconds) == words
