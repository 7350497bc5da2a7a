"""What becomes of recorded runs under a candidate."""

from __future__ import annotations

from typing import Any

import pytest

from learner.replay import replay
from learner.replay.world import concerns
from tests.replay.runbooks import PIDFILE, RUNNING, START, failed, record, runbook, succeeded

PARENT = runbook()
REMOVE_PID = {"id": "clear", "action": "remove_file", "params": {"path": "/run/web/web.pid", "only_if": "stale_pid"}}


def step(id: str, action: str, **params: Any) -> dict[str, Any]:
    return {"id": id, "action": action, "params": params}


def test_removing_the_file_that_the_error_names_fixes_it() -> None:
    found = replay(PARENT, runbook(REMOVE_PID, START, version=2), [failed()], [succeeded()])
    assert found.verdict == "fixed"
    assert [run.becomes for run in found.runs] == ["fixed", "still_succeeds"]
    assert found.assumed == 0
    assert found.implied > 0
    assert not found.refuses


def test_a_useless_step_elsewhere_saves_nothing() -> None:
    found = replay(PARENT, runbook(step("make", "create_directory", path="/tmp/x"), START, version=2), [failed()], [])
    assert found.verdict == "unchanged"
    assert found.refuses
    assert "comes round as it was" in found.runs[0].reason


@pytest.mark.parametrize(
    "useless",
    [
        step("make", "create_directory", path="/run/web.d"),
        step("make", "create_directory", path="/run"),
        step("make", "remove_file", path="/run/web/web.pid.old"),
        step("look", "check_service_status", name="web"),
        step("dns", "flush_dns_cache"),
        step("line", "ensure_line", path="/etc/motd", line="hello"),
        step("log", "write_file", path="/var/log/web.txt", content="x"),
        step("say", "escalate", message="look here"),
        step("make", "create_directory", path="/run/web/web.pid"),
    ],
)
def test_steps_that_touch_nothing_of_the_error_save_nothing(useless: dict[str, Any]) -> None:
    found = replay(PARENT, runbook(useless, START, version=2), [failed()], [])
    assert found.verdict == "unchanged", found.summary


def test_no_change_at_all_is_unchanged() -> None:
    assert replay(PARENT, PARENT, [failed()], [succeeded()]).verdict == "unchanged"


def test_the_same_attempt_under_another_name_is_the_same_attempt() -> None:
    renamed = {**START, "id": "begin"}
    assert replay(PARENT, runbook(renamed, version=2), [failed()], []).verdict == "unchanged"


def test_the_same_aim_by_another_action_meets_the_same_obstacle() -> None:
    candidate = runbook(step("start", "restart_service", name="{{ service }}"), version=2)
    found = replay(PARENT, candidate, [failed()], [])
    assert found.verdict == "unchanged"
    assert "nothing is new about it" in found.runs[0].reason


def test_another_action_for_the_same_aim_is_plausible_when_the_error_names_nothing() -> None:
    candidate = runbook(step("start", "restart_service", name="{{ service }}"), version=2)
    assert replay(PARENT, candidate, [failed("web: ERROR (abnormal termination)")], []).verdict == "plausible"


def test_a_longer_timeout_helps_what_timed_out() -> None:
    slow = {**START, "timeout_seconds": 5}
    result = failed("timed out", step=slow, record={"timed_out": True, "duration_seconds": 5.0})
    found = replay(runbook(slow), runbook({**slow, "timeout_seconds": 30}, version=2), [result], [])
    assert found.verdict == "plausible"
    assert found.assumed > 0


