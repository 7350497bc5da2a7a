"""Hosts over SSH, against a real sshd: the same runbook, the same result."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from learner.actions.host import HostError
from learner.errors import LearnerError
from learner.executor.hosts import processes
from learner.executor.hosts.local import LocalHost
from learner.executor.hosts.ssh import SshHost, target
from learner.executor.run import Order, new_execution_id
from learner.executor.run import run as run_on_host
from learner.models.execution import ExecutionResult, Executor
from learner.models.incident import Incident
from learner.runbook_file import parse
from tests.executor.conftest import Sshd, Supervisor, free_port, runbook, wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX programs")


@pytest.fixture
def host(sshd: Sshd) -> Iterator[SshHost]:
    made = SshHost(sshd.address, options=sshd.options)
    yield made
    made.close()


def test_it_is_the_machine_it_says(host: SshHost) -> None:
    assert (host.platform, host.name) == ("linux", socket.gethostname())
    here = LocalHost().facts()
    assert (host.facts().os_id, host.facts().os_version, host.facts().arch) == (here.os_id, here.os_version, here.arch)


@pytest.mark.parametrize(
    "argv",
    [
        ["sh", "-c", "echo out; echo err >&2; exit 7"],
        ["sh", "-c", "printf err >&2; printf out; kill -KILL $$"],
        ["no-such-program"],
        ["ulimit"],
        ["/no/such/program"],
        ["/etc/passwd"],
        ["printf", "%s|", "a b", "", "'\"$(echo no)`echo no`\\", "*", "~", "-n", "é", "line\nbreak\n"],
        ["printf", "a\\377\\000b\\303\\251"],
        ["sh", "-c", "echo text"],
        ["cat"],
        ["env", "-i", "true"],
    ],
)
def test_a_command_ends_as_it_does_here(host: SshHost, argv: list[str]) -> None:
    options = {"timeout_seconds": 20.0, "stdin": "given\n\ntwice"}
    assert host.run(argv, **options) == LocalHost().run(argv, **options)  # type: ignore[arg-type]


def test_environment_and_directory(host: SshHost, tmp_path: Path) -> None:
    odd = tmp_path / "a 'dir'"
    odd.mkdir()
    done = host.run(["sh", "-c", 'pwd; printf "%s" "$X"'], timeout_seconds=20, env={"X": "a 'b'\n$(no)"}, cwd=str(odd))
    assert done.stdout == f"{odd}\na 'b'\n$(no)"
    gone = host.run(["true"], timeout_seconds=20, cwd=str(tmp_path / "none"))
    assert (gone.exit_code, gone.stderr) == (126, f"{tmp_path}/none: no such directory")
    with pytest.raises(HostError, match="no name of an environment variable"):
        host.run(["true"], timeout_seconds=20, env={"A;rm": "x"})


def test_nobody_reads_parameters_off_the_list_of_processes(host: SshHost) -> None:
    found: list[str] = []

    def look() -> None:
        time.sleep(0.7)
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if "in-the-environment" in words:
                found.append(words)

    watcher = threading.Thread(target=look)
    watcher.start()
    host.run(["sleep", "1.5"], timeout_seconds=20, env={"TOKEN": "in-the-environment"})
    watcher.join()
    assert found == []


def test_the_far_process_group_ends_with_its_time(host: SshHost, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; echo $$ >> {pids}; sh -c 'sleep 60 & echo $! >> {pids}; wait' & echo $! >> {pids}; while :; do sleep 0.2; done"
    at = time.monotonic()
    done = host.run(["sh", "-c", script], timeout_seconds=4.0)
    assert done.timed_out
    assert time.monotonic() - at < 4 + 2 * processes.GRACE_SECONDS + 6
    found = [int(pid) for pid in pids.read_text().split()]
    assert len(found) == 3
    wait_for(lambda: not any(_lives(pid) for pid in found), 8)
    assert "learner-" not in done.stderr


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_cancelled_command_ends_there_too(sshd: Sshd, tmp_path: Path) -> None:
    stop = threading.Event()
    host = SshHost(sshd.address, options=sshd.options, cancelled=stop.is_set)
    pid = tmp_path / "pid"
    threading.Thread(target=lambda: (wait_for(pid.exists, 20), stop.set())).start()
    done = host.run(["sh", "-c", f"echo $$ > {pid}; exec sleep 60"], timeout_seconds=60)
    assert (done.timed_out, done.success) == (False, False)
    wait_for(lambda: not _lives(int(pid.read_text())), 5)
    host.close()


def test_what_is_left_in_the_background_does_not_hang_the_step(host: SshHost, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    at = time.monotonic()
    done = host.run(["sh", "-c", f"sleep 30 & echo $! > {pid}; echo started"], timeout_seconds=20)
    assert (done.exit_code, done.stdout, done.timed_out) == (0, "started\n", False)
    assert time.monotonic() - at < processes.GRACE_SECONDS + 3
    assert _lives(int(pid.read_text()))
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_files_connections_and_addresses(host: SshHost, tmp_path: Path) -> None:
    content = bytes(range(256)) * 120
    host.write_file(str(tmp_path / "f"), content, "0600")
    assert (tmp_path / "f").read_bytes() == content
    assert host.read_file(str(tmp_path / "f")) == content
    found = host.stat(str(tmp_path / "f"))
    assert found
    assert (found.mode, found.size_bytes) == ("0600", len(content))
    assert host.connect("127.0.0.1", free_port(), 3) == "connection refused"
    assert host.http_get(f"http://127.0.0.1:{free_port()}/", 3).error == "connection refused"
    assert host.resolve("no-such-name.invalid", 5) == []


def test_a_connection_that_is_cut_is_told_and_does_not_hang(sshd: Sshd, tmp_path: Path) -> None:
    host = SshHost(sshd.address, options=sshd.options)
    began = tmp_path / "began"

    def cut() -> None:
        wait_for(began.exists, 10)
        parent = int(Path(f"/proc/{int(began.read_text())}/stat").read_text().rpartition(")")[2].split()[1])
        while "sshd" not in Path(f"/proc/{parent}/comm").read_text():
            parent = int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent, signal.SIGKILL)

    threading.Thread(target=cut).start()
    at = time.monotonic()
    with pytest.raises(HostError) as e:
        host.run(["sh", "-c", f"echo $$ > {began}.new; mv {began}.new {began}; sleep 20"], timeout_seconds=30)
    assert e.value.kind == "unreachable"
    assert time.monotonic() - at < 15
    host.close()


CUT = """
- {id: before, action: run_command, params: {argv: [echo, done]}}
- id: cut
  action: run_script
  params:
    shell: sh
    script: |
      p=$$
      until [ "$(cat /proc/$p/comm)" = sshd ]; do p=$(cut -d " " -f 4 /proc/$p/stat); done
      kill -KILL "$p"; sleep 20
