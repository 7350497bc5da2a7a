"""Real faults in real services, the shipped runbooks, and whether what they report is true.

    python -m benchmarks.faults [--ssh] [--write docs/faults.md] [--only WORD]…

supervisord, nginx, redis, PostgreSQL and two small services of ours run in a folder of their own. Each fault begins with
everything well, breaks one thing, runs one runbook, and asks the service itself, not the executor, whether it is well now.
A *false pass* is a verified success on a service that is not well; one is enough to exit with 1.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.fault_stage import Stage, status_of
from learner.executor.hosts import OpenHost
from learner.executor.hosts.local import LocalHost
from learner.executor.hosts.ssh import SshHost
from learner.executor.run import Order, new_execution_id
from learner.executor.run import run as run_on_host
from learner.models.execution import ExecutionResult, Executor
from learner.models.incident import Incident
from learner.runbook_file import read

ROOT = Path(__file__).parents[1]


HEAD = """# Faults

Real supervisord, nginx, redis and PostgreSQL are broken in real ways; a shipped runbook runs; then the service itself is
asked whether it is well. *Verified* is what the runbook's own checks said. A failed run is no fault of these tables: that
a runbook's first version can't help, and says so, is what the learner learns from.

Each table is written by one run of `python -m benchmarks.faults --write docs/faults.md`, the second with `--ssh`: the same
faults and runbooks over a real sshd on loopback, with a throw-away key.
"""
SECTIONS = {False: "On the host itself", True: "Over SSH"}
"""Title of the table, by whether it went over SSH."""
COLUMNS = "| fault | runbook | result | verified | really well | seconds | last line of its error |\n|---|---|---|---|---|---|---|"


def with_section(page: str, title: str, text: str) -> str:
    """`page` with `text` as its section `title`; other sections stay, and all stand in their order."""
    parts = page.split("\n## ")
    found = {part.partition("\n")[0]: part.partition("\n")[2].strip("\n") for part in parts[1:]}
    found[title] = text.strip("\n")
    shown = [f"## {one}\n\n{found[one]}\n" for one in SECTIONS.values() if one in found]
    return "\n".join([HEAD, *shown])


@dataclass(frozen=True)
class Fault:
    """One thing that breaks."""

    name: str
    runbook: str
    parameters: dict[str, Any]
    breaks: Callable[[], object]
    truth: Callable[[], bool]
    """Whether the service is well, asked of the service itself."""


def faults(s: Stage) -> Iterator[Fault]:
    """All faults that this machine has the programs and the rights for."""
    here, port = s.folder, s.port

    def service(name: str) -> dict[str, Any]:
        return {"service": name, "port": port[name]}

    if s.has["nginx"]:

        def web() -> bool:
            # The workers of a killed nginx serve on, with nobody to watch them: that is not well.
            return s.serves("nginx") and "nginx" not in s.broken()

        yield Fault("nginx is stopped", "SERVICE", service("nginx"), lambda: s.control("stop", "nginx"), web)
        yield Fault("nginx was killed", "SERVICE", service("nginx"), lambda: s.signal("nginx", signal.SIGKILL), web)
        yield Fault("nginx: a syntax error in its configuration", "SERVICE", service("nginx"),
                    lambda: (s.control("stop", "nginx"), s.nginx_conf("nonsense on;\n")), web)  # fmt: skip
        yield Fault("nginx: its port is taken", "SERVICE", service("nginx"), lambda: s.take("nginx"), web)
        yield Fault(
            "nginx: its port is taken (port_unreachable)", "PORT", service("nginx"), lambda: s.take("nginx"), web
        )
        yield Fault("nginx listens nowhere", "PORT", service("nginx"), lambda: s.control("stop", "nginx"), web)
        yield Fault("nginx: its pages are gone", "ENDPOINT", {"url": f"http://127.0.0.1:{port['nginx']}/", "service": "nginx"},
                    lambda: shutil.rmtree(here / "www"), web)  # fmt: skip
        behind = {"url": f"http://127.0.0.1:{port['nginx']}/api/", "service": "nginx"}
        if s.has["redis"]:
            yield Fault("nginx: what it stands before is down, and named", "ENDPOINT", {**behind, "dependency": "api"},
                        lambda: s.control("stop", "api"), lambda: s.serves("nginx", "/api/"))  # fmt: skip
            yield Fault("nginx: what it stands before is down, not named", "ENDPOINT", behind,
                        lambda: s.control("stop", "api"), lambda: s.serves("nginx", "/api/"))  # fmt: skip
        drift = {"path": str(here / "nginx.conf"), "reference": str(here / "nginx.conf.reference"), "service": "nginx"}

        def same() -> bool:
            return (here / "nginx.conf").read_text() == (here / "nginx.conf.reference").read_text() and s.serves(
                "nginx"
            )

        yield Fault(
            "nginx: its configuration was changed by hand", "CONFIG", drift, lambda: s.nginx_conf("# by hand\n"), same
        )
        yield Fault("nginx: its configuration is gone", "CONFIG", drift, lambda: (here / "nginx.conf").unlink(), same)
        certificate = {
            "name": "localhost",
            "certificate": str(here / "cert.pem"),
            "service": "nginx",
            "port": port["tls"],
        }

        def shown() -> bool:
            return s.served_days_left() > 20

        yield Fault("nginx: its certificate expires in three days", "CERT", certificate,
                    lambda: (s.certificate(days=3), s.control("restart", "nginx")), shown)  # fmt: skip
        yield Fault("nginx: its certificate has expired", "CERT", certificate,
                    lambda: (s.certificate(days=-1), s.control("restart", "nginx")), shown)  # fmt: skip
        yield Fault("nginx still shows the certificate before the renewed one", "CERT", certificate,
                    lambda: (s.certificate(days=3), s.control("restart", "nginx"), s.certificate(days=90)), shown)  # fmt: skip
    if s.has["redis"]:
        redis = s.redis_answers
        yield Fault("redis is stopped", "SERVICE", service("redis"), lambda: s.control("stop", "redis"), redis)
        yield Fault("redis was killed", "SERVICE", service("redis"), lambda: s.signal("redis", signal.SIGKILL), redis)
        yield Fault("redis: an error in its configuration", "SERVICE", service("redis"),
                    lambda: (s.control("stop", "redis"), (here / "redis.conf").write_text("nonsense yes\n")), redis)  # fmt: skip
        yield Fault("redis: its data directory is gone", "SERVICE", service("redis"),
                    lambda: (s.control("stop", "redis"), shutil.rmtree(here / "redis")), redis)  # fmt: skip
        yield Fault("redis: its port is taken", "SERVICE", service("redis"), lambda: s.take("redis"), redis)
        api = {"url": f"http://127.0.0.1:{port['api']}/", "service": "api"}
        yield Fault("the API's store is down, and named", "ENDPOINT", {**api, "dependency": "redis"},
                    lambda: s.control("stop", "redis"), lambda: s.serves("api"))  # fmt: skip
        yield Fault(
            "the API's store is down, not named",
            "ENDPOINT",
            api,
            lambda: s.control("stop", "redis"),
            lambda: s.serves("api"),
        )
        yield Fault("the API's store is down and can't start", "ENDPOINT", {**api, "dependency": "redis"},
                    lambda: (s.control("stop", "redis"), shutil.rmtree(here / "redis")), lambda: s.serves("api"))  # fmt: skip
    if s.postgres:
        sql = s.postgres_answers
        yield Fault("PostgreSQL is stopped", "SERVICE", service("postgres"), lambda: s.control("stop", "postgres"), sql)
        yield Fault(
            "PostgreSQL was killed", "SERVICE", service("postgres"), lambda: s.signal("postgres", signal.SIGKILL), sql
        )
        yield Fault("PostgreSQL: an error in its configuration", "SERVICE", service("postgres"),
                    lambda: (s.control("stop", "postgres"), (here / "pg/postgresql.conf").write_text("nonsense = = 1\n")), sql)  # fmt: skip
        yield Fault("PostgreSQL: its data directory is open to all", "SERVICE", service("postgres"),
                    lambda: (s.control("stop", "postgres"), (here / "pg").chmod(0o777)), sql)  # fmt: skip
        if s.is_root:
            yield Fault("PostgreSQL: its data directory is not its own", "SERVICE", service("postgres"),
                        lambda: (s.control("stop", "postgres"), shutil.chown(here / "pg", "root", "root")), sql)  # fmt: skip
        yield Fault("PostgreSQL: its port is taken", "SERVICE", service("postgres"), lambda: s.take("postgres"), sql)
    hung = {"service": "worker", "process": "worker.py", "url": f"http://127.0.0.1:{port['worker']}/"}

    def works() -> bool:
        return s.serves("worker")

    yield Fault("a worker is stopped in its tracks", "PROCESS", hung,
                lambda: s.signal("worker", signal.SIGSTOP), works)  # fmt: skip
    yield Fault("a worker spins and answers nobody", "PROCESS", hung, lambda: s.signal("worker", signal.SIGUSR1), works)
    yield Fault("a worker holds too much memory", "MEMORY", {"service": "worker", "process": "worker.py", "limit_mb": 120, "port": port["worker"]},
                lambda: [status_of(f"http://127.0.0.1:{port['worker']}/grow") for _ in range(2)],
                lambda: s.serves("worker") and _resident_mb(s.pids("worker")) < 120)  # fmt: skip
    yield Fault("a runaway process eats a processor", "CPU", {"process": "learner-spin", "older_than_seconds": 1},
                lambda: (_spin(s), time.sleep(1.5)), lambda: all(one.poll() is not None for one in s.intruders))  # fmt: skip
    keep = {"source": str(here / "data"), "target": str(here / "backups")}
    yield Fault(
        "last night's backup is missing",
        "BACKUP",
        keep,
        lambda: None,
        lambda: bool(list((here / "backups").glob("*.tar.gz"))),
    )
    yield Fault("what should be backed up is gone", "BACKUP", keep, lambda: shutil.rmtree(here / "data"),
                lambda: bool(list((here / "backups").glob("*.tar.gz"))))  # fmt: skip
    if s.is_root and shutil.which("mount"):
        small = here / "small"
        disk = {"mount": str(small), "logs": str(small / "log")}

        def room() -> bool:
            return _has_room(small)

        yield Fault(
            "a disk is full of old logs",
            "DISK",
            disk,
            lambda: s.fill(s.mount("size=8m") / "log", "app.log.1", days_old=30),
            room,
        )
        yield Fault(
            "a disk is full of today's logs",
            "DISK",
            disk,
            lambda: s.fill(s.mount("size=8m") / "log", "app.log.1"),
            room,
        )
        yield Fault("a disk is full of something else", "DISK", disk, lambda: s.fill(s.mount("size=8m"), "core"), room)
        yield Fault("a disk has no inodes left", "DISK", disk, lambda: _many(s.mount("size=8m,nr_inodes=64")), room)
        yield Fault("the disk for backups is full", "BACKUP", {**keep, "target": str(small)}, lambda: s.fill(s.mount("size=8m"), "core"),
                    lambda: bool(list(small.glob("*.tar.gz"))))  # fmt: skip


def _resident_mb(pids: list[int]) -> float:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _spin(s: Stage) -> None:
    program = s.folder / "learner-spin"
    program.write_text("#!/bin/sh\nwhile :; do :; done\n")
    program.chmod(0o755)
    spinning = subprocess.Popen([str(program)])
    s.intruders.append(spinning)
    # Somebody must take note of its end, or its name stays in the list of processes.
    threading.Thread(target=spinning.wait, daemon=True).start()


def _many(path: Path) -> None:
    with contextlib.suppress(OSError):
        for i in range(1000):
            (path / f"f{i}").touch()


def _has_room(path: Path) -> bool:
    """Whether a file of a hundred kilobytes can be written there."""
    try:
        (path / "probe").write_bytes(b"x" * 100_000)
        (path / "probe").unlink()
    except OSError:
        return False
    return True


def run(s: Stage, fault: Fault, host: OpenHost) -> tuple[ExecutionResult, bool]:
    """The runbook's result on the broken service, and whether the service is well after it."""
    s.well()
    fault.breaks()
    file = read(ROOT / f"runbooks/linux/RB-LIN-{fault.runbook}-001.yaml")
    now = datetime.now(UTC)
    incident = Incident(incident_id="INC-1", incident_type=file.runbook.incident_types[0], client_id="acme")
    order = Order(file, incident, host, host.facts(), Executor(), new_execution_id(now), fault.parameters, 3.0)
    result = run_on_host(order).result
    try:
        return result, fault.truth()
    except OSError:
        return result, False


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write", type=Path, help="write the page there")
    parser.add_argument("--only", action="append", default=[], help="only faults whose name holds this, or this, or …")
    parser.add_argument("--ssh", action="store_true", help="run the runbooks over SSH to a private sshd on loopback")
    given = parser.parse_args()
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}{os.pathsep}/usr/sbin"
    # What it started must be gone however it ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows, false_passes, unfit = [], 0, 0
    with contextlib.ExitStack() as stack, Stage() as stage:
        host: OpenHost = LocalHost(name="web-1", supervisor_config=str(stage.config))
        if given.ssh:
            from benchmarks.executor import sshd

            address, options = stack.enter_context(sshd())
            # sshd gives its sessions a PATH of its own, on which this Python's supervisorctl is not
            stack.callback(lambda link=Path("/usr/local/bin/supervisorctl"): link.is_symlink() and link.unlink())
            Path("/usr/local/bin/supervisorctl").symlink_to(stage._program("supervisorctl"))
            host = SshHost(address, options=options, supervisor_config=str(stage.config), become=())
            stack.callback(host.close)
        for fault in faults(stage):
            if given.only and not any(word in fault.name for word in given.only):
                continue
            result, well = run(stage, fault, host)
            verified = {True: "yes", False: "no", None: "unknown"}[result.verification_passed]
            wrong = result.verification_passed is True and not well
            missed = result.verification_passed is False and well
            false_passes, unfit = false_passes + wrong, unfit + missed
            last = (result.error_message or "").strip().splitlines()
            said = (last[-1] if last else "").replace("|", "\\|").replace(str(stage.folder), "…")[:110]
            rows.append(
                f"| {fault.name} | {result.runbook_ref} | {result.status.value} | {verified} | {'yes' if well else 'no'} | {result.duration_seconds or 0:.1f} | {said} |"
            )
            print(rows[-1], "FALSE PASS" if wrong else "", file=sys.stderr, flush=True)
    counts = f"{len(rows)} faults · **{false_passes} false passes** (verified, and not well) · {unfit} false alarms (not verified, and well)"
    table = f"{counts}\n\n{COLUMNS}\n" + "\n".join(rows) + "\n"
    if given.write:
        held = given.write.read_text("utf-8") if given.write.is_file() else HEAD
        given.write.write_text(with_section(held, SECTIONS[given.ssh], table), encoding="utf-8")
    else:
        print(table)
    return 1 if false_passes else 0


if __name__ == "__main__":
    sys.exit(main())
