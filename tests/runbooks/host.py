"""A host to break and repair: a private supervisord with daemons of its own, in one folder."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from learner.executor.hosts.local import LocalHost
from learner.executor.run import Order, new_execution_id, run
from learner.models import ExecutionResult, Executor, Incident
from learner.runbook_file import read

ROOT = Path(__file__).parents[2]
DAEMON = Path(__file__).with_name("daemon.py")


def _port_of_our_own() -> int:
    """A free port below those that the kernel hands out: nobody else is given it while its daemon is down."""
    while True:
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", random.randrange(15_000, 32_000)))
            return int(one.getsockname()[1])


@dataclass
class BrokenHost:
    """supervisord in `folder`; `add` gives it a daemon, `respond` runs a runbook of `runbooks/linux` on it."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    name: str = "web-1"

    def __post_init__(self) -> None:
        for directory in ("etc", "run", "log", "bin", "data"):
            (self.folder / directory).mkdir(parents=True, exist_ok=True)
        home = self.folder
        (home / "etc/supervisord.conf").write_text(
            f"[supervisord]\nlogfile={home}/log/supervisord.log\npidfile={home}/run/supervisord.pid\nsilent=true\n"
            f"childlogdir={home}/log\n\n[unix_http_server]\nfile={home}/run/s.sock\n\n"
            "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\n"
            f"[supervisorctl]\nserverurl=unix://{home}/run/s.sock\n\n[include]\nfiles={home}/etc/*.ini\n"
        )
        self.control_program("supervisord", "-c", str(self.config))
        self.until(lambda: (home / "run/supervisord.pid").exists(), "supervisord to start")

    def close(self) -> None:
        pid = int((self.folder / "run/supervisord.pid").read_text())
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            for _ in range(100):
                os.kill(pid, 0)
                time.sleep(0.1)
            os.kill(pid, signal.SIGKILL)

    @property
    def config(self) -> Path:
        return self.folder / "etc/supervisord.conf"

    @staticmethod
    def control_program(*argv: str) -> str:
        program = shutil.which(argv[0]) or str(Path(sys.executable).with_name(argv[0]))
        done = subprocess.run([program, *argv[1:]], capture_output=True, text=True, timeout=30)
        return done.stdout

    def control(self, *words: str) -> str:
        return self.control_program("supervisorctl", "-c", str(self.config), *words)

    def add(self, name: str, *, certificate: Path | None = None) -> int:
        """A daemon called `name`, running; its port."""
        port = self.ports[name] = _port_of_our_own()
        program = shutil.copy(DAEMON, self.folder / f"bin/{name}.py")
        words = [sys.executable, str(program), str(port), *([str(certificate)] if certificate else [])]
        (self.folder / f"etc/{name}.ini").write_text(
            f"[program:{name}]\ncommand={' '.join(words)}\nstartsecs=1\nstartretries=0\nautorestart=false\n"
            f"stopwaitsecs=2\nstdout_logfile={self.folder}/log/{name}.out\nstderr_logfile={self.folder}/log/{name}.err\n"
        )
        self.control("update")
        # A port is bound before the daemon has set its signals; supervisord's RUNNING comes a second later.
        self.until(lambda: self.open(port) and "RUNNING" in self.control("status", name), f"{name} to run")
        return port

    def pid(self, name: str) -> int:
        return int(self.control("pid", name))

    @staticmethod
    def open(port: int) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0

    @staticmethod
    def until(holds: Callable[[], bool], what: str, seconds: float = 20) -> None:
        ends_at = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < ends_at, f"waited in vain for {what}"
            time.sleep(0.1)

    def respond(self, runbook_id: str, incident_type: str, **parameters: Any) -> ExecutionResult:
        """What the runbook does here now."""
        file = read(ROOT / f"runbooks/linux/{runbook_id}.yaml")
        assert incident_type in file.runbook.incident_types
        # Where the tests do not run as root, `become` must not ask for a password: everything here is this user's.
        host = LocalHost(name=self.name, service_manager="supervisord", supervisor_config=str(self.config), become=())
        incident = Incident.model_validate_json(
            json.dumps({"incident_id": "INC-1", "incident_type": incident_type, "client_id": "acme"})
        )
        now = datetime.now(UTC)
        order = Order(
            file, incident, host, host.facts(), Executor(id="web-1-agent", name="learner", version="0"),
            new_execution_id(now), parameters, 5.0,
        )  # fmt: skip
        return run(order).result


def steps(result: ExecutionResult) -> dict[str, str]:
    """Step → done, skipped or failed."""
    return {
        str(step.step_id): "skipped" if step.skipped else "done" if step.success else "failed"
        for step in result.executed_steps
    }


def said(result: ExecutionResult) -> str:
    """What to read when a run was not as expected."""
    lines = [f"{result.status.value}, verified {result.verification_passed}: {result.error_message}"]
    lines += [
        f"{s.step_id} {s.action}: {'ok' if s.success else 'FAILED'} {s.output} {s.error}" for s in result.executed_steps
    ]
    return "\n".join([*lines, *(f"{c.id} {c.check}: {c.passed} {c.observed}" for c in result.checks)])
