"""What a plan wants published, made again from scratch: whoever wrote the plan may be mistaken, or not be us.

proposals()     each from its edit, held against main, audits and replay
follow_ups()    each from main, ledger and telemetry, which is all they come from
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from learner import afterwards
from learner.decide import recheck
from learner.errors import Refused
from learner.job import Job, Seen, scene_of
from learner.models import Plan, Proposal, Remembered
from learner.proposals.merged import remembered
from learner.proposals.patterns import builtin
from learner.runbook_file import parse
from learner.telemetry import collect as reading
from learner.triage.clusters import open_clusters, successes_of

if TYPE_CHECKING:
    from learner.forge.page_parts import Links
    from learner.forge.publish import Offer, Published


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


def proposals(job: Job, planned: Plan, seen: Seen) -> Iterator[Ready | Published]:
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


def follow_ups(job: Job, planned: Plan, seen: Seen) -> Iterator[Ready | Published]:
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
