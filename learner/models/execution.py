"""What one run of one runbook version on one host for one incident did: the `ExecutionResult`."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from learner.facts import diff
from learner.models.incident import Slug
from learner.models.runbook import Platform, RunbookId, Version
from learner.strict import Count, Int, Integral, Json, Lenient, Matching, Share, Text, UtcInstant

ExecutionId = Annotated[str, Matching(r"exec-[0-9]{8}-[0-9A-Za-z]{4,40}", "Such as exec-20261122-01JD8Z6Q7R")]
BlobId = Annotated[str, Matching(r"[0-9a-f]{40,64}", "A Git object id")]
Duration = Annotated[float, Field(ge=0)]
Changes = dict[str, dict[str, Json]]


class ExecutionStatus(StrEnum):
    """How a run ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    PARTIAL = "partial"
    SKIPPED = "skipped"


class FailureType(StrEnum):
    """Why a run failed."""

    WRONG_DIAGNOSIS = "wrong_diagnosis"
    WRONG_RUNBOOK = "wrong_runbook"
    RUNBOOK_INSUFFICIENT = "runbook_insufficient"
    ENVIRONMENT_DIFFERENCE = "environment_difference"
    EXTERNAL_DEPENDENCY = "external_dependency"
    PERMISSION_DENIED = "permission_denied"
    UNKNOWN = "unknown"

    @property
    def improvable(self) -> bool:
        """Whether a better runbook is the answer."""
        return self in (FailureType.RUNBOOK_INSUFFICIENT, FailureType.ENVIRONMENT_DIFFERENCE)


class HostFacts(Lenient):
    """What kind of machine it was."""

    os_id: str | None = None
    os_version: str | None = None
    arch: str | None = None
    service_manager: str | None = None


class Executor(Lenient):
    """Who ran it."""

    id: str | None = None
    name: str | None = None
    version: str | None = None


class StateCapture(Lenient):
    """The host's state at one moment: `facts` by family, as the catalogue's probes read them."""

    hostname: str | None = None
    platform: str | None = None
    captured_at: UtcInstant | None = None
    services: dict[str, Literal["running", "stopped", "failed", "unknown"]] = {}
    disk: dict[str, Json] = {}
    cpu: dict[str, Json] = {}
    memory: dict[str, Json] = {}
    processes: dict[str, Json] = {}
    ports: dict[str, Json] = {}
    files: dict[str, Json] = {}
    endpoints: dict[str, Json] = {}
    certificates: dict[str, Json] = {}
    dns: dict[str, Json] = {}
    time: dict[str, Json] = {}
    commands: dict[str, Json] = {}
    unread: dict[str, str] = {}
    """Facts that could not be read, and why."""

    def facts(self) -> dict[str, Any]:
        """The families that hold something, as nested mappings: what `state` is in a template."""
        whole = self.model_dump(mode="json")
        for beside in ("hostname", "platform", "captured_at", "unread"):
            whole.pop(beside)
        return {family: facts for family, facts in whole.items() if facts}


class StepExecution(Lenient):
    """One step as it ran."""

    step_number: Annotated[int, Field(ge=1), Integral]
    step_id: str | None = None
    phase: Literal["step", "rollback", "finally"] = "step"
    action: Text
    params: dict[str, Json] = {}
    """As rendered; secrets masked."""
    started_at: UtcInstant | None = None
    completed_at: UtcInstant | None = None
    duration_seconds: Duration | None = None
    success: bool
    skipped: bool = False
    attempts: Count = 1
    output: str = ""
    error: str = ""
    exit_code: Int | None = None
    data: dict[str, Json] = {}
    state_changes: Changes = {}
    timed_out: bool = False


class CheckResult(Lenient):
    """One claim of the verification; `passed` is None when it could not be judged."""

    id: str
    check: Text
    params: dict[str, Json] = {}
    passed: bool | None
    observed: Json = None
    waited_seconds: Duration = 0.0


class ExecutionResult(Lenient):
    """One run of one runbook version on one host for one incident."""

    schema_version: Literal["1.0"] = "1.0"
    execution_id: ExecutionId
    runbook_id: RunbookId
    runbook_version: Version
    runbook_blob: BlobId | None = None
    incident_id: Text
    incident_type: Text
    incident_started_at: UtcInstant | None = None
    client_id: Slug
    hostname: Text
    platform: Platform
    host: HostFacts = HostFacts()
    parameters: dict[str, Json] = {}
    started_at: UtcInstant
    completed_at: UtcInstant
    duration_seconds: Duration | None = None
    status: ExecutionStatus
    success: bool
    verification_passed: bool | None = None
    verification_method: str | None = None
    confidence: Share | None = None
    state_before: StateCapture
    state_after: StateCapture
    state_diff: Changes | None = None
    executed_steps: tuple[StepExecution, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    error_message: str | None = None
    error_step: Int | None = None
    error_traceback: str | None = None
    retry_count: Count = 0
    was_correct_runbook: bool | None = None
    was_correct_diagnosis: bool | None = None
    failure_type: FailureType | None = None
    manual_intervention_needed: bool = False
    human_feedback: str | None = None
    evidence_bundle_id: Text
    log_artifacts: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    notes: str | None = None
    executor: Executor = Executor()

    @model_validator(mode="after")
    def _computed(self) -> ExecutionResult:
        # What is computable is computed when absent; a frozen model is filled in before anyone sees it.
        if self.duration_seconds is None:
            seconds = max(0.0, (self.completed_at - self.started_at).total_seconds())
            object.__setattr__(self, "duration_seconds", seconds)
        if self.state_diff is None:
            object.__setattr__(self, "state_diff", diff(self.state_before.facts(), self.state_after.facts()))
        return self

    @property
    def runbook_ref(self) -> str:
        """`RB-LIN-SERVICE-001-v2`."""
        return f"{self.runbook_id}-v{self.runbook_version}"

    @property
    def path(self) -> str:
        """Where it lives in telemetry: by client and by the UTC date of its start."""
        day: datetime = self.started_at
        return f"telemetry/{self.client_id}/{day.year:04}/{day.month:02}/{day.day:02}/{self.execution_id}.json"

    @property
    def failed(self) -> bool:
        """Whether it teaches something: an error, or a verification that did not pass. Unknown is no failure."""
        if self.status is ExecutionStatus.SKIPPED:
            return False
        return self.verification_passed is False or self.status is ExecutionStatus.FAILURE or bool(self.error_message)

    @property
    def verified(self) -> bool:
        """Whether it is known to have worked."""
        return self.success and self.verification_passed is True

    def citations(self) -> frozenset[str]:
        """What can be cited from it: itself, its steps (`exec-…#3`) and its checks (`exec-…#check:running`)."""
        steps = {f"{self.execution_id}#{step.step_number}" for step in self.executed_steps}
        return frozenset(
            {self.execution_id} | steps | {f"{self.execution_id}#check:{check.id}" for check in self.checks}
        )
