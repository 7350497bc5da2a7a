"""Deciding: what becomes of every open cluster, and why. Values in, values out; with plain folders it is the same.

decide()   triage → select → draft
draft()    propose ⇄ check, bounded
check()    schema, model, audits, replay: what fails one of them goes no further
recheck()  the same for a proposal that comes out of a file
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from learner import audits
from learner.audits import capabilities
from learner.errors import LearnerError, Refused
from learner.models import (
    Decision,
    ExecutionResult,
    FailureCluster,
    Finding,
    Joined,
    Level,
    Memory,
    NearForm,
    Proposal,
    Replay,
    Runbook,
    RunbookEdit,
    RunbookMetadata,
    Usage,
    Verdict,
    Word,
)
from learner.proposals import edit as edits
from learner.proposals import select as selection
from learner.proposals.brief import Brief, Draft, NoProposal, Proposer, fingerprint
from learner.proposals.merged import Improvement, failed, unwanted
from learner.proposals.siblings import clients_of, siblings
from learner.replay import replay
from learner.runbook_file import InvalidRunbook, RunbookFile, parse
from learner.settings import RepositorySettings
from learner.telemetry.state import State
from learner.triage.classify import classify
from learner.triage.clusters import join, open_clusters, successes_of
from learner.triage.contrast import contrast
from learner.triage.rules import Case

if TYPE_CHECKING:
    from learner.model_client import ModelClient

Tell = Callable[[str], None]
SHOWN_FORMS = 5
"""Near-equal forms of a failure that are named; the others are counted."""


@dataclass(frozen=True)
class Scene:
    """All that a decision may lean on. No Git, no forge: with plain folders it is the same."""

    runbooks: Mapping[str, RunbookFile]
    state: State
    load: Callable[[Sequence[str]], Mapping[str, ExecutionResult]]
    memory: Memory
    settings: RepositorySettings
    proposers: tuple[Proposer, ...]
    now: datetime
    reviews: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    improvements: tuple[Improvement, ...] = ()
    """What people merged of the learner's, with what it proved to be worth."""
    taken: Mapping[str, str] = field(default_factory=dict)
    """Runbooks that are spoken for in this run, and by what: one pull request a runbook."""
    knows: str = ""
    """A digest of the repair patterns that `main` holds: what was tried in vain is tried again when they change."""
    classifier: ModelClient | None = None
    candidates: int = 1
    tell: Tell = field(default=lambda _line: None)


def decide(scene: Scene) -> tuple[Decision, ...]:
    """What becomes of every open cluster, and why."""
    severities = {runbook_id: file.runbook.severity for runbook_id, file in scene.runbooks.items()}
    clusters = open_clusters(scene.state.held("clusters"), severities)
    current = _joined([cluster for cluster in clusters if _is_current(cluster, scene.runbooks)])
    results = scene.load(_wanted(current, scene.state))
    cases = {cluster.key: _case(cluster, scene, results) for cluster in current}
    judged = {key: classify(case, scene.classifier, _cached(scene, case.cluster)) for key, case in cases.items()}
    verdicts = {key: verdict for key, (verdict, _) in judged.items()}
    improvable = [cluster for cluster in current if verdicts[cluster.key].failure_type.improvable]
    selected = selection.select(
        improvable, verdicts, scene.memory, scene.runbooks, scene.settings.limits, scene.now, scene.taken
    )
    decisions: dict[str, Decision] = {}
    for deferred in selected.deferred:
        key = deferred.cluster.key
        decisions[key] = Decision(
            cluster=deferred.cluster, verdict=verdicts[key], outcome="deferred", reason=deferred.reason
        )
    for work in selected.work:
        key = work.cluster.key
        scene.tell(f"drafting for {work.cluster.runbook_ref}: {work.cluster.title}")
        decisions[key] = draft(scene, cases[key], verdicts[key], work)
    for cluster in current:
        verdict, usage = judged[cluster.key]
        decided = decisions.get(cluster.key) or Decision(
            cluster=cluster, verdict=verdict, outcome="not_improvable", reason=verdict.failure_type.value
        )
        decisions[cluster.key] = decided.model_copy(update={"usage": decided.usage + usage})
    return tuple(decisions[key] for key in sorted(decisions))


