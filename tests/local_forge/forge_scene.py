"""A lived-in forge: runbooks, telemetry, and proposals in every standing. For the pages' tests and for looking at."""

from __future__ import annotations

import json
from typing import Any

from forge_world import World

V1 = """\
# yaml-language-server: $schema=../../schemas/runbook.schema.json
id: RB-LIN-SERVICE-001
version: 1
name: Restart a crashed service
description: Start the service again and prove that it answers.
platform: linux
incident_types: [service_crash]
severity: high
parameters:
  service: {type: string, pattern: "^[A-Za-z0-9@._-]+$", description: unit name}
  port: {type: integer, default: 8080}
preconditions: ["state.disk.usage_percent < 99"]
steps:
  - id: look
    action: check_service_status
    params: {name: "{{ service }}"}
    why: Know what we start from.
  - id: start
    action: start_service
    params: {name: "{{ service }}"}
    timeout_seconds: 30
    on_failure: abort
    why: The service is down.
  - id: answer
    action: wait_for_port
    params: {port: "{{ port }}"}
    timeout_seconds: 20
verification:
  - id: running
    check: service_running
    params: {name: "{{ service }}"}
    within_seconds: 30
  - id: port
    check: port_open
    params: {port: "{{ port }}"}
rollback: []
evidence_required: [service_status_before]
compliance_controls: ["164.308(a)(1)(ii)(D)"]
"""
V2 = (
    V1.replace("version: 1\n", "version: 2\n")
    .replace(
        "  - id: start\n",
        "  - id: clear_stale_pid\n    action: remove_file\n"
        '    params: {path: "/run/{{ service }}/{{ service }}.pid", only_if: stale_pid}\n'
        "    why: A pid file of a dead process keeps the service from starting.\n  - id: start\n",
    )
    .replace("timeout_seconds: 20", "timeout_seconds: 45")
)
CHART = """\
flowchart TD
  start(["RB-LIN-SERVICE-001-v2"])
  s_look["look#58; check_service_status"]
  start --> s_look
  s_clear["clear_stale_pid#58; remove_file"]:::added
  s_look --> s_clear
  s_start["start#58; start_service"]
  s_clear -->|"if the service is down"| s_start
  s_answer["answer#58; wait_for_port"]:::changed
  s_start --> s_answer
  s_start -.->|fails| done
  v_running{"service_running?"}
  s_answer --> v_running
  v_port{"port_open?"}
  v_running --> v_port
  done(["verified"])
  v_port --> done
  classDef added fill:#dafbe1,stroke:#1a7f37,color:#0a3015,stroke-width:2px
  classDef changed fill:#fff8c5,stroke:#9a6700,color:#3b2300,stroke-width:2px
"""
EXECUTIONS = ["exec-20261122-01JDA001", "exec-20261122-01JDA002", "exec-20261121-01JDA003"]


def machine(**changes: Any) -> str:
    """The hidden first line of a body."""
    held = {
        "runbook_id": "RB-LIN-SERVICE-001",
        "from_version": 1,
        "version": 2,
        "signature": "sha256:8f14e45fceea167a",
        "fingerprint": "c0ffee00c0ffee00",
        "failure_type": "runbook_insufficient",
        "priority": "high",
        "executions": EXECUTIONS,
        "findings": [
            {
                "rule": "destructive-command",
                "level": "notice",
                "message": "A file is removed; only when its process is dead.",
                "where": "steps.clear_stale_pid",
                "evidence": [],
            },
            {
                "rule": "longer-timeout",
                "level": "info",
                "message": "The step may now take 45 s, before 20 s.",
                "where": "steps.answer",
                "evidence": [],
            },
        ],
        "capabilities": {"added": ["path /run/{{ service }}/{{ service }}.pid (remove)"], "removed": [], "widened": []},
        "replay": {
            "verdict": "fixed",
            "summary": "3 of 3 recorded failures would be fixed, and 5 of 5 successes stay successes.",
            "recorded": 0.55,
            "implied": 0.35,
            "assumed": 0.1,
            "runs": [
                {
                    "execution_id": i,
                    "was": "failure",
                    "becomes": "fixed",
                    "reason": "the pid file is gone before the start",
                }
                for i in EXECUTIONS
            ],
        },
        "proposer": "patterns/stale-pid-file",
        "usage": {"model_calls": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0},
    }
    text = json.dumps(held | changes).replace("--", "\\u002d\\u002d")
    return f"<!-- learner:proposal {text} -->"


