"""The whole system, top to bottom; read this first.

A host runs an approved runbook and records what happened:

    execute()   gate → state before → steps → verification → state after → ExecutionResult
    record()    redact → spool → (push) inbox

A job on a schedule makes runbooks better (`learner.decide` is its heart):

    learn()     fold    inboxes → telemetry
                plan    everything that needs no write token: collect, recall, triage, select, draft
                apply   everything that talks to no model: check again, record on the ledger, publish

Stages are values in, values out; what went wrong in the world (a file that can't be read, a cluster that must wait,
a candidate that was refused) is a value with a reason. People decide: the merge on the forge is the approval.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from learner import ledger
from learner.decide import Scene, Tell, decide, made_by, recheck
from learner.errors import LearnerError, Refused
from learner.executor import gate
from learner.executor.cancel import Cancellation
from learner.executor.run import Order, Ran, Watcher
from learner.executor.run import run as run_on_host
from learner.models import (
    Closing,
    Decision,
    ExecutionResult,
    Memory,
    News,
    Plan,
    SkippedFile,
    Usage,
)
from learner.proposals.brief import Proposer
from learner.report.metrics import Metrics, VersionFold, metrics
from learner.report.metrics import versions as version_metrics
from learner.repository import refs
from learner.repository.batch import stream
from learner.repository.git import Git, Identity
from learner.repository.history import brought
from learner.runbook_file import InvalidRunbook, RunbookFile, parse
from learner.settings import GateSettings, RepositorySettings
from learner.telemetry import collect as reading
from learner.telemetry.collect import Collected
from learner.telemetry.fold import Folded, fold
from learner.telemetry.redact import Redactor
from learner.telemetry.spool import Spool
from learner.telemetry.state import State
from learner.triage.classify import cache_key, cacheable
from learner.triage.clusters import ClusterFold, SuccessFold, open_clusters, successes_of

if TYPE_CHECKING:
    from learner.forge.gateway import Gateway
    from learner.forge.publish import Published
    from learner.model_client import ModelClient

FOLDS = (ClusterFold(), SuccessFold(), VersionFold())
"""What is known of all history; the state is these, and nothing else."""


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
    if file.runbook.path != approved.path:
        raise Refused(
            f"{approved.path} holds {file.runbook.ref}, which belongs at {file.runbook.path}", "have it moved on main"
        )
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
    candidates: int = 1
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
    seen = look(job)
    return replace(apply(job, plan(job, seen), seen), folded=folded)


@dataclass(frozen=True)
class Seen:
    """What Git and the forge hold, at one moment."""

    main: str
    runbooks: Mapping[str, RunbookFile]
    broken: tuple[SkippedFile, ...]
    telemetry: str | None
    collected: Collected
    book: ledger.Ledger
    memory: Memory

    @property
    def state(self) -> State:
        return self.collected.state


def look(job: Job) -> Seen:
    """Main, telemetry, ledger and forge as they are now; one question to each, and only what moved is fetched."""
    main, telemetry, book_at = _tips(job)
    runbooks, broken = current_runbooks(job.git, main)
    book = ledger.at(job.git, book_at)
    collected = reading.collect(job.git, telemetry, FOLDS, State.parse(book.state) if book.state else None)
    if collected.rebuilt and book.state:
        job.tell(f"read all telemetry again: {collected.rebuilt}")
    return Seen(main, runbooks, broken, telemetry, collected, book, recall(job, book))


def plan(job: Job, seen: Seen | None = None) -> Plan:
    """Everything the learner would do, and why: needs to read, never to write."""
    seen = seen or look(job)
    scene = Scene(
        runbooks=seen.runbooks,
        state=seen.state,
        load=lambda ids: reading.results(job.git, seen.telemetry, ids),
        memory=seen.memory,
        reviews=seen.book.reviews,
        settings=job.settings,
        proposers=job.proposers,
        classifier=job.classifier,
        candidates=job.candidates,
        now=job.now,
        tell=job.tell,
    )
    decisions = decide(scene)
    return Plan(
        run_id=job.run_id,
        created_at=job.now,
        telemetry_commit=seen.telemetry,
        main_commit=seen.main,
        decisions=decisions,
        closings=_moot(seen.memory, seen.runbooks),
        news=_news(seen.memory, decisions),
        skipped=(*seen.collected.skipped, *seen.broken),
        unverified=mostly_unverified(seen.state),
        usage=sum((decision.usage for decision in decisions), Usage()),
    )


def apply(job: Job, planned: Plan, seen: Seen | None = None) -> Learned:
    """Carry a plan out. It is checked again from scratch: whoever wrote it may be mistaken, or not be us.

    Raises: `Refused` when a proposal in it is not what its edit says, or would be blocked; nothing is published then.
    """
    from learner.forge import publish as publishing
    from learner.forge.body import Links

    seen = seen or look(job)
    known = {cluster.key for cluster in open_clusters(seen.state.held("clusters"), {})}
    pulls = {pull.number: pull for pull in seen.memory.open}
    results: dict[str, ExecutionResult] = {}

    ready, left = [], []
    for decision in planned.decisions:
        if decision.outcome != "proposed" or decision.proposal is None:
            continue
        proposal = decision.proposal
        parent = seen.runbooks.get(proposal.runbook_id)
        if parent is None or parent.blob != proposal.parent_blob:
            reason = "main has moved on; the next run looks again"
            left.append(publishing.Published(proposal.ref, "left", None, None, reason))
            continue
        if proposal.cluster.key not in known:
            raise Refused(
                f"the plan's proposal {proposal.ref} speaks of failures that telemetry does not hold",
                "make the plan again",
            )
        good = successes_of(seen.state.held("successes"), proposal.cluster.runbook_ref)
        evidence = reading.results(job.git, seen.telemetry, (*proposal.cluster.evidence, *good))
        results |= evidence
        failures = [evidence[i] for i in proposal.cluster.evidence if i in evidence]
        proposal = recheck(proposal, parent, failures, [evidence[i] for i in good if i in evidence])
        asked = pulls.get(decision.revises) if decision.revises is not None else None
        ready.append((publishing.prepare(job.git, proposal, seen.main, job.author, asked), parent, asked))

    _write_down(job, planned, seen.book, [prepared for prepared, _, _ in ready], seen.state.canonical())
    if job.gateway is None or not (ready or planned.closings or planned.news):
        return Learned(planned, tuple(left))
    heads = known_heads(seen.book) | {prepared.commit for prepared, _, _ in ready}
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


# ---------------------------------------------------------------------------------- small helpers


def _tips(job: Job) -> tuple[str, str | None, str | None]:
    """The commits of main, telemetry and ledger, fetched."""
    main = fetch_main(job) if job.telemetry_remote != job.remote else None
    settings, remote = job.settings.telemetry, job.telemetry_remote
    names = {
        f"refs/heads/{settings.branch}": refs.private(remote, "telemetry"),
        f"refs/heads/{settings.ledger_branch}": refs.private(remote, "ledger"),
    }
    if main is None:
        names[f"refs/heads/{job.base}"] = refs.private(remote, "main")
    tips = refs.follow(job.git, remote, names)
    main = main or tips[f"refs/heads/{job.base}"]
    if main is None:
        raise _no_main(job)
    return main, tips[f"refs/heads/{settings.branch}"], tips[f"refs/heads/{settings.ledger_branch}"]


def fetch_main(job: Job) -> str:
    """The commit of `main` on the remote, fetched."""
    ref = f"refs/heads/{job.base}"
    tip = refs.follow(job.git, job.remote, {ref: refs.private(job.remote, "main")})[ref]
    if tip is None:
        raise _no_main(job)
    return tip


def _no_main(job: Job) -> LearnerError:
    return LearnerError(f"{job.remote} has no branch {job.base}", "push one, or set it up: `learner init`")


def current_runbooks(git: Git, commit: str) -> tuple[dict[str, RunbookFile], tuple[SkippedFile, ...]]:
    """The runbooks of a commit by id, and the files that are none, with the reason: those are never run."""
    found: dict[str, RunbookFile] = {}
    broken = []
    paths = sorted(git.listing(commit, "runbooks/").items())
    wanted = [(p, blob) for p, blob in paths if p.endswith(".yaml") and not p.startswith("runbooks/patterns/")]
    for path, content in stream(git, wanted):
        try:
            file = parse(content or b"", path)
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
    for blob, content in stream(git, [(item.blob, item.blob) for item in brought(git, commit)]):
        try:
            ref = parse(content or b"").runbook.ref
        except LearnerError:
            continue
        found.setdefault(ref, set()).add(blob)
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


def _passing(reason: str) -> bool:
    """Whether a try failed for something that may be over by the next run."""
    return "model_unreachable" in reason or "model_budget" in reason


def _write_down(job: Job, planned: Plan, book: ledger.Ledger, prepared: Sequence[Any], state: str) -> None:
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
        if decision.outcome in ("rejected", "no_proposal") and not _passing(decision.reason):
            held = review(cluster.runbook_ref)
            held["attempts"] = {**held.get("attempts", {})}
            held["attempts"][cluster.signature] = {
                "outcome": decision.outcome, "reason": decision.reason, "failures": cluster.failures, "by": made_by(job.proposers),
            }  # fmt: skip
        if cacheable(decision.verdict):
            held = review(cluster.runbook_ref)
            held["verdicts"] = {
                **held.get("verdicts", {}),
                cache_key(cluster): decision.verdict.model_dump(mode="json"),
            }
    changed = {ref: held for ref, held in reviews.items() if held != book.reviews.get(ref)}
    if state == book.state and not changed:
        return
    analysis = planned.model_dump(mode="json")
    ledger.write(
        job.git,
        job.telemetry_remote,
        job.settings.telemetry,
        author=job.author,
        now=job.now,
        analyses={planned.run_id: analysis},
        reviews=changed,
        state=state,
    )


def report(job: Job) -> Metrics:
    """Metrics of all telemetry and all decisions, read only."""
    seen = look(job)
    week = f"run-{job.now - timedelta(days=7):%Y%m%dT%H%M%SZ}"
    runs = [seen.book.analyses[run_id] for run_id in sorted(seen.book.analyses) if run_id >= week]
    usage = sum((Usage.model_validate(run["usage"], strict=False) for run in runs), Usage())
    return metrics(
        seen.state.held("versions"), seen.memory, job.now, approved_blobs(job.git, seen.main), _latest(seen.book), usage
    )


def _latest(book: ledger.Ledger) -> tuple[Decision, ...]:
    """The decisions of the latest run that had something to write down."""
    if not book.analyses:
        return ()
    held = book.analyses[max(book.analyses)]["decisions"]
    return tuple(Decision.model_validate_json(json.dumps(one)) for one in held)
