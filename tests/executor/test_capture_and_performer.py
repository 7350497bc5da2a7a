"""State capture and the performers: bounded, truthful, and never what fails a run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from learner.actions import Probe
from learner.actions.base import UNKNOWN
from learner.actions.file import FileProbe
from learner.actions.host import Host, HostError
from learner.actions.network import EndpointProbe, PortProbe
from learner.executor.cancel import Cancellation
from learner.executor.capture import MOST_PROBES, capture, probe_of, probes_for
from learner.executor.hosts.local import LocalHost
from learner.executor.run import Order, new_execution_id
from learner.executor.run import run as run_on_host
from learner.facts import Facts
from learner.models.execution import ExecutionStatus, Executor, StepExecution
from learner.models.incident import Incident
from learner.runbook_file import parse
from tests.executor.conftest import runbook

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Slow(Probe):
    """Answers after a while, or never rightly."""

    name: str
    seconds: float = 0.0
    error: str | None = None

    @property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        return (("services", self.name),)

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        time.sleep(min(self.seconds, timeout_seconds))
        if self.error:
            raise ValueError(self.error)
        return {self.paths[0]: "running" if self.seconds <= timeout_seconds else UNKNOWN}


def order(text: str, **given: Any) -> Order:
    now = datetime.now(UTC)
    incident = Incident(incident_id="INC-1", incident_type="service_crash", client_id="acme")
    host = LocalHost(name="web-1", service_manager="systemd")
    return Order(parse(text.encode()), incident, host, host.facts(), Executor(), new_execution_id(now), given, 3.0)


def test_vital_signs_of_this_machine() -> None:
    state = capture(
        LocalHost(name="web-1"),
        probes_for(parse(runbook("- {id: a, action: wait, params: {seconds: 0}}").encode()).runbook, {}),
        at=NOW,
        seconds=5,
    )
    assert 0 <= state.disk["usage_percent"] <= 100
    assert state.disk["mounts"]["/"]["free_gb"] >= 0
    assert 0 <= state.cpu["usage_percent"] <= 100
    assert state.memory["total_mb"] > 0
    assert (state.hostname, state.captured_at) == ("web-1", NOW)


def test_it_takes_no_longer_than_it_may_and_says_what_is_missing() -> None:
    probes = [Slow("quick"), *(Slow(f"slow{i}", 30) for i in range(30))]
    at = time.monotonic()
    state = capture(LocalHost(), probes, at=NOW, seconds=0.5)
    assert time.monotonic() - at < 2
    assert state.services["quick"] == "running"
    assert len(state.unread) == 30
    assert all(reason for reason in state.unread.values())


def test_a_probe_that_breaks_is_told_and_fails_nothing() -> None:
    state = capture(LocalHost(), [Slow("broken", error="no such thing"), Slow("good")], at=NOW, seconds=5)
    assert state.unread == {"services.broken": "ValueError: no such thing"}
    assert state.services == {"good": "running"}


def test_a_probe_that_can_not_read_is_unknown_with_a_reason() -> None:
    class Mute(LocalHost):
        """A host that does not let itself be looked at."""

        def stat(self, path: str) -> Any:
            raise HostError("permission denied", "denied")

    state = capture(Mute(), [FileProbe("/etc/x")], at=NOW, seconds=5)
    assert state.files["/etc/x"]["exists"] == UNKNOWN
    assert "files./etc/x.exists" in state.unread


def test_an_endless_answer_does_not_make_an_endless_state() -> None:
    class Talkative(Slow):
        def read(self, host: Host, timeout_seconds: float) -> Facts:
            return {("endpoints", "http://x"): "no " * 100_000}

    state = capture(LocalHost(), [Talkative("x")], at=NOW, seconds=5)
    assert len(state.endpoints["http://x"]) < 1000


def test_what_the_runbook_reads_checks_and_asks_about_is_looked_at() -> None:
    text = runbook(
        '- {id: a, action: restart_service, params: {name: "{{ service }}"}, when: "state.services.db == \'running\'"}',
        "- {id: one, check: port_open, params: {port: 8080}}\n- {id: two, check: command_succeeds, params: {argv: [touch, /never]}}",
        more="parameters:\n  service: {type: string}\npreconditions: [\"state.files['/run/x'].exists\"]\n",
    )
    paths = {path for probe in probes_for(parse(text.encode()).runbook, {"service": "web"}) for path in probe.paths}
    assert {("services", "web"), ("services", "db"), ("ports", "8080"), ("files", "/run/x")} <= paths
    assert not any(path[0] == "commands" for path in paths), "a command that judges does not run to look around"


def test_the_number_of_probes_is_bounded() -> None:
    named = [("files", f"/run/{i}") for i in range(500)]
    assert (
        len(probes_for(parse(runbook("- {id: a, action: wait, params: {seconds: 0}}").encode()).runbook, {}, named))
        == MOST_PROBES
    )


@pytest.mark.parametrize(
    ("path", "probe"),
    [
        (("files", "/x", "exists"), FileProbe("/x")),
        (("ports", "80"), PortProbe("127.0.0.1", 80)),
        (("ports", "db:5432"), PortProbe("db", 5432)),
        (("endpoints", "http://x/"), EndpointProbe("http://x/")),
        (("ports", "99999"), None),
        (("commands", "rm -rf /"), None),
        (("nonsense",), None),
        ((), None),
    ],
)
def test_a_fact_has_its_probe_or_none(path: tuple[str, ...], probe: Probe | None) -> None:
    assert probe_of(path) == probe


def test_an_error_that_names_a_file_has_it_looked_at_afterwards(tmp_path: Path) -> None:
    pid = tmp_path / "web.pid"
    pid.write_text("1")
    done = run_on_host(
        order(runbook(f"- {{id: a, action: run_command, params: {{argv: [sh, -c, 'echo {pid} exists >&2; exit 1']}}}}"))
    )
    assert done.result.state_after.files[str(pid)]["exists"] is True
    assert str(pid) not in done.result.state_before.files


def test_a_secret_parameter_is_masked_and_handed_on_for_redaction() -> None:
    more = "parameters:\n  token: {type: string, secret: true}\n  name: {type: string}\n"
    done = run_on_host(
        order(runbook("- {id: a, action: wait, params: {seconds: 0}}", more=more), token="s3cr3t", name="web")
    )
    assert done.result.parameters == {"token": "***", "name": "web"}
    assert done.secrets == ("s3cr3t",)


def test_an_action_that_breaks_is_a_failed_step_not_a_crash() -> None:
    text = runbook("- {id: a, action: start_service, params: {name: web}}")

    class Broken(LocalHost):
        """A host whose service manager is nonsense."""

        @property
        def services(self) -> Any:
            return object()

    wanted = order(text)
    done = run_on_host(
        Order(
            wanted.file,
            wanted.incident,
            Broken(name="web-1"),
            wanted.host_facts,
            wanted.executor,
            wanted.execution_id,
            {},
            1.0,
        )
    )
    assert done.result.status is ExecutionStatus.FAILURE
    assert "a bug in the action start_service: AttributeError" in (done.result.error_message or "")


def test_a_runbook_for_another_platform_is_not_run() -> None:
    from learner.errors import LearnerError

    text = runbook(
        "- {id: a, action: wait, params: {seconds: 0}}", "- {id: c, check: service_running, params: {name: x}}"
    )
    with pytest.raises(LearnerError, match="is for linux; web-1 runs darwin"):
        wanted = order(text)
        wanted.host.platform = "darwin"
        run_on_host(wanted)


def test_rollback_and_cleanup_are_shielded_from_the_first_request_only(tmp_path: Path) -> None:
    stop = Cancellation()
    host = LocalHost(name="web-1", service_manager="systemd", cancelled=stop)
    more = f"finally:\n  - {{id: f, action: run_command, params: {{argv: [sh, -c, 'sleep 0.5; touch {tmp_path}/cleaned']}}}}\n"
    wanted = order(runbook("- {id: a, action: run_command, params: {argv: [sleep, '30']}}", more=more))

    class Asks:
        def started(self, *_: Any) -> None:
            import threading

            threading.Timer(0.3, stop.ask).start()

        def began(self, *_: Any) -> None:
            return

        def ended(self, step: StepExecution) -> None:
            return

    at = time.monotonic()
    done = run_on_host(
        Order(wanted.file, wanted.incident, host, wanted.host_facts, wanted.executor, wanted.execution_id, {}, 1.0),
        cancelled=stop,
        watcher=Asks(),
    )
    assert time.monotonic() - at < 10
    assert (tmp_path / "cleaned").exists()
    assert done.result.status is ExecutionStatus.PARTIAL


def test_children_share_the_request_but_not_the_shield() -> None:
    stop = Cancellation()
    one, two = stop.child(), stop.child()
    one.shield()
    stop.ask()
    assert (one(), two(), stop()) == (False, True, True)
    stop.ask()
    assert one()


def dry(text: str, **given: Any) -> Mapping[str, str]:
    done = run_on_host(order(text, **given), dry=True)
    return {step.step_id or "": step.output or step.error for step in done.result.executed_steps}


def test_a_dry_run_does_not_ask_a_host_about_what_never_happened(tmp_path: Path) -> None:
    at = time.monotonic()
    said = dry(runbook(
        f"""
        - {{id: before, action: check_port, params: {{port: 1}}, on_failure: continue}}
        - {{id: make, action: create_directory, params: {{path: {tmp_path}/new, mode: "0755"}}}}
        - {{id: start, action: start_service, params: {{name: web}}}}
        - {{id: wait_up, action: wait_for_service, params: {{name: web}}, timeout_seconds: 60}}
        - {{id: call, action: escalate, params: {{message: help}}}}
        """))  # fmt: skip
    assert time.monotonic() - at < 8
    assert "connection refused" in said["before"]
    assert said["make"] == f'would set files.{tmp_path}/new.exists = true, files.{tmp_path}/new.mode = "0755"'
    assert said["start"].startswith('would set services.web = "running"; may change ')
    assert said["wait_up"] == "would look at what the steps before it leave behind"
    assert said["call"] == "would escalate"
    assert not (tmp_path / "new").exists()


def test_a_dry_run_says_when_nothing_would_change(tmp_path: Path) -> None:
    said = dry(runbook(f"- {{id: make, action: create_directory, params: {{path: {tmp_path}}}}}"))
    assert said["make"] == "would change nothing that is known here"


def test_execution_ids_sort_by_time_and_never_meet() -> None:
    one, two = (
        new_execution_id(NOW, lambda n: b"\xff" * n),
        new_execution_id(NOW.replace(microsecond=1000), lambda n: b"\0" * n),
    )
    assert one < two
    assert one.startswith("exec-20261122-")
    assert len({new_execution_id(NOW) for _ in range(1000)}) == 1000


def test_a_clock_that_is_set_in_the_middle_changes_no_duration() -> None:
    from learner.executor.performer import LivePerformer

    ticks = iter([100.0, 100.0, 103.5, 103.5])
    performer = LivePerformer(LocalHost(), began=NOW, clock=lambda: next(ticks))
    first, later = performer.now(), performer.now()
    assert (later - first).total_seconds() == 3.5


def test_a_journal_that_was_cut_in_the_middle_of_a_line_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    import json

    from learner.executor.journal import Journal, abandoned
    from tests.samples import document

    journal = Journal(tmp_path, "exec-20261122-01JDABCD")
    journal.started(document(executed_steps=[]))
    journal.began(1, "one", "run_command", "step")
    journal.ended({"step_number": 1, "step_id": "one", "action": "run_command", "success": True})
    journal.began(2, "two", "run_command", "step")
    assert list(abandoned(tmp_path, datetime.now(UTC))) == [], "it is not abandoned while its run goes on"
    journal.leave()
    with journal.path.open("a") as file:
        file.write('{"step": {"step_num')
    ((result, path),) = list(abandoned(tmp_path, datetime.now(UTC)))
    assert result
    assert [(s.step_number, s.success) for s in result.executed_steps] == [(1, True), (2, False)]
    assert (result.error_step, result.completed_at >= result.started_at) == (2, True)
    path.write_text(json.dumps({"result": {"nonsense": 1}}))
    ((broken, _),) = list(abandoned(tmp_path, datetime.now(UTC)))
    assert broken is None