@pytest.mark.parametrize("said", ["survived TERM: 4312, 4313", "2 processes still running after SIGTERM: 4312 4313"])
@pytest.mark.parametrize(("seconds", "verdict"), [(20.0, "unchanged"), (2.0, "plausible")])
def test_a_longer_timeout_does_not_help_against_a_process_that_outlived_its_signal(
    said: str, seconds: float, verdict: str
) -> None:
    end = {**step("end", "kill_process", name="soffice.bin", signal="TERM"), "timeout_seconds": seconds}
    result = failed(said, step=end, record={"timed_out": True, "duration_seconds": seconds, "params": end["params"]})
    patient = {**end, "timeout_seconds": 3600}
    assert replay(runbook(end), runbook(patient, version=2), [result], []).verdict == verdict
    harder = {**end, "params": {"name": "soffice.bin", "signal": "KILL"}}
    assert replay(runbook(end), runbook(harder, version=2), [result], []).verdict == "plausible"


def test_a_longer_timeout_does_not_help_what_failed_at_once() -> None:
    quick = {**START, "timeout_seconds": 30}
    found = replay(runbook(quick), runbook({**quick, "timeout_seconds": 300}, version=2), [failed()], [])
    assert found.verdict == "unchanged"


def test_a_shorter_timeout_breaks_a_recorded_success_that_took_longer() -> None:
    good = succeeded(record(1, START, success=True, duration_seconds=40.0))
    found = replay(PARENT, runbook({**START, "timeout_seconds": 10}, version=2), [], [good])
    assert found.verdict == "breaks"
    assert found.refuses


REFUSED = "could not connect to server: connection refused, is it running on port 5433?"


def test_a_dependency_started_before_is_plausible() -> None:
    candidate = runbook(step("db", "start_service", name="db"), START, version=2)
    result = failed(REFUSED, state_before={"services": {"web": "failed", "db": "stopped"}})
    assert replay(PARENT, candidate, [result], []).verdict == "plausible"


def test_a_dependency_that_ran_already_changes_nothing() -> None:
    candidate = runbook(step("db", "start_service", name="db"), START, version=2)
    result = failed(REFUSED, state_before={"services": {"web": "failed", "db": "running"}})
    assert replay(PARENT, candidate, [result], []).verdict == "unchanged"


def test_starting_a_service_frees_no_port() -> None:
    candidate = runbook(step("db", "start_service", name="db"), START, version=2)
    result = failed(
        "bind() to 0.0.0.0:80 failed (98: Address already in use)",
        state_before={"services": {"web": "failed", "db": "stopped"}},
    )
    assert replay(PARENT, candidate, [result], []).verdict == "unchanged"
    freed = runbook(step("free", "kill_process", name="old-web"), START, version=2)
    assert replay(PARENT, freed, [result], []).verdict == "plausible"


def test_waiting_before_may_help() -> None:
    candidate = runbook(step("pause", "wait", seconds=10), START, version=2)
    assert replay(PARENT, candidate, [failed(REFUSED)], []).verdict == "plausible"


def test_waiting_heals_no_permission() -> None:
    candidate = runbook(step("pause", "wait", seconds=10), START, version=2)
    assert replay(PARENT, candidate, [failed("open /etc/web.conf: Permission denied")], []).verdict == "unchanged"


def test_a_wait_before_the_last_change_is_no_time_for_what_follows_it() -> None:
    restart = step("restart", "restart_service", name="{{ service }}")
    check = step("ask", "check_http", url="http://127.0.0.1:8080/")
    parent = runbook(restart, check)
    result = failed(
        "http://127.0.0.1:8080/: connection refused, not 200",
        executed_steps=[
            record(1, restart, success=True),
            record(2, check, success=False, error="http://127.0.0.1:8080/: Connection refused, not 200"),
        ],
        error_step=2,
    )
    pause = step("pause", "wait", seconds=20)
    assert replay(parent, runbook(pause, restart, check, version=2), [result], []).verdict == "unchanged"
    assert replay(parent, runbook(restart, pause, check, version=2), [result], []).verdict == "plausible"
    patient = {**check, "action": "wait_for_http"}
    assert replay(parent, runbook(restart, patient, version=2), [result], []).verdict == "plausible"


