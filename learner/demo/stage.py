"""The demo's stage: one temporary folder with a supervisord, three small services, a local forge and two clones.

Everything here is real; only the size is a demo's. `Stage` is a context manager: what it started is gone when it
ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from learner.errors import LearnerError
from learner.executor.gate import trust_ssh
from learner.executor.hosts import processes
from learner.local_forge import Forge, RunningForge, User, serve
from learner.repository.git import Git, Identity, init
from learner.settings import HostSettings, read

HERE = Path(__file__).parent
CLIENT = "acme"
PERSON = Identity("Dana Reviewer", "dana@acme.example")
LEARNER = Identity("learner[bot]", "learner[bot]@users.noreply.github.com")
SERVICES = ("web", "db", "api")


@dataclass
class Stage:
    """What stands where."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="learner-demo-")))
    tokens: dict[str, str] = field(
        default_factory=lambda: {name: secrets.token_hex(16) for name in ("dana", "learner", "executor")}
    )
    ports: dict[str, int] = field(default_factory=dict)
    forge: RunningForge = field(init=False)
    _open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, init=False)

    # ---- setting up and clearing away

    def __enter__(self) -> Stage:
        try:
            self._open.callback(shutil.rmtree, self.folder, ignore_errors=True)
            # A daemon that gives its rights away must still be able to pass through.
            self.folder.chmod(0o755)
            self.ports = dict(zip(SERVICES, _free_ports(len(SERVICES)), strict=True))
            self._path()
            self._folders()
            self._supervise()
            self._host_forge()
            self._clones()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A second ^C must not leave a daemon behind.
        with contextlib.suppress(ValueError):
            held = signal.signal(signal.SIGINT, signal.SIG_IGN)
            self._open.callback(signal.signal, signal.SIGINT, held)
        self._open.close()

    def _path(self) -> None:
        """supervisorctl stands beside this Python, which need not be on the PATH."""
        before = os.environ.get("PATH", "")
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{before}"
        self._open.callback(os.environ.__setitem__, "PATH", before)

    def _folders(self) -> None:
        for name in ("run/web", "run/db", "var/log", "etc", "spool"):
            (self.folder / name).mkdir(parents=True)

    def _supervise(self) -> None:
        if shutil.which("supervisord") is None:
            raise LearnerError("the demo needs supervisord", "pip install 'runbook-learner[demo]'")
        self.supervisor_config.write_text(self._supervisor_settings())
        done = processes.run(["supervisord", "-c", str(self.supervisor_config)], timeout_seconds=20)
        if not done.success:
            raise LearnerError(f"supervisord did not start: {done.stderr.strip() or done.stdout.strip()}")
        self._open.callback(self._stop_supervisor)
        _wait_for(lambda: self._states().count("RUNNING") == len(SERVICES), 15, "the services to start")

    def _supervisor_settings(self) -> str:
        home, services, socket_file = self.folder, HERE / "services", self._socket()
        arguments = {
            "web": f"{self.ports['web']} {home}/run/web/web.pid",
            "db": f"{self.ports['db']} {home}/run/db",
            "api": f"{self.ports['api']} {self.ports['db']}",
        }
        programs = "".join(
            f"[program:{name}]\ncommand={sys.executable} {services}/{name}.py {arguments[name]}\n"
            f"priority={order}\nstartsecs=1\nstartretries=0\nautorestart=false\nstopwaitsecs=3\n"
            f"stdout_logfile={home}/var/log/{name}.out\nstderr_logfile={home}/var/log/{name}.err\n\n"
            for order, name in ((1, "db"), (2, "web"), (3, "api"))
        )
        return (
            f"[supervisord]\nlogfile={home}/var/log/supervisord.log\npidfile={home}/run/supervisord.pid\n"
            f"childlogdir={home}/var/log\nsilent=true\n\n"
            f"[unix_http_server]\nfile={socket_file}\n\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\n"
            f"[supervisorctl]\nserverurl=unix://{socket_file}\n\n{programs}"
        )

    def _socket(self) -> Path:
        """Where supervisord listens. A socket's path has room for about a hundred bytes (unix(7), sun_path)."""
        if len(str(self.folder)) < 70:
            return self.folder / "run/supervisor.sock"
        short = Path(tempfile.mkdtemp(prefix="learner-", dir="/tmp"))
        self._open.callback(shutil.rmtree, short, ignore_errors=True)
        return short / "s"

    def _stop_supervisor(self) -> None:
        try:
            pid = int((self.folder / "run/supervisord.pid").read_text())
        except (OSError, ValueError):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            for _ in range(100):
                os.kill(pid, 0)
                time.sleep(0.1)
            os.kill(pid, signal.SIGKILL)

    def _host_forge(self) -> None:
        """A bare repository with the first runbooks, as a person committed them, and the forge that serves it."""
        bare = self.folder / "runbooks.git"
        init(bare, bare=True)
        self._seed(bare)
        users = [
            User("dana", self.tokens["dana"], "admin", "User", PERSON.name, PERSON.email, self.signing_key),
            User("learner[bot]", self.tokens["learner"], "write", "Bot", LEARNER.name, LEARNER.email),
            User("executor", self.tokens["executor"], "write", "User", "executor", "executor@acme.example"),
        ]
        self.forge = serve(Forge(bare, users, f"{CLIENT}/runbooks"))
        self._open.callback(self.forge.close)

    def _seed(self, bare: Path) -> None:
        work = self.folder / "seed"
        git = init(work)
        shutil.copytree(HERE / "runbooks", work / "runbooks/linux")
        (work / ".github").mkdir()
        (work / ".github/learner.yml").write_text(
            "# How the learner works in this repository; see docs/settings.md.\nlimits: {cooldown_hours: 0}\n"
        )
        git.run("add", "--all")
        sign = ["-S"] if self.signing_key else []
        config = {"gpg.format": "ssh", "user.signingkey": str(self.signing_key)} if sign else {}
        git.run("commit", "--quiet", *sign, "-m", "The first runbooks", env=PERSON.environment(), config=config)
        git.run("push", "--quiet", str(bare), "main")
        shutil.rmtree(work)

    def _clones(self) -> None:
        for name in ("learner", "executor"):
            Git(self.folder).run("clone", "--quiet", self.forge.git_url(self.tokens[name]), name)

    # ---- looking around

    @property
    def signing_key(self) -> Path | None:
        """The person's SSH signing key, made at the first look; None where there is no ssh-keygen."""
        key = self.folder / "etc/dana"
        if not key.exists():
            made = processes.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", PERSON.email, "-f", str(key)], timeout_seconds=20
            )
            if not made.success:
                return None
            trust_ssh(self.folder / "etc/allowed_signers", PERSON.email, key.with_suffix(".pub").read_text())
        return key

    @property
    def supervisor_config(self) -> Path:
        return self.folder / "etc/supervisord.conf"

    def _states(self) -> list[str]:
        status = processes.run(["supervisorctl", "-c", str(self.supervisor_config), "status"], timeout_seconds=10)
        return [line.split()[1] for line in status.stdout.splitlines() if len(line.split()) > 1]

    @property
    def host_settings(self) -> HostSettings:
        """The settings of the demo's one host."""
        lines = [
            f"client_id: {CLIENT}", "executor_id: web-1-agent", "hostname: web-1",
            f"repository: {self.folder / 'executor'}", f"spool: {self.folder / 'spool'}",
            "service_manager: supervisord", f"supervisor_config: {self.supervisor_config}", "capture_seconds: 5.0",
        ]  # fmt: skip
        if self.signing_key:
            lines.append(f"gate: {{allowed_signers: {self.folder / 'etc/allowed_signers'}}}")
        return read(HostSettings, "\n".join(lines), "the demo's host settings")

    # ---- breaking things

    def control(self, *words: str) -> None:
        """Tell supervisord something."""
        processes.run(["supervisorctl", "-c", str(self.supervisor_config), *words], timeout_seconds=15)

    def kill(self, service: str) -> None:
        """End a service as the kernel ends one that ate too much: without a word."""
        pid = processes.run(
            ["supervisorctl", "-c", str(self.supervisor_config), "pid", service], timeout_seconds=10
        ).stdout.strip()
        if pid.isdigit() and int(pid) > 1:
            os.kill(int(pid), signal.SIGKILL)

    def break_everything(self) -> None:
        """The demo's faults: a pid file without its process, a runtime directory gone, a dependency stopped, a secret
        that may not be read, and a log directory full of old logs."""
        self.kill("web")
        self.control("stop", "db", "api")
        shutil.rmtree(self.folder / "run/db")
        secret = self.folder / "etc/token"
        secret.write_text("s3cr3t\n")
        secret.chmod(0o600 if os.geteuid() == 0 else 0o000)
        (self.folder / "var/log/app.log.1").write_text("old\n" * 1000)
        _wait_for(lambda: "RUNNING" not in self._states(), 10, "the faults to show")

    def break_dependency(self) -> None:
        """The store stands still but could start; the API is down because of it."""
        (self.folder / "run/db").mkdir(exist_ok=True)
        self.control("stop", "api", "db")


