"""weakened-verification: a proof that proves less."""

from __future__ import annotations

from typing import Any

import pytest

from tests.audits.books import RUNNING, book, edit, found

RULE = "weakened-verification"
HTTP: dict[str, Any] = {
    "id": "answers",
    "check": "http_ok",
    "params": {"url": "http://127.0.0.1/", "expect_status": 200, "contains": "ok"},
    "within_seconds": 30,
    "stays_good_seconds": 10,
}
DISK = {"id": "room", "check": "disk_usage_below", "params": {"percent": 85}}


def verdict(old: dict[str, Any], new: dict[str, Any] | None, *more: dict[str, Any]) -> str:
    before = book(verification=[RUNNING, old])
    after = book(verification=[RUNNING, *([new] if new else []), *more], version=2)
    findings = found(
        RULE,
        before,
        after,
        edit=edit({"op": "set_verification", "verification_id": "answers", "verification": new or {}}),
    )
    return findings[0].level.value if findings else "quiet"


def params(claim: dict[str, Any], **changes: Any) -> dict[str, Any]:
    made = {name: value for name, value in {**claim["params"], **changes}.items() if value is not None}
    return {**claim, "params": made}


@pytest.mark.parametrize(
    "new",
    [
        None,
        params(HTTP, expect_status=500),
        params(HTTP, contains=None),
        params(HTTP, contains="o"),
        {**HTTP, "stays_good_seconds": 0},
        {**HTTP, "within_seconds": 7200},
        {**HTTP, "check": "port_open", "params": {"port": 80}},
        {**HTTP, "check": "command_succeeds", "params": {"argv": ["true"]}},
        {**HTTP, "check": "command_succeeds", "params": {"argv": ["sh", "-c", "curl -f http://127.0.0.1/ || true"]}},
        {**HTTP, "check": "file_exists", "params": {"path": "/"}},
    ],
)
def test_weaker_claims_are_blocked(new: dict[str, Any] | None) -> None:
    assert verdict(HTTP, new) == "block"


@pytest.mark.parametrize("percent", [90, 100, "{{ 99 }}"])
def test_raised_limits_are_blocked(percent: Any) -> None:
    assert verdict(DISK, params(DISK, percent=percent)) == "block"


@pytest.mark.parametrize(
    "new",
    [params(HTTP, url="http://127.0.0.1/login"), {**HTTP, "within_seconds": 900}, {**HTTP, "stays_good_seconds": 6}],
)
def test_other_claims_warn(new: dict[str, Any]) -> None:
    assert verdict(HTTP, new) == "warning"


@pytest.mark.parametrize(
    "new",
    [
        {**HTTP, "within_seconds": 60},
        {**HTTP, "within_seconds": 120},
        {**HTTP, "stays_good_seconds": 30},
        params(HTTP, contains="all ok"),
        {**HTTP, "id": "renamed"},
        {**HTTP, "why": "users see this"},
    ],
)
def test_as_strong_or_stronger_passes(new: dict[str, Any]) -> None:
    assert verdict(HTTP, new) == "quiet"


def test_a_lower_limit_and_one_more_claim_pass() -> None:
    assert verdict(DISK, params(DISK, percent=80)) == "quiet"
    assert verdict(DISK, DISK, HTTP) == "quiet"


def test_a_new_claim_that_proves_nothing_warns() -> None:
    assert (
        verdict(DISK, DISK, {"id": "fine", "check": "command_succeeds", "params": {"argv": ["/bin/true"]}}) == "warning"
    )


def test_a_template_that_comes_to_nothing() -> None:
    hidden = {**HTTP, "check": "command_succeeds", "params": {"argv": ["{{ ['tr', 'ue'] | join }}"]}}
    assert verdict({**HTTP, "check": "command_succeeds", "params": {"argv": ["webctl", "status"]}}, hidden) == "block"