- {id: never, action: run_command, params: {argv: [echo, never]}}
"""


def test_a_run_whose_connection_is_cut_fails_truthfully(sshd: Sshd) -> None:
    host = SshHost(sshd.address, options=sshd.options)
    incident = Incident(incident_id="INC-1", incident_type="service_crash", client_id="acme")
    order = Order(
        parse(runbook(CUT).encode()),
        incident,
        host,
        host.facts(),
        Executor(),
        new_execution_id(datetime.now(UTC)),
        {},
        3.0,
    )
    at = time.monotonic()
    result = run_on_host(order).result
    host.close()
    assert time.monotonic() - at < 20
    assert (result.status.value, result.verification_passed, result.error_step) == ("failure", None, 2)
    assert [(step.step_id, step.success) for step in result.executed_steps] == [("before", True), ("cut", False)]
    assert sshd.address in (result.error_message or "")


def test_a_host_that_is_not_known_or_not_there_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("")
    stranger = [o for o in sshd.options if not o.startswith("UserKnown")]
    with pytest.raises(LearnerError, match="verification failed"):
        SshHost(sshd.address, options=(*stranger, f"UserKnownHostsFile={tmp_path}/known_hosts"))
    with pytest.raises(LearnerError, match="verification failed"):
        SshHost(
            sshd.address, options=(*stranger, f"UserKnownHostsFile={tmp_path}/known_hosts", "StrictHostKeyChecking=no")
        )
    with pytest.raises(LearnerError, match="refused"):
        SshHost(f"ssh://127.0.0.1:{free_port()}", options=sshd.options)
    with pytest.raises(LearnerError, match="denied"):
        SshHost(sshd.address, options=tuple(o for o in sshd.options if not o.startswith("IdentityFile")))


@pytest.mark.parametrize(
    "address",
    [
        "ssh://",
        "ssh://-oProxyCommand=x",
        "ssh://a b",
        "ssh://u:p@h",
        "ssh://h/path",
        "ssh://h:port",
        "ssh://-h",
        "ssh://u@-h",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(LearnerError, match="no address"):
        target(address)


def test_an_address_becomes_words_for_ssh() -> None:
    assert target("ssh://web-1") == ["--", "web-1"]
    assert target("ssh://ops@web-1.acme.example:2222") == ["-p", "2222", "-l", "ops", "--", "web-1.acme.example"]
    assert target("ssh://[fe80::1%eth0]:22") == ["-p", "22", "--", "fe80::1%eth0"]


def test_become_goes_before_everything(sshd: Sshd) -> None:
    host = SshHost(sshd.address, options=sshd.options, become=("env", "BECAME=1"))
    host._is_root = False
    raised = host.elevated()
    assert (
        raised.run(["sh", "-c", 'echo "$BECAME $X"; cat'], timeout_seconds=20, env={"X": "a b"}, stdin="in").stdout
        == "1 a b\nin"
    )
    assert raised.elevated() is raised
    host.close()


BOOK = runbook(
    """
    - {id: status, action: check_service_status, params: {name: web}}
    - {id: start, action: start_service, params: {name: web}, when: "state.services.web != 'running'"}
    - {id: port, action: wait_for_port, params: {port: "{{ port }}"}, timeout_seconds: 10}
    - {id: page, action: check_http, params: {url: "http://127.0.0.1:{{ port }}/"}}
    - {id: none, action: check_http, params: {url: "http://127.0.0.1:1/"}, on_failure: continue}
    - {id: write, action: write_file, params: {path: "{{ folder }}/conf", content: "a = 1\\n", mode: "0640"}}
    - {id: line, action: ensure_line, params: {path: "{{ folder }}/conf", line: "a = 2", match: "a ="}}
    - {id: perms, action: set_permissions, params: {path: "{{ folder }}/conf", mode: "0600"}}
    - {id: disk, action: check_disk_usage, params: {path: "{{ folder }}"}}
    - {id: script, action: run_script, params: {shell: sh, script: 'echo "$A"; echo "oops" >&2; exit 3', env: {A: "{{ folder }}"}}, on_failure: continue}
    - {id: missing, action: run_command, params: {argv: [no-such-program]}, on_failure: continue}
    - {id: slow, action: run_command, params: {argv: [sleep, "30"]}, timeout_seconds: 1, on_failure: continue}
    - {id: gone, action: remove_file, params: {path: "{{ folder }}/conf"}}
    - {id: stop, action: stop_service, params: {name: web}}
    """,
    "- {id: down, check: service_stopped, params: {name: web}}\n- {id: closed, check: file_absent, params: {path: '{{ folder }}/conf'}}",
    more="parameters:\n  port: {type: integer}\n  folder: {type: string}\n",
)
VOLATILE = {"started_at", "completed_at", "duration_seconds", "modified_at", "captured_at", "execution_id", "evidence_bundle_id",
            "waited_seconds", "usage_percent", "free_gb", "free_mb", "load_average", "cpu", "memory"}  # fmt: skip


def comparable(result: ExecutionResult) -> object:
    def walk(value: object) -> object:
        if isinstance(value, dict):
            return {
                key: walk(below)
                for key, below in value.items()
                if key not in VOLATILE and "disk" not in key and "cpu" not in key and "memory" not in key
            }
        return [walk(below) for below in value] if isinstance(value, list) else value

    held = result.model_dump(mode="json")
    for step in held["executed_steps"]:
        if step["step_id"] == "disk":
            step["output"] = ""
        step["state_changes"] = {
            key: change for key, change in step["state_changes"].items() if "modified_at" not in key
        }
    held["state_diff"] = {key: change for key, change in held["state_diff"].items() if "modified_at" not in key}
    return walk(held)


def test_the_same_runbook_gives_the_same_result_here_and_there(
    sshd: Sshd, supervised: Callable[..., Supervisor], tmp_path: Path
) -> None:
    port = free_port()
    config = str(
        supervised({"web": f"{sys.executable} -m http.server {port} --bind 127.0.0.1 --directory {tmp_path}"}).config
    )
    path = f"PATH={os.environ['PATH']}"
    far = SshHost(sshd.address, options=sshd.options, supervisor_config=config, become=())
    near = LocalHost(name=far.name, supervisor_config=config)
    results = []
    # sshd gives its sessions a PATH of its own; supervisorctl of a virtual environment is not on it
    link = Path("/usr/local/bin/supervisorctl")
    linked = not link.exists() and os.access(link.parent, os.W_OK)
    if linked:
        link.symlink_to(Path(sys.executable).parent / "supervisorctl")
    try:
        for host in (near, far):
            incident = Incident(incident_id="INC-1", incident_type="service_crash", client_id="acme")
            order = Order(
                parse(BOOK.encode()),
                incident,
                host,
                host.facts(),
                Executor(),
                new_execution_id(datetime.now(UTC)),
                {"port": port, "folder": str(tmp_path)},
                60.0,
            )
            results.append(run_on_host(order).result)
    finally:
        if linked:
            link.unlink()
        far.close()
    here, there = results
    assert here.status.value == "success", (here.error_message, path)
    assert [(s.step_id, s.success) for s in there.executed_steps] == [
        (s.step_id, s.success) for s in here.executed_steps
    ]
    assert comparable(there) == comparable(here)
