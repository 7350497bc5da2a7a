"""The records everything else speaks in. They are the source: `schemas/` is generated from them."""

from __future__ import annotations

from learner.models.execution import (
    CheckResult,
    ExecutionResult,
    ExecutionStatus,
    Executor,
    FailureType,
    HostFacts,
    StateCapture,
    StepExecution,
)
from learner.models.follow_up import FollowUp
from learner.models.incident import Incident
from learner.models.memory import Asking, Memory, Remembered, Word
from learner.models.plan import Answer, Closing, News, Plan
from learner.models.records import (
    CapabilityDiff,
    Decision,
    FailureCluster,
    Finding,
    Joined,
    Level,
    NearForm,
    Operation,
    Proposal,
    Replay,
    ReplayedRun,
    RunbookEdit,
    SkippedFile,
    Usage,
    Verdict,
)
from learner.models.runbook import Goto, Parameter, Retry, Runbook, RunbookMetadata, Step, Verification
from learner.models.score import Interval, Score

__all__ = [
    "Answer", "Asking", "CapabilityDiff", "CheckResult", "Closing", "Decision", "ExecutionResult", "ExecutionStatus", "Executor",
    "FailureCluster", "FailureType", "Finding", "FollowUp", "Goto", "HostFacts", "Incident", "Interval", "Joined", "Level", "Memory", "NearForm", "News", "Operation", "Parameter",
    "Plan", "Proposal", "Remembered", "Replay", "ReplayedRun", "Retry", "Runbook", "RunbookEdit", "RunbookMetadata", "Score", "SkippedFile",
    "StateCapture", "Step", "StepExecution", "Usage", "Verdict", "Verification", "Word",
]  # fmt: skip
