"""Results that say little: what is missing is inferred where it can be, and the verdict's words name it."""

from __future__ import annotations

from typing import Any

import pytest

from learner.replay import replay
from tests.replay.runbooks import PIDFILE, START, failed, record, runbook, succeeded

PARENT = runbook()
REMOVE_PID = {"id": "clear", "action": "remove_file", "params": {"path": "/run/web/web.pid", "only_if": "stale_pid"}}
ELSEWHERE = {"id": "make", "action": "create_directory", "params": {"path": "/srv/elsewhere"}}
LOOK = {"id": "look", "action": "check_service_status", "params": {"name": "{{ service }}"}}
REFUSED = "could not connect to server: connection refused, is it running on port 5433?"


def bare(number: int, step: dict[str, Any], *, success: bool, **more: Any) -> dict[str, Any]:
    """A record without the parameters it was rendered with."""
    return record(number, step, success=success, params={}, **more)


def without_parameters(**changes: Any) -> Any:
    return failed(**({"parameters": {}} | changes))


def without_rendered(error: str = PIDFILE) -> Any:
    """A run that looked, then failed to start, and says of neither with what."""
    steps = [bare(1, LOOK, success=True), bare(2, START, success=False, error=error)]
    return failed(error, executed_steps=steps, error_step=2)


def without_both(error: str = PIDFILE) -> Any:
    steps = [bare(1, LOOK, success=True), bare(2, START, success=False, error=error)]
    return failed(error, executed_steps=steps, error_step=2, parameters={})


LOOKING = runbook(LOOK, START)


@pytest.mark.parametrize(
    ("parent", "old", "lacking"),
    [
        (PARENT, without_parameters(), ["parameters"]),
        (LOOKING, without_rendered(), ["rendered parameters"]),
        (PARENT, failed(executed_steps=[bare(1, START, success=False, error=PIDFILE)]), ["rendered parameters"]),
        (LOOKING, without_both(), ["parameters", "rendered parameters"]),
        (PARENT, failed(executed_steps=[], parameters={}), ["steps", "parameters"]),
    ],
)
def test_what_an_old_result_lacks_is_inferred_and_said(parent: Any, old: Any, lacking: list[str]) -> None:
    steps = [step.model_dump(exclude_none=True, mode="json") for step in parent.runbook.steps]
    same = replay(parent, runbook(*steps, name="Other words", version=2), [old], [])
    repaired = replay(parent, runbook(*steps[:-1], REMOVE_PID, steps[-1], version=2), [old], [])
    useless = replay(parent, runbook(*steps[:-1], ELSEWHERE, steps[-1], version=2), [old], [])
    assert [same.verdict, repaired.verdict, useless.verdict] == ["unchanged", "fixed", "unchanged"]
    assert useless.refuses
    for found in (same, repaired, useless):
        said = found.summary.partition("the results lack ")[2].partition(
            ", which were inferred as far as they could be"
        )[0]
        assert set(lacking) <= set(said.split(", ")), found.summary


def test_a_whole_result_lacks_nothing() -> None:
    found = replay(PARENT, runbook(REMOVE_PID, START, version=2), [failed()], [succeeded()])
    assert "lack" not in found.summary


def test_a_parameter_is_read_off_what_a_template_was_rendered_to() -> None:
    """The service is `web`, whatever the result's parameters leave out: a repair that names it meets the recorded facts."""
    guarded = {**REMOVE_PID, "when": "state.services[service] != 'running'"}
    down = without_parameters(state_before={"services": {"web": "failed"}})
    assert replay(PARENT, runbook(guarded, START, version=2), [down], []).verdict == "fixed"
    up = without_parameters(state_before={"services": {"web": "running"}})
    assert replay(PARENT, runbook(guarded, START, version=2), [up], []).verdict == "unchanged"


def test_an_old_success_is_held_against_the_candidate_too() -> None:
    old = succeeded(bare(1, START, success=True), parameters={})
    kept = replay(PARENT, runbook(REMOVE_PID, START, version=2), [failed()], [old])
    assert kept.verdict == "fixed"
    assert "the results lack parameters, rendered parameters" in kept.summary
    slow = succeeded(bare(1, START, success=True, duration_seconds=40.0), parameters={})
    quick = runbook({**START, "timeout_seconds": 10}, version=2)
    assert replay(PARENT, quick, [], [slow]).verdict == "breaks"


def test_time_helps_an_old_result_as_it_helps_a_new_one() -> None:
    wait = {"id": "pause", "action": "wait", "params": {"seconds": 30}}
    quick = {**START, "timeout_seconds": 5}
    late = {"timed_out": True, "duration_seconds": 5.0, "params": {}}
    old = failed("timed out", step=quick, record=late, parameters={})
    patient = runbook({**quick, "timeout_seconds": 60}, version=2)
    assert replay(runbook(quick), patient, [old], []).verdict == "plausible"
    refused = failed(REFUSED, parameters={}, record={"params": {}})
    assert replay(PARENT, runbook(wait, START, version=2), [refused], []).verdict == "plausible"
    # a useless directory gives no time, and a wait behind the failing step comes too late
    assert replay(PARENT, runbook(ELSEWHERE, START, version=2), [refused], []).verdict == "unchanged"
    assert replay(PARENT, runbook(START, wait, version=2), [refused], []).verdict == "unchanged"
