"""The whole system, top to bottom; read this first.

A host runs an approved runbook and records what happened:

    execute()   gate → state before → steps → verification → state after → ExecutionResult
    record()    redact → spool → (push) inbox

A job on a schedule makes runbooks better:

    learn()     fold    inboxes → telemetry
                plan    everything that needs no write token: collect, recall, triage, select, draft
                apply   everything that talks to no model: check again, record on the ledger, publish

Stages are values in, values out; what went wrong in the world (a file that can't be read, a cluster that must wait,
a candidate that was refused) is a value with a reason. People decide: the merge on the forge is the approval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from learner import audits, ledger
from learner.audits import capabilities
from learner.errors import LearnerError, Refused
from learner.executor import gate
from learner.executor.cancel import Cancellation
from learner.executor.run import Order, Ran, Watcher
from learner.executor.run import run as run_on_host
from learner.models import (
    Closing,
    Decision,
    ExecutionResult,
    FailureCluster,
    Finding,
    Level,
    Memory,
    News,
    Plan,
    Proposal,
    Runbook,
    RunbookEdit,
    RunbookMetadata,
    SkippedFile,
    Usage,
    Verdict,
)
from learner.proposals import edit as edits
from learner.proposals import select as selection
from learner.proposals.brief import Brief, Draft, NoProposal, Proposer
from learner.replay import replay
from learner.report.metrics import Metrics, VersionFold, metrics
from learner.report.metrics import versions as version_metrics
from learner.repository import refs
from learner.repository.git import Git, Identity
from learner.repository.history import brought
from learner.runbook_file import InvalidRunbook, RunbookFile, parse
from learner.settings import GateSettings, RepositorySettings
from learner.telemetry import branch as telemetry_branch
from learner.telemetry import collect as reading
from learner.telemetry.fold import Folded, fold
from learner.telemetry.redact import Redactor
from learner.telemetry.spool import Spool
from learner.telemetry.state import State
from learner.triage.classify import cache_key, classify
from learner.triage.clusters import ClusterFold, SuccessFold, open_clusters, successes_of
from learner.triage.contrast import contrast
from learner.triage.rules import Case

if TYPE_CHECKING:
    from learner.forge.gateway import Gateway
    from learner.forge.publish import Published
    from learner.model_client import ModelClient

FOLDS = (ClusterFold(), SuccessFold(), VersionFold())
"""What is known of all history; the state is these, and nothing else."""

Tell = Callable[[str], None]


# --------------------------------------------------------------------------------------- on a host


def execute(
    git: Git,
    settings: GateSettings,
    runbook: str,
    order: Callable[[RunbookFile], Order],
    *,
    now: datetime,
    dry: bool = False,
    cancelled: Cancellation | None = None,
    tell: Tell = lambda _line: None,
    watcher: Watcher | None = None,
) -> Ran:
    """Run an approved runbook, named by its id or by a version (`RB-…-v2`), and say what happened.

    Raises: `Refused` when the gate says no; `LearnerError` when parameters don't fit. Nothing has run then.
    """
    runbook_id, _, version = runbook.partition("-v")
    approved = gate.check(git, settings, runbook_id, now)
    file = parse(approved.text, approved.path)
    if version and file.runbook.ref != runbook:
        raise Refused(
            f"{runbook} is not what {settings.branch} holds: that is {file.runbook.ref}",
            "a proposed version runs after a person has merged it and this host has fetched",
        )
    tell(f"{file.runbook.ref} {approved.banner}")
    return run_on_host(order(file), dry=dry, cancelled=cancelled, tell=tell, watcher=watcher)


def record(ran: Ran, spool: Spool, patterns: Sequence[str] = ()) -> ExecutionResult:
    """The result as it was written down: redacted, and durably in the spool until the ledger has it."""
    result = Redactor(ran.secrets, patterns).result(ran.result)
    spool.add(result)
    return result


# ------------------------------------------------------------------------------------ the learner


@dataclass(frozen=True)
class Job:
    """Where the learner works, and by whose leave."""

    git: Git
    remote: str
    settings: RepositorySettings
    author: Identity
    run_id: str
    now: datetime
    proposers: tuple[Proposer, ...]
    gateway: Gateway | None = None
    classifier: ModelClient | None = None
    base: str = "main"
    tell: Tell = field(default=lambda _line: None)

    @property
    def telemetry_remote(self) -> str:
        return self.settings.telemetry.remote or self.remote


@dataclass(frozen=True)
class Learned:
    """What a run of the learner did."""

    plan: Plan
    published: tuple[Published, ...]
    folded: Folded | None = None

    @property
    def skipped(self) -> tuple[SkippedFile, ...]:
        return (*(self.folded.quarantined if self.folded else ()), *self.plan.skipped)

    @property
    def did_nothing(self) -> bool:
        """Whether everything was as it should be before."""
        return not (self.folded and self.folded.results) and all(
            p.action in ("unchanged", "left") for p in self.published
        )


def learn(job: Job) -> Learned:
    """Fold, plan and apply in one go."""
    folded = fold(job.git, job.telemetry_remote, settings=job.settings.telemetry, author=job.author, now=job.now)
    planned = plan(job)
    return replace(apply(job, planned), folded=folded)


def plan(job: Job) -> Plan:
    """Everything the learner would do, and why: needs to read, never to write."""
    book = ledger.read(job.git, job.telemetry_remote, job.settings.telemetry)
    commit = telemetry_branch.tip(job.git, job.telemetry_remote, job.settings.telemetry)
    main = fetch_main(job)
    collected = reading.collect(job.git, commit, FOLDS, State.parse(book.state) if book.state else None)
    if collected.rebuilt and book.state:
        job.tell(f"read all telemetry again: {collected.rebuilt}")
    runbooks, broken = current_runbooks(job.git, main)
    memory = recall(job, book)
    scene = Scene(
        runbooks=runbooks,
        state=collected.state,
        load=lambda ids: reading.results(job.git, commit, ids),
        memory=memory,
        reviews=book.reviews,
        settings=job.settings,
        proposers=job.proposers,
        classifier=job.classifier,
        now=job.now,
        tell=job.tell,
    )
    decisions = decide(scene)
    return Plan(
        run_id=job.run_id,
        created_at=job.now,
        telemetry_commit=commit,
        main_commit=main,
        decisions=decisions,
        closings=_moot(memory, runbooks),
        news=_news(memory, decisions),
        skipped=(*collected.skipped, *broken),
        unverified=mostly_unverified(collected.state),
        state=collected.state.canonical(),
        usage=sum((decision.usage for decision in decisions), Usage()),
    )


def apply(job: Job, planned: Plan) -> Learned:
    """Carry a plan out. It is checked again from scratch: whoever wrote it may be mistaken, or not be us.

    Raises: `Refused` when a proposal in it is not what its edit says, or would be blocked; nothing is published then.
    """
    from learner.forge import publish as publishing
    from learner.forge.body import Links

    main = fetch_main(job)
    commit = telemetry_branch.tip(job.git, job.telemetry_remote, job.settings.telemetry)
    book = ledger.read(job.git, job.telemetry_remote, job.settings.telemetry)
    runbooks, _ = current_runbooks(job.git, main)
    cited = {
        i for p in planned.proposals for i in (*p.cluster.evidence, *(c.partition("#")[0] for c in p.edit.citations()))
    }
    results = reading.results(job.git, commit, cited)
    pulls = {pull.number: pull for pull in recall(job, book).open}

    ready, left = [], []
    for decision in planned.decisions:
        if decision.outcome != "proposed" or decision.proposal is None:
            continue
        proposal = decision.proposal
        parent = runbooks.get(proposal.runbook_id)
        if parent is None or parent.blob != proposal.parent_blob:
            left.append(
                publishing.Published(proposal.ref, "left", None, None, "main has moved on; the next run looks again")
            )
            continue
        recheck(proposal, parent, results)
        asked = pulls.get(decision.revises) if decision.revises is not None else None
        ready.append((publishing.prepare(job.git, proposal, main, job.author, asked), parent, asked))

    _write_down(job, planned, book, [prepared for prepared, _, _ in ready])
    if job.gateway is None or not (ready or planned.closings or planned.news):
        return Learned(planned, tuple(left))
    heads = known_heads(book) | {prepared.commit for prepared, _, _ in ready}
    links = Links(job.gateway.url, job.settings.telemetry.branch, {i: result.path for i, result in results.items()})
    done = list(left)
    for prepared, parent, asked in ready:
        new = parse(prepared.proposal.new_version.encode(), prepared.proposal.path).runbook
        published = publishing.publish(
            job.gateway, job.git, job.remote, prepared, base=job.base, old=parent.runbook, new=new, results=results,
            links=links, known_heads=heads,
        )  # fmt: skip
        if asked is not None and published.action == "revised":
            publishing.answer(job.gateway, asked, prepared.proposal)
        done.append(published)
    done += publishing.follow_up(job.gateway, planned)
    return Learned(planned, tuple(done))


# --------------------------------------------------------------------------------------- deciding


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
    classifier: ModelClient | None = None
    tell: Tell = field(default=lambda _line: None)


def decide(scene: Scene) -> tuple[Decision, ...]:
    """What becomes of every open cluster, and why."""
    severities = {runbook_id: file.runbook.severity for runbook_id, file in scene.runbooks.items()}
    clusters = open_clusters(scene.state.held("clusters"), severities)
    current = [cluster for cluster in clusters if _is_current(cluster, scene.runbooks)]
    results = scene.load(_wanted(current, scene.state))
    cases = {cluster.key: _case(cluster, scene, results) for cluster in current}
    judged = {key: classify(case, scene.classifier, _cached(scene, case.cluster)) for key, case in cases.items()}
    verdicts = {key: verdict for key, (verdict, _) in judged.items()}
    improvable = [cluster for cluster in current if verdicts[cluster.key].failure_type.improvable]
    selected = selection.select(improvable, verdicts, scene.memory, scene.runbooks, scene.settings.limits, scene.now)
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
    base = Decision(
        cluster=cluster, verdict=verdict, outcome="no_proposal", revises=work.pull.number if work.pull else None
    )
    tried = _tried(scene, cluster)
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
        rejected_fingerprints=frozenset(
            p.fingerprint for p in scene.memory.of(cluster.runbook_id) if p.state == "closed"
        ),
    )
    usage, notes, why = Usage(), [], []
    refused: Checked | None = None
    for proposer in scene.proposers:
        attempt = brief
        for _ in range(1 + scene.settings.model.repair_rounds):
            answer = proposer.propose(attempt)
            usage += answer.usage
            if isinstance(answer, NoProposal):
                why.append(f"{proposer.name}: {answer.reason}")
                notes.append(f"{proposer.name} gave no proposal: {answer.reason}.")
                break
            checked = check(answer, brief)
            if checked.proposal is not None:
                proposal = checked.proposal.model_copy(update={"usage": usage, "notes": (*notes, *answer.notes)})
                return base.model_copy(update={"outcome": "proposed", "reason": proposal.edit.summary, "proposal": proposal, "usage": usage,
                                               "findings": proposal.findings, "replay": proposal.replay})  # fmt: skip
            refused = checked
            attempt = replace(attempt, refused=(*attempt.refused, *checked.reasons))
    if refused is not None:
        return base.model_copy(update={"outcome": "rejected", "reason": "; ".join(refused.reasons)[:500], "usage": usage,
                                       "findings": refused.findings, "replay": refused.replay})  # fmt: skip
    return base.model_copy(update={"reason": "; ".join(why)[:500] or "nothing fits", "usage": usage})


@dataclass(frozen=True)
class Checked:
    """A draft after all checks: a proposal, or the reasons why it is none."""

    proposal: Proposal | None
    reasons: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    replay: Any = None


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


def recheck(proposal: Proposal, parent: RunbookFile, results: Mapping[str, ExecutionResult]) -> None:
    """Raises: `Refused` when the bytes are not what the edit gives, or an audit blocks them."""
    where = f"the plan's proposal {proposal.ref}"
    made = edits.apply(
        parent,
        proposal.edit,
        metadata(parent.runbook, proposal.edit, proposal.proposer, proposal.cluster, proposal.verdict, results),
    )
    if made != proposal.new_version.encode():
        raise Refused(f"{where} is not what its edit gives", "make the plan again; somebody or something changed it")
    new = parse(made, proposal.path)
    evidence = audits.Evidence(tuple(results.values()))
    for finding in audits.run(audits.Change(parent, new, proposal.edit), evidence):
        if finding.level is Level.BLOCK:
            raise Refused(f"{where} is blocked by {finding.rule}: {finding.message}", "make the plan again")
    if (proposal.path, proposal.runbook_id) != (parent.runbook.path, parent.runbook.id):
        raise Refused(f"{where} is written to a path that is not its runbook's", "make the plan again")


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


# ---------------------------------------------------------------------------------- small helpers


def fetch_main(job: Job) -> str:
    """The commit of `main` on the remote, fetched."""
    mine = refs.private(job.remote, "main")
    refs.fetch(job.git, job.remote, [f"+refs/heads/{job.base}:{mine}"])
    tip = job.git.resolve(mine)
    if tip is None:
        raise LearnerError(f"{job.remote} has no branch {job.base}", "push one, or set it up: `learner init`")
    return tip


def current_runbooks(git: Git, commit: str) -> tuple[dict[str, RunbookFile], tuple[SkippedFile, ...]]:
    """The runbooks of a commit by id, and the files that are none, with the reason: those are never run."""
    found: dict[str, RunbookFile] = {}
    broken = []
    for path, blob in sorted(git.listing(commit, "runbooks/").items()):
        if not path.endswith(".yaml") or path.startswith("runbooks/patterns/"):
            continue
        try:
            file = parse(git.run("cat-file", "blob", blob), path)
        except InvalidRunbook as e:
            broken.append(SkippedFile(path=path, reason=str(e.problems[0])))
            continue
        if file.runbook.path != path or file.runbook.id in found:
            broken.append(SkippedFile(path=path, reason=f"{file.runbook.id} belongs at {file.runbook.path}, once"))
            continue
        found[file.runbook.id] = file
    return found, tuple(broken)


def approved_blobs(git: Git, commit: str) -> dict[str, frozenset[str]]:
    """Runbook version → the blobs that `main` ever held of it."""
    found: dict[str, set[str]] = {}
    for item in brought(git, commit):
        try:
            ref = parse(git.run("cat-file", "blob", item.blob), item.path).runbook.ref
        except LearnerError:
            continue
        found.setdefault(ref, set()).add(item.blob)
    return {ref: frozenset(blobs) for ref, blobs in found.items()}


def known_heads(book: ledger.Ledger) -> frozenset[str]:
    """Commits of proposals that the ledger says the learner made."""
    return frozenset(
        head
        for review in book.reviews.values()
        for head in (p.get("head") for p in review.get("proposals", {}).values())
        if head
    )


def recall(job: Job, book: ledger.Ledger) -> Memory:
    """What the forge remembers; nothing when the job has no forge."""
    if job.gateway is None:
        return Memory()
    from learner.forge import memory

    return memory.recall(job.gateway, known_heads(book))


def _is_current(cluster: FailureCluster, runbooks: Mapping[str, RunbookFile]) -> bool:
    """Failures of versions that `main` has left behind are history."""
    file = runbooks.get(cluster.runbook_id)
    return file is None or file.runbook.version <= cluster.runbook_version


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


def _tried(scene: Scene, cluster: FailureCluster) -> Mapping[str, Any] | None:
    """What came of an earlier try with the same evidence and the same proposers: it would come again."""
    held = scene.reviews.get(cluster.runbook_ref, {}).get("attempts", {}).get(cluster.signature)
    same = held and held.get("failures") == cluster.failures and held.get("by") == _by(scene.proposers)
    return held if same else None


def _by(proposers: Sequence[Proposer]) -> str:
    return "+".join(proposer.name for proposer in proposers)


def _words_of_rejections(memory: Memory, cluster: FailureCluster) -> tuple[Any, ...]:
    closed = [p for p in memory.of(cluster.runbook_id) if p.state == "closed" and p.signature == cluster.signature]
    return tuple(word for pull in closed for word in pull.words)


def _moot(memory: Memory, runbooks: Mapping[str, RunbookFile]) -> tuple[Closing, ...]:
    closings = []
    for pull in memory.open:
        file = runbooks.get(pull.runbook_id)
        if file is None:
            closings.append(Closing(number=pull.number, reason=f"{pull.runbook_id} is no longer on main."))
        elif file.runbook.version >= pull.version:
            closings.append(Closing(number=pull.number, reason=f"main holds {file.runbook.ref} already."))
    return tuple(closings)


def _news(memory: Memory, decisions: Sequence[Decision]) -> tuple[News, ...]:
    clusters = {(d.cluster.runbook_id, d.cluster.signature): d.cluster for d in decisions}
    found = []
    for pull in memory.open:
        cluster = clusters.get((pull.runbook_id, pull.signature))
        if cluster and cluster.failures > pull.failures > 0:
            found.append(News(number=pull.number, failures=cluster.failures, newest=cluster.evidence))
    return tuple(found)


def mostly_unverified(state: State) -> tuple[str, ...]:
    """Versions whose runs are mostly unverified: not failing, but lacking a verifier."""
    return tuple(v.ref for v in version_metrics(state.held("versions")) if v.unverified * 2 > v.runs)


def _write_down(job: Job, planned: Plan, book: ledger.Ledger, prepared: Sequence[Any]) -> None:
    """Ledger first, forge second: a branch is only adopted when the ledger knew its head before it was pushed."""
    reviews: dict[str, dict[str, Any]] = {}

    def review(ref: str) -> dict[str, Any]:
        return reviews.setdefault(ref, {**book.reviews.get(ref, {})})

    for item in prepared:
        held = review(item.proposal.ref)
        held["proposals"] = {**held.get("proposals", {})}
        held["proposals"][item.proposal.fingerprint] = {
            "branch": item.branch, "head": item.commit, "signature": item.proposal.cluster.signature, "proposer": item.proposal.proposer,
        }  # fmt: skip
    for decision in planned.decisions:
        cluster = decision.cluster
        if decision.outcome in ("rejected", "no_proposal"):
            held = review(cluster.runbook_ref)
            held["attempts"] = {**held.get("attempts", {})}
            held["attempts"][cluster.signature] = {
                "outcome": decision.outcome, "reason": decision.reason, "failures": cluster.failures, "by": _by(job.proposers),
            }  # fmt: skip
        if decision.verdict.decided_by.startswith("model:"):
            held = review(cluster.runbook_ref)
            held["verdicts"] = {**held.get("verdicts", {}), cache_key(cluster): decision.verdict.model_dump(mode="json")}
    changed = {ref: held for ref, held in reviews.items() if held != book.reviews.get(ref)}
    is_news = planned.state != book.state or changed
    analysis = planned.model_dump(mode="json", exclude={"state"})
    ledger.write(
        job.git,
        job.telemetry_remote,
        job.settings.telemetry,
        author=job.author,
        now=job.now,
        analyses={planned.run_id: analysis} if is_news else {},
        reviews=changed,
        state=planned.state,
    )


def report(job: Job) -> Metrics:
    """Metrics of all telemetry and all decisions, read only."""
    main = fetch_main(job)
    book = ledger.read(job.git, job.telemetry_remote, job.settings.telemetry)
    commit = telemetry_branch.tip(job.git, job.telemetry_remote, job.settings.telemetry)
    collected = reading.collect(job.git, commit, FOLDS, State.parse(book.state) if book.state else None)
    return metrics(collected.state.held("versions"), recall(job, book), job.now, approved_blobs(job.git, main))
