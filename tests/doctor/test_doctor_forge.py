"""What the doctor says of a forge: GitHub's own answers, as its API description shows them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from learner.doctor import Check, forge
from learner.forge.gateway import Gateway
from learner.local_forge.protection import Protection
from learner.settings import ForgeSettings
from tests.openapi_guard import guarding
from tests.places import Place, place  # noqa: F401

PAGE = "/api/v3/repos/acme/runbooks"
REVIEWS = {
    "dismiss_stale_reviews_on_push": True,
    "require_code_owner_review": True,
    "require_last_push_approval": True,
    "required_approving_review_count": 1,
    "required_review_thread_resolution": False,
}
RULES = [
    {"type": "pull_request", "ruleset_id": 7, "ruleset_source": "acme/runbooks", "parameters": REVIEWS},
    {"type": "non_fast_forward", "ruleset_id": 7, "ruleset_source": "acme/runbooks"},
    {"type": "deletion", "ruleset_id": 7, "ruleset_source": "acme/runbooks"},
]
RULESET = {"id": 7, "name": "main", "source": "acme/runbooks", "source_type": "Repository", "enforcement": "active"}
CLOSED = RULESET | {"bypass_actors": []}
OPEN = RULESET | {"bypass_actors": [{"actor_type": "Integration", "actor_id": 99, "bypass_mode": "always"}]}


def ask(server: HTTPServer, answers: Mapping[str, Any]) -> list[Check]:
    """The doctor's checks on a forge that answers these paths, and 403 to every other."""
    for path, answer in answers.items():
        server.expect_request(PAGE + path).respond_with_json(answer)
    refusal = {"message": "Resource not accessible by integration", "documentation_url": "https://docs.github.com/rest"}
    whole = {
        "full_name": "acme/runbooks",
        "url": server.url_for(PAGE),
        "allow_squash_merge": False,
        "allow_rebase_merge": False,
        "allow_merge_commit": True,
    }
    server.expect_request(PAGE).respond_with_json(whole)
    server.expect_request("/api/v3/user").respond_with_json({"login": "dana", "type": "User"})
    branch = {"name": "main", "protection_url": server.url_for(f"{PAGE}/branches/main/protection")}
    server.expect_request(f"{PAGE}/branches/main").respond_with_json(
        branch | {"url": server.url_for(f"{PAGE}/branches/main")}
    )
    for path in (
        "/branches/main/protection",
        "/rules/branches/main",
        "/rulesets/7",
        "/rulesets/8",
        "/codeowners/errors",
        "/actions/permissions/workflow",
    ):
        if path not in answers:
            server.expect_request(PAGE + path).respond_with_json(refusal, status=403)
    settings = ForgeSettings(api_url=server.url_for("/api/v3").rstrip("/"))
    return list(forge.checks(Gateway(settings, "acme/runbooks", "x", retries=0), "main"))


def of(checks: list[Check], name: str) -> list[tuple[str, str]]:
    return [(check.state, check.words) for check in checks if check.name == name]


def test_a_ruleset_that_nobody_may_pass_by_is_enough(httpserver: HTTPServer) -> None:
    found = ask(httpserver, {"/rules/branches/main": RULES, "/rulesets/7": CLOSED})
    assert of(found, "protection") == [("ok", "main takes only what people reviewed")]


def test_an_app_on_the_bypass_list_is_named(httpserver: HTTPServer) -> None:
    found = ask(httpserver, {"/rules/branches/main": RULES, "/rulesets/7": OPEN})
    assert of(found, "protection") == [("warn", "Integration 99 may pass by the ruleset “main” of main")]


def test_a_bypass_of_one_guard_does_not_matter_where_another_demands_the_same(httpserver: HTTPServer) -> None:
    second = [copy.deepcopy(rule) | {"ruleset_id": 8} for rule in RULES]
    answers = {"/rules/branches/main": [*RULES, *second], "/rulesets/7": OPEN, "/rulesets/8": CLOSED | {"id": 8}}
    assert of(ask(httpserver, answers), "protection") == [("ok", "main takes only what people reviewed")]


def test_a_bypass_list_that_cant_be_seen_is_told(httpserver: HTTPServer) -> None:
    found = ask(
        httpserver, {"/rules/branches/main": RULES, "/rulesets/7": RULESET | {"current_user_can_bypass": "never"}}
    )
    ((state, words),) = of(found, "protection")
    assert state == "ok"
    assert words.endswith("who may pass by the ruleset “main” is not visible to this token")