def test_more_attempts_are_more_time() -> None:
    retried = {**START, "retry": {"attempts": 4, "delay_seconds": 5}}
    assert replay(PARENT, runbook(retried, version=2), [failed(REFUSED)], []).verdict == "plausible"
    assert (
        replay(PARENT, runbook(retried, version=2), [failed("web: syntax error in web.conf")], []).verdict
        == "unchanged"
    )


def test_fewer_attempts_break_a_success_that_needed_them() -> None:
    retried = {**START, "retry": {"attempts": 4, "delay_seconds": 5}}
    good = succeeded(record(1, START, success=True, attempts=3, duration_seconds=13.0))
    assert replay(runbook(retried), runbook(START, version=2), [], [good]).verdict == "breaks"
    assert replay(runbook(retried), runbook(retried, version=2), [], [good]).verdict == "none"


def verification_failed(observed: Any = "stopped", waited: float = 0.0, **changes: Any) -> Any:
    base = {
        "executed_steps": [
            record(1, START, success=True, state_changes={"services.web": {"before": "failed", "after": "running"}})
        ],
        "checks": [
            {
                "id": "answers",
                "check": "http_ok",
                "params": {"url": "http://127.0.0.1:8080/"},
                "passed": False,
                "observed": observed,
                "waited_seconds": waited,
            }
        ],
        "verification_passed": False,
        "error_message": f"verification answers (http_ok): {observed}",
        "error_step": None,
        "state_before": {"services": {"web": "failed"}},
    }
    return failed(**(base | changes))


ANSWERS = {"id": "answers", "check": "http_ok", "params": {"url": "http://127.0.0.1:8080/"}}


def test_a_verification_that_came_too_early_may_wait_longer() -> None:
    parent = runbook(verification=[ANSWERS])
    patient = runbook(verification=[{**ANSWERS, "within_seconds": 30}], version=2)
    found = replay(parent, patient, [verification_failed("Connection refused")], [])
    assert found.verdict == "plausible"
    assert (
        replay(parent, runbook(version=2, verification=[ANSWERS]), [verification_failed()], []).verdict == "unchanged"
    )


def test_a_step_that_touches_nothing_of_the_check_does_not_save_it() -> None:
    parent = runbook(verification=[ANSWERS])
    make = step("make", "create_directory", path="/tmp/x")
    assert (
        replay(parent, runbook(START, make, verification=[ANSWERS], version=2), [verification_failed()], []).verdict
        == "unchanged"
    )
    reload = step("reload", "reload_service", name="{{ service }}")
    assert (
        replay(parent, runbook(START, reload, verification=[ANSWERS], version=2), [verification_failed()], []).verdict
        == "plausible"
    )


def test_skipping_the_failing_step_is_no_fix() -> None:
    for condition in ("false", "state.services.web == 'running'", "1 == 2"):
        candidate = runbook({**START, "when": condition}, version=2)
        found = replay(PARENT, candidate, [failed()], [])
        assert found.verdict == "unchanged", condition


def test_removing_the_failing_step_is_no_fix() -> None:
    candidate = runbook(step("look", "check_service_status", name="web"), version=2)
    assert replay(PARENT, candidate, [failed()], []).verdict == "unchanged"


def test_a_failing_step_passed_over_is_no_fix() -> None:
    candidate = runbook({**START, "on_failure": "continue"}, verification=[ANSWERS], version=2)
    assert replay(runbook(verification=[ANSWERS]), candidate, [failed()], []).verdict == "unchanged"


def test_a_failing_exit_code_accepted_is_no_fix() -> None:
    command = step("run", "run_command", argv=["/usr/bin/webctl", "start"])
    accepted = step("run", "run_command", argv=["/usr/bin/webctl", "start"], success_exit_codes=[0, 1])
    parent = runbook(command, verification=[ANSWERS])
    found = replay(parent, runbook(accepted, verification=[ANSWERS], version=2), [failed("boom", step=command)], [])
    assert found.verdict == "unchanged"


