"""The journey of one failure, hop by hop, and where it stopped: what `learner explain` tells."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from learner.models import Decision, ExecutionResult, FollowUp, Memory, Plan
from learner.models.runbook import Runbook
from learner.on_main import approved_blobs
from learner.pipeline import Job, plan
from learner.pipeline import look as pipeline_look
from learner.proposals.merged import Improvement
from learner.report.metrics import versions
from learner.repository import refs
from learner.repository.lean import Lean
from learner.runbook_file import RunbookFile
from learner.telemetry import collect as reading
from learner.telemetry.state import State
from learner.triage.signature import signature

Mark = Literal["done", "stopped", "waits", "told"]


@dataclass(frozen=True)
class Hop:
    """One station. `stopped` ends a journey, `waits` says who must move next."""

    name: str
    mark: Mark
    words: str


@dataclass(frozen=True)
class Known:
    """Everything a journey is read from."""

    job: Job
    plan: Plan
    memory: Memory
    state: State
    runbooks: Mapping[str, RunbookFile]
    commit: str | None
    main: str
    lean: Lean | None = None
    improvements: tuple[Improvement, ...] = ()


def look(job: Job) -> Known:
    """What there is to know now. Asks no model and writes nothing."""
    seen = pipeline_look(job)
    return Known(
        job,
        plan(job, seen),
        seen.memory,
        seen.state,
        seen.runbooks,
        seen.telemetry,
        seen.main,
        seen.lean,
        seen.improvements,
    )


def of_execution(known: Known, execution_id: str) -> tuple[Hop, ...]:
    """The journey of one run."""
    return tuple(_of_execution(known, execution_id))


def of_runbook(known: Known, runbook: str) -> tuple[Hop, ...]:
    """The journey of everything one runbook (or version) went through, cause by cause."""
    return tuple(_of_runbook(known, runbook))


def _of_execution(known: Known, execution_id: str) -> Iterator[Hop]:
    result = reading.results(known.job.git, known.commit, [execution_id], lean=known.lean).get(execution_id)
    if result is None:
        yield from _not_on_telemetry(known, execution_id)
        return
    yield Hop("recorded", "done", f"by {result.executor.id or '?'} on {result.hostname} for {result.client_id}")
    yield Hop("folded", "done", f"{known.job.settings.telemetry.branch}:{result.path}")
    yield from _judged(known, result)


def _not_on_telemetry(known: Known, execution_id: str) -> Iterator[Hop]:
    job = known.job
    prefix = job.settings.telemetry.ref_prefix
    for ref in sorted(refs.advertised(job.git, job.telemetry_remote, f"{prefix}/inbox/*")):
        refs.fetch(job.git, job.telemetry_remote, [f"+{ref}:{refs.private(job.telemetry_remote, 'explain')}"])
        paths = job.git.listing(refs.private(job.telemetry_remote, "explain"))
        if any(path.endswith(f"/{execution_id}.json") for path in paths):
            yield Hop("recorded", "done", f"and sent to {ref}")
            yield Hop("folded", "waits", "the next `learner learn` or `learner telemetry fold` takes it in")
            return
    git, lean = (known.lean.git if known.lean else job.git), known.lean
    files = (lean.files(known.commit) if lean else git.listing(known.commit)) if known.commit else {}
    for path, blob in files.items():
        if path.startswith("quarantine/") and path.endswith(f"/{execution_id}.json.reason.json"):
            if lean:
                lean.blobs([blob])
            said = json.loads(git.run("cat-file", "blob", blob))
            yield Hop("folded", "stopped", f"refused into quarantine: {said.get('reason', said)}")
            return
    yield Hop(
        "recorded",
        "stopped",
        "it is on no branch and in no inbox: still in its host's spool? `learner telemetry push` there",
    )


def _judged(known: Known, result: ExecutionResult) -> Iterator[Hop]:
    ref = result.runbook_ref
    approved = approved_blobs(known.job.git, known.main).get(ref, frozenset())
    if result.runbook_blob and result.runbook_blob not in approved:
        yield Hop("approved", "told", f"its bytes were never {ref} on main; it counts in no success rate")
    if result.status.value == "skipped":
        yield Hop("failed", "stopped", f"it was skipped: {result.notes or 'a precondition did not hold'}")
        return
    if not result.failed:
        words = "verified" if result.verified else "not verified: no error, but nothing proved that it worked either"
        yield Hop("failed", "stopped", f"it did not fail ({words}); nothing to learn from")
        return
    found = signature(result)
    yield Hop("failed", "done", found.title)
    matching = [d for d in known.plan.decisions if d.cluster.signature == found.key and d.cluster.runbook_ref == ref]
    if not matching:
        yield from _history(known, ref, found.key)
        return
    yield from _decision(known, matching[0])


def _history(known: Known, ref: str, key: str) -> Iterator[Hop]:
    runbook_id, _, number = ref.rpartition("-v")
    file = known.runbooks.get(runbook_id)
    if file is None:
        yield Hop("clustered", "stopped", f"main has no valid {runbook_id}; see `learner validate runbooks`")
        return
    pulls = [pull for pull in known.memory.of(runbook_id) if pull.signature == key]
    for pull in pulls:
        yield Hop(
            "proposed",
            "done",
            f"#{pull.number}: {pull.ref}, {pull.state}"
            + (f" at {pull.decided_at:%Y-%m-%d %H:%M}" if pull.decided_at else ""),
        )
    if file.runbook.version > int(number):
        yield Hop("superseded", "done", f"main holds {file.runbook.ref} now")
        yield from _numbers(known, ref, file.runbook)


def _numbers(known: Known, ref: str, runbook: Runbook) -> Iterator[Hop]:
    counted = {v.ref: v for v in versions(known.state.held("versions"), approved_blobs(known.job.git, known.main))}
    for name in (ref, runbook.ref):
        if (v := counted.get(name)) is not None:
            yield Hop(
                "measured",
                "told",
                f"{name}: {v.verified_successes} verified, {v.failures} failed, {v.unverified} unverified",
            )


def _decision(known: Known, decision: Decision) -> Iterator[Hop]:
    cluster, verdict = decision.cluster, decision.verdict
    others = cluster.joined.others if cluster.joined else ()
    beside = ", ".join(f"{one.signature} ({one.failures})" for one in others)
    if cluster.joined and (unnamed := cluster.joined.forms - 1 - len(others)):
        beside += f" and {unnamed} more"
    yield Hop(
        "clustered",
        "done",
        f"{cluster.failures} failures on {cluster.hosts} hosts share the signature {cluster.signature}"
        + (f"; near-equal are {beside}" if beside else ""),
    )
    mark: Mark = "done" if verdict.failure_type.improvable else "stopped"
    yield Hop(
        "judged",
        mark,
        f"{verdict.failure_type.value} ({verdict.confidence:.0%}, {verdict.decided_by}): {verdict.reasoning}",
    )
    if not verdict.failure_type.improvable:
        yield Hop("selected", "stopped", "a better runbook is not the answer; it is shown to people instead")
        return
    pulls = [p for p in known.memory.of(cluster.runbook_id) if p.signature == cluster.signature]
    for pull in pulls:
        mark = "waits" if pull.state == "open" else "done"
        who = f", {pull.verdict.replace('_', ' ')}" if pull.verdict != "none" else ""
        yield Hop(
            "proposed",
            mark,
            f"#{pull.number} ({pull.ref}) is {pull.state}{who}" + (": a person must decide" if mark == "waits" else ""),
        )
    if decision.outcome == "deferred":
        yield Hop("selected", "waits", f"deferred: {decision.reason}")
    elif decision.outcome in ("rejected", "no_proposal"):
        yield Hop("drafted", "stopped", f"{decision.outcome.replace('_', ' ')}: {decision.reason}")
    elif decision.outcome == "proposed":
        yield Hop(
            "drafted",
            "waits",
            f"ready to be proposed: {decision.reason}; the next `learner learn` opens the pull request",
        )


def _of_runbook(known: Known, runbook: str) -> Iterator[Hop]:
    runbook_id = runbook.partition("-v")[0]
    file = known.runbooks.get(runbook_id)
    if file is None:
        yield Hop("on main", "stopped", f"main has no valid {runbook_id}")
    else:
        yield Hop("on main", "done", f"{file.runbook.ref}, {file.runbook.name}")
        for counted in versions(known.state.held("versions"), approved_blobs(known.job.git, known.main)):
            if counted.ref.rpartition("-v")[0] == runbook_id:
                yield Hop(
                    "measured", "told",
                    f"{counted.ref}: {counted.runs} runs, {counted.verified_successes} verified, {counted.failures} failed, "
                    f"{counted.unverified} unverified",
                )  # fmt: skip
    yield from _afterwards(known, runbook_id)
    decisions = [d for d in known.plan.decisions if d.cluster.runbook_id == runbook_id]
    if not decisions:
        yield Hop("clustered", "stopped", why_nothing(known, runbook_id))
    for decision in decisions:
        yield Hop("failure", "told", decision.cluster.title)
        yield from _decision(known, decision)


def _afterwards(known: Known, runbook_id: str) -> Iterator[Hop]:
    """What merged versions of the learner's proved to be, and what follows from that and from success."""
    settings = known.job.settings.follow_up
    for one in known.improvements:
        if one.new.runbook.id != runbook_id:
            continue
        least = min(settings.pattern_min_runs, settings.revert_min_runs)
        if one.new_score.judged < least:
            said = f"not told yet, {least} judged runs of it are needed"
        else:
            said = {"better": "better", "worse": "worse", None: "no different so far, the intervals overlap"}[
                one.worth(least)
            ]
        back = "; main went back to the text before" if one.taken_back else ""
        yield Hop("proved", "told", f"{one.ref}, by {one.proposer}: {said} ({one.figures}){back}")
    for up in known.plan.follow_ups:
        if up.runbook_id == runbook_id:
            yield Hop(_FOLLOWS[up.kind], _mark(up), _said(up))