BODY = f"""
> [!WARNING]
> **3 runs** of RB-LIN-SERVICE-001-v1 failed on 2 hosts since 2026-11-21 22:14 UTC. Remove a stale pid file before starting.
> **Replay:** the recorded failures would be fixed. **Risk:** a pid file of a live process is never touched.
> Nothing of this runs anywhere before you merge it.

## What it may touch that it could not before

- **new** `path /run/{{{{ service }}}}/{{{{ service }}}}.pid (remove)`

## What failed

| | |
|---|---|
| where | step `start` (`start_service`) |
| how often | 3 failures, 2 hosts, 1 client (`acme` 3) |
| when | 2026-11-21 22:14 – 2026-11-22 05:00 UTC |
| judged as | `runbook_insufficient`, confidence 95%, by `rule:stale_pid` |

```text
web: ERROR (spawn error): pidfile /run/web/web.pid exists, is another instance running?
```

**Root cause.** The process died without removing its pid file, and the service refuses to start while it is there.

**Expected effect.** The service starts on the first attempt.

## What changes, and why

| change | because |
|---|---|
| insert the step `clear_stale_pid: remove_file` before `start` | `exec-20261122-01JDA001#2` `exec-20261122-01JDA002#2` |
| give `answer` 45 s | `exec-20261121-01JDA003#check:port` |

```mermaid
{CHART}```

Green is new, yellow is changed or moved.

## Evidence (3 of 3)

<details><summary>exec-20261122-01JDA001 · web-1 · failure</summary>

| # | step | action | | took |
|---|---|---|---|---|
| 1 | `look` | `check_service_status` | done | 0.1 s |
| 2 | `start` | `start_service` | **failed** | 5.0 s |

</details>

## How to decide

- [x] schema, audits and replay passed
- [ ] a person has looked at it
- **Merge** (with a merge commit) and executors run this version from their next fetch on.
- **Close** it with a reason, and this fix is not proposed again for this failure.
"""


def result(execution_id: str, **changes: Any) -> dict[str, Any]:
    """A failed run's result, as an executor writes it."""
    error = "web: ERROR (spawn error): pidfile /run/web/web.pid exists, is another instance running?"
    steps = [
        {
            "step_number": 1,
            "step_id": "look",
            "phase": "step",
            "action": "check_service_status",
            "success": True,
            "attempts": 1,
            "duration_seconds": 0.1,
            "output": "web: failed",
            "exit_code": 3,
        },
        {
            "step_number": 2,
            "step_id": "start",
            "phase": "step",
            "action": "start_service",
            "success": False,
            "attempts": 2,
            "duration_seconds": 5.0,
            "error": error,
            "exit_code": 1,
        },
        {
            "step_number": 3,
            "step_id": "answer",
            "phase": "step",
            "action": "wait_for_port",
            "success": False,
            "skipped": True,
        },
    ]
    base: dict[str, Any] = {
        "schema_version": "1.0",
        "execution_id": execution_id,
        "runbook_id": "RB-LIN-SERVICE-001",
        "runbook_version": 1,
        "client_id": "acme",
        "hostname": "web-1",
        "started_at": "2026-11-22T05:00:00Z",
        "duration_seconds": 7.2,
        "status": "failure",
        "success": False,
        "executed_steps": steps,
        "checks": [{"id": "running", "check": "service_running", "params": {}, "passed": False, "observed": "failed"}],
        "state_diff": {
            "services.web": {"before": "failed", "after": "failed"},
            "disk.usage_percent": {"before": 41.2, "after": 41.3},
        },
        "error_message": error,
        "error_step": 2,
    }
    return base | changes