def test_an_alternative_after_a_failing_step_may_do_its_work() -> None:
    first = {**START, "on_failure": "continue"}
    other = step("other", "start_service", name="web-fallback")
    claim = {"id": "running", "check": "service_running", "params": {"name": "web-fallback"}}
    found = replay(
        PARENT,
        runbook(first, step("drop", "remove_file", path="/run/web/web.pid"), {**START, "id": "again"}, version=2),
        [failed()],
        [],
    )
    assert found.verdict == "fixed", found.summary
    assert replay(
        PARENT, runbook(first, other, verification=[claim], version=2), [failed("no such thing")], []
    ).verdict in ("unchanged", "plausible")


def test_a_cleanup_reached_by_goto_and_a_second_try() -> None:
    start = {**START, "on_failure": {"goto": "clear"}}
    done = step("done", "assert", that="{{ true }}")
    candidate = runbook(
        start,
        {**done, "when": "steps.start.success"},
        {**REMOVE_PID, "when": "not steps.start.success"},
        {**START, "id": "again", "when": "not steps.start.success"},
        version=2,
    )
    found = replay(PARENT, candidate, [failed()], [succeeded()])
    assert found.verdict == "fixed", found.summary


def test_a_precondition_that_avoids_the_incident_is_no_fix() -> None:
    candidate = runbook(preconditions=["not state.files['/run/web/web.pid'].exists"], version=2)
    found = replay(PARENT, candidate, [failed()], [])
    assert found.verdict == "unchanged"
    assert "skipped" in found.runs[0].reason


def test_a_new_step_that_the_recorded_facts_contradict_is_refused() -> None:
    result = failed(REFUSED, state_before={"services": {"web": "failed"}, "ports": {"5433": "closed"}})
    for new in (
        step("ask", "check_port", port=5433),
        step("claim", "assert", that="{{ state.ports['5433'] == 'listening' }}"),
    ):
        found = replay(PARENT, runbook(new, START, version=2), [result], [])
        assert found.verdict == "unchanged", new
    keep = step("keep", "backup_file", path="/run/web/gone")
    gone = failed(state_before={"services": {"web": "failed"}, "files": {"/run/web/gone": {"exists": False}}})
    assert replay(PARENT, runbook(keep, REMOVE_PID, START, version=2), [gone], []).verdict == "unchanged"


def test_a_new_step_breaks_successes_whose_facts_contradict_it() -> None:
    ask = step("ask", "check_port", port=5433)
    good = succeeded(state_before={"services": {"web": "failed"}, "ports": {"5433": "closed"}})
    found = replay(PARENT, runbook(ask, REMOVE_PID, START, version=2), [failed()], [good])
    assert found.verdict == "breaks"
    assert "port_open does not hold" in found.summary


def test_a_condition_that_recorded_facts_make_false_does_not_help() -> None:
    candidate = runbook({**REMOVE_PID, "when": "state.services.db == 'running'"}, START, version=2)
    result = failed(
        state_before={"services": {"web": "failed", "db": "stopped"}, "files": {"/run/web/web.pid": {"exists": True}}}
    )
    assert replay(PARENT, candidate, [result], []).verdict == "unchanged"


def test_a_condition_about_unknown_facts_is_assumed_to_hold() -> None:
    candidate = runbook({**REMOVE_PID, "when": "state.services.db == 'running'"}, START, version=2)
    found = replay(PARENT, candidate, [failed()], [])
    assert found.verdict == "plausible"
    assert found.assumed > 0


