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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from learner import afterwards, ledger
from learner.decide import Scene, Tell, decide, made_by, recheck
from learner.errors import LearnerError, Refused
from learner.executor import gate
from learner.executor.cancel import Cancellation
from learner.executor.fitting import fitted
from learner.executor.run import Order, Ran, Watcher
from learner.executor.run import run as run_on_host
from learner.habits import HabitFold
from learner.models import (
    Closing,
    Decision,
    ExecutionResult,
    Memory,
    News,
    Plan,
    Proposal,
    Remembered,
    SkippedFile,
    Usage,
)
from learner.on_main import approved_blobs, current_runbooks, digest, improvements_on_main, repair_patterns
from learner.proposals.acceptance import acceptance
from learner.proposals.brief import Proposer
from learner.proposals.merged import Improvement, remembered
from learner.proposals.patterns import Pattern, PatternProposer, builtin
from learner.report.metrics import Metrics, VersionFold, metrics
from learner.report.metrics import versions as version_metrics
from learner.repository import refs
from learner.repository.git import Git, Identity
from learner.repository.lean import Lean
from learner.runbook_file import RunbookFile, parse
from learner.settings import GateSettings, RepositorySettings
from learner.telemetry import collect as reading
from learner.telemetry.collect import Collected
from learner.telemetry.empty_disk import lean_for
from learner.telemetry.fold import Folded, fold
from learner.telemetry.redact import Redactor
from learner.telemetry.spool import Spool
from learner.telemetry.state import State
from learner.triage.classify import cache_key, cacheable
from learner.triage.clusters import ClusterFold, SuccessFold, open_clusters, successes_of

if TYPE_CHECKING:
    from learner.forge.gateway import Gateway
    from learner.forge.page_parts import Links
    from learner.forge.publish import Offer, Prepared, Published
    from learner.model_client import ModelClient

FOLDS = (ClusterFold(), SuccessFold(), VersionFold(), HabitFold())
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
    """The result as it was written down: redacted, and durably in the spool until the ledger has it.

    A failure of high severity asks whoever watches the spool to push at once.
    """
    result = fitted(Redactor(ran.secrets, patterns).result(ran.result), spool.max_result_bytes)
    spool.add(result, urgent=ran.urgent and result.failed)
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
    settings, lean = job.settings.telemetry, lean_of(job)
    folded = fold(job.git, job.telemetry_remote, settings=settings, author=job.author, now=job.now, lean=lean)
    seen = look(job, lean)
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
    patterns: tuple[Pattern, ...] = ()
    """The repair patterns that people merged into `main`."""
    improvements: tuple[Improvement, ...] = ()
    """The learner's edits that `main` took over, and what they proved to be worth."""
    lean: Lean | None = None
    """Where telemetry is read, when this clone does not hold it."""

    @property
    def state(self) -> State:
        return self.collected.state


def lean_of(job: Job) -> Lean | None:
    """Where a runner with an empty disk reads telemetry without its history; None when the clone fetches it."""
    return lean_for(job.git, job.telemetry_remote, job.settings.telemetry, job.tell)


def look(job: Job, lean: Lean | None = None) -> Seen:
    """Main, telemetry, ledger and forge as they are now; one question to each, and only what moved is fetched."""
    lean = lean or lean_of(job)
    main, telemetry, book_at = _tips(job, lean)
    runbooks, broken = current_runbooks(job.git, main)
    patterns, unfit = repair_patterns(job.git, main)
    book = ledger.at(job.git, book_at)
    state = State.parse(book.state) if book.state else None
    collected = reading.collect(job.git, telemetry, FOLDS, state, lean=lean)
    if collected.rebuilt and book.state:
        job.tell(f"read all telemetry again: {collected.rebuilt}")
    improved = improvements_on_main(job.git, main, book.reviews, collected.state, runbooks)
    return Seen(
        main, runbooks, (*broken, *unfit), telemetry, collected, book, recall(job, book), patterns, improved, lean
    )


def plan(job: Job, seen: Seen | None = None) -> Plan:
    """Everything the learner would do, and why: needs to read, never to write."""
    seen = seen or look(job)
    scene = scene_of(job, seen)
    left = afterwards.room(scene)
    back = afterwards.bounded(afterwards.reverts(scene), left)
    taken = {up.runbook_id: f"{up.ref}, {up.summary}," for up in back if up.outcome == "proposed"}
    decisions = decide(replace(scene, taken=taken))
    drafted = {d.cluster.runbook_id for d in decisions if d.outcome == "proposed" and d.revises is None}
    left = left.less(len(taken) + len(drafted))
    others = (
        *afterwards.candidates(scene, (*builtin(), *seen.patterns)),
        *afterwards.optimisations(scene, taken.keys() | drafted),
    )
    return Plan(
        run_id=job.run_id,
        created_at=job.now,
        telemetry_commit=seen.telemetry,
        main_commit=seen.main,
        decisions=decisions,
        follow_ups=(*back, *afterwards.bounded(others, left)),
        closings=_moot(seen),
        news=_news(seen.memory, decisions),
        skipped=(*seen.collected.skipped, *seen.broken),
        unverified=mostly_unverified(seen.state),
        usage=sum((decision.usage for decision in decisions), Usage()),
    )


