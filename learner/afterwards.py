"""What follows from what people merged, and from runs that worked: pull requests that no failure asks for.

reverts()         a merged version that proved worse than its parent: the parent's text as the next version
candidates()      a merged edit that proved better: a repair pattern, so that it helps other runbooks and clients too
answers()         reviews that ask for changes and get no revision: each is told so, once
optimisations()   what verified runs show to be wasted or worn, where a machine may propose the change

Each of them becomes one pull request that a person decides on, or says why not. Values in, values out, and no model is
asked: the same ledger, telemetry and forge give the same answer, so `apply` makes it anew instead of trusting a plan.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from learner import audits
from learner.audits import capabilities
from learner.decide import Scene
from learner.errors import LearnerError
from learner.habits import Habit, edit_for, found
from learner.habits.found import evidence_of
from learner.models import Answer, ExecutionResult, FollowUp, Level, Memory, Remembered, RunbookEdit, RunbookMetadata
from learner.proposals import edit as edits
from learner.proposals.candidate import NotGeneral, candidate
from learner.proposals.merged import Improvement
from learner.proposals.patterns import Pattern
from learner.proposals.revert import reverted
from learner.proposals.siblings import clients_of
from learner.replay import replay
from learner.runbook_file import RunbookFile, parse
from learner.triage.clusters import open_clusters, successes_of


@dataclass(frozen=True)
class Room:
    """How many more pull requests may be opened, in all and by this run."""

    open: int
    run: int

    def less(self, opened: int) -> Room:
        return Room(self.open - opened, self.run - opened)

    @property
    def none_left(self) -> str | None:
        """Why nothing more is opened; None when there is room."""
        if self.open <= 0:
            return "open_pull_requests: as many as may be open at once; review or close some"
        return "per_run: as many as one run opens; the next one goes on" if self.run <= 0 else None


def room(scene: Scene) -> Room:
    """What the limits leave before this run opens anything."""
    limits = scene.settings.limits
    return Room(limits.open_pull_requests - len(scene.memory.open), limits.per_run)


def bounded(ups: Sequence[FollowUp], left: Room) -> tuple[FollowUp, ...]:
    """The same, with those for which there is no room put off."""
    found: list[FollowUp] = []
    for up in ups:
        if up.outcome == "proposed":
            reason = left.none_left
            up, left = (put_off(up, reason), left) if reason else (up, left.less(1))
        found.append(up)
    return tuple(found)


def put_off(up: FollowUp, reason: str) -> FollowUp:
    """The same, deferred."""
    return up.model_copy(update={"outcome": "deferred", "reason": reason})


def reverts(scene: Scene) -> tuple[FollowUp, ...]:
    """For every runbook whose current version a machine made and which proved worse than its parent: what becomes of it."""
    settings = scene.settings.follow_up
    if not settings.reverts:
        return ()
    return tuple(
        _revert(scene, one)
        for one in scene.improvements
        if _is_current(one, scene.runbooks) and one.worth(settings.revert_min_runs) == "worse"
    )


def _is_current(one: Improvement, runbooks: Mapping[str, RunbookFile]) -> bool:
    file = runbooks.get(one.new.runbook.id)
    return file is not None and file.blob == one.new.blob


def _revert(scene: Scene, one: Improvement) -> FollowUp:
    new, old = one.new.runbook, one.parent.runbook
    base = FollowUp(
        kind="revert", runbook_id=new.id, version=new.version + 1, outcome="deferred",
        summary=f"back to v{old.version}, since v{new.version} does worse", old=one.old_score, new=one.new_score,
    )  # fmt: skip
    if reason := _decided(scene.memory, base) or _busy(scene.memory, new.id):
        return put_off(base, reason)
    try:
        text = reverted(one)
        back = parse(text, new.path)
    except LearnerError as e:
        return base.model_copy(update={"outcome": "refused", "reason": f"unloadable: {e.message}"})
    findings = audits.run(audits.Change(one.new, back), audits.Evidence(()))
    if blocks := [f"{f.rule}: {f.message}" for f in findings if f.level is Level.BLOCK]:
        return base.model_copy(update={"outcome": "refused", "reason": f"blocked: {'; '.join(blocks)}"})
    failing = [c for c in open_clusters(scene.state.held("clusters"), {}) if c.runbook_ref == new.ref]
    return base.model_copy(update={
        "outcome": "proposed", "path": new.path, "content": text.decode(), "findings": findings,
        "capabilities": capabilities.diff(new, back.runbook),
        "evidence": tuple(i for cluster in failing[:3] for i in cluster.evidence[:3]),
        "why": (
            f"{new.ref} was merged to do this: {one.edit.summary}",
            *(f"{cluster.failures} of its failures said: {cluster.title}" for cluster in failing[:3]),
        ),
    })  # fmt: skip


def candidates(scene: Scene, known: Sequence[Pattern]) -> tuple[FollowUp, ...]:
    """For every merged edit of a model's that proved better: the pattern that it teaches, or why there is none."""
    settings = scene.settings.follow_up
    if not settings.patterns:
        return ()
    return tuple(
        _candidate(scene, one, known)
        for one in scene.improvements
        if not one.taken_back
        and not one.proposer.startswith("patterns/")
        and one.worth(settings.pattern_min_runs) == "better"
    )