def first_runbooks(world: World) -> None:
    """Main with three runbooks, and a telemetry branch with two results (the third is nowhere)."""
    work, here = world.clone("ada", "seed"), str(world.forge.repo.path)
    for name, number in (("service-crash", "SERVICE-001"), ("disk-full", "DISK-001"), ("cert-expiry", "CERT-001")):
        path = work / "runbooks" / "linux" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(V1.replace("SERVICE-001", number), encoding="utf-8")
    world.commit(work, "README.md", "# Runbooks\n", "Three runbooks")
    world.git("push", "-q", here, "HEAD:main", cwd=work)
    world.git("switch", "-q", "--orphan", "telemetry", cwd=work)
    for execution, day, host in ((EXECUTIONS[0], "22", "web-1"), (EXECUTIONS[1], "22", "web-2")):
        text = json.dumps(result(execution, hostname=host))
        world.commit(work, f"telemetry/acme/2026/11/{day}/{execution}.json", text, "Results")
    world.git("push", "-q", here, "HEAD:telemetry", cwd=work)


def propose(world: World, name: str, title: str, file: str, text: str, body: str, *labels: str) -> int:
    """A proposal of the learner; its number."""
    world.branch("learner[bot]", name, {file: text})
    pull = world.repo("learner[bot]").create_pull(base="main", head=name, title=title, body=body)
    pull.add_to_labels("learner", "runbook-improvement", *labels)
    return pull.number


def live_in(world: World) -> dict[str, int]:
    """Proposals: one fresh and of high priority, one approved, one with conflicts, one sent back, some decided."""
    first_runbooks(world)
    service, disk, cert = (f"runbooks/linux/{n}.yaml" for n in ("service-crash", "disk-full", "cert-expiry"))
    numbers = {
        "high": propose(
            world,
            "learner/RB-LIN-SERVICE-001-v2-c0ffee00",
            "RB-LIN-SERVICE-001 v2: Remove a stale pid file before starting",
            service,
            V2,
            machine() + "\n" + BODY,
            "priority:high",
            "failure:runbook_insufficient",
        ),
    }
    disk_machine = machine(
        runbook_id="RB-LIN-DISK-001",
        priority="medium",
        executions=[EXECUTIONS[2]],
        failure_type="environment_difference",
        findings=[],
        capabilities={"added": [], "removed": [], "widened": []},
    )
    numbers["approved"] = propose(
        world,
        "learner/RB-LIN-DISK-001-v2-0badcafe",
        "RB-LIN-DISK-001 v2: Free inodes, not bytes, when inodes ran out",
        disk,
        V2.replace("SERVICE-001", "DISK-001"),
        disk_machine + "\n## Why\n\nInodes ran out.",
        "priority:medium",
    )
    world.repo("ada").get_pull(numbers["approved"]).create_review(event="APPROVE", body="Good find.")
    cert_machine = machine(runbook_id="RB-LIN-CERT-001", priority="low", executions=[])
    numbers["merged"] = propose(
        world,
        "learner/RB-LIN-CERT-001-v2-11111111",
        "RB-LIN-CERT-001 v2: Reload the service after a renewal",
        cert,
        V2.replace("SERVICE-001", "CERT-001"),
        cert_machine + "\nReload.",
        "priority:low",
    )
    numbers["conflict"] = propose(
        world,
        "learner/RB-LIN-CERT-001-v2-22222222",
        "RB-LIN-CERT-001 v2: Renew earlier",
        cert,
        V1.replace("SERVICE-001", "CERT-001").replace("version: 1", "version: 2 # early"),
        cert_machine + "\nEarlier.",
        "priority:low",
    )
    world.repo("ada").get_pull(numbers["merged"]).create_review(event="APPROVE")
    world.repo("cleo").get_pull(numbers["merged"]).merge()
    numbers["back"] = propose(
        world,
        "learner/RB-LIN-DISK-001-v2-33333333",
        "RB-LIN-DISK-001 v2: Clean the journal as well",
        disk,
        V1.replace("SERVICE-001", "DISK-001").replace("severity: high", "severity: medium"),
        disk_machine + "\nJournal.",
        "priority:medium",
    )
    comments = [{"path": disk, "line": 8, "side": "RIGHT", "body": "Why is this only *medium* now?"}]
    world.repo("bob").get_pull(numbers["back"]).create_review(
        event="REQUEST_CHANGES", body="One question first.", comments=comments
    )  # type: ignore[arg-type]
    return numbers