def test_one_who_may_pass_by_it_themselves_is_told(httpserver: HTTPServer) -> None:
    held = RULESET | {"current_user_can_bypass": "always"}
    found = ask(httpserver, {"/rules/branches/main": RULES, "/rulesets/7": held})
    assert of(found, "protection") == [("warn", "dana may pass by the ruleset “main” of main")]


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("required_approving_review_count", 0, "at least one approval"),
        ("dismiss_stale_reviews_on_push", False, "approvals dismissed when the branch moves"),
        ("require_code_owner_review", False, "a code owner's review"),
        ("require_last_push_approval", False, "an approval by somebody else than the last pusher"),
    ],
)
def test_what_a_ruleset_does_not_demand_is_missing(
    httpserver: HTTPServer, setting: str, value: object, words: str
) -> None:
    rules = copy.deepcopy(RULES)
    rules[0]["parameters"] = REVIEWS | {setting: value}
    found = ask(httpserver, {"/rules/branches/main": rules, "/rulesets/7": CLOSED})
    assert of(found, "protection") == [("warn", f"main lacks: {words}")]


def test_a_branch_that_takes_pushes_is_bad(httpserver: HTTPServer) -> None:
    found = ask(httpserver, {"/rules/branches/main": RULES[1:], "/rulesets/7": CLOSED})
    assert of(found, "protection") == [("bad", "main takes commits without a pull request")]


def test_administrators_who_may_pass_by_the_older_protection_are_told(httpserver: HTTPServer) -> None:
    reviews = {
        "url": "https://api.github.com/x",
        "dismiss_stale_reviews": True,
        "require_code_owner_reviews": True,
        "require_last_push_approval": True,
        "required_approving_review_count": 1,
        "bypass_pull_request_allowances": {"users": [], "teams": [], "apps": [{"slug": "learner"}]},
    }
    held = {
        "required_pull_request_reviews": reviews,
        "enforce_admins": {"url": "https://api.github.com/x", "enabled": False},
    }
    found = ask(httpserver, {"/branches/main/protection": held, "/rules/branches/main": []})
    assert of(found, "protection") == [("warn", "administrators, learner may pass by the branch protection of main")]


def test_nothing_visible_is_no_all_clear(httpserver: HTTPServer, capfd: pytest.CaptureFixture[str]) -> None:
    found = ask(httpserver, {})
    assert of(found, "protection") == [("warn", "main is unprotected, or this token may not see it")]
    assert not of(found, "actions")
    assert capfd.readouterr() == ("", "")


def test_what_actions_may_do_and_owners_that_are_ignored(httpserver: HTTPServer) -> None:
    wrong = {
        "line": 3,
        "column": 14,
        "kind": "Unknown owner",
        "source": "/runbooks/ @acme/gone\n",
        "message": "…",
        "path": ".github/CODEOWNERS",
    }
    allowed = {"default_workflow_permissions": "write", "can_approve_pull_request_reviews": True}
    found = ask(httpserver, {"/codeowners/errors": {"errors": [wrong]}, "/actions/permissions/workflow": allowed})
    assert of(found, "code owners") == [("warn", ".github/CODEOWNERS:3: Unknown owner: /runbooks/ @acme/gone")]
    assert of(found, "actions") == [
        ("warn", "every workflow may open and approve pull requests"),
        ("warn", "workflows have a write token unless they say otherwise"),
    ]


def test_every_question_is_one_that_github_knows(place: Place) -> None:  # noqa: F811
    with guarding() as seen:
        found = list(forge.checks(place.gateway("dana"), "main"))
    assert {template for _, template, _ in seen.calls} >= {
        "/repos/{owner}/{repo}/branches/{branch}",
        "/repos/{owner}/{repo}/rules/branches/{branch}",
        "/repos/{owner}/{repo}/rulesets/{ruleset_id}",
        "/repos/{owner}/{repo}/codeowners/errors",
        "/repos/{owner}/{repo}/actions/permissions/workflow",
    }
    assert of(found, "protection") == [("ok", "main takes only what people reviewed")]


def test_the_local_forge_tells_who_may_pass_by(place: Place) -> None:  # noqa: F811
    place.forge.forge.protect("main", replace(Protection(), enforce_admins=False))
    with guarding():
        assert [check.state for check in forge.checks(place.gateway("dana"), "main") if check.name == "protection"] == [
            "warn",
            "warn",
        ]
        (told,) = [check for check in forge.checks(place.gateway("learner"), "main") if check.name == "protection"]
    assert told.words.endswith("is not visible to this token")