def draft(scene: Scene, case: Case, verdict: Verdict, work: selection.Work) -> Decision:
    """Propose ⇄ check, bounded: a proposal that passed every check, or why there is none."""
    cluster, parent = case.cluster, scene.runbooks[case.cluster.runbook_id]
    least = scene.settings.follow_up
    shown = siblings(
        scene.improvements, parent.runbook, cluster, clients_of(scene.state.held("clusters")), least.pattern_min_runs
    )
    base = Decision(
        cluster=cluster, verdict=verdict, outcome="no_proposal", revises=work.pull.number if work.pull else None,
        knows="+".join(part for part in (scene.knows, *(one.ref for one in shown)) if part),
    )  # fmt: skip
    tried = _tried(scene, cluster, base.knows)
    if tried and work.pull is None:
        return base.model_copy(update={"outcome": tried["outcome"], "reason": tried["reason"]})
    brief = Brief(
        parent=parent,
        cluster=cluster,
        verdict=verdict,
        failures=tuple(case.results),
        successes=tuple(case.successes),
        contrast=case.contrast.lines,
        words=work.pull.words if work.pull else _words_of_rejections(scene.memory, cluster),
        # An answer to a review must differ from what the review was about.
        rejected_fingerprints=frozenset(
            p.fingerprint for p in scene.memory.of(cluster.runbook_id) if p.state == "closed" or p == work.pull
        )
        | unwanted(scene.improvements, parent, least.revert_min_runs),
        siblings=shown,
        setbacks=tuple(
            f"{one.ref}: {one.edit.summary} ({one.figures})"
            for one in failed(scene.improvements, cluster.runbook_id, least.revert_min_runs)
        ),
    )
    tries = Tries()
    for proposer in scene.proposers:
        passed = attempt(proposer, brief, scene.candidates, scene.settings.model.repair_rounds, tries)
        if passed:
            best = min(passed, key=_rank)
            others = (f"{len(passed)} candidates passed every check; this one ranks first",) if len(passed) > 1 else ()
            proposal = best.model_copy(update={"usage": tries.usage, "notes": (*tries.notes, *best.notes, *others)})
            found = {"outcome": "proposed", "reason": proposal.edit.summary, "proposal": proposal}
            return base.model_copy(
                update={**found, "usage": tries.usage, "findings": proposal.findings, "replay": proposal.replay}
            )
    if tries.refused is not None:
        found = {"outcome": "rejected", "reason": "; ".join(tries.refused.reasons)[:500]}
        return base.model_copy(
            update={**found, "usage": tries.usage, "findings": tries.refused.findings, "replay": tries.refused.replay}
        )
    return base.model_copy(update={"reason": "; ".join(tries.why)[:500] or "nothing fits", "usage": tries.usage})


@dataclass
class Tries:
    """What drafting for one cluster has cost and met so far."""

    usage: Usage = field(default_factory=Usage)
    notes: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    refused: Checked | None = None


def attempt(proposer: Proposer, brief: Brief, candidates: int, repair_rounds: int, tries: Tries) -> list[Proposal]:
    """Up to `candidates` proposals that passed every check; what was refused is fed back, `repair_rounds` times."""
    passed: list[Proposal] = []
    for _ in range(candidates + repair_rounds):
        answer = proposer.propose(brief)
        tries.usage += answer.usage
        if isinstance(answer, NoProposal):
            if not passed:
                tries.why.append(f"{proposer.name}: {answer.reason}")
                tries.notes.append(f"the proposer {proposer.name} gave no proposal: {answer.reason}")
            break
        checked = check(answer, brief)
        if checked.proposal is not None:
            passed.append(checked.proposal.model_copy(update={"notes": answer.notes}))
            said: tuple[str, ...] = (f"a candidate that passed was: {answer.edit.summary}; make a different one",)
            if len(passed) == candidates:
                break
        else:
            tries.refused, said = checked, checked.reasons
        known = brief.rejected_fingerprints | {fingerprint(brief.parent, answer.edit)}
        brief = replace(brief, refused=(*brief.refused, *said), rejected_fingerprints=known)
    return passed


