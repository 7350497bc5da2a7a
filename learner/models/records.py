"""What the learner says about failures and proposals: clusters, edits, findings, replays, plans."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from learner.models.execution import ExecutionId, FailureType
from learner.models.runbook import (
    Parameter,
    ParameterName,
    RunbookId,
    RunbookRef,
    Severity,
    StepId,
    Timeout,
    Version,
)
from learner.strict import Count, Integral, Json, Matching, Share, Strict, Text, UtcInstant

Citation = Annotated[
    str,
    Matching(
        r"exec-[0-9]{8}-[0-9A-Za-z]{4,40}(#([1-9][0-9]*|check:[a-z][a-z0-9_]*))?",
        "exec-…, exec-…#<step number> or exec-…#check:<id>",
    ),
]
Because = Annotated[tuple[Citation, ...], Field(min_length=1)]


class InsertStep(Strict):
    """A new step, before or after another one."""

    op: Literal["insert_step"]
    because: Because
    step: dict[str, Json]
    before: StepId | None = None
    after: StepId | None = None
    """With neither `before` nor `after` the step comes last."""


class ReplaceStep(Strict):
    """A step with the same id, written anew."""

    op: Literal["replace_step"]
    because: Because
    step_id: StepId
    step: dict[str, Json]


class RemoveStep(Strict):
    """A step taken out."""

    op: Literal["remove_step"]
    because: Because
    step_id: StepId


class MoveStep(Strict):
    """A step put elsewhere."""

    op: Literal["move_step"]
    because: Because
    step_id: StepId
    before: StepId | None = None
    after: StepId | None = None


class SetParameter(Strict):
    """One value of a step's `params`."""

    op: Literal["set_parameter"]
    because: Because
    step_id: StepId
    name: Text
    value: Json


class SetWhen(Strict):
    """A step's condition; None takes it away."""

    op: Literal["set_when"]
    because: Because
    step_id: StepId
    when: str | None


class SetRetry(Strict):
    """How often a step is tried."""

    op: Literal["set_retry"]
    because: Because
    step_id: StepId
    retry: dict[str, Json] | None


class SetTimeout(Strict):
    """How long a step may take."""

    op: Literal["set_timeout"]
    because: Because
    step_id: StepId
    timeout_seconds: Timeout


class SetOnFailure(Strict):
    """What happens when a step fails."""

    op: Literal["set_on_failure"]
    because: Because
    step_id: StepId
    on_failure: str | dict[str, str]


class AddParameter(Strict):
    """A new input of the runbook, with a default."""

    op: Literal["add_parameter"]
    because: Because
    name: ParameterName
    parameter: Parameter


class AddVerification(Strict):
    """A new claim, after the others."""

    op: Literal["add_verification"]
    because: Because
    verification: dict[str, Json]


class SetVerification(Strict):
    """A claim with the same id, written anew."""

    op: Literal["set_verification"]
    because: Because
    verification_id: StepId
    verification: dict[str, Json]


class AddRollbackStep(Strict):
    """A new rollback step, after the others."""

    op: Literal["add_rollback_step"]
    because: Because
    step: dict[str, Json]


class SetPrecondition(Strict):
    """A condition for running at all: added, or put in the place of `replaces`."""

    op: Literal["set_precondition"]
    because: Because
    expression: Text
    replaces: str | None = None


Operation = Annotated[
    InsertStep | ReplaceStep | RemoveStep | MoveStep | SetParameter | SetWhen | SetRetry | SetTimeout | SetOnFailure
    | AddParameter | AddVerification | SetVerification | AddRollbackStep | SetPrecondition,
    Field(discriminator="op"),
]  # fmt: skip


class RunbookEdit(Strict):
    """An ordered list of edits that makes the next version out of its parent; each cites its evidence."""

    root_cause: Text
    summary: Annotated[str, Field(min_length=1, max_length=200)]
    expected_effect: Text
    risk: Text
    operations: Annotated[tuple[Operation, ...], Field(min_length=1, max_length=20)]

    def citations(self) -> frozenset[str]:
        """Everything it cites."""
        return frozenset(citation for operation in self.operations for citation in operation.because)


class Level(StrEnum):
    """How grave a finding is; a `block` never reaches a pull request."""

    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    BLOCK = "block"

    @property
    def rank(self) -> int:
        return list(Level).index(self)


class Finding(Strict):
    """What an audit noticed."""

    rule: Text
    level: Level
    message: Text
    where: str = ""
    """A place in the runbook, such as `steps.start.params.name`."""
    evidence: tuple[str, ...] = ()


