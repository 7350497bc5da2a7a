"""The runbooks about services, on real faults: real daemons under a supervisord, killed, stopped, swollen, deaf."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.runbooks.host import BrokenHost, said, steps


def test_a_killed_service_is_started_once(host: BrokenHost) -> None:
    port = host.add("crashed")
    os.kill(host.pid("crashed"), signal.SIGKILL)
    host.until(lambda: not host.open(port), "the port to close")
    result = host.respond("RB-LIN-SERVICE-001", "service_crash", service="crashed", port=port)
    assert result.success, said(result)
    assert result.verification_passed, said(result)
    assert result.state_before.services["crashed"] == "failed"
    pid = host.pid("crashed")
    again = host.respond("RB-LIN-SERVICE-001", "service_crash", service="crashed", port=port)
    assert again.verified, said(again)
    assert steps(again)["start"] == "skipped"
    assert host.pid("crashed") == pid


def test_a_service_that_can_not_start_is_a_failure_that_says_why(host: BrokenHost) -> None:
    port = host.add("dead")
    (host.folder / "bin/dead.dead").touch()
    os.kill(host.pid("dead"), signal.SIGKILL)
    result = host.respond("RB-LIN-SERVICE-001", "service_crash", service="dead", port=port)
    assert result.failed, said(result)
    assert "configuration error, giving up" in str(result.error_message)
    assert steps(result)["start"] == "failed"


def test_a_service_that_closed_its_port_is_restarted(host: BrokenHost) -> None:
    port = host.add("deaf")
    os.kill(host.pid("deaf"), signal.SIGUSR1)
    host.until(lambda: not host.open(port), "the port to close")
    result = host.respond("RB-LIN-PORT-001", "port_unreachable", service="deaf", port=port)
    assert result.verified, said(result)
    assert result.state_before.services["deaf"] == "running"
    again = host.respond("RB-LIN-PORT-001", "port_unreachable", service="deaf", port=port)
    assert again.verified, said(again)
    assert steps(again)["restart"] == "skipped"


def test_a_port_held_by_a_stranger_is_not_called_repaired(host: BrokenHost) -> None:
    port = host.add("robbed")
    host.control("stop", "robbed")
    stranger = subprocess.Popen(
        ["python3", "-m", "http.server", str(port), "--bind", "127.0.0.1"], stderr=subprocess.DEVNULL
    )
    try:
        host.until(lambda: host.open(port), "the stranger to listen")
        result = host.respond("RB-LIN-PORT-001", "port_unreachable", service="robbed", port=port)
    finally:
        stranger.terminate()
        stranger.wait()
    assert result.failed
    assert {check.id: check.passed for check in result.checks} == {"listening": True, "running": False}


def test_an_endpoint_comes_back_after_its_dependency(host: BrokenHost) -> None:
    port, _ = host.add("api"), host.add("store")
    url = f"http://127.0.0.1:{port}/"
    # The API answers 503 for as long as its store is down, and dies with it here: both must be started.
    host.control("stop", "api", "store")
    result = host.respond("RB-LIN-ENDPOINT-001", "endpoint_down", url=url, service="api", dependency="store")
    assert result.verified, said(result)
    assert steps(result)["start_dependency"] == "done"
    assert steps(result)["restart"] == "done"
    again = host.respond("RB-LIN-ENDPOINT-001", "endpoint_down", url=url, service="api", dependency="store")
    assert again.verified, said(again)
    assert {name for name, how in steps(again).items() if how == "done"} == {"ask", "wait_until_it_answers"}


def test_an_endpoint_that_answers_wrongly_is_restarted_and_still_fails_if_that_does_not_help(host: BrokenHost) -> None:
    port = host.add("wrong")
    (host.folder / "bin/wrong.wrong").touch()
    pid = host.pid("wrong")
    url = f"http://127.0.0.1:{port}/"
    wrong = host.respond("RB-LIN-ENDPOINT-001", "endpoint_down", url=url, service="wrong", expect_status=200)
    assert wrong.failed
    assert "503" in str(wrong.error_message)
    assert host.pid("wrong") != pid
    (host.folder / "bin/wrong.wrong").unlink()


def test_a_stopped_process_is_replaced(host: BrokenHost) -> None:
    port = host.add("hung")
    url = f"http://127.0.0.1:{port}/"
    pid = host.pid("hung")
    os.kill(pid, signal.SIGSTOP)  # the kernel still takes connections; nobody answers them
    result = host.respond("RB-LIN-PROCESS-001", "process_hung", service="hung", process="hung.py", url=url)
    assert result.verified, said(result)
    assert steps(result)["ask_to_end"] == "failed"
    assert steps(result)["end"] == "done"
    hangs = next(step for step in result.executed_steps if step.step_id == "where_it_hangs")
    assert str(pid) in hangs.output
    assert " T" in hangs.output
    again = host.respond("RB-LIN-PROCESS-001", "process_hung", service="hung", process="hung.py", url=url)
    assert again.verified, said(again)
    assert {name for name, how in steps(again).items() if how == "done"} == {"ask", "wait_until_it_answers"}


def test_a_leak_is_measured_and_the_service_restarted(host: BrokenHost) -> None:
    port = host.add("leaky")
    asked = {"service": "leaky", "process": "leaky.py", "limit_mb": 100, "port": port}
    pid = host.pid("leaky")
    healthy = host.respond("RB-LIN-MEMORY-001", "memory_leak", **asked)
    assert healthy.verified, said(healthy)
    assert steps(healthy)["restart"] == "skipped"
    os.kill(pid, signal.SIGUSR2)
    host.until(
        lambda: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > 120 << 20,
        "the leak",
    )
    result = host.respond("RB-LIN-MEMORY-001", "memory_leak", **asked)
    assert result.verified, said(result)
    assert int(result.executed_steps[0].output) >= 120
    assert host.pid("leaky") != pid
    again = host.respond("RB-LIN-MEMORY-001", "memory_leak", **asked)
    assert steps(again)["restart"] == "skipped"


def test_a_runaway_process_ends_and_a_young_one_is_spared(host: BrokenHost) -> None:
    runaway = host.folder / "bin/crunch"
    runaway.write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do :; done\n")
    runaway.chmod(0o755)
    old = subprocess.Popen([str(runaway)], start_new_session=True)
    young: subprocess.Popen[bytes] | None = None
    try:
        time.sleep(5.5)
        young = subprocess.Popen([str(runaway)], start_new_session=True)
        result = host.respond("RB-LIN-CPU-001", "high_cpu", process="crunch", older_than_seconds=5)
        assert old.wait(5) == -signal.SIGKILL
        assert young.poll() is None or result.duration_seconds > 5
        assert steps(result)["ask_to_end"] == "failed"  # it ignores TERM
        assert steps(result)["end"] == "done", said(result)
    finally:
        for process in (old, young):
            if process:
                process.kill()
                process.wait()
    again = host.respond("RB-LIN-CPU-001", "high_cpu", process="crunch", older_than_seconds=5)
    assert again.verified, said(again)
    assert steps(again)["give_way"] == "skipped"
