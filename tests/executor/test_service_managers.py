"""Service managers that this machine does not run: what they are asked, and how their answers are read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from learner.actions.host import Completed
from learner.executor.hosts.local import LocalHost
from learner.executor.service_managers import choose
from learner.executor.service_managers.launchd import Launchd
from learner.executor.service_managers.systemd import Systemd
from learner.executor.service_managers.sysv import SysV
from learner.executor.service_managers.windows import WindowsServices


@dataclass
class Answers(LocalHost):
    """A host that gives prepared answers."""

    answers: list[Completed] = field(default_factory=list)
    asked: list[tuple[tuple[str, ...], dict[str, str]]] = field(default_factory=list)
    platform: str = "linux"

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, **_: Any) -> Completed:
        self.asked.append((tuple(argv), dict(env or {})))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def stat(self, path: str) -> None:
        return None


def test_sysv_against_a_real_init_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "service"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = web ] || {{ echo "$1: unrecognized service" >&2; exit 1; }}\ncd {tmp_path}\n'
        "case $2 in start) touch pid;; stop) rm -f pid;; restart) touch pid;; reload) touch reloaded;;\n"
        "status) if [ -f pid ]; then echo running; exit 0; elif [ -f dead ]; then exit 1; else exit 3; fi;; esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    manager = SysV(LocalHost())
    assert manager.status("web") == "stopped"
    assert manager.start("web", 10).success
    assert manager.status("web") == "running"
    assert manager.reload("web", 10).success
    assert manager.stop("web", 10).success
    (tmp_path / "dead").touch()
    assert manager.status("web") == "failed"
    assert manager.restart("web", 10).success
    assert manager.status("web") == "running"
    assert manager.status("none") == "unknown"
    assert not manager.start("none", 10).success


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (Completed(0, "LoadState=loaded\nActiveState=active\n"), "running"),
        (Completed(0, "LoadState=loaded\nActiveState=failed\n"), "failed"),
        (Completed(0, "LoadState=loaded\nActiveState=activating\n"), "stopped"),
        (Completed(0, "LoadState=not-found\nActiveState=inactive\n"), "unknown"),
        (Completed(1, "", "System has not been booted with systemd"), "unknown"),
    ],
)
def test_systemd_states(said: Completed, status: str) -> None:
    assert Systemd(Answers(answers=[said])).status("web") == status


def test_a_unit_that_does_not_start_says_why_by_its_journal() -> None:
    host = Answers(answers=[Completed(1, "", "Job for web.service failed."), Completed(0, "bind: address in use\n")])
    done = Systemd(host).start("web", 10)
    assert done.stderr == "Job for web.service failed.\nbind: address in use"
    assert host.asked[0][0] == ("systemctl", "start", "--", "web")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (Completed(0, "com.acme.web = {\n\tstate = running\n\tpid = 77\n}"), "running"),
        (Completed(0, "com.acme.web = {\n\tstate = not running\n\tlast exit code = 1\n}"), "failed"),
        (Completed(0, "com.acme.web = {\n\tstate = not running\n\tlast exit code = 0\n}"), "stopped"),
        (Completed(113, "", "Could not find service"), "unknown"),
    ],
)
def test_launchd_states(said: Completed, status: str) -> None:
    assert Launchd(Answers(answers=[said])).status("com.acme.web") == status


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (Completed(0, '{"code":0,"state":"Running"}\r\n'), "running"),
        (Completed(0, '{"code":0,"state":"Stop Pending"}\r\n'), "running"),
        (Completed(0, '{"code":0,"state":"Stopped"}\r\n'), "stopped"),
        (Completed(0, '{"code":1077,"state":"Stopped"}\r\n'), "stopped"),
        (Completed(0, '{"code":1067,"state":"Stopped"}\r\n'), "failed"),
        (Completed(0, '{"code":0,"state":"Start Pending"}\r\n'), "stopped"),
        (Completed(1, '{"error":"there is no service W3SVC"}\r\n'), "unknown"),
        (Completed(1, "", "powershell: command not found"), "unknown"),
    ],
)
def test_windows_states(said: Completed, status: str) -> None:
    assert WindowsServices(Answers(answers=[said])).status("W3SVC") == status


def test_a_windows_services_name_never_becomes_script() -> None:
    host = Answers(answers=[Completed(0, '{"status":"Running"}')])
    name = "x'; Remove-Item C:\\ #"
    for order in ("start", "stop", "restart"):
        assert getattr(WindowsServices(host), order)(name, 10.0).success
    WindowsServices(host).status(name)
    assert all(name not in " ".join(argv) and env["LEARNER_SERVICE"] == name for argv, env in host.asked)
    host.asked.clear()
    WindowsServices(host).reload("W3SVC", 10.0)
    assert host.asked[0][0] == ("sc.exe", "control", "W3SVC", "paramchange")


def test_why_a_windows_service_does_not_start_is_told() -> None:
    host = Answers(answers=[Completed(1, '{"error":"Failed to start service \'W3SVC\'."}\r\n')])
    done = WindowsServices(host).start("W3SVC", 10.0)
    assert (done.success, done.stderr) == (False, "Failed to start service 'W3SVC'.")
    late = WindowsServices(Answers(answers=[Completed(143, "", "", timed_out=True)])).start("W3SVC", 10.0)
    assert late.timed_out


def test_launchd_is_asked_until_a_daemon_has_ended() -> None:
    def says(state: str) -> Completed:
        return Completed(0, f"com.acme.web = {{\n\tstate = {state}\n\tlast exit code = 0\n}}")

    host = Answers(answers=[says("running"), Completed(0), says("running"), says("not running")])
    assert Launchd(host).stop("com.acme.web", 10.0).success
    assert [argv[1] for argv, _ in host.asked] == ["print", "kill", "print", "print"]
    idle = Answers(answers=[says("not running")])
    assert Launchd(idle).stop("com.acme.web", 10.0).success
    assert [argv[1] for argv, _ in idle.asked] == ["print"]
    deaf = Launchd(Answers(answers=[says("running")])).stop("com.acme.web", 0.3)
    assert (deaf.success, deaf.timed_out) == (False, True)


@pytest.mark.parametrize(("platform", "kind"), [("darwin", Launchd), ("windows", WindowsServices)])
def test_a_platform_has_its_own(platform: str, kind: type) -> None:
    assert isinstance(choose(Answers(answers=[Completed(0)], platform=platform)), kind)
