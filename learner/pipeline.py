"""The whole system, top to bottom; read this first.

A host runs an approved runbook and records what happened:

    execute()   gate → state before → steps → verification → state after → ExecutionResult
    record()    redact → spool → (push) inbox

A job on a schedule makes runbooks better (`learner.decide` is its heart):

    learn()     fold    inboxes → telemetry
                plan    everything that needs no write token: collect, recall, triage, select, draft,
                        and what follows from merged versions (`learner.afterwards`)
                apply   everything that talks to no model: make it anew (`learner.made_again`), record on the
                        ledger, publish

Stages are values in, values out; what went wrong in the world (a file that can't be read, a cluster that must wait,
a candidate that was refused) is a value with a reason. People decide: the merge on the forge is the approval.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from learner import afterwards, habits, ledger, made_again
from learner.decide import Tell, decide, made_by
from learner.errors import Refused
from learner.executor import gate
from learner.executor.cancel import Cancellation
from learner.executor.fitting import fitted
from learner.executor.run import Order, Ran, Watcher
from learner.executor.run import run as run_on_host
from learner.job import FOLDS as FOLDS
from learner.job import Job as Job
from learner.job import Seen, known_heads
from learner.job import fetch_main as fetch_main
from learner.job import lean_of as lean_of
from learner.job import look as look
from learner.job import scene_of as scene_of
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
from learner.on_main import approved_blobs
from learner.proposals.patterns import builtin
from learner.report.metrics import KnownHabit, Metrics, metrics
from learner.report.metrics import versions as version_metrics
from learner.repository.git import Git
from learner.runbook_file import RunbookFile, parse
from learner.settings import GateSettings
from learner.telemetry.fold import Folded, fold
from learner.telemetry.redact import Redactor
from learner.telemetry.spool import Spool
from learner.telemetry.state import State
from learner.triage.classify import cache_key, cacheable

if TYPE_CHECKING:
    from learner.forge.publish import Prepared, Published
    from learner.made_again import Ready

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
        answers=afterwards.answers(seen.memory, {d.revises for d in decisions if d.revises and _in_vain(d)}),
        skipped=(*seen.collected.skipped, *seen.broken),
        unverified=mostly_unverified(seen.state),
        usage=sum((decision.usage for decision in decisions), Usage()),
    )


def apply(job: Job, planned: Plan, seen: Seen | None = None) -> Learned:
    """Carry a plan out. It is checked again from scratch: whoever wrote it may be mistaken, or not be us.

    Raises: `Refused` when a proposal in it is not what its edit says, or would be blocked; nothing is published then.
    """
    from learner.forge import publish as publishing
    from learner.forge.page_parts import Links

    seen = seen or look(job)
    ready, left = [], []
    for one in (*made_again.proposals(job, planned, seen), *made_again.follow_ups(job, planned, seen)):
        if isinstance(one, publishing.Published):
            left.append(one)
        else:
            ready.append((one, publishing.prepare(job.git, one.offer, seen.main, job.author, one.asked)))
    _write_down(job, planned, seen.book, [(one, prepared) for one, prepared in ready], seen.state.canonical())
    if job.gateway is None or not (ready or planned.closings or planned.news or planned.answers):
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
    done += publishing.follow_up(job.gateway, planned, seen.memory)
    return Learned(planned, tuple(done))


# ---------------------------------------------------------------------------------- small helpers


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


def _in_vain(decision: Decision) -> bool:
    """Whether drafting led to nothing, for a reason that is not over by the next run."""
    passing = "model_unreachable" in decision.reason or "model_budget" in decision.reason
    return decision.outcome in ("rejected", "no_proposal") and not passing


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
        if _in_vain(decision):
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
        seen.state.held("versions"), seen.memory, job.now, approved_blobs(job.git, seen.main), _latest(seen.book), usage,
        _habits(job, seen),
    )  # fmt: skip


def _habits(job: Job, seen: Seen) -> Iterator[KnownHabit]:
    """What verified runs of every current runbook show besides, by runbook."""
    least = job.settings.follow_up.optimisation_min_runs
    for _, file in sorted(seen.runbooks.items()):
        for habit in habits.found(seen.state.held("habits"), file, least):
            yield KnownHabit(ref=file.runbook.ref, kind=habit.kind, step_id=habit.step_id, words=habit.words)


def _latest(book: ledger.Ledger) -> tuple[Decision, ...]:
    """The decisions of the latest run that had something to write down."""
    if not book.analyses:
        return ()
    held = book.analyses[max(book.analyses)]["decisions"]
    return tuple(Decision.model_validate_json(json.dumps(one)) for one in held)