def scene_of(job: Job, seen: Seen) -> Scene:
    """All that this run's decisions lean on; the pattern proposer gets to know main's patterns and people's decisions."""
    accepted = acceptance(seen.memory)
    return Scene(
        runbooks=seen.runbooks,
        state=seen.state,
        load=lambda ids: reading.results(job.git, seen.telemetry, ids, lean=seen.lean),
        memory=seen.memory,
        reviews=seen.book.reviews,
        settings=job.settings,
        proposers=tuple(
            one.knowing(seen.patterns, accepted) if isinstance(one, PatternProposer) else one for one in job.proposers
        ),
        improvements=seen.improvements,
        knows=digest(seen.patterns),
        classifier=job.classifier,
        candidates=job.candidates,
        now=job.now,
        tell=job.tell,
    )


def apply(job: Job, planned: Plan, seen: Seen | None = None) -> Learned:
    """Carry a plan out. It is checked again from scratch: whoever wrote it may be mistaken, or not be us.

    Raises: `Refused` when a proposal in it is not what its edit says, or would be blocked; nothing is published then.
    """
    from learner.forge import publish as publishing
    from learner.forge.page_parts import Links

    seen = seen or look(job)
    ready, left = [], []
    for one in (*_proposals(job, planned, seen), *_follow_ups(job, planned, seen)):
        if isinstance(one, publishing.Published):
            left.append(one)
        else:
            ready.append((one, publishing.prepare(job.git, one.offer, seen.main, job.author, one.asked)))
    _write_down(job, planned, seen.book, [(one, prepared) for one, prepared in ready], seen.state.canonical())
    if job.gateway is None or not (ready or planned.closings or planned.news):
        return Learned(planned, tuple(left))
    heads = known_heads(seen.book) | {prepared.commit for _, prepared in ready}
    done = list(left)
    for one, prepared in ready:
        text = one.page(Links(job.gateway.url, job.settings.telemetry.branch, one.paths))
        published = publishing.publish(
            job.gateway, job.git, job.remote, prepared, text, base=job.base, known_heads=heads
        )
        if one.asked is not None and one.proposal is not None and published.action == "revised":
            publishing.answer(job.gateway, one.asked, one.proposal)
        done.append(published)
    done += publishing.follow_up(job.gateway, planned)
    return Learned(planned, tuple(done))


@dataclass(frozen=True)
class Ready:
    """Something that passed every check again and goes to the forge."""

    offer: Offer
    page: Callable[[Links], str]
    paths: Mapping[str, str]
    """Where its evidence lies on the telemetry branch, by execution id."""
    kept: Mapping[str, Any]
    """What the ledger keeps of it, beside branch and head."""
    fingerprint: str
    proposal: Proposal | None = None
    asked: Remembered | None = None


def _proposals(job: Job, planned: Plan, seen: Seen) -> Iterator[Ready | Published]:
    """The plan's proposals, each made again from its edit.

    Raises: `Refused` when one is not what its edit says, or would be blocked.
    """
    from learner.forge import body
    from learner.forge import publish as publishing

    known = {cluster.key for cluster in open_clusters(seen.state.held("clusters"), {})}
    pulls = {pull.number: pull for pull in seen.memory.open}
    for decision in planned.decisions:
        proposal = decision.proposal
        if decision.outcome != "proposed" or proposal is None:
            continue
        parent = seen.runbooks.get(proposal.runbook_id)
        if parent is None or parent.blob != proposal.parent_blob:
            reason = "main has moved on; the next run looks again"
            yield publishing.Published(proposal.ref, "left", None, None, reason)
            continue
        if proposal.cluster.key not in known:
            raise Refused(
                f"the plan's proposal {proposal.ref} speaks of failures that telemetry does not hold",
                "make the plan again",
            )
        good = successes_of(seen.state.held("successes"), proposal.cluster.runbook_ref)
        evidence = reading.results(job.git, seen.telemetry, (*proposal.cluster.evidence, *good), lean=seen.lean)
        failures = [evidence[i] for i in proposal.cluster.evidence if i in evidence]
        proposal = recheck(proposal, parent, failures, [evidence[i] for i in good if i in evidence])
        new = parse(proposal.new_version.encode(), proposal.path).runbook
        yield Ready(
            publishing.of_proposal(proposal),
            partial(body.body, proposal, parent.runbook, new, evidence),
            {i: result.path for i, result in evidence.items()},
            {"signature": proposal.cluster.signature, "proposer": proposal.proposer, **remembered(proposal)},
            proposal.fingerprint,
            proposal,
            pulls.get(decision.revises) if decision.revises is not None else None,
        )


