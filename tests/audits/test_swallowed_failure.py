"""swallowed-failure: hidden instead of repaired."""

from __future__ import annotations

from typing import Any

import pytest

from tests.audits.books import START, book, command, edit, found, script
from tests.samples import result

RULE = "swallowed-failure"
BY = edit({"op": "set_timeout", "step_id": "start", "timeout_seconds": 60})


def verdict(old: list[dict[str, Any]], new: list[dict[str, Any]], failed: str = "start", code: int = 1) -> str:
    steps = [
        {
            "step_number": 1,
            "step_id": failed,
            "action": "start_service",
            "success": False,
            "exit_code": code,
            "error": "x",
        }
    ]
    findings = found(RULE, book(*old), book(*new, version=2), result(executed_steps=steps), edit=BY)
    return findings[0].level.value if findings else "quiet"


RUN = {**command("webctl", "start"), "id": "start"}


@pytest.mark.parametrize(
    "new",
    [
        {**START, "on_failure": "continue"},
        {**START, "when": "false"},
        {**START, "when": "1 == 2"},
        {**START, "when": "not true"},
        {**START, "when": "state.services.web != 'running' and false"},
        {**START, "when": "'a' == 'b'"},
    ],
)
def test_hiding_the_failing_step_is_blocked(new: dict[str, Any]) -> None:
    assert verdict([START], [new]) == "block"


def test_accepting_the_failing_code_is_blocked() -> None:
    accepting = {**RUN, "params": {**RUN["params"], "success_exit_codes": [0, 7]}}
    assert verdict([RUN], [accepting], code=7) == "block"
    assert verdict([RUN], [accepting], code=1) == "warning"
    assert (
        verdict([RUN], [{**RUN, "params": {**RUN["params"], "success_exit_codes": list(range(256))}}], code=1)
        == "block"
    )
    assert verdict([RUN], [{**RUN, "params": {**RUN["params"], "success_exit_codes": "{{ [1] }}"}}]) == "block"


def test_removing_the_failing_step_is_blocked() -> None:
    other = {"id": "look", "action": "check_service_status", "params": {"name": "web"}}
    assert verdict([START, other], [other]) == "block"
    assert verdict([START, other], [START]) == "warning"


def test_loosened_waiting() -> None:
    waiting = {**RUN, "retry": {"attempts": 3, "until": "steps.start.stdout == 'ready'"}}
    assert verdict([waiting], [{**RUN, "retry": {"attempts": 3}}]) == "block"
    assert verdict([waiting], [{**RUN, "retry": {"attempts": 3, "until": "true"}}]) == "block"
    assert verdict([waiting], [{**RUN, "retry": {"attempts": 9, "until": "steps.start.stdout == 'ready'"}}]) == "quiet"


@pytest.mark.parametrize(
    "end", [" || true", " || :", "; true", "; exit 0", " || exit 0", " 2>/dev/null || echo failed"]
)
def test_errors_thrown_away_in_a_script(end: str) -> None:
    old = {**script("webctl start"), "id": "start"}
    assert verdict([old], [{**script("webctl start" + end), "id": "start"}]) == "block"
    assert verdict([old], [{**script("set +e\nwebctl start"), "id": "start"}]) == "block"


@pytest.mark.parametrize(
    "new",
    [
        [{**START, "timeout_seconds": 60}],
        [{**START, "retry": {"attempts": 3}}],
        [{"id": "clear", "action": "remove_file", "params": {"path": "/run/web/web.pid"}}, START],
        [{**START, "id": "begin"}],
        [{"id": "clear", "action": "remove_file", "params": {"path": "/x"}, "on_failure": "continue"}, START],
    ],
)
def test_honest_work_passes(new: list[dict[str, Any]]) -> None:
    assert verdict([START], new) == "quiet"


def test_a_condition_on_the_failing_step_is_noticed() -> None:
    assert verdict([START], [{**START, "when": "state.services.web != 'running'"}]) == "notice"


def test_going_on_elsewhere_warns() -> None:
    assert verdict([START], [{**START, "on_failure": "continue"}], failed="other") == "warning"


def test_going_on_where_something_else_takes_over_warns() -> None:
    passed = {**START, "on_failure": "continue"}
    other = {"id": "other", "action": "restart_service", "params": {"name": "web"}, "when": "not steps.start.success"}
    assert verdict([START], [passed, other]) == "warning"
    assert verdict([START], [passed, {**other, "when": None}]) == "block"
    assert (
        verdict(
            [START],
            [passed, {"id": "other", "action": "wait", "params": {"seconds": 1}, "when": "not steps.start.success"}],
        )
        == "block"
    )
    looks = {"id": "start", "action": "check_port", "params": {"port": 80}}
    repair = {"id": "repair", "action": "restart_service", "params": {"name": "web"}}
    assert verdict([looks, repair], [{**looks, "on_failure": "continue"}, repair]) == "warning"
    assert verdict([repair, looks], [repair, {**looks, "on_failure": "continue"}]) == "block"


def test_a_later_assertion_keeps_the_failure_visible() -> None:
    passed = {**START, "on_failure": "continue"}
    tidy = {"id": "tidy", "action": "stop_service", "params": {"name": "x"}}
    claim = {"id": "claim", "action": "assert", "params": {"that": "{{ steps.start.success }}"}}
    assert verdict([START], [passed, tidy, claim]) == "notice"
    for hollow in (
        {**claim, "on_failure": "continue"},
        {**claim, "when": "steps.start.success"},
        {**claim, "params": {"that": "{{ steps.start.success or true }}"}},
        {**claim, "params": {"that": "{{ not steps.start.success }}"}},
    ):
        assert verdict([START], [passed, tidy, hollow]) == "block"


STOP = {"id": "stop", "action": "stop_service", "params": {"name": "web"}}
LOOK = {"id": "look", "action": "check_port", "params": {"port": 80}}


def ran(*steps: tuple[dict[str, Any], bool]) -> list[dict[str, Any]]:
    return [
        {"step_number": n, "step_id": step["id"], "action": step["action"], "success": worked}
        for n, (step, worked) in enumerate(steps, start=1)
    ]


def removal(gone: dict[str, Any], *kept: dict[str, Any], worked: bool = True) -> list[tuple[str, str]]:
    run = result(executed_steps=ran((gone, worked), (START, False)))
    findings = found(RULE, book(gone, START), book(*kept, START, version=2), run, edit=BY)
    return [(finding.level.value, finding.message) for finding in findings]


def test_a_machine_takes_no_step_away_that_worked() -> None:
    assert removal(STOP) == [("block", "a step that worked is removed")]


def test_a_step_of_its_kind_may_take_its_place_and_a_look_may_go() -> None:
    other = {**STOP, "id": "stop_first", "params": {"name": "db"}}
    assert all(level != "block" for level, _ in removal(STOP, other))
    assert removal(LOOK) == [("warning", "a step that did not fail is removed")]
