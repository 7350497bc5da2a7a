"""Replay: what the recordings of a runbook say about a candidate for its next version.

`replay` runs the candidate with the one interpreter over each recorded run, and answers its steps and checks from the
recording. It refuses a candidate under which the failing attempt comes round unchanged, and one under which a
recorded success would now fail. What it can't know it assumes to go well, counts, and says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from learner import flow
from learner.errors import LearnerError
from learner.models import ExecutionResult, ExecutionStatus, Replay, ReplayedRun
from learner.replay import recording as recordings
from learner.replay.avoidance import Owed, avoided
from learner.replay.conditions import asking
from learner.replay.inputs import inputs
from learner.replay.performer import Event, ReplayPerformer
from learner.replay.recording import Recording
from learner.replay.world import Novelty, concerns
from learner.runbook_file import RunbookFile

__all__ = ["Replayed", "replay", "replay_run"]

Becomes = Literal["fixed", "unchanged", "still_fails", "still_succeeds", "breaks", "unclear"]


@dataclass(frozen=True)
class Replayed:
    """One recording, replayed: what the run came to, and what each of its outcomes rested on."""

    recording: Recording
    run: flow.Run | None
    """None when the candidate would not even start."""
    events: tuple[Event, ...] = ()
    guesses: tuple[str, ...] = ()
    """Conditions that were taken to hold."""
    novelties: tuple[Novelty, ...] = ()
    refused: str | None = None
    avoided: str | None = None
    """Why nothing was repaired although the run ended well."""

    def basis(self) -> Counter[str]:
        """How many outcomes are recorded, implied and assumed."""
        counts = Counter(str(event.basis) for event in self.events)
        counts["assumed"] += len(self.guesses)
        return counts


def replay(
    parent: RunbookFile,
    candidate: RunbookFile,
    failures: Sequence[ExecutionResult],
    successes: Sequence[ExecutionResult],
) -> Replay:
    """What becomes of recorded `failures` and `successes` of `parent` under `candidate`."""
    lost = [_judge(replay_run(parent, candidate, result), "failure") for result in failures]
    won = [_judge(replay_run(parent, candidate, result), "success") for result in successes]
    thin = sorted({word for one, _ in (*lost, *won) for word in one.recording.thin})
    lost_runs, won_runs = [run for _, run in lost], [run for _, run in won]
    verdict = _verdict(lost_runs, won_runs)
    counted = [run for run in won_runs if run.becomes == "breaks"] if verdict == "breaks" else lost_runs or won_runs
    recorded, implied, assumed = (sum(getattr(run, k) for run in counted) for k in ("recorded", "implied", "assumed"))
    whole = max(1, recorded + implied + assumed)
    return Replay(
        verdict=verdict,
        summary=_summary(verdict, lost_runs, won_runs, (recorded, implied, assumed), thin),
        recorded=round(recorded / whole, 4),
        implied=round(implied / whole, 4),
        assumed=round(assumed / whole, 4),
        runs=(*lost_runs, *won_runs),
    )


def replay_run(parent: RunbookFile, candidate: RunbookFile, result: ExecutionResult) -> Replayed:
    """`candidate` run on the recording that `result` holds of `parent`."""
    recording = recordings.of(result, parent.runbook)
    given = inputs(recording, candidate.runbook)
    if given.refused:
        return Replayed(recording, None, refused=given.refused)
    asked, conditions = asking(candidate.runbook)
    performer = ReplayPerformer(recording, given, conditions)
    try:
        run = flow.run(
            asked,
            given.values,
            result.state_before.facts(),
            performer,
            incident=given.incident,
            host=given.host,
        )
    except LearnerError as e:
        return Replayed(recording, None, refused=e.message)
    owed = [Owed(event.where, event.owed) for event in performer.events.values() if event.success and event.owed]
    return Replayed(
        recording,
        run,
        tuple(performer.events.values()),
        tuple(performer.course.guesses),
        tuple(performer.world.novelties),
        avoided=avoided(performer.course, candidate.runbook, owed),
    )


def _judge(one: Replayed, was: Literal["failure", "success"]) -> tuple[Replayed, ReplayedRun]:
    becomes, reason = _failure(one) if was == "failure" else _success(one)
    counts = one.basis()
    return one, ReplayedRun(
        execution_id=one.recording.result.execution_id,
        was=was,
        becomes=becomes,
        recorded=counts["recorded"],
        implied=counts["implied"],
        assumed=counts["assumed"],
        reason=reason,
    )


def _success(one: Replayed) -> tuple[Becomes, str]:
    if one.run is None:
        return "breaks", f"it would not start: {one.refused}"
    if one.run.status is ExecutionStatus.SKIPPED and not one.recording.skipped:
        return "breaks", f"it would be skipped: {one.run.reason}"
    if one.run.status is ExecutionStatus.FAILURE:
        if _lacks_output(one):
            return "unclear", one.run.error_message or ""
        return "breaks", one.run.error_message or ""
    if one.run.verification_passed is None and one.recording.result.verification_passed is True:
        return "unclear", "nothing recorded tells whether its verification would pass"
    return "still_succeeds", ""


def _failure(one: Replayed) -> tuple[Becomes, str]:
    if one.run is None:
        return "still_fails", f"it would not start: {one.refused}"
    if one.recording.silent:
        return "unclear", "the recording does not say what it failed on"
    if one.run.status is ExecutionStatus.SKIPPED:
        return "still_fails", f"it would be skipped, and the incident stays: {one.run.reason}"
    if came_round := _came_round(one):
        return "unchanged", f"{came_round.where} comes round as it was: {came_round.why}".rstrip(": ")
    if one.run.status is ExecutionStatus.FAILURE:
        return ("unclear" if _lacks_output(one) else "still_fails"), one.run.error_message or ""
    if one.run.verification_passed is not True:
        open_checks = [event.where for event in one.events if event.success is None]
        return "still_fails", f"nothing that would run is known to bring about {', '.join(open_checks) or 'a repair'}"
    if one.avoided:
        return "still_fails", one.avoided
    new = [event for event in one.events if event.why and event.success]
    return "fixed", "; ".join(f"{event.where}: {event.why}" for event in new)


def _came_round(one: Replayed) -> Event | None:
    """What the recorded run failed on, when it comes round unchanged and nothing new makes up for it."""
    last: Event | None = None
    for event in one.events:
        if event.came_round:
            last = event
        elif last and event.where == last.where and event.success:
            last = None
    if last is None or one.run is None or one.run.status is ExecutionStatus.FAILURE:
        return last
    # Passed over by `on_failure`, or accepted by its exit code: something new must do its work.
    after = one.novelties[last.novelties :]
    makes_up = any(concerns(need.path, novelty.path) for need in last.needs for novelty in after)
    return None if makes_up else last


def _lacks_output(one: Replayed) -> bool:
    """Whether the run ended for want of an output that was never recorded, which says nothing of the candidate."""
    error = (one.run.error_message or "") if one.run else ""
    return error.startswith(("params:", "when:"))


def _verdict(
    lost: Sequence[ReplayedRun], won: Sequence[ReplayedRun]
) -> Literal["fixed", "plausible", "unchanged", "breaks", "none"]:
    if any(run.becomes == "breaks" for run in won):
        return "breaks"
    if not lost:
        return "none"
    fixed = [run for run in lost if run.becomes == "fixed"]
    unclear = [run for run in lost if run.becomes == "unclear"]
    if not fixed:
        return "unchanged" if len(unclear) < len(lost) else "none"
    if len(fixed) == len(lost) and not any(run.assumed for run in lost):
        return "fixed"
    return "plausible"


def _summary(
    verdict: str,
    lost: Sequence[ReplayedRun],
    won: Sequence[ReplayedRun],
    counts: tuple[int, int, int],
    thin: Sequence[str],
) -> str:
    said = []
    if lost:
        fixed = sum(run.becomes == "fixed" for run in lost)
        said.append(f"{fixed} of {len(lost)} recorded failure{'s' * (len(lost) != 1)} would be fixed")
        reason = next((run.reason for run in lost if run.becomes != "fixed"), "")
        if fixed < len(lost) and reason:
            said[-1] += f" ({_cut(reason)})"
    if won:
        kept = sum(run.becomes in ("still_succeeds", "unclear") for run in won)
        said.append(f"{kept} of {len(won)} recorded success{'es' * (len(won) != 1)} would still succeed")
        reason = next((run.reason for run in won if run.becomes == "breaks"), "")
        if reason:
            said[-1] += f" ({_cut(reason)})"
    if not said:
        return "There is nothing to replay."
    whole = sum(counts)
    if whole:
        shares = zip(("recorded", "implied by declared effects", "assumed"), counts, strict=True)
        said.append(f"of {whole} outcomes " + ", ".join(f"{n} are {word}" for word, n in shares if n))
    if thin:
        said.append(f"the results lack {', '.join(thin)}, which were inferred as far as they could be")
    return "; ".join(said) + "."


def _cut(text: str, most: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
