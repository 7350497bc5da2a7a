"""The list of proposals: what waits, how urgent it is, and where each one stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Response, request

from learner.local_forge.api.request import forge
from learner.local_forge.forge import Forge
from learner.local_forge.pulls import judge
from learner.local_forge.records import CheckRun, Comment, Issue, Pull, Status
from learner.local_forge.web import machine_part
from learner.local_forge.web.desk import Desk, moment, page
from learner.local_forge.web.machine_part import MachinePart

desk = Desk("queue")
PRIORITIES = ("high", "medium", "low")
STATES = ("open", "merged", "closed")
STANDINGS = {
    "waiting": "Waiting for review",
    "ready": "Ready to merge",
    "changes": "Changes requested",
    "conflicts": "Conflicts",
    "draft": "Draft",
}


@dataclass(frozen=True)
class Row:
    """One proposal in a list."""

    pull: Pull
    machine: MachinePart | None
    priority: str
    standing: str
    approvals: int
    refusals: int
    checks: str
    comments: int

    @property
    def state(self) -> str:
        return state_of(self.pull)

    @property
    def short_title(self) -> str:
        """The title without the runbook and version that stand above it."""
        m = self.machine
        return self.pull.title.removeprefix(f"{m.runbook_id} v{m.version}: ") if m else self.pull.title

    @property
    def text(self) -> str:
        """All that a search looks at."""
        words = [
            self.pull.title,
            f"#{self.pull.number}",
            self.pull.author,
            self.pull.head_ref,
            *self.pull.labels,
            f"author:{self.pull.author}",
        ]
        return " ".join([*words, STANDINGS.get(self.standing, self.state), self.state]).lower()


def state_of(pull: Pull) -> str:
    """open, merged or closed."""
    return "merged" if pull.merged_at else pull.state


def priority_of(pull: Pull, machine: MachinePart | None) -> str:
    """high, medium, low, or nothing: the label counts before what the body says."""
    for label in pull.labels:
        if label.startswith("priority:") and label[9:] in PRIORITIES:
            return label[9:]
    return machine.priority if machine and machine.priority in PRIORITIES else ""


def checks_of(here: Forge, pull: Pull) -> str:
    """failed, running, passed, or nothing when there are none."""
    runs = {r.name: r.conclusion for r in here.store.all(CheckRun, pull.head_sha)}
    states = {s.context: s.state for s in here.store.all(Status, pull.head_sha)}
    outcomes = [*runs.values(), *states.values()]
    if any(o in ("failure", "error", "timed_out", "action_required", "cancelled") for o in outcomes):
        return "failed"
    if any(o in (None, "pending") for o in outcomes):
        return "running"
    return "passed" if outcomes else ""


def row_of(here: Forge, pull: Pull) -> Row:
    judgement = judge(here, pull)
    standing = {"dirty": "conflicts", "draft": "draft"}.get(judgement.state, "waiting")
    if standing == "waiting" and judgement.standing.refusals:
        standing = "changes"
    elif judgement.state in ("clean", "unstable"):
        standing = "ready"
    machine = machine_part.read(pull.body)
    return Row(
        pull,
        machine,
        priority_of(pull, machine),
        standing if pull.state == "open" else "",
        len(judgement.standing.approvals),
        len(judgement.standing.refusals),
        checks_of(here, pull),
        here.store.count(Comment, pull.number),
    )


def urgency(row: Row) -> tuple[int, float]:
    """Sort key: high before medium before low before none, then the oldest first."""
    rank = PRIORITIES.index(row.priority) if row.priority else len(PRIORITIES)
    return rank, moment(row.pull.created_at)


@desk.get("/")
def queue() -> Response:
    here, args = forge(), request.args
    state = args.get("state") if args.get("state") in STATES else "open"
    words, priority, standing = args.get("q", "").strip(), args.get("priority", ""), args.get("standing", "")
    pulls = here.store.all(Pull)
    rows = [row_of(here, p) for p in pulls if state_of(p) == state]
    rows.sort(key=urgency if state == "open" else lambda r: (0, -moment(r.pull.closed_at or r.pull.updated_at)))
    shown = [
        r
        for r in rows
        if all(w in r.text for w in words.lower().split())
        and priority in ("", r.priority)
        and standing in ("", r.standing)
    ]
    return page(
        "queue.html",
        rows=shown,
        all_rows=rows,
        counts={s: sum(state_of(p) == s for p in pulls) for s in STATES},
        state=state,
        words=words,
        priority=priority,
        standing=standing,
        standings=STANDINGS,
        priorities=PRIORITIES,
        oldest=_oldest(rows),
    )


def _oldest(rows: Sequence[Row]) -> float | None:
    return min((moment(r.pull.created_at) for r in rows), default=None)


@desk.get("/issues")
def issues() -> Response:
    """Issues that are no pull requests: alerts and dashboards that the learner keeps."""
    state = "closed" if request.args.get("state") == "closed" else "open"
    found = [i for i in forge().store.all(Issue) if i.state == state]
    return page("issues.html", issues=list(reversed(found)), state=state)