def test_a_missing_directory_made_before() -> None:
    error = "open /run/web/web.pid: No such file or directory"
    result = failed(error, state_before={"services": {"web": "failed"}})
    made = step("make", "create_directory", path="/run/web")
    assert replay(PARENT, runbook(made, START, version=2), [result], []).verdict == "fixed"
    elsewhere = step("make", "create_directory", path="/run/other")
    assert replay(PARENT, runbook(elsewhere, START, version=2), [result], []).verdict == "unchanged"
    # Taking away what is missing already is no help.
    assert replay(PARENT, runbook(REMOVE_PID, START, version=2), [result], []).verdict == "unchanged"


def test_a_directory_that_was_there_already_changes_nothing() -> None:
    error = "open /run/web/web.pid: No such file or directory"
    result = failed(error, state_before={"services": {"web": "failed"}, "files": {"/run/web": {"exists": True}}})
    made = step("make", "create_directory", path="/run/web")
    assert replay(PARENT, runbook(made, START, version=2), [result], []).verdict == "unchanged"


def test_a_full_disk_and_a_cleaning() -> None:
    result = failed(
        "write /var/log/web/access.log: No space left on device",
        state_before={"services": {"web": "failed"}, "disk": {"usage_percent": 100}},
    )
    clean = step("clean", "clean_directory", path="/var/cache/web", patterns=["*.tmp"])
    assert replay(PARENT, runbook(clean, START, version=2), [result], []).verdict == "plausible"


def test_a_tightened_parameter_breaks_what_was_given() -> None:
    candidate = runbook(parameters={"service": {"type": "string", "pattern": "^db$"}}, version=2)
    found = replay(PARENT, candidate, [], [succeeded()])
    assert found.verdict == "breaks"


def test_a_verification_that_recorded_facts_contradict() -> None:
    extra = {"id": "gone", "check": "file_absent", "params": {"path": "/run/web/web.pid"}}
    result = failed(REFUSED)
    candidate = runbook(step("db", "start_service", name="db"), START, verification=[RUNNING, extra], version=2)
    assert replay(PARENT, candidate, [result], []).verdict == "unchanged"


def test_nothing_to_replay() -> None:
    found = replay(PARENT, PARENT, [], [])
    assert found.verdict == "none"
    assert not found.refuses


def test_old_results_are_replayed_with_what_can_be_inferred() -> None:
    old = failed(executed_steps=[], parameters={}, state_before={}, error_step=1, error_message=PIDFILE)
    assert replay(PARENT, runbook(version=2, name="Other words"), [old], []).verdict == "unchanged"
    found = replay(PARENT, runbook(REMOVE_PID, START, version=2), [old], [])
    assert found.verdict == "fixed"
    assert "the results lack" in found.summary
    assert "steps" in found.summary


def test_a_result_that_says_nothing_is_unclear() -> None:
    old = failed(executed_steps=[], error_step=None, error_message="it did not work")
    found = replay(PARENT, runbook(REMOVE_PID, START, version=2), [old], [])
    assert found.verdict == "none"
    assert found.runs[0].becomes == "unclear"


def test_shares_are_of_all_outcomes() -> None:
    candidate = runbook(step("db", "start_service", name="db"), START, version=2)
    found = replay(PARENT, candidate, [failed(REFUSED)], [])
    assert found.recorded + found.implied + found.assumed == pytest.approx(1.0, abs=1e-3)


def test_more_rights_help_what_was_denied_and_nothing_else() -> None:
    risen = runbook({**START, "become": True}, version=2)
    assert replay(PARENT, risen, [failed("open /run/web: Permission denied")], []).verdict == "plausible"
    assert replay(PARENT, risen, [failed()], []).verdict == "unchanged"


def test_a_success_that_was_one_only_by_its_exit_code() -> None:
    command = step("run", "run_command", argv=["webctl", "start"], success_exit_codes=[0, 3])
    strict = step("run", "run_command", argv=["webctl", "start"])
    good = succeeded(record(1, command, success=True, exit_code=3))
    assert replay(runbook(command), runbook(strict, version=2), [], [good]).verdict == "breaks"