def _rank(proposal: Proposal) -> tuple[int, int, int, int, str]:
    """Better ones first: what replay knows, then graver findings, reach, size; the fingerprint ends every tie."""
    certainty = ("fixed", "plausible", "none").index(proposal.replay.verdict)
    gravity = sum(4**finding.level.rank for finding in proposal.findings)
    reach = len(proposal.capabilities.added) + len(proposal.capabilities.widened)
    return certainty, gravity, reach, len(proposal.edit.operations), proposal.fingerprint


@dataclass(frozen=True)
class Checked:
    """A draft after all checks: a proposal, or the reasons why it is none."""

    proposal: Proposal | None
    reasons: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    replay: Replay | None = None


def check(answer: Draft, brief: Brief) -> Checked:
    """Hold a draft against schema, model, audits and replay. Nothing that fails one of them goes any further."""
    parent, cluster = brief.parent, brief.cluster
    results = {result.execution_id: result for result in (*brief.failures, *brief.successes)}
    try:
        new_bytes = edits.apply(
            parent, answer.edit, metadata(parent.runbook, answer.edit, answer.proposer, cluster, brief.verdict, results)
        )
        new = parse(new_bytes, parent.runbook.path)
    except LearnerError as e:
        said = [str(p) for p in e.problems] if isinstance(e, InvalidRunbook) else [e.message]
        return Checked(None, tuple(said))
    findings = audits.run(audits.Change(parent, new, answer.edit), audits.Evidence(tuple(results.values())))
    verdict = replay(parent, new, brief.failures, brief.successes)
    reasons = [f"{f.rule}: {f.message}" for f in findings if f.level is Level.BLOCK]
    if verdict.refuses:
        reasons.append(f"replay: {verdict.summary}")
    proposal = Proposal(
        runbook_id=cluster.runbook_id,
        from_version=parent.runbook.version,
        parent_blob=parent.blob,
        path=parent.runbook.path,
        edit=answer.edit,
        new_version=new_bytes.decode(),
        proposer=answer.proposer,
        cluster=cluster,
        verdict=brief.verdict,
        findings=findings,
        capabilities=capabilities.diff(parent.runbook, new.runbook),
        replay=verdict,
        contrast=brief.contrast,
    )
    if proposal.fingerprint in brief.rejected_fingerprints:
        reasons.append("rejected_before: people closed this very edit")
    return Checked(None if reasons else proposal, tuple(reasons), findings, verdict)


def recheck(
    proposal: Proposal,
    parent: RunbookFile,
    failures: Sequence[ExecutionResult],
    successes: Sequence[ExecutionResult],
) -> Proposal:
    """A proposal that comes out of a file, checked as if it were new: its findings, reach and replay are made again.

    Raises: `Refused` when its bytes are not what its edit gives, or when a check refuses it.
    """
    where = f"the plan's proposal {proposal.ref}"
    brief = Brief(
        parent=parent,
        cluster=proposal.cluster,
        verdict=proposal.verdict,
        failures=tuple(failures),
        successes=tuple(successes),
        contrast=proposal.contrast,
    )
    checked = check(Draft(proposal.edit, proposal.proposer, proposal.usage, proposal.notes), brief)
    if checked.proposal is None:
        raise Refused(f"{where} is blocked: {'; '.join(checked.reasons)}", "make the plan again")
    again = checked.proposal.model_copy(update={"usage": proposal.usage, "notes": proposal.notes})
    if (again.new_version, again.path) != (proposal.new_version, proposal.path):
        raise Refused(f"{where} is not what its edit gives", "make the plan again; somebody or something changed it")
    return again


