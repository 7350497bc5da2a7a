"""An administrator's rights by a real sudo: they are had, they end what must end, and no password is seen anywhere."""

from __future__ import annotations

import json
import os
import pickle
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from learner.actions.host import Completed
from learner.errors import LearnerError
from learner.executor.hosts.become import Become
from learner.executor.hosts.local import LocalHost
from learner.executor.hosts.ssh import SshHost
from tests.executor.conftest import Site, Sshd, runbook, wait_for
from tests.executor.test_execute_cli import kept, learner

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sudo and useradd")
TOKEN = "t0ken-in-the-environment"


@dataclass(frozen=True)
class Person:
    """A user of this machine for as long as a test takes, who may use sudo."""

    name: str
    uid: int
    password: str
    asked: bool
    """Whether sudo asks for the password."""
    log: Path

    def run(self, become_password: str | None, *argv: str, **how: Any) -> Completed:
        """A command with an administrator's rights, by a LocalHost of this user's."""

        def work() -> Completed:
            host = LocalHost(name="here", become_password=become_password)
            return host.elevated().run(argv, **{"timeout_seconds": 20.0, **how})

        return self._as(work)

    def _as(self, work: Callable[[], Completed]) -> Completed:
        """`work` in a process of this user's; Python itself may lie where only root reads, so it is forked."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(reader)
                os.chdir("/")
                os.setgroups([])
                os.setgid(self.uid)
                os.setuid(self.uid)
                done: object = work()
            except BaseException as e:
                done = repr(e)
            os.write(writer, pickle.dumps(done))
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            found = pickle.loads(file.read())
        os.waitpid(child, 0)
        assert isinstance(found, Completed), found
        return found


@pytest.fixture(scope="module", params=[False, True], ids=["no password", "password"])
def person(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    if os.geteuid() != 0 or not shutil.which("sudo") or not shutil.which("useradd"):
        pytest.skip("needs root, sudo and useradd")
    name, password = f"learner-{secrets.token_hex(4)}", f"pa ss'{secrets.token_hex(8)}\"$"
    log = tmp_path_factory.mktemp("sudo") / "log"
    rules = Path(f"/etc/sudoers.d/{name}")
    subprocess.run(["useradd", "--no-create-home", "--home-dir", "/", "--shell", "/bin/sh", name], check=True)
    try:
        subprocess.run(["chpasswd"], input=f"{name}:{password}", text=True, check=True)
        free = "" if request.param else "NOPASSWD: "
        rules.write_text(
            f"Defaults:{name} passwd_tries=1, timestamp_timeout=0, logfile={log}\n{name} ALL=(ALL:ALL) {free}ALL\n"
        )
        rules.chmod(0o440)
        uid = int(subprocess.run(["id", "-u", name], capture_output=True, text=True, check=True).stdout)
        yield Person(name, uid, password, request.param, log)
    finally:
        rules.unlink(missing_ok=True)
        subprocess.run(["userdel", name], check=False, capture_output=True)


SHOWS = """id -u; pwd; printf '%s|' "$TOKEN"; cat; ps -ewwo args"""


def test_rights_are_had_and_nothing_is_seen_of_how(person: Person) -> None:
    how: dict[str, Any] = {"env": {"TOKEN": TOKEN}, "cwd": "/usr", "stdin": "first\n\nlast\n"}
    done = person.run(person.password, "sh", "-c", SHOWS, **how)
    assert done.success, done
    assert done.stdout.startswith(f"0\n/usr\n{TOKEN}|first\n\nlast\n")
    shown = done.stdout.partition("last\n")[2]
    assert "sudo" in shown
    assert person.password not in shown
    assert TOKEN not in shown
    logged = person.log.read_text()
    assert "COMMAND=" in logged
    assert TOKEN not in logged
    assert person.password not in logged


def test_a_password_that_nobody_asks_for_becomes_nobodys_input(person: Person) -> None:
    assert person.run(person.password, "cat").stdout == ""
    assert person.run(person.password, "cat", stdin="given").stdout == "given"


def test_without_the_password_or_with_a_wrong_one_nothing_runs(person: Person, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    for password, words in ((None, "a password is required"), ("wrong", "incorrect password")):
        done = person.run(password, "touch", str(flag))
        assert done.success is not person.asked
        assert flag.exists() is not person.asked
        if person.asked:
            assert words in done.stderr


def test_what_runs_with_those_rights_ends_with_its_time(person: Person, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"trap '' TERM; echo $$ >{pid}; while :; do sleep 0.1; done"
    done = person.run(person.password, "sh", "-c", script, timeout_seconds=2.0)
    assert done.timed_out
    wait_for(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists(), 5)


def test_a_missing_program_and_a_missing_folder_are_told_as_without_sudo(person: Person) -> None:
    missing = person.run(person.password, "no-such-program")
    assert (missing.exit_code, missing.stderr) == (127, "no-such-program: command not found")
    assert person.run(person.password, "true", cwd="/none").exit_code == 126


@pytest.mark.parametrize("person", [True], indirect=True, ids=["password"])
def test_the_same_over_ssh(person: Person, sshd: Sshd, tmp_path: Path) -> None:
    address = sshd.address.replace(sshd.address.partition("@")[0], f"ssh://{person.name}")
    host = SshHost(address, options=sshd.options, become_password=person.password)
    try:
        assert host.run(["id", "-u"], timeout_seconds=20).stdout == f"{person.uid}\n"
        how: dict[str, Any] = {"env": {"TOKEN": TOKEN}, "cwd": "/usr", "stdin": "in\n"}
        done = host.elevated().run(["sh", "-c", SHOWS], timeout_seconds=20, **how)
        assert done.stdout.startswith(f"0\n/usr\n{TOKEN}|in\n"), done
        shown = done.stdout.partition("|in\n")[2]
        assert person.password not in shown
        assert TOKEN not in shown
        pid = tmp_path / "pid"
        script = f"trap '' TERM; echo $$ >{pid}; while :; do sleep 0.1; done"
        assert host.elevated().run(["sh", "-c", script], timeout_seconds=3.0).timed_out
        wait_for(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists(), 5)
    finally:
        host.close()
    stranger = SshHost(address, options=sshd.options)
    refused = stranger.elevated().run(["true"], timeout_seconds=20)
    stranger.close()
    assert (refused.success, "a password is required" in refused.stderr) == (False, True)


@pytest.mark.parametrize("person", [True], indirect=True, ids=["password"])
def test_a_run_writes_the_password_nowhere(person: Person, sshd: Sshd, site: Site) -> None:
    address = sshd.address.replace(sshd.address.partition("@")[0], f"ssh://{person.name}")
    site.settings(f"ssh_options: {json.dumps(list(sshd.options))}\n")
    tell = 'id -u; echo "$0" | base64; env | grep -c BECOME || true'
    site.runbook(
        runbook(
            f"""
            - {{id: plain, action: run_script, params: {{shell: sh, script: 'id -u'}}}}
            - {{id: raised, action: run_command, become: true, params: {{argv: [sh, -c, {json.dumps(tell)}, "{{{{ said }}}}"]}}}}
            """,
            more="parameters:\n  said: {type: string}\n",
        )
    )
    words = ("execute", "RB-LIN-TEST-001", "--host", address, "--param", f"said=it is {person.password}", "--no-push")
    env = {"LEARNER_BECOME_PASSWORD": person.password}
    done = learner(site, *words, "--json", env=env)
    assert done.returncode == 0, done.stderr
    (result,) = kept(site)
    plain, raised = (step["output"] for step in result["executed_steps"])
    assert plain == f"{person.uid}\n"
    assert raised.startswith("0\n")
    assert "***" in raised
    assert raised.endswith("\n0\n")
    everything = done.stdout + done.stderr + json.dumps(result)
    everything += "".join(p.read_text("utf-8", "replace") for p in site.spool.rglob("*") if p.is_file())
    assert person.password not in everything
    whole = learner(site, *words, "--become", env=env)
    assert whole.returncode == 0, whole.stderr
    assert [step["output"].split()[0] for step in kept(site)[1]["executed_steps"]] == ["0", "0"]


def test_a_password_is_for_sudo_alone() -> None:
    with pytest.raises(LearnerError, match="only be handed to sudo"):
        Become(("doas", "--"), "secret")
    with pytest.raises(LearnerError, match="several lines"):
        Become(("sudo", "--"), "one\ntwo")