def _free_ports(count: int) -> list[int]:
    """Ports nobody listens on now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _wait_for(holds: object, seconds: float, what: str) -> None:
    assert callable(holds)
    ends_at = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends_at:
            raise LearnerError(f"waited {seconds:g} s for {what}, in vain", "is the machine very busy? try again")
        time.sleep(0.2)


def incidents(stage: Stage) -> Iterator[tuple[str, dict[str, object]]]:
    """Runbook → the incident it is run for."""
    home = stage.folder
    yield "RB-LIN-SERVICE-001", _incident("web is down", "service_crash", "web", port=stage.ports["web"])
    yield "RB-LIN-DB-001", _incident("the store is down", "service_crash", "db", port=stage.ports["db"])
    yield "RB-LIN-API-001", _incident("the API is down", "endpoint_down", "api", port=stage.ports["api"])
    rotate = {"program": str(HERE / "services/rotate_token.py"), "secret": str(home / "etc/token")}
    yield "RB-LIN-TOKEN-001", _incident("a token has expired", "token_expired", "api", **rotate)
    yield "RB-LIN-DISK-001", _incident("the disk fills up", "disk_full", "web", logs=str(home / "var/log"))


def _incident(title: str, kind: str, app: str, **parameters: object) -> dict[str, object]:
    return {
        "incident_id": f"INC-{secrets.token_hex(3)}", "incident_type": kind, "client_id": CLIENT, "hostname": "web-1",
        "labels": {"app": app}, "parameters": parameters, "source": title,
    }  # fmt: skip