def test_a_longer_timeout_does_not_help_what_gave_up_by_itself() -> None:
    quick = {**START, "timeout_seconds": 30}
    patient = runbook({**quick, "timeout_seconds": 300}, version=2)
    for error, seconds, code in (
        ("connect to 10.0.0.7: Connection timed out", 3.0, 1),
        ("read: Input/output error", 29.0, 1),
    ):
        result = failed(error, step=quick, record={"duration_seconds": seconds, "exit_code": code})
        assert replay(runbook(quick), patient, [result], []).verdict == "unchanged", error
    killed = failed("", step=quick, record={"duration_seconds": 30.0, "exit_code": 137}, error_message="killed")
    assert replay(runbook(quick), patient, [killed], []).verdict == "plausible"


def disk_full(after: str, *, output: str = "", action: str = "clean_directory") -> Any:
    """A run whose cleaning gave no room back."""
    steps = {"clean_directory": CLEAN, "find_large_files": LOOK}
    mounts = {"mounts": {"/var/log": {"usage_percent": 97}}}
    return failed(
        executed_steps=[record(1, steps[action], success=True, output=output)],
        state_before={"services": {"web": after}, "disk": mounts},
        state_after={"services": {"web": after}, "disk": mounts},
        checks=[{"id": "room", "check": "disk_usage_below", "params": {"path": "/var/log", "percent": 80}, "passed": False,
                 "observed": 97}],
        verification_passed=False,
        error_message="verification room (disk_usage_below): 97",
        error_step=None,
    )  # fmt: skip


CLEAN = step("clean", "clean_directory", path="/var/log/web", patterns=["*.log"], older_than_days=0)
LOOK = step("look", "find_large_files", path="/var/log/web", min_size_mb=100)
ROOM = {"id": "room", "check": "disk_usage_below", "params": {"path": "/var/log", "percent": 80}}
AGAIN = step("again", "restart_service", name="web")


def test_a_restart_lets_go_of_removed_files_that_are_held_open() -> None:
    parent = runbook(CLEAN, verification=[ROOM])
    after = runbook(CLEAN, AGAIN, verification=[ROOM], version=2)
    assert replay(parent, after, [disk_full("running")], []).verdict == "plausible"
    # Before anything was removed there is nothing to let go of, unless the recording shows it.
    before = runbook(AGAIN, CLEAN, verification=[ROOM], version=2)
    assert replay(parent, before, [disk_full("running")], []).verdict == "unchanged"
    looks = runbook(LOOK, verification=[ROOM])
    again = runbook(LOOK, AGAIN, verification=[ROOM], version=2)
    assert replay(looks, again, [disk_full("running", action="find_large_files")], []).verdict == "unchanged"
    held = "web 3320 root 5w REG 253,2 19095617536 0 131 /var/log/web/web.log (deleted)"
    assert (
        replay(looks, again, [disk_full("running", action="find_large_files", output=held)], []).verdict == "plausible"
    )


def test_a_restart_of_a_time_service_that_runs_may_set_the_clock() -> None:
    right = {"id": "right", "check": "time_offset_below", "params": {"seconds": 1}}
    wrong = step("again", "restart_service", name="chronyd")
    result = failed(
        "Failed to restart chronyd.service: Unit chronyd.service not found.",
        step=wrong,
        state_before={"services": {"chrony": "running", "cron": "running"}, "time": {"offset_seconds": 12.0}},
    )

    def verdict(name: str) -> str:
        candidate = runbook(step("again", "restart_service", name=name), verification=[right], version=2)
        return replay(runbook(wrong, verification=[right]), candidate, [result], []).verdict

    assert verdict("chrony") == "plausible"
    assert verdict("cron") == "unchanged"


TEST = step("test", "run_command", argv=["nginx", "-t"])
STOP = step("stop", "stop_service", name="web")
STATUS = step("status", "run_command", argv=["webctl", "status"])