class CapabilityDiff(Strict):
    """What the new version touches and its parent did not, as readable phrases such as `path /run/web`."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    widened: tuple[str, ...] = ()


class ReplayedRun(Strict):
    """The candidate, replayed on one recorded run."""

    execution_id: ExecutionId
    was: Literal["failure", "success"]
    becomes: Literal["fixed", "unchanged", "still_fails", "still_succeeds", "breaks", "unclear"]
    recorded: Count = 0
    implied: Count = 0
    assumed: Count = 0
    reason: str = ""


class Replay(Strict):
    """What the recordings say of a candidate. Shares are of the outcomes that the verdict rests on."""

    verdict: Literal["fixed", "plausible", "unchanged", "breaks", "none"]
    """`fixed`: by recorded and implied outcomes; `plausible`: rests on assumptions; `none`: nothing to replay."""
    summary: Text
    recorded: Share = 0.0
    implied: Share = 0.0
    assumed: Share = 0.0
    runs: tuple[ReplayedRun, ...] = ()

    @property
    def refuses(self) -> bool:
        """Whether the candidate must not be proposed."""
        return self.verdict in ("unchanged", "breaks")


class Verdict(Strict):
    """Why a cluster of runs failed, and who says so."""

    failure_type: FailureType
    confidence: Share
    decided_by: Text
    """`rule:<name>`, `model:<name>`, `person:<login>` or `none`."""
    reasoning: Text
    evidence: tuple[str, ...] = ()


class NearForm(Strict):
    """A cluster whose signature is near-equal to another's: the same failure in other words."""

    signature: Text
    title: Text
    failures: Annotated[int, Field(ge=1), Integral]


class Joined(Strict):
    """What is known of the near-equal clusters that are shown as one."""

    first: Text
    """The signature of the largest: the same for all of them."""
    forms: Annotated[int, Field(ge=2), Integral]
    failures: Annotated[int, Field(ge=2), Integral]
    """Of all of them."""
    others: Annotated[tuple[NearForm, ...], Field(max_length=5)]
    """The largest ones besides this."""


class FailureCluster(Strict):
    """Failures of one runbook version that share a signature. Counts are of all, evidence is the first few."""

    runbook_id: RunbookId
    runbook_version: Version
    signature: Text
    """A short hash, stable across hosts and clients."""
    title: Text
    """The masked error, for people."""
    action: str | None = None
    """The failing step's action, None when a check failed."""
    step_id: str | None = None
    check: str | None = None
    failures: Annotated[int, Field(ge=1), Integral]
    hosts: Count
    clients: Count
    first_seen: UtcInstant
    last_seen: UtcInstant
    severity: Severity = "medium"
    evidence: tuple[ExecutionId, ...]
    """The first ones by (started_at, execution_id)."""
    by_client: dict[str, Count] = {}
    joined: Joined | None = None
    """The near-equal ones it is shown with; None when it stands alone."""

    @property
    def runbook_ref(self) -> str:
        return f"{self.runbook_id}-v{self.runbook_version}"

    @property
    def key(self) -> str:
        """`RB-LIN-SERVICE-001-v1/3fa94c01d2e8`."""
        return f"{self.runbook_ref}/{self.signature}"


class SkippedFile(Strict):
    """A file of telemetry or a runbook that could not be used, and why."""

    path: str
    reason: str


class Usage(Strict):
    """What models were asked for."""

    model_calls: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    cost_usd: Annotated[float, Field(ge=0)] = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            model_calls=self.model_calls + other.model_calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_usd=round(self.cost_usd + other.cost_usd, 6),
        )


class Proposal(Strict):
    """A better version of a runbook: the edit, the bytes, and everything a reviewer needs to judge them."""

    runbook_id: RunbookId
    from_version: Version
    parent_blob: Text
    """The Git blob the edit was made for; publishing refuses when `main` holds another one."""
    path: Text
    edit: RunbookEdit
    new_version: Text
    """The YAML text of the new version."""
    proposer: Text
    """`patterns/<pattern id>` or a model's name."""
    cluster: FailureCluster
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    capabilities: CapabilityDiff = CapabilityDiff()
    replay: Replay
    usage: Usage = Usage()
    notes: tuple[str, ...] = ()
    """Said on the pull request, such as which proposer was out of reach."""
    contrast: tuple[str, ...] = ()
    """What failures and verified successes differ in."""

    @property
    def ref(self) -> RunbookRef:
        """The proposed version: `RB-LIN-SERVICE-001-v2`."""
        return f"{self.runbook_id}-v{self.from_version + 1}"

    @property
    def fingerprint(self) -> str:
        """What makes two edits the same: parent and operations, without their citations. 64 hex digits."""
        import hashlib
        import json

        operations = [operation.model_dump(mode="json", exclude={"because"}) for operation in self.edit.operations]
        text = json.dumps([self.runbook_id, self.from_version, operations], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def branch(self) -> str:
        """`learner/RB-LIN-SERVICE-001-v2-3fa94c01`."""
        return f"learner/{self.ref}-{self.fingerprint[:8]}"

    @property
    def priority(self) -> Literal["high", "medium", "low"]:
        if self.cluster.severity in ("high", "critical"):
            return "high"
        return "low" if self.cluster.severity == "low" else "medium"


class Decision(Strict):
    """What became of one cluster in one run."""

    cluster: FailureCluster
    verdict: Verdict
    outcome: Literal["proposed", "deferred", "rejected", "no_proposal", "not_improvable"]
    reason: str = ""
    """For a machine and a person: `one_open: …`, `min_failures: …`, `no_pattern: …`."""
    proposal: Proposal | None = None
    findings: tuple[Finding, ...] = ()
    replay: Replay | None = None
    usage: Usage = Usage()
    revises: Count | None = None
    """The pull request whose review this answers."""
    knows: str = ""
    """What the proposers could draw on besides the evidence: patterns on `main`, siblings' repairs."""
