"""What only one kind of host says, and what the run's own look at logs, clocks and name servers tells."""

from __future__ import annotations

from typing import Any

from learner.models import ExecutionResult, FailureType
from learner.runbook_file import parse
from learner.triage.rules import judge
from tests.triage.cases import RUNBOOK, case, done, failed, step, unverified_claim, worked

NEW = {"os_id": "debian", "os_version": "12", "service_manager": "systemd"}
OLD = {"os_id": "debian", "os_version": "11", "service_manager": "systemd"}
WORKED = tuple(worked(i, host=OLD) for i in range(2))


def twice(error: str, **changes: Any) -> tuple[ExecutionResult, ...]:
    """The same failure on two hosts of the new kind."""
    changes = {"host": NEW} | changes
    return tuple(
        failed(error, hostname=f"new-{i}", execution_id=f"exec-20261122-NEW{i:04d}", **changes) for i in range(2)
    )


def said_of(*results: ExecutionResult, successes: tuple[ExecutionResult, ...] = WORKED) -> tuple[str, str]:
    verdict = judge(case(*results, successes=successes))
    return (verdict.failure_type.value, verdict.decided_by.removeprefix("rule:")) if verdict else ("unknown", "none")


class TestKinds:
    """A failure of one kind of host alone is that kind's."""

    MAPS = "max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]"

    def test_a_setting_that_only_one_kind_has(self) -> None:
        assert said_of(*twice(self.MAPS)) == (FailureType.ENVIRONMENT_DIFFERENCE.value, "lasts_on_one_kind")

    def test_the_same_where_nothing_is_known_to_work(self) -> None:
        assert said_of(*twice(self.MAPS), successes=())[0] == FailureType.RUNBOOK_INSUFFICIENT.value

    def test_words_that_nobody_knows(self) -> None:
        assert said_of(*twice("the frobnicator says no")) == (
            FailureType.ENVIRONMENT_DIFFERENCE.value,
            "only_on_this_kind",
        )

    def test_one_host_alone_may_be_chance(self) -> None:
        assert said_of(twice("the frobnicator says no")[0])[0] == FailureType.UNKNOWN.value

    def test_silence_and_crashes_are_nobodys(self) -> None:
        assert said_of(*twice("exit code 1"))[0] == FailureType.UNKNOWN.value
        assert said_of(*twice("Segmentation fault (core dumped)"))[0] == FailureType.UNKNOWN.value

    def test_another_hosts_trouble_stays_its_own(self) -> None:
        error = "curl: (6) Could not resolve host: api.example.com"
        assert said_of(*twice(error))[0] == FailureType.EXTERNAL_DEPENDENCY.value

    def test_a_refusal_stays_a_refusal(self) -> None:
        error = "bind() to 0.0.0.0:80 failed (13: Permission denied)"
        assert said_of(*twice(error))[0] == FailureType.PERMISSION_DENIED.value

    def test_a_settings_file_tells_them_apart(self) -> None:
        def files(there: bool) -> dict[str, Any]:
            return {"services": {"web": "failed"}, "files": {"/etc/web/names.conf": {"exists": there}}}

        good = tuple(worked(i, host=NEW, state_before=files(False)) for i in range(2))
        bad = twice("the frobnicator says no", state_before=files(True))
        assert said_of(*bad, successes=good) == (FailureType.ENVIRONMENT_DIFFERENCE.value, "set_up_otherwise")
        assert said_of(*twice("the frobnicator says no", state_before=files(False)), successes=good)[0] == "unknown"


def test_two_improvable_verdicts_do_not_cancel_each_other() -> None:
    # Both say that a better runbook helps, and the surer one says how.
    runs = twice("Unit apache2.service not found.\nweb.service is already running", action="run_command")
    verdict = judge(case(*runs, successes=WORKED))
    assert verdict
    assert verdict.failure_type is FailureType.ENVIRONMENT_DIFFERENCE