_FOLLOWS = {"revert": "way back", "pattern": "pattern", "optimisation": "habit"}


def _mark(up: FollowUp) -> Mark:
    if up.outcome == "reported":
        return "told"
    if up.outcome == "refused" or up.reason.startswith("rejected_before"):
        return "stopped"
    return "done" if up.reason.startswith("merged") else "waits"


def _said(up: FollowUp) -> str:
    if up.outcome == "proposed":
        return f"{up.ref}, {up.summary}: the next `learner learn` opens the pull request"
    return up.reason if up.outcome == "reported" else f"{up.summary}: {up.reason}"


def why_nothing(known: Known, runbook_id: str | None = None) -> str:
    """Why no improvement was generated, by cause."""
    counted = [v for v in versions(known.state.held("versions")) if runbook_id in (None, v.ref.rpartition("-v")[0])]
    runs, failures = sum(v.runs for v in counted), sum(v.failures for v in counted)
    unverified = sum(v.unverified for v in counted)
    if not runs:
        return "no run was ever recorded; do executors push? `learner telemetry push`, then `learner telemetry fold`"
    if not failures:
        words = f"{runs} runs, none of them failed"
        return words + (
            f", but {unverified} could not be verified: the runbook lacks a verification that judges"
            if unverified
            else ""
        )
    outcomes: dict[str, int] = {}
    for decision in known.plan.decisions:
        if runbook_id in (None, decision.cluster.runbook_id):
            why = decision.reason.split(":")[0] if decision.outcome == "deferred" else decision.outcome
            outcomes[why] = outcomes.get(why, 0) + 1
    if not outcomes:
        return f"{failures} failures, all of versions that main has left behind"
    return f"{failures} failures in {sum(outcomes.values())} clusters: " + ", ".join(
        f"{n} {why}" for why, n in sorted(outcomes.items())
    )
