"""Triage on what real tools print: a long list of causes, labelled by their meaning before the rules were asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from learner.models import ExecutionResult, FailureType
from learner.triage.rules import judge
from tests.triage.cases import case, done, failed, step, unverified_claim, worked

LISTS = Path(__file__).parents[1] / "data" / "triage"
CAUSES: list[dict[str, Any]] = yaml.safe_load((LISTS / "causes.yaml").read_text())
ORDINARY: list[dict[str, Any]] = yaml.safe_load((LISTS / "ordinary.yaml").read_text())
HOSTS: dict[str, dict[str, str]] = {
    "debian": {"os_id": "debian", "os_version": "12", "arch": "x86_64", "service_manager": "systemd"},
    "debian-arm": {"os_id": "debian", "os_version": "12", "arch": "aarch64", "service_manager": "systemd"},
    "rhel": {"os_id": "rhel", "os_version": "9", "arch": "x86_64", "service_manager": "systemd"},
    "alpine": {"os_id": "alpine", "os_version": "3.20", "arch": "x86_64", "service_manager": "openrc"},
    "flatcar": {"os_id": "flatcar", "os_version": "4081", "arch": "x86_64", "service_manager": "systemd"},
    "macos": {"os_id": "macos", "os_version": "15", "arch": "arm64", "service_manager": "launchd"},
    "windows-2022": {"os_id": "windows", "os_version": "2022", "arch": "x86_64", "service_manager": "scm"},
    "windows-2008": {"os_id": "windows", "os_version": "2008", "arch": "x86_64", "service_manager": "scm"},
}


def run(cause: dict[str, Any]) -> ExecutionResult:
    """The failed run that a line of the list stands for."""
    changes: dict[str, Any] = {"incident_type": cause.get("incident", "service_crash")}
    for key, field in (("before", "state_before"), ("after", "state_after"), ("parameters", "parameters"), ("feedback", "human_feedback"),
                       ("correct_runbook", "was_correct_runbook"), ("correct_diagnosis", "was_correct_diagnosis")):  # fmt: skip
        if key in cause:
            changes[field] = cause[key]
    if "host" in cause:
        changes["host"] = HOSTS[cause["host"]]
    if "check" in cause:
        steps = [
            done(action, i + 1, name=cause.get("acted", "web"))
            for i, action in enumerate(cause.get("steps_worked", ["start_service"]))
        ]
        if "shown" in cause:
            steps.append(looked(cause["shown"], len(steps) + 1))
        return unverified_claim(
            cause["check"],
            cause["observed"],
            cause.get("params"),
            steps=steps,
            waited=cause.get("waited", 0.0),
            **changes,
        )
    of_step = {key: cause[key] for key in ("params", "exit_code", "timed_out") if key in cause}
    earlier = [done(action, i + 1, name="web") for i, action in enumerate(cause.get("steps_before", []))]
    if "shown" in cause:
        earlier.append(looked(cause["shown"], len(earlier) + 1))
    last = step(cause["text"], cause.get("action", "run_command"), step_number=len(earlier) + 1, **of_step)
    return failed(cause["text"], steps=[*earlier, last], **changes)


def looked(shown: str, number: int) -> dict[str, Any]:
    """A step that only looked, with what it printed."""
    return done("run_command", number, argv=["./show-state"]) | {"output": shown}


def verdict(cause: dict[str, Any]) -> tuple[str, str]:
    """The type and who decided; `unknown` when no rule does."""
    successes = tuple(worked(i, host=HOSTS[cause["worked_on"]]) for i in range(3)) if "worked_on" in cause else ()
    found = judge(case(run(cause), successes=successes))
    return (found.failure_type.value, found.decided_by) if found else (FailureType.UNKNOWN.value, "none")


def allowed(cause: dict[str, Any]) -> list[str]:
    types = cause["type"]
    return types if isinstance(types, list) else [types]


@pytest.mark.parametrize(
    "cause", [*CAUSES, *ORDINARY], ids=[f"{allowed(cause)[0]}: {cause['name']}" for cause in [*CAUSES, *ORDINARY]]
)
def test_every_cause_is_called_what_it_is(cause: dict[str, Any]) -> None:
    said, by = verdict(cause)
    assert said in allowed(cause), f"{by} on {cause['text']!r}"


def test_the_list_holds_every_type() -> None:
    assert {kind for cause in CAUSES for kind in allowed(cause)} == {kind.value for kind in FailureType}