def test_logs_speak_for_a_step_that_only_looks() -> None:
    log = done("run_command", 1, argv=["tail", "-n", "5", "/var/log/kafka/server.log"]) | {
        "output": "org.apache.zookeeper.KeeperException$NodeExistsException: KeeperErrorCode = NodeExists"
    }
    look = step(
        "connect to 127.0.0.1 port 9092: connection refused", "check_port", step_number=2, params={"port": 9092}
    )
    assert said_of(failed(steps=[log, look]), successes=())[1] == "old_registration"
    piped = log | {"params": {"argv": ["sh", "-c", "env | tail -n 5"]}}
    assert said_of(failed(steps=[piped, look]), successes=())[1] != "old_registration"


class TestClocks:
    """A clock that was asked too early, and one that nobody answers."""

    TRACKING = done("run_command", 2, argv=["chronyc", "tracking"]) | {
        "output": "Stratum         : 0\nLeap status     : Not synchronised"
    }

    def run(self, waited: float) -> ExecutionResult:
        return unverified_claim("time_offset_below", {"time.offset_seconds": -214.9}, {"seconds": 1}, waited=waited, incident_type="time_drift",
                                steps=[done("restart_service", name="chronyd"), self.TRACKING], state_before={"time": {"offset_seconds": -214.7}},
                                state_after={"time": {"offset_seconds": -214.9}})  # fmt: skip

    def test_a_step_before_the_first_measurement(self) -> None:
        assert said_of(self.run(5), successes=()) == (FailureType.RUNBOOK_INSUFFICIENT.value, "clock_not_settled")

    def test_a_claim_that_waited_long_is_no_haste(self) -> None:
        assert said_of(self.run(90), successes=())[1] != "clock_not_settled"

    def test_no_source_for_minutes(self) -> None:
        tries = step("", "run_command", params={"argv": ["chronyc", "waitsync", "24"]}, duration_seconds=240.0,
                     output="try: 24, refid: 00000000, correction: 0.000000000, skew: 0.000")  # fmt: skip
        run = failed(steps=[tries], incident_type="time_drift", state_before={"services": {"chrony": "running"}, "time": {"offset_seconds": 18.2}},
                     state_after={"services": {"chrony": "running"}, "time": {"offset_seconds": 18.2}})  # fmt: skip
        assert said_of(run, successes=()) == (FailureType.EXTERNAL_DEPENDENCY.value, "no_source_for_long")


def test_a_name_server_that_was_asked_directly() -> None:
    def run(server: str) -> ExecutionResult:
        asked = done("run_command", 1, argv=["dig", f"@{server}", "partner.example"]) | {
            "output": ";; ->>HEADER<<- opcode: QUERY, status: SERVFAIL, id: 9031"
        }
        return unverified_claim("dns_resolves", {"dns.partner.example": False}, {"name": "partner.example"}, steps=[asked], waited=60,
                                incident_type="dns_failure", state_before={"dns": {"partner.example": False}})  # fmt: skip

    assert said_of(run("198.51.100.53"), successes=())[1] == "name_server_elsewhere_fails"
    assert said_of(run("127.0.0.1"), successes=())[0] != FailureType.EXTERNAL_DEPENDENCY.value


def test_a_group_goes_by_a_longer_name() -> None:
    text = RUNBOOK.replace(b"- {id: running, check: service_running, params: {name: \"{{ service }}\"}}",
                           b"- {id: running, check: command_succeeds, params: {argv: [supervisorctl, status, \"{{ service }}:*\"]}}")  # fmt: skip
    run = failed(steps=[step("worker: ERROR (no such process)", "run_command", params={"argv": ["supervisorctl", "restart", "worker"]})],
                 parameters={"service": "worker"}, state_before={"services": {"supervisor": "running"}})  # fmt: skip
    verdict = judge(case(run, of=parse(text).runbook))
    assert verdict
    assert verdict.decided_by == "rule:goes_by_a_longer_name"
    assert said_of(run, successes=())[0] == FailureType.WRONG_RUNBOOK.value  # nothing shows such a group