def _follow_ups(job: Job, planned: Plan, seen: Seen) -> Iterator[Ready | Published]:
    """The plan's follow-ups, each worked out again from main, ledger and telemetry, which is all they come from.

    Raises: `Refused` when one says anything else than what follows.
    """
    from learner.forge import follow_up_page
    from learner.forge import publish as publishing

    wanted = [up for up in planned.follow_ups if up.outcome == "proposed"]
    if not wanted:
        return
    scene = scene_of(job, seen)
    known = (*builtin(), *seen.patterns)
    again = (*afterwards.reverts(scene), *afterwards.candidates(scene, known), *afterwards.optimisations(scene, ()))
    fresh = {up.key: up for up in again}
    for planned_up in wanted:
        up = fresh.get(planned_up.key)
        if up is None or up.outcome != "proposed":
            reason = up.reason if up else "it no longer follows from what is merged and recorded"
            yield publishing.Published(planned_up.ref, "left", None, None, reason)
            continue
        if up.fingerprint != planned_up.fingerprint:
            raise Refused(f"the plan's {up.key} is not what follows from main and telemetry", "make the plan again")
        cited = (*up.evidence, *(c.partition("#")[0] for c in (up.edit.citations() if up.edit else ())))
        results = reading.results(job.git, seen.telemetry, cited, lean=seen.lean)
        old = seen.runbooks.get(up.runbook_id) if up.kind != "pattern" else None
        new = parse(up.content.encode(), up.path).runbook if old else None
        kept: dict[str, Any] = {"signature": up.signature, "proposer": up.kind, "kind": up.kind}
        if up.kind == "optimisation" and up.edit:
            kept |= {"edit": up.edit.model_dump(mode="json", exclude_none=True), "evidence": list(up.evidence)}
        yield Ready(
            publishing.of_follow_up(up, job.now),
            partial(follow_up_page.body, up, old.runbook if old else None, new, results),
            {i: result.path for i, result in results.items()},
            kept,
            up.fingerprint,
        )


# ---------------------------------------------------------------------------------- small helpers


def _tips(job: Job, lean: Lean | None) -> tuple[str, str | None, str | None]:
    """The commits of main, telemetry and ledger, fetched; with `lean`, telemetry's is only named."""
    main = fetch_main(job) if job.telemetry_remote != job.remote else None
    settings, remote = job.settings.telemetry, job.telemetry_remote
    names = {
        f"refs/heads/{settings.branch}": refs.private(remote, "telemetry"),
        f"refs/heads/{settings.ledger_branch}": refs.private(remote, "ledger"),
    }
    if main is None:
        names[f"refs/heads/{job.base}"] = refs.private(remote, "main")
    tips = refs.follow(
        job.git, remote, names, fetched=lambda ref: lean is None or ref != f"refs/heads/{settings.branch}"
    )
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


def _moot(seen: Seen) -> tuple[Closing, ...]:
    closings = []
    for pull in seen.memory.open:
        if pull.kind == "pattern":
            continue  # it changes no runbook, so no runbook overtakes it
        file = seen.runbooks.get(pull.runbook_id)
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


def _write_down(
    job: Job, planned: Plan, book: ledger.Ledger, ready: Sequence[tuple[Ready, Prepared]], state: str
) -> None:
    """Ledger first, forge second: a branch is only adopted when the ledger knew its head before it was pushed."""
    reviews: dict[str, dict[str, Any]] = {}

    def review(ref: str) -> dict[str, Any]:
        return reviews.setdefault(ref, {**book.reviews.get(ref, {})})

    for one, prepared in ready:
        held = review(one.offer.ref)
        held["proposals"] = {**held.get("proposals", {})}
        held["proposals"][one.fingerprint] = {"branch": prepared.branch, "head": prepared.commit, **one.kept}
    for decision in planned.decisions:
        cluster = decision.cluster
        if decision.outcome in ("rejected", "no_proposal") and not _passing(decision.reason):
            held = review(cluster.runbook_ref)
            held["attempts"] = {**held.get("attempts", {})}
            held["attempts"][cluster.signature] = {
                "outcome": decision.outcome, "reason": decision.reason, "failures": cluster.failures, "by": made_by(job.proposers),
                "knows": decision.knows,
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