def test_a_failure_that_vanishes_for_want_of_the_step_before_it_is_not_fixed() -> None:
    parent = runbook(STOP, STATUS, verification=[ANSWERS])
    result = failed(
        executed_steps=[
            record(1, STOP, success=True),
            record(2, STATUS, success=False, error="webctl: connection refused, is web running?"),
        ],
        error_step=2,
        error_message="webctl: connection refused, is web running?",
        state_before={"services": {"web": "running"}, "endpoints": {"http://127.0.0.1:8080/": 200}},
    )
    for candidate in (
        runbook(STATUS, verification=[ANSWERS], version=2),
        runbook({**STOP, "when": "1 == 2"}, STATUS, verification=[ANSWERS], version=2),
    ):
        found = replay(parent, candidate, [result], [])
        assert found.verdict == "unchanged"
        assert "for want of stop" in found.runs[0].reason
    moved = runbook(STATUS, STOP, step("start", "start_service", name="web"), verification=[ANSWERS], version=2)
    assert replay(parent, moved, [result], []).verdict == "plausible"


def test_a_failing_claim_that_holds_for_want_of_a_step_is_not_fixed() -> None:
    held = failed(
        executed_steps=[record(1, STOP, success=True)],
        checks=[{"id": "running", "check": "service_running", "params": {"name": "web"}, "passed": False}],
        verification_passed=False,
        error_message="verification running (service_running): stopped",
        error_step=None,
        state_before={"services": {"web": "running"}},
    )
    look = step("look", "check_service_status", name="web")
    assert replay(runbook(STOP), runbook(look, version=2), [held], []).verdict == "unchanged"
    assert replay(runbook(STOP), runbook(STOP, START, version=2), [held], []).verdict in ("fixed", "plausible")


@pytest.mark.parametrize(
    "instead",
    [
        None,
        {**TEST, "when": "false"},
        {**TEST, "when": "host.os_id == 'nowhere'"},
        {**TEST, "when": "state.services.db == 'running'"},
        {**TEST, "on_failure": "continue"},
        step("test", "run_command", argv=["true"]),
        step("test", "run_command", argv=["sh", "-c", "echo fine && exit 0"]),
        step("test", "run_script", shell="sh", script="sleep 2; :"),
        step("test", "wait", seconds=1),
        step("test", "check_disk_usage"),
        step("test", "create_directory", path="/srv/elsewhere"),
    ],
)
def test_a_failing_step_that_is_stepped_around_is_not_fixed(instead: dict[str, Any] | None) -> None:
    reload = step("reload", "reload_service", name="web")
    error = 'nginx: [emerg] unknown directive "procy_pass" in /etc/nginx/nginx.conf:12'
    result = failed(error, step=TEST, state_before={"services": {"web": "running", "db": "stopped"}})
    candidate = runbook(*([instead] if instead else []), reload, version=2)
    found = replay(runbook(TEST, reload), candidate, [result], [])
    assert found.verdict == "unchanged", found.summary


def test_a_step_that_was_done_already_may_be_passed_over() -> None:
    make = step("make", "run_command", argv=["mkdir", "/srv/spool/tmp"])
    error = "mkdir: cannot create directory '/srv/spool/tmp': File exists"
    state = {"services": {"web": "failed"}, "files": {"/srv/spool/tmp": {"exists": True}}}
    once = {**make, "when": "not state.files['/srv/spool/tmp'].exists"}
    found = replay(
        runbook(make, START), runbook(once, START, version=2), [failed(error, step=make, state_before=state)], []
    )
    assert found.verdict in ("fixed", "plausible"), found.summary


def test_a_claim_made_easier_is_no_fix() -> None:
    parent = runbook(CLEAN, verification=[ROOM])
    run = disk_full("running")
    for claims in (
        [{**ROOM, "params": {"path": "/var/log", "percent": 99}}],
        [{"id": "room", "check": "command_succeeds", "params": {"argv": ["true"]}}],
        [{"id": "there", "check": "file_exists", "params": {"path": "/"}}],
    ):
        found = replay(parent, runbook(CLEAN, verification=claims, version=2), [run], [])
        assert found.verdict == "unchanged", claims