def test_a_copy_that_was_good_may_be_put_back() -> None:
    error = "AH00526: Syntax error on line 17 of /etc/apache2/app.conf:\nInvalid command 'ProxyPas', perhaps misspelled"
    tested = {"steps": [step(error, "run_command", params={"argv": ["apachectl", "configtest"]})]}
    assert said_of(failed(**tested), successes=())[0] == FailureType.WRONG_DIAGNOSIS.value
    backup = {"services": {"web": "failed"}, "files": {"/etc/apache2/app.conf.bak": {"exists": True}}}
    assert said_of(failed(**tested, state_before=backup), successes=())[0] != FailureType.WRONG_DIAGNOSIS.value


def test_a_configuration_that_the_run_brought_is_its_own_business() -> None:
    error = "AH00526: Syntax error on line 17 of /etc/apache2/app.conf:\nInvalid command 'ProxyPas', perhaps misspelled"
    test = step(error, "run_command", step_number=2, params={"argv": ["apachectl", "configtest"]})
    brought = done("run_command", 1, argv=["git", "-C", "/etc/apache2", "pull"])
    looked = done("run_command", 1, argv=["git", "-C", "/etc/apache2", "status"])
    assert said_of(failed(steps=[brought, test]), successes=())[1] == "configuration_invalid"
    assert said_of(failed(steps=[looked, test]), successes=())[1] == "configuration_broken_before"


def test_a_port_elsewhere_that_is_always_closed_says_nothing() -> None:
    state = {"services": {"web": "running"}, "ports": {"cms.corp.example:8080": "closed"}}
    run = unverified_claim("http_ok", {"endpoints.http://127.0.0.1/": 503}, {"url": "http://127.0.0.1/"}, steps=[done("restart_service", name="web")],
                           waited=60, incident_type="endpoint_down", state_before=state, state_after=state)  # fmt: skip
    assert said_of(run, successes=())[1] == "port_elsewhere_is_closed"
    assert said_of(run, successes=(worked(1, state_before=state),))[1] != "port_elsewhere_is_closed"


def test_another_product_on_another_port_is_no_rival() -> None:
    state = {"services": {"nginx": "failed", "apache2": "running"}, "ports": {"80": "listening", "9443": "listening"}}
    error = "nginx: [emerg] bind() to 0.0.0.0:{} failed (98: Address already in use)"
    here = [
        failed(error.format(port), step_more={"params": {"name": "nginx"}}, state_before=state) for port in (80, 9443)
    ]
    assert [said_of(run, successes=())[1] for run in here] == ["another_product_at_the_port", "port_taken"]


def test_what_a_later_step_makes_is_made_too_late() -> None:
    def runbook(first: str, second: str) -> Any:
        lines = RUNBOOK.split(b"steps:")[0] + f"steps:\n  - {first}\n  - {second}\nverification:\n".encode()
        return parse(lines + b'  - {id: running, check: service_running, params: {name: "{{ service }}"}}\n').runbook

    test = "{id: start, action: run_command, params: {argv: [haproxy, -c]}}"
    copy = "{id: map, action: copy_file, params: {source: /srv/hosts.map, destination: /etc/haproxy/hosts.map}}"
    error = "failed to open pattern file </etc/haproxy/hosts.map>: No such file or directory."
    run = failed(error, "run_command", step_more={"params": {"argv": ["haproxy", "-c"]}})
    late = judge(case(run, of=runbook(test, copy)))
    assert late
    assert late.decided_by == "rule:made_too_late"
    in_time = judge(case(run, of=runbook(copy, test)))
    assert in_time is None or in_time.decided_by != "rule:made_too_late"

    bind = "{id: start, action: run_script, params: {shell: powershell, script: AddSslCertificate}}"
    load = "{id: load, action: run_script, params: {shell: powershell, script: Import-PfxCertificate}}"
    refused = "A specified logon session does not exist. (Exception from HRESULT: 0x80070520)"
    run = failed(refused, "run_script", step_more={"params": {"shell": "powershell", "script": "AddSslCertificate"}})
    late = judge(case(run, of=runbook(bind, load)))
    assert late
    assert late.decided_by == "rule:made_too_late"