def metadata(
    parent: Runbook,
    edit: RunbookEdit,
    proposer: str,
    cluster: FailureCluster,
    verdict: Verdict,
    results: Mapping[str, ExecutionResult],
) -> RunbookMetadata:
    """What the new version says of its origin: a function of the evidence alone, so that its bytes are too."""
    cited = {*cluster.evidence, *(citation.partition("#")[0] for citation in edit.citations())}
    times = [results[i].completed_at for i in cited if i in results]
    return RunbookMetadata(
        parent_runbook=parent.ref,
        generated_by="learning_engine",
        generated_at=max(times) if times else cluster.last_seen,
        generation_model=proposer,
        generated_from_failures=cluster.evidence,
        failure_type=verdict.failure_type.value,
        original_error=cluster.title[:200],
        requires_human_review=True,
    )


def _is_current(cluster: FailureCluster, runbooks: Mapping[str, RunbookFile]) -> bool:
    """Failures of versions that `main` has left behind are history."""
    file = runbooks.get(cluster.runbook_id)
    return file is None or file.runbook.version <= cluster.runbook_version


def _joined(clusters: Sequence[FailureCluster]) -> list[FailureCluster]:
    """The same, each knowing the near-equal ones it is shown with; they are drafted for one by one all the same."""
    told: dict[str, FailureCluster] = {}
    for group in join(clusters):
        if len(group) == 1:
            continue
        forms = [NearForm(signature=one.signature, title=one.title, failures=one.failures) for one in group]
        failures = sum(one.failures for one in group)
        for one in group:
            others = tuple(form for form in forms if form.signature != one.signature)[:SHOWN_FORMS]
            told[one.key] = one.model_copy(update={
                "joined": Joined(first=group[0].signature, forms=len(group), failures=failures, others=others)
            })  # fmt: skip
    return [told.get(cluster.key, cluster) for cluster in clusters]


def _wanted(clusters: Sequence[FailureCluster], state: State) -> list[str]:
    versions = {cluster.runbook_ref for cluster in clusters}
    good = [i for ref in versions for i in successes_of(state.held("successes"), ref)]
    return sorted({i for cluster in clusters for i in cluster.evidence} | set(good))


def _case(cluster: FailureCluster, scene: Scene, results: Mapping[str, ExecutionResult]) -> Case:
    failures = tuple(results[i] for i in cluster.evidence if i in results)
    good = tuple(results[i] for i in successes_of(scene.state.held("successes"), cluster.runbook_ref) if i in results)
    file = scene.runbooks.get(cluster.runbook_id)
    runbook = file.runbook if file and file.runbook.version == cluster.runbook_version else None
    return Case(cluster=cluster, results=failures, successes=good, runbook=runbook, contrast=contrast(failures, good))


def _cached(scene: Scene, cluster: FailureCluster) -> dict[str, Verdict]:
    """Verdicts that a model gave before, by the key `classify` asks for."""
    held = scene.reviews.get(cluster.runbook_ref, {}).get("verdicts", {})
    return {key: Verdict.model_validate(value, strict=False) for key, value in held.items()}


def _tried(scene: Scene, cluster: FailureCluster, knows: str) -> Mapping[str, Any] | None:
    """What came of an earlier try with the same evidence, proposers and knowledge: it would come again."""
    held = scene.reviews.get(cluster.runbook_ref, {}).get("attempts", {}).get(cluster.signature)
    wanted = {"failures": cluster.failures, "by": made_by(scene.proposers), "knows": knows}
    return held if held and all(held.get(key, "") == value for key, value in wanted.items()) else None


def made_by(proposers: Sequence[Proposer]) -> str:
    return "+".join(proposer.name for proposer in proposers)


def _words_of_rejections(memory: Memory, cluster: FailureCluster) -> tuple[Word, ...]:
    closed = [p for p in memory.of(cluster.runbook_id) if p.state == "closed" and p.signature == cluster.signature]
    return tuple(word for pull in closed for word in pull.words)
