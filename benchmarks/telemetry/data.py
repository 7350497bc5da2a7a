"""Deterministic results, and repositories made of them by `git fast-import`."""

from __future__ import annotations

import json
import random
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from learner.models.execution import ExecutionResult
from learner.repository.git import Git, environment, init

CLIENTS = ("acme", "beta", "cobalt", "delta")
START = datetime(2026, 1, 1, tzinfo=UTC)
_ERRORS = (
    "web: ERROR (spawn error): pidfile /run/web/web.pid exists, is another instance running?",
    "bind: Address already in use (0.0.0.0:8080)",
    "mkdir: cannot create directory '/run/app': Permission denied",
    'nginx: [emerg] open() "/etc/nginx/conf.d/site.conf" failed (2: No such file or directory)',
    "job timed out after 30 s while waiting for port 5432",
)


def document(number: int, seed: int = 1) -> dict[str, Any]:
    """Result number `number`: about 3.8 kB of JSON, the same in every run."""
    chance = random.Random(f"{seed}/{number}")
    start = START + timedelta(seconds=number * 61 % (320 * 86_400))
    failed = chance.random() < 0.4
    error = chance.choice(_ERRORS) if failed else None
    steps = [
        {
            "step_number": i,
            "step_id": f"step_{i}",
            "action": action,
            "params": {"name": "web"},
            "started_at": _text(start + timedelta(seconds=i)),
            "completed_at": _text(start + timedelta(seconds=i + 1)),
            "duration_seconds": round(chance.random() * 5, 3),
            "success": not failed or i < 3,
            "attempts": 1 + chance.randrange(3),
            "output": _log(start, chance),
            "error": error if failed and i == 3 else "",
            "exit_code": 1 if failed and i == 3 else 0,
        }
        for i, action in enumerate(("check_service_status", "stop_service", "start_service"), 1)
    ]
    state = {
        "hostname": f"host-{chance.randrange(2000)}",
        "platform": "linux",
        "services": {"web": "failed", "db": "running", "cache": "running"},
        "disk": {"usage_percent": chance.randrange(100), "free_gb": chance.randrange(400), "total_gb": 500},
        "cpu": {
            "usage_percent": chance.randrange(1000) / 10,
            "load_average": [chance.randrange(400) / 100 for _ in range(3)],
        },
        "memory": {"usage_percent": chance.randrange(1000) / 10, "free_mb": chance.randrange(8000), "total_mb": 16000},
        "ports": {"8080": "closed"},
        "files": {"/run/web/web.pid": {"exists": True, "size_bytes": 6, "mode": "0644"}},
    }
    return {
        "execution_id": f"exec-{start:%Y%m%d}-{number:010d}",
        "runbook_id": f"RB-LIN-SERVICE-{chance.randrange(40):03d}",
        "runbook_version": 1,
        "incident_id": f"INC-{number}",
        "incident_type": "service_crash",
        "client_id": CLIENTS[number % len(CLIENTS)],
        "hostname": state["hostname"],
        "platform": "linux",
        "host": {"os_id": "debian", "os_version": "12", "arch": "x86_64", "service_manager": "systemd"},
        "parameters": {"service": "web"},
        "started_at": _text(start),
        "completed_at": _text(start + timedelta(seconds=9)),
        "status": "failure" if failed else "success",
        "success": not failed,
        "verification_passed": not failed,
        "state_before": state,
        "state_after": state
        | {"services": {"web": "failed" if failed else "running", "db": "running", "cache": "running"}},
        "executed_steps": steps,
        "checks": [{"id": "running", "check": "service_running", "params": {"name": "web"}, "passed": not failed}],
        "error_message": error,
        "error_step": 3 if failed else None,
        "evidence_bundle_id": f"ev-{number}",
        "executor": {"id": f"executor-{number % 64}", "name": "learner", "version": "1.0"},
    }


def result(number: int, seed: int = 1) -> ExecutionResult:
    """`document`, as a value."""
    return ExecutionResult.model_validate_json(json.dumps(document(number, seed)))


def raw(number: int, seed: int = 1) -> tuple[str, bytes]:
    """(path, bytes) of result `number`, without the time that making a value of it takes."""
    tree = document(number, seed)
    day = tree["started_at"][:10].replace("-", "/")
    path = f"telemetry/{tree['client_id']}/{day}/{tree['execution_id']}.json"
    return path, json.dumps(tree, separators=(",", ":")).encode()


def repository(path: Path, count: int, *, per_commit: int = 2000, shuffled: bool = False) -> Git:
    """A bare repository whose branch `telemetry` holds `count` results; what is there already is kept.

    The pack is written in the order the results came; `shuffled` writes it in another one, as a server that
    gathers many small packs does.
    """
    git = Git(path) if path.is_dir() else init(path, bare=True)
    if git.resolve("refs/heads/telemetry"):
        return git
    order = list(range(count))
    if shuffled:
        random.Random(7).shuffle(order)
    with subprocess.Popen(
        ["git", "fast-import", "--quiet", "--depth=50"],
        cwd=path,
        stdin=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdin
        for at in range(0, count, per_commit):
            stamp = int(START.timestamp()) + at
            process.stdin.write(
                b"commit refs/heads/telemetry\ncommitter bench <b@example.org> %d +0000\ndata 1\nm\n" % stamp
            )
            for number in order[at : at + per_commit]:
                path_in, content = raw(number)
                process.stdin.write(b"M 100644 inline %s\ndata %d\n%s\n" % (path_in.encode(), len(content), content))
        process.stdin.close()
    return git


def _log(start: datetime, chance: random.Random) -> str:
    pid = chance.randrange(30_000)
    lines = (
        "Stopping web",
        "Deactivated successfully",
        "Stopped web",
        "Starting web",
        "listening on 8080",
        "Started web",
    )
    return "".join(f"{start:%b %d %H:%M:%S} web-1 systemd[{pid}]: web.service: {line}.\n" for line in lines)


def _text(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")