def _candidate(scene: Scene, one: Improvement, known: Sequence[Pattern]) -> FollowUp:
    base = FollowUp(
        kind="pattern", runbook_id=one.new.runbook.id, version=one.new.runbook.version, outcome="deferred",
        summary=one.edit.summary, old=one.old_score, new=one.new_score, evidence=one.evidence,
    )  # fmt: skip
    if reason := _decided(scene.memory, base):
        return put_off(base, reason)
    results = scene.load(one.evidence)
    failures = sorted(results.values(), key=lambda result: (result.started_at, result.execution_id))
    try:
        made = candidate(one, failures, known, clients_of(scene.state.held("clusters")))
    except NotGeneral as e:
        return base.model_copy(update={"outcome": "refused", "reason": f"not_general: {e}"})
    return base.model_copy(update={
        "outcome": "proposed", "path": made.path, "content": made.text, "pattern_id": made.id, "edit": one.edit,
    })  # fmt: skip


def answers(memory: Memory, unrevised: Collection[int] = ()) -> tuple[Answer, ...]:
    """An answer to every review that asks for changes of what is made by rule, or of one of `unrevised`, the pull
    requests for which no revision was found. Where a person committed, the branch is theirs."""
    return tuple(
        Answer(number=pull.number, review_id=asking.review_id)
        for pull in memory.open
        if (pull.kind != "improvement" or pull.number in unrevised) and not pull.touched_by_person
        for asking in pull.unanswered
    )


def optimisations(scene: Scene, taken: Collection[str]) -> tuple[FollowUp, ...]:
    """What the habits of every current runbook ask for, one pull request a runbook at most, where the settings want it.

    Runbooks in `taken` are being repaired; that goes first.
    """
    settings = scene.settings.follow_up
    if not settings.optimisations:
        return ()
    ups: list[FollowUp] = []
    for file in (scene.runbooks[key] for key in sorted(scene.runbooks)):
        busy = file.runbook.id in taken
        for habit in found(scene.state.held("habits"), file, settings.optimisation_min_runs):
            up = _optimisation(scene, file, habit)
            if up.outcome == "proposed" and busy:
                up = put_off(up, "one_open: another pull request for this runbook goes first")
            busy = busy or up.outcome == "proposed"
            ups.append(up)
    return tuple(ups)


def _optimisation(scene: Scene, file: RunbookFile, habit: Habit) -> FollowUp:
    runbook, held = file.runbook, scene.state.held("habits")
    ids = evidence_of(held, file)
    base = FollowUp(
        kind="optimisation", runbook_id=runbook.id, version=runbook.version + 1, outcome="reported", cause=habit.cause,
        reason=habit.words, summary=habit.summary or habit.words[:200], evidence=ids,
    )  # fmt: skip
    if habit.operation is None:
        return base
    if reason := _decided(scene.memory, base) or _busy(scene.memory, runbook.id):
        return put_off(base, reason)
    results = scene.load(sorted({*ids, *successes_of(scene.state.held("successes"), runbook.ref)}))
    runs = sorted(results.values(), key=lambda result: (result.started_at, result.execution_id))
    edit = edit_for(habit, runs)
    if edit is None:
        return put_off(base, "no_evidence: the runs it was seen in are no longer on record")
    return _checked(base, file, edit, [run for run in runs if run.verified])


def _checked(base: FollowUp, file: RunbookFile, edit: RunbookEdit, runs: Sequence[ExecutionResult]) -> FollowUp:
    """The follow-up with its bytes, audited and replayed like every other edit."""
    words = RunbookMetadata(
        parent_runbook=file.runbook.ref, generated_by="learning_engine", generated_at=runs[-1].completed_at,
        generation_model="habits", requires_human_review=True,
    )  # fmt: skip
    try:
        text = edits.apply(file, edit, words)
        new = parse(text, file.runbook.path)
    except LearnerError as e:
        return base.model_copy(update={"outcome": "refused", "reason": f"unfit: {e.message}"})
    found_by = audits.run(audits.Change(file, new, edit), audits.Evidence(tuple(runs)))
    # Nothing failed, so that no failed run is cited is no news.
    findings = tuple(f for f in found_by if (f.rule, f.level) != ("citations", Level.WARNING))
    verdict = replay(file, new, (), runs)
    wrong = [f"{f.rule}: {f.message}" for f in findings if f.level is Level.BLOCK]
    wrong += [f"replay: {verdict.summary}"] if verdict.refuses else []
    if wrong:
        return base.model_copy(update={"outcome": "refused", "reason": f"blocked: {'; '.join(wrong)}"})
    return base.model_copy(update={
        "outcome": "proposed", "reason": "", "path": file.runbook.path, "content": text.decode(), "edit": edit,
        "findings": findings, "capabilities": capabilities.diff(file.runbook, new.runbook), "replay": verdict,
        "why": (base.reason,),
    })  # fmt: skip


def _decided(memory: Memory, up: FollowUp) -> str | None:
    """What people did with it, or have before them; None when it was never proposed."""
    held = [pull for pull in memory.pulls if (pull.kind, pull.signature) == (up.kind, up.signature)]
    for pull in held:
        if pull.state == "open":
            return f"one_open: #{pull.number} waits for a person"
    for pull in held:
        if pull.state == "closed" and "rejected:moot" not in pull.labels:
            return f"rejected_before: #{pull.number} was closed unmerged"
        if pull.state == "merged" and pull.version == up.version:
            return f"merged: #{pull.number}"
    return None


def _busy(memory: Memory, runbook_id: str) -> str | None:
    """The pull request that is open for a runbook: one at a time."""
    pull: Remembered | None = next((pull for pull in memory.of(runbook_id) if pull.state == "open"), None)
    return f"one_open: #{pull.number} is open for this runbook" if pull else None
