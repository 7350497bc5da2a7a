"""Telemetry for other people's executors; the examples of docs/integrate.md run as they stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import learner
from learner import ExecutionResult, ExecutionStatus, StateCapture, StepExecution, TelemetryStore, record
from learner.errors import LearnerError
from tests.executor.conftest import Site

RUN: dict[str, Any] = {
    "runbook": "RB-LIN-SERVICE-001-v1",
    "incident_id": "INC-7",
    "incident_type": "service_crash",
    "client_id": "acme",
    "hostname": "web-1",
}


@pytest.fixture
def store(tmp_path: Path) -> TelemetryStore:
    return TelemetryStore(tmp_path / "spool")


def blocks(root: Path, language: str) -> list[str]:
    text = (root / "docs/integrate.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_documented_python_runs_as_it_stands(root: Path, site: Site, tmp_path: Path) -> None:
    token = "t0ken-of-the-test"
    names: dict[str, Any] = {"SPOOL": tmp_path / "spool", "TOKEN": token, "CLONE": site.clone.path}
    for block in blocks(root, "python"):
        exec(compile(block, "docs/integrate.md", "exec"), names)
    result = names["run"].result
    assert (result.status, result.verification_passed) == (ExecutionStatus.SUCCESS, True)
    assert result.executed_steps[0].output == "started with ***\n"
    assert result.parameters == {"service": "web", "token": "***"}
    assert (names["passed"], names["confidence"] > 0.5) == (True, True)
    inbox = "refs/learner/inbox/acme/web-1-agent"
    sent = site.bare.blob(inbox, result.path)
    assert sent
    assert token.encode() not in sent
    assert ExecutionResult.model_validate_json(sent) == result


def test_the_documented_json_and_shell_are_taken_by_the_documented_commands(
    root: Path, site: Site, tmp_path: Path
) -> None:
    (text,) = blocks(root, "json")
    (tmp_path / "result.json").write_text(text)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
           "LEARNER_HOST_CONFIG": str(site.config)}  # fmt: skip
    for script in blocks(root, "sh"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, (script, done.stdout, done.stderr)
    arrived = site.bare.listing("refs/learner/inbox/acme/web-1-agent", "telemetry/")
    assert "telemetry/acme/2026/11/22/exec-20261122-0001.json" in arrived
    (own,) = (blob for path, blob in arrived.items() if "exec-20261122-0001" not in path)
    raw = site.bare.run("cat-file", "blob", own)
    assert b"s3cr3t" not in raw
    result = ExecutionResult.model_validate_json(raw)
    assert (result.success, result.executed_steps[0].exit_code) == (False, 3)
    assert result.executed_steps[0].output == "restarting with ***"


def test_a_failure_is_recorded_and_goes_on(store: TelemetryStore) -> None:
    with pytest.raises(ValueError, match="no room"), record(store, **RUN) as run:
        run.before(services={"web": "failed"})
        with run.step("one", "run_command"):
            pass
        with run.step("two", "start_service", {"name": "web"}):
            raise ValueError("no room")
    assert run.result
    assert (run.result.status, run.result.error_step, run.result.error_message) == (
        ExecutionStatus.FAILURE,
        2,
        "ValueError: no room",
    )
    assert "Traceback" in (run.result.error_traceback or "")
    assert [step.success for step in run.result.executed_steps] == [True, False]
    assert store.waiting() == (run.result,)


def test_an_interrupt_makes_it_partial_and_unverified(store: TelemetryStore) -> None:
    with pytest.raises(KeyboardInterrupt), record(store, **RUN) as run:
        run.before(services={"web": "failed"})
        run.after(services={"web": "running"})
        raise KeyboardInterrupt
    assert run.result
    assert (run.result.status, run.result.success, run.result.verification_passed) == (
        ExecutionStatus.PARTIAL,
        False,
        None,
    )


def test_a_run_that_did_not_help_is_a_failure_though_nothing_was_raised(store: TelemetryStore) -> None:
    with record(store, **RUN) as run:
        run.before(services={"web": "failed"})
        run.after(services={"web": "failed"})
    assert run.result
    assert (run.result.status, run.result.verification_passed) == (ExecutionStatus.FAILURE, False)
    assert "web still failed" in (run.result.error_message or "")


def test_nothing_to_judge_by_is_unknown(store: TelemetryStore) -> None:
    with record(store, **RUN) as run:
        pass
    assert run.result
    assert (run.result.status, run.result.verification_passed) == (ExecutionStatus.SUCCESS, None)


def test_an_executors_own_verdict_counts(store: TelemetryStore) -> None:
    with record(store, **RUN) as run:
        run.verified(True, "our health check", 0.8)
    assert run.result
    assert (run.result.verification_passed, run.result.verification_method, run.result.confidence) == (
        True,
        "our health check",
        0.8,
    )


def test_a_secret_is_masked_in_every_form(store: TelemetryStore, tmp_path: Path) -> None:
    secret = "pa/ss w+rd"
    with pytest.raises(RuntimeError), record(store, **RUN, parameters={"password": secret}, secrets=[secret]) as run:
        with run.step("one", "run_command", {"argv": ["login", secret]}) as step:
            step.output = f"using {secret} as pa%2Fss%20w%2Brd"
        raise RuntimeError(f"denied for {secret}")
    everything = "".join(path.read_text() for path in (tmp_path / "spool").rglob("*.json"))
    assert everything
    assert secret not in everything
    assert "pa%2Fss" not in everything


def test_what_is_wrong_is_told(store: TelemetryStore) -> None:
    with pytest.raises(LearnerError, match="names no runbook version"), record(store, **{**RUN, "runbook": "RB-X"}):
        pass
    with pytest.raises(LearnerError, match="a state has no service"), record(store, **RUN) as run:
        run.before(service={"web": "failed"})
    assert len(store.waiting()) == 1


def test_the_public_names_are_what_they_say_and_cost_nothing_until_used() -> None:
    assert {name: getattr(learner, name).__name__ for name in learner.__all__} == {
        name: name for name in learner.__all__
    }
    assert learner.StepExecution is StepExecution
    assert learner.StateCapture is StateCapture
    with pytest.raises(AttributeError):
        learner.nonsense
    code = "import learner, sys; print(json.dumps([m for m in ('pydantic', 'git', 'jinja2') if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", f"import json; {code}"], capture_output=True, text=True)
    assert json.loads(done.stdout) == []
