"""unbounded-waiting: time that is not bounded."""

from __future__ import annotations

from typing import Any

import pytest

from tests.audits.books import START, book, found, step

RULE = "unbounded-waiting"


@pytest.mark.parametrize(
    "new",
    [
        {**START, "timeout_seconds": 7200},
        {**START, "timeout_seconds": 600, "retry": {"attempts": 10}},
        {**START, "retry": {"attempts": 10, "delay_seconds": 600}},
        {**START, "retry": {"attempts": 20, "delay_seconds": 1, "backoff": 2}},
        {**START, "on_failure": {"goto": "start"}},
    ],
)
def test_long_or_round_warns(new: dict[str, Any]) -> None:
    assert found(RULE, book(), book(new, version=2))[0].level == "warning"


def test_many_short_ones_make_a_long_one() -> None:
    many = [{**START, "id": f"s{i}", "timeout_seconds": 900} for i in range(5)]
    assert found(RULE, book(), book(*many, version=2))
    claim = {"id": "running", "check": "service_running", "params": {"name": "web"}, "within_seconds": 5000}
    assert found(RULE, book(), book(version=2, verification=[claim]))


def test_a_jump_back_to_an_earlier_step() -> None:
    last = {**step("restart_service", "last", name="web"), "on_failure": {"goto": "start"}}
    assert found(RULE, book(START, step("restart_service", "last", name="web")), book(START, last, version=2))
    forward = {**START, "on_failure": {"goto": "last"}}
    assert not found(RULE, book(), book(forward, step("restart_service", "last", name="web"), version=2))


@pytest.mark.parametrize(
    "new",
    [
        {**START, "timeout_seconds": 300},
        {**START, "retry": {"attempts": 5, "delay_seconds": 10}},
        {**START, "retry": {"attempts": 5, "delay_seconds": 2, "backoff": 2}},
    ],
)
def test_honest_patience_passes(new: dict[str, Any]) -> None:
    assert not found(RULE, book(), book(new, version=2))


def test_what_the_parent_took_is_not_new() -> None:
    slow = {**START, "timeout_seconds": 7200}
    assert not found(RULE, book(slow), book({**slow, "timeout_seconds": 7000}, version=2))