def test_what_stands_below_a_directory_of_windows_is_concerned_by_it() -> None:
    made = ("files", "C:\\web\\run", "exists")
    assert concerns(("files", "C:\\web\\run\\web.pid", "exists"), made)
    assert not concerns(("files", "C:\\web\\runner", "exists"), made)
    assert concerns(("commands", "type C:\\web\\run\\a"), ("files", "C:\\web\\run", "exists"))


LOG = step("log", "run_command", argv=["tail", "/var/log/web.log"])


def fallen(log: str, after: str = "failed") -> Any:
    """A start that was reported to work, a log that was read after it, and a service that was down in the end."""
    return failed(
        executed_steps=[record(1, START, success=True), record(2, LOG, success=True, output=log)],
        error_step=None,
        error_message="verification running: failed",
        verification_passed=False,
        state_before={"services": {"web": "failed"}},
        state_after={"services": {"web": after}},
        checks=[{"id": "running", "check": "service_running", "params": {"name": "web"}, "passed": False, "observed": after, "waited_seconds": 20}],
    )  # fmt: skip


def test_a_start_whose_service_fell_over_depends_on_what_its_log_names() -> None:
    parent = runbook(START, LOG, verification=[RUNNING])
    run = fallen("web[8]: pid file /run/web/web.pid exists, is another instance running?")
    found = replay(parent, runbook(REMOVE_PID, START, LOG, verification=[RUNNING], version=2), [run], [])
    assert found.verdict in ("fixed", "plausible"), found.summary
    elsewhere = runbook(step("make", "create_directory", path="/tmp/x"), START, LOG, verification=[RUNNING], version=2)
    assert replay(parent, elsewhere, [run], []).verdict == "unchanged"
    assert replay(parent, parent, [run], []).verdict == "unchanged"


def test_only_what_is_given_back_by_itself_is_waited_for() -> None:
    parent = runbook(START, LOG, verification=[RUNNING])
    later = runbook(step("pause", "wait", seconds=45), START, LOG, verification=[RUNNING], version=2)
    held = fallen("KeeperErrorCode = NodeExists for /brokers/ids/1")
    assert replay(parent, later, [held], []).verdict in ("fixed", "plausible")
    assert replay(parent, later, [fallen("web: bad option in web.conf line 3")], []).verdict == "unchanged"


def test_files_that_another_process_uses_and_services_that_others_depend_on_change_with_services() -> None:
    wipe = step("wipe", "run_command", argv=["cmd", "/c", "del", "C:\\data\\a.db"])
    halt = step("halt", "stop_service", name="Search")
    for error in (
        "The process cannot access the file because it is being used by another process.",
        "Cannot stop service 'Search' because it has dependent services.",
    ):
        run = failed(error, step=wipe)
        assert replay(runbook(wipe), runbook(halt, wipe, version=2), [run], []).verdict in ("fixed", "plausible")
        assert (
            replay(
                runbook(wipe), runbook(step("p", "create_directory", path="/tmp/x"), wipe, version=2), [run], []
            ).verdict
            == "unchanged"
        )


def test_a_command_depends_on_the_paths_of_its_environment() -> None:
    up = step("up", "run_command", argv=["/srv/bin/run", "start"], env={"PIDFILE": "/run/web/web.pid"})
    run = failed("it appears to be running. Start aborted.", step=up)
    assert replay(runbook(up), runbook(REMOVE_PID, up, version=2), [run], []).verdict in ("fixed", "plausible")
    other = {**REMOVE_PID, "params": {"path": "/run/other.pid", "only_if": "stale_pid"}}
    assert replay(runbook(up), runbook(other, up, version=2), [run], []).verdict == "unchanged"
