"""The proposer without a model: the pattern that says most about a failure gives the edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from learner.models import FailureType, RunbookEdit, RunbookMetadata, Step, Verification
from learner.proposals.acceptance import Acceptance
from learner.proposals.brief import Brief, Draft, Failing, NoProposal, failing, fingerprint
from learner.proposals.edit import EditError, apply
from learner.proposals.patterns.fill import edit_of
from learner.proposals.patterns.general import Unfit, Value, generalised
from learner.proposals.patterns.guards import against
from learner.proposals.patterns.hindsight import fallen_start
from learner.proposals.patterns.pattern import Pattern
from learner.proposals.patterns.situation import Situation, asks_for_rights, values
from learner.strict import Json

MOST_CITATIONS = 3
"""Failures that each operation cites; the cluster's count says how many there are."""


@dataclass(frozen=True)
class _Fit:
    """A pattern and the failures it fires on."""

    pattern: Pattern
    situations: tuple[Situation, ...]
    found: tuple[Mapping[str, Json], ...]
    matched: int

    def rank(self, acceptance: Mapping[str, Acceptance]) -> tuple[int, float, int, str]:
        """Smaller goes first: more conditions, then what people merged before, then more of the text matched, then the id."""
        own = len(self.pattern.match.where) + len(self.pattern.pick) + len(self.pattern.table)
        return -own, -acceptance.get(self.pattern.id, Acceptance()).share, -self.matched, self.pattern.id


class PatternProposer:
    """Proposes the edit of the most specific pattern that fires and fits; of equals, of the one people merged most."""

    def __init__(self, patterns: Sequence[Pattern], acceptance: Mapping[str, Acceptance] | None = None) -> None:
        self.patterns = tuple(patterns)
        self.acceptance = acceptance or {}

    def knowing(self, more: Sequence[Pattern], acceptance: Mapping[str, Acceptance]) -> PatternProposer:
        """The same proposer with `more` patterns, which take the place of its own of the same id."""
        known = {pattern.id: pattern for pattern in (*self.patterns, *more)}
        return PatternProposer([known[key] for key in sorted(known)], acceptance)

    @property
    def name(self) -> str:
        return "patterns"

    def propose(self, brief: Brief) -> Draft | NoProposal:
        """A draft that applies to the parent, or the reason why there is none."""
        if not brief.verdict.failure_type.improvable:
            return NoProposal(f"not_improvable: {brief.verdict.failure_type.value} is not repaired by a runbook")
        situations = [s for r in brief.failures if (f := failing(r)) is not None and (s := situation(brief, f))]
        if not situations:
            return NoProposal("no_evidence: no failure says which step or claim of this version it is about")
        if any(asks_for_rights(s.text) for s in situations):
            return NoProposal("permission_denied: rights are given by people")
        said: list[str] = []
        # what sets this kind of host apart from those that succeed does not pass with time
        lasting = brief.verdict.failure_type is FailureType.ENVIRONMENT_DIFFERENCE
        patterns = [pattern for pattern in self.patterns if not (lasting and pattern.waits)]
        if draft := self._best(patterns, situations, brief, said):
            return draft
        starts = [start for s in situations if (start := fallen_start(s))]
        if draft := self._best([pattern for pattern in self.patterns if pattern.prepares], starts, brief, said):
            return draft
        return NoProposal(f"no_pattern: {'; '.join(said) or 'no repair pattern knows this failure'}")

    def _best(
        self, patterns: Sequence[Pattern], situations: Sequence[Situation], brief: Brief, said: list[str]
    ) -> Draft | None:
        """The draft of the first of `patterns` by rank that fits; None when none does, with the reasons in `said`."""
        fits = [fit for pattern in patterns if (fit := _fit(pattern, situations))]
        for fit in sorted(fits, key=lambda fit: fit.rank(self.acceptance)):
            try:
                edit = _edit(fit, brief)
                apply(brief.parent, edit, RunbookMetadata())
            except (Unfit, EditError) as e:
                said.append(f"{fit.pattern.id}: {e}")
                continue
            if fingerprint(brief.parent, edit) in brief.rejected_fingerprints:
                said.append(f"{fit.pattern.id}: this edit was refused before")
                continue
            return Draft(edit, f"patterns/{fit.pattern.id}", notes=_notes(fit, len(situations)))
        return None


def situation(brief: Brief, place: Failing) -> Situation | None:
    """The failure with the parent's step or claim that it is about; None when that can't be told."""
    runbook = brief.parent.runbook
    if place.step is not None:
        step = _step(runbook.all_steps, place)
        return Situation(place, runbook, step, None, brief.successes) if step else None
    claim = next((c for c in runbook.verification if place.check and c.id == place.check.id), None)
    if claim is None and place.check is not None:
        alike: list[Verification] = [c for c in runbook.verification if c.check == place.check.check]
        claim = alike[0] if len(alike) == 1 else None
    return Situation(place, runbook, None, claim, brief.successes) if claim else None


def _step(steps: Sequence[Step], place: Failing) -> Step | None:
    """By its id; executors that record none are understood when only one step has the action."""
    assert place.step is not None
    if place.step.step_id is not None:
        return next((s for s in steps if s.id == place.step.step_id and s.action == place.step.action), None)
    alike = [s for s in steps if s.action == place.step.action]
    return alike[0] if len(alike) == 1 else None


def _fit(pattern: Pattern, situations: Sequence[Situation]) -> _Fit | None:
    """Where the pattern fires; None when it explains less than half of the failures."""
    fired = [(s, v) for s in situations if (v := values(pattern, s)) is not None]
    if not fired or 2 * len(fired) < len(situations):
        return None
    first = fired[0][0]
    same_place = [(s, v) for s, v in fired if s.step is first.step and s.claim is first.claim]
    return _Fit(
        pattern, tuple(s for s, _ in same_place), tuple(v[0] for _, v in same_place), max(v[1] for _, v in same_place)
    )


def _edit(fit: _Fit, brief: Brief) -> RunbookEdit:
    results = [s.failing.result for s in fit.situations]
    general: dict[str, Value] = {
        name: generalised([found[name] for found in fit.found], results, brief.parent.runbook) for name in fit.found[0]
    }
    os_ids = sorted({r.host.os_id for r in results if r.host.os_id})
    if len(os_ids) == 1:
        general["os_id"] = Value(os_ids[0])
    because = [s.failing.citation for s in fit.situations[:MOST_CITATIONS]]
    edit = edit_of(fit.pattern, fit.situations[0], general, because)
    if reason := against(edit, fit.situations):
        raise Unfit(reason)
    return edit


def _notes(fit: _Fit, failures: int) -> tuple[str, ...]:
    note = f"made by the repair pattern {fit.pattern.id} ({fit.pattern.title}), without a model"
    if len(fit.situations) < failures:
        return note, f"the pattern fires on {len(fit.situations)} of the {failures} failures looked at"
    return (note,)
