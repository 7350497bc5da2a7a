"""Every case through the learner as it is, on plain folders: what was decided, and how right it was."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.repair import signs
from benchmarks.repair.cases import NO_FAILURE, Case, Cause
from learner import pipeline
from learner.decide import Scene, decide
from learner.model_client import ModelClient
from learner.models import Decision, FailureType, Memory, Usage
from learner.proposals.brief import Proposer
from learner.runbook_file import RunbookFile, parse, read
from learner.settings import RepositorySettings
from learner.telemetry import collect


@dataclass(frozen=True)
class Scored:
    """What became of one cause."""

    case: Case
    cause: Cause
    decided: tuple[Decision, ...]
    """Of every cluster that holds runs of this cause, largest first."""
    fault: str = ""
    """Why a proposal is no good one; empty when there is none, or when it is good."""

    @property
    def predicted(self) -> str:
        return self.decided[0].verdict.failure_type.value if self.decided else NO_FAILURE

    @property
    def right(self) -> bool:
        return self.predicted in self.cause.types

    @property
    def proposal(self) -> Decision | None:
        return next((one for one in self.decided if one.proposal is not None), None)

    @property
    def false(self) -> bool:
        return self.proposal is not None and not self.cause.propose

    @property
    def by_model(self) -> bool:
        found = self.proposal
        return bool(found and found.proposal and not found.proposal.proposer.startswith("patterns/"))

    @property
    def replayed(self) -> bool:
        """Whether replay calls the proposal fixed or plausible."""
        found = self.proposal
        return bool(found and found.replay and found.replay.verdict in ("fixed", "plausible"))


@dataclass
class Measured:
    """All causes of a run of the bench, and what it cost."""

    scored: list[Scored] = field(default_factory=list)
    failed_runs: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0

    def __add__(self, other: Measured) -> Measured:
        return Measured(
            self.scored + other.scored,
            self.failed_runs + other.failed_runs,
            self.usage + other.usage,
            self.seconds + other.seconds,
        )

    @property
    def classified(self) -> list[Scored]:
        """Those that failed at all, or that were taken for failures."""
        return [one for one in self.scored if one.cause.types != (NO_FAILURE,) or one.decided]

    @property
    def accuracy(self) -> float:
        return _share(self.classified, lambda one: one.right)

    @property
    def macro_f1(self) -> float:
        """The mean over the failure types of F1 = 2·TP / (2·TP + FP + FN); a type that occurs nowhere is left out."""
        right: Counter[str] = Counter()
        wrong: Counter[str] = Counter()
        for one in self.classified:
            if one.right:
                right[one.predicted] += 1
            else:
                wrong[one.predicted] += 1
                wrong[one.cause.types[0]] += 1
        values = [
            2 * right[kind] / (2 * right[kind] + wrong[kind])
            for kind in map(str, FailureType)
            if right[kind] or wrong[kind]
        ]
        return sum(values) / len(values) if values else 0.0

    @property
    def improvable(self) -> list[Scored]:
        return [one for one in self.scored if one.cause.propose]

    @property
    def proposed(self) -> list[Scored]:
        return [one for one in self.scored if one.proposal]

    @property
    def false(self) -> list[Scored]:
        return [one for one in self.scored if one.false]

    @property
    def coverage(self) -> float:
        return _share(self.improvable, lambda one: one.proposal is not None)

    @property
    def good(self) -> float:
        return _share(self.proposed, lambda one: not one.fault and not one.false)

    @property
    def replayed(self) -> float:
        return _share(self.proposed, lambda one: one.replayed)

    @property
    def whole(self) -> float:
        """The share of causes whose runs, from several hosts and clients, were seen as one."""
        return _share([one for one in self.scored if one.decided], lambda one: len(one.decided) == 1)


def measure(
    cases: Iterable[Case],
    proposers: Sequence[Proposer],
    client: ModelClient | None = None,
    settings: RepositorySettings | None = None,
    asks: Callable[[Case], None] = lambda _case: None,
) -> Measured:
    """What becomes of every case. `asks` is told of each before it is decided."""
    whole = Measured()
    started = time.perf_counter()
    for case in cases:
        asks(case)
        decisions, failed = _decided(case, proposers, client, settings or RepositorySettings())
        whole.failed_runs += failed
        whole.usage = sum((decision.usage for decision in decisions), whole.usage)
        parent = parse(case.runbook)
        for cause in case.causes:
            mine = [one for one in decisions if set(one.cluster.evidence) & set(cause.executions)]
            mine.sort(key=lambda one: (-one.cluster.failures, one.cluster.key))
            scored = Scored(case, cause, tuple(mine))
            whole.scored.append(Scored(case, cause, tuple(mine), _fault(scored, parent)))
    whole.seconds = time.perf_counter() - started
    return whole


def _decided(
    case: Case, proposers: Sequence[Proposer], client: ModelClient | None, settings: RepositorySettings
) -> tuple[tuple[Decision, ...], int]:
    with tempfile.TemporaryDirectory() as scratch:
        runbooks, telemetry = case.write(Path(scratch))
        file = read(runbooks / "runbook.yaml")
        collected = collect.from_folder(telemetry, pipeline.FOLDS)
        if collected.skipped:
            raise ValueError(f"{case.name}: {collected.skipped[0].reason}")
        scene = Scene(
            runbooks={file.runbook.id: file},
            state=collected.state,
            load=lambda ids: collect.results_from_folder(telemetry, ids),
            memory=Memory(),
            settings=settings,
            proposers=tuple(proposers),
            now=datetime(2026, 11, 22, tzinfo=UTC),
            classifier=client,
        )
        decisions = decide(scene)
        return decisions, sum(decision.cluster.failures for decision in decisions)


def _fault(scored: Scored, parent: RunbookFile) -> str:
    found = scored.proposal
    if found is None or found.proposal is None or scored.false:
        return ""
    new = parse(found.proposal.new_version.encode())
    return signs.missing(scored.case, parent.runbook, new.runbook, found.proposal.edit)


def _share(of: Sequence[Scored], holds: Callable[[Scored], bool]) -> float:
    return sum(map(holds, of)) / len(of) if of else 1.0
