"""For executors of other people's: telemetry in ten lines, without the gate and the catalogue of this package.

`record` is a context manager around one run. Whatever happens in it, a result is written down: redacted, validated,
and safe in the spool when the block ends.
"""

from __future__ import annotations

import json
import platform as platform_module
import re
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learner.errors import LearnerError
from learner.executor.fitting import fitted
from learner.executor.fix_verifier import FixVerifier
from learner.executor.run import new_execution_id
from learner.models.execution import ExecutionResult, ExecutionStatus, StateCapture, StepExecution
from learner.telemetry.redact import Redactor
from learner.telemetry.spool import Spool

if TYPE_CHECKING:
    from learner.telemetry.inbox import Pushed

_REF = re.compile(r"(RB(?:-[A-Z0-9]+)+-[0-9]{3})-v([1-9][0-9]*)")


class TelemetryStore:
    """Where results rest on this host until the ledger has them."""

    def __init__(self, spool: str | Path, *, secrets: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        """`secrets` are values, `patterns` regular expressions, that are never written down.

        Raises: `LearnerError` when the folder can't be used.
        """
        self._spool = Spool(Path(spool))
        self._secrets = tuple(secrets)
        self._patterns = tuple(patterns)

    def add(self, result: ExecutionResult, *, secrets: Iterable[str] = ()) -> ExecutionResult:
        """The result as it was kept: redacted, and durable.

        Raises: `LearnerError` when it can't be kept.
        """
        masked = Redactor((*self._secrets, *secrets), self._patterns).result(result)
        masked = fitted(masked, self._spool.max_result_bytes)
        self._spool.add(masked)
        return masked

    def waiting(self) -> tuple[ExecutionResult, ...]:
        """What is not known to have arrived, oldest first."""
        return tuple(ExecutionResult.model_validate_json(entry.bytes) for entry in self._spool.pending())

    def push(self, repository: str | Path, *, client_id: str, executor_id: str, remote: str = "origin") -> Pushed:
        """Send what waits to this executor's own inbox, by way of a clone of the runbook repository.

        Raises: `GitError` when the remote can't be reached; everything stays here.
        """
        from learner.repository.git import Git, Identity
        from learner.telemetry import inbox

        author = Identity(executor_id, f"{executor_id}@{client_id}")
        return inbox.push(
            self._spool, Git(Path(repository)), remote, client_id=client_id, executor_id=executor_id, author=author, now=datetime.now(UTC)
        )  # fmt: skip


@dataclass
class RecordedStep:
    """One step while it runs; set what it said."""

    output: str = ""
    error: str = ""
    exit_code: int | None = None
    success: bool = True
    data: dict[str, Any] = field(default_factory=dict)


@dataclass
class Recording:
    """One run while it is recorded."""

    fields: dict[str, Any]
    started_at: datetime
    _zero: float = field(default_factory=time.monotonic)
    _before: StateCapture | None = None
    _after: StateCapture | None = None
    _steps: list[StepExecution] = field(default_factory=list)
    _verdict: tuple[bool | None, str, float] | None = None
    result: ExecutionResult | None = None
    """As it was kept; None until the block has ended."""

    def now(self) -> datetime:
        # Measured by a clock that never jumps.
        return datetime.fromtimestamp(self.started_at.timestamp() + time.monotonic() - self._zero, UTC)

    def before(self, **families: Any) -> None:
        """What the host was like: `services={"web": "failed"}, disk={"usage_percent": 97}`."""
        self._before = self._captured(families)

    def after(self, **families: Any) -> None:
        """What the host is like now."""
        self._after = self._captured(families)

    def _captured(self, families: Mapping[str, Any]) -> StateCapture:
        unknown = sorted(set(families) - set(StateCapture.model_fields))
        if unknown:
            raise LearnerError(f"a state has no {', '.join(unknown)}", f"it has {', '.join(StateCapture.model_fields)}")
        held = {
            "hostname": self.fields["hostname"],
            "platform": self.fields["platform"],
            "captured_at": self.now().isoformat(),
            **families,
        }
        return StateCapture.model_validate_json(json.dumps(held))

    @contextmanager
    def step(self, step_id: str, action: str, params: Mapping[str, Any] | None = None) -> Iterator[RecordedStep]:
        """Record one step; an exception in the block is the step's failure, and goes on its way."""
        seen, began = RecordedStep(), self.now()
        try:
            yield seen
        except BaseException as e:
            seen.success = False
            seen.error = seen.error or f"{type(e).__name__}: {e}"
            raise
        finally:
            ended = self.now()
            self._steps.append(
                StepExecution(
                    step_number=len(self._steps) + 1, step_id=step_id, action=action, params=dict(params or {}), started_at=began,
                    completed_at=ended, duration_seconds=max(0.0, (ended - began).total_seconds()), success=seen.success,
                    output=seen.output, error=seen.error, exit_code=seen.exit_code, data=seen.data,
                )
            )  # fmt: skip

    def verified(self, passed: bool | None, method: str, confidence: float = 0.9) -> None:
        """The verdict of the executor's own checks; without it the states before and after are judged."""
        self._verdict = (passed, method, confidence)

    def _finish(self, failure: BaseException | None) -> ExecutionResult:
        empty = self._captured({})
        before, after = self._before or empty, self._after or empty
        bad = next((step for step in self._steps if not step.success), None)
        status = ExecutionStatus.SUCCESS
        if failure is not None:
            status = ExecutionStatus.FAILURE if isinstance(failure, Exception) else ExecutionStatus.PARTIAL
        seen = {str(key) for state in (before, after) for held in state.facts().values() for key in held}
        # A parameter that names nothing in the states (a limit, a flag) says nothing of what the run is about.
        named = [str(value) for value in self.fields.get("parameters", {}).values() if str(value) in seen]
        judged = self._verdict or tuple(FixVerifier().verify(self.fields["incident_type"], before, after, named=named))
        passed, method, confidence = judged
        if status is ExecutionStatus.SUCCESS and passed is False:
            status = ExecutionStatus.FAILURE
        if failure is not None:
            passed = None if passed else passed  # what was cut short is never verified
        message = (
            f"{type(failure).__name__}: {failure}"
            if failure
            else f"verification: {method}"
            if passed is False
            else None
        )
        return ExecutionResult.model_validate_json(
            json.dumps(
                {
                    **self.fields,
                    "started_at": self.started_at.isoformat(),
                    "completed_at": self.now().isoformat(),
                    "status": status.value,
                    "success": status is ExecutionStatus.SUCCESS,
                    "verification_passed": passed,
                    "verification_method": method,
                    "confidence": confidence,
                    "state_before": before.model_dump(mode="json"),
                    "state_after": after.model_dump(mode="json"),
                    "executed_steps": [step.model_dump(mode="json") for step in self._steps],
                    "error_message": message,
                    "error_step": bad.step_number if bad and failure else None,
                    "error_traceback": "".join(traceback.format_exception(failure)) if failure else None,
                }
            )
        )


@contextmanager
def record(
    store: TelemetryStore,
    *,
    runbook: str,
    incident_id: str,
    incident_type: str,
    client_id: str,
    hostname: str | None = None,
    platform: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    secrets: Iterable[str] = (),
    executor: Mapping[str, str] | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    **more: Any,
) -> Iterator[Recording]:
    """Record one run of a runbook version (`RB-LIN-SERVICE-001-v2`). `more` are other fields of an `ExecutionResult`.

    An exception in the block makes the run a failure and goes on; ^C and `SystemExit` make it partial. Secret values
    are masked in whatever form they turn up.

    Raises: `LearnerError` when the version's name is none, or the result can't be kept.
    """
    found = _REF.fullmatch(runbook)
    if not found:
        raise LearnerError(f"{runbook} names no runbook version", "write it like RB-LIN-SERVICE-001-v1")
    secrets, started = tuple(secrets), clock()
    execution_id = new_execution_id(started)
    default = {"linux": "linux", "darwin": "darwin", "win32": "windows"}.get(sys.platform, "linux")
    recording = Recording(
        {
            "execution_id": execution_id,
            "runbook_id": found[1],
            "runbook_version": int(found[2]),
            "incident_id": incident_id,
            "incident_type": incident_type,
            "client_id": client_id,
            "hostname": hostname or socket.gethostname(),
            "platform": platform or default,
            "host": {"arch": platform_module.machine()},
            "parameters": {k: "***" if v in secrets else v for k, v in (parameters or {}).items()},
            "evidence_bundle_id": f"ev-{execution_id}",
            "executor": dict(executor or {}),
            **more,
        },
        started,
    )
    try:
        yield recording
    except BaseException as e:
        recording.result = store.add(recording._finish(e), secrets=secrets)
        raise
    recording.result = store.add(recording._finish(None), secrets=secrets)
