"""idempotence: steps that must not run twice."""

from __future__ import annotations

from tests.audits.books import START, book, command, found, level, script, step

RULE = "idempotence"


def test_a_command_without_a_condition_is_noticed() -> None:
    assert level(RULE, command("webctl", "init")) == "notice"
    assert level(RULE, script("webctl init")) == "notice"


def test_a_condition_or_an_idempotent_action_passes() -> None:
    assert level(RULE, {**command("webctl", "init"), "when": "not state.files['/var/lib/web'].exists"}) == "quiet"
    assert level(RULE, step("create_directory", path="/run/web")) == "quiet"
    assert level(RULE, step("check_port", port=80)) == "quiet"


def test_a_condition_that_goes_and_a_retry_that_comes() -> None:
    guarded = {**command("webctl", "init"), "when": "state.services.web != 'running'"}
    assert found(RULE, book(guarded), book(command("webctl", "init"), version=2))
    plain = command("webctl", "init")
    assert found(RULE, book(plain), book({**plain, "retry": {"attempts": 3}}, version=2))
    assert not found(RULE, book(plain, START), book(plain, {**START, "timeout_seconds": 9}, version=2))
