"""What was said and done on a pull request or issue, in the order it happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from learner.local_forge.forge import Forge
from learner.local_forge.records import Comment, Event, Issue, LineComment, Pull, Review
from learner.local_forge.reviews import current_line, visible, visible_remarks
from learner.local_forge.users import User
from learner.local_forge.web.markdown import render

VERDICTS = {
    "APPROVED": "approved this",
    "CHANGES_REQUESTED": "asked for changes",
    "COMMENTED": "reviewed",
    "DISMISSED": "reviewed (no longer counts)",
    "PENDING": "has a review that is not said yet",
}


@dataclass
class Remark:
    """Words on a line, with the lines they are about and the answers to them."""

    comment: LineComment
    body: Markup
    line: int | None
    hunk: list[str]
    replies: list[Remark] = field(default_factory=list)


@dataclass
class Entry:
    """One thing that happened. `kind`: comment, review or event."""

    kind: str
    at: str
    actor: str
    verb: str
    anchor: str = ""
    body: Markup | None = None
    state: str = ""
    labels: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


def conversation(here: Forge, issue: Issue, viewer: User) -> list[Entry]:
    """All entries, oldest first."""
    entries = [
        Entry("comment", c.created_at, c.author, "said", f"issuecomment-{c.id}", render(c.body))
        for c in here.store.all(Comment, issue.number)
    ]
    entries += _told(here.store.all(Event, issue.number))
    if isinstance(issue, Pull):
        threads = remarks_of(here, issue, viewer)
        for review in visible(here, issue, viewer):
            mine = [r for r in threads if r.comment.review_id == review.id]
            if mine or review.body or review.state not in ("COMMENTED",):
                entries.append(_review(review, mine))
    entries.sort(key=lambda e: e.at)
    return entries


def remarks_of(here: Forge, pull: Pull, viewer: User) -> list[Remark]:
    """The threads on lines, each with its replies."""
    roots: dict[int, Remark] = {}
    for said in visible_remarks(here, pull, viewer):
        remark = Remark(said, render(said.body), current_line(here, pull, said), said.diff_hunk.split("\n")[-4:])
        if said.in_reply_to_id in roots:
            roots[said.in_reply_to_id].replies.append(remark)
        else:
            roots[said.id] = remark
    return list(roots.values())


def _review(review: Review, remarks: list[Remark]) -> Entry:
    body = render(review.body) if review.body else None
    at = review.submitted_at or "9999"
    return Entry(
        "review",
        at,
        review.author,
        VERDICTS[review.state],
        f"pullrequestreview-{review.id}",
        body,
        review.state,
        [],
        remarks,
    )


def _told(events: list[Event]) -> list[Entry]:
    """The events worth telling; labels put on in one go are one entry."""
    told: list[Entry] = []
    for event in events:
        entry, last = _event(event), told[-1] if told else None
        if (
            entry
            and last
            and entry.labels
            and (last.verb, last.actor, last.at[:16]) == (entry.verb, entry.actor, entry.at[:16])
        ):
            last.labels += entry.labels
        elif entry:
            told.append(entry)
    return told


def _event(event: Event) -> Entry | None:
    details: dict[str, Any] = event.details
    label = details.get("label", {}).get("name", "") if isinstance(details.get("label"), dict) else ""
    verbs = {
        "labeled": "added the label",
        "unlabeled": "removed the label",
        "closed": "closed this",
        "reopened": "opened this again",
        "merged": "merged this",
        "renamed": "changed the title",
        "review_dismissed": "made a review no longer count",
        "review_requested": f"asked {details.get('reviewer')} for a review",
        "head_ref_force_pushed": "pushed the branch anew",
        "head_ref_deleted": "deleted the branch",
        "base_ref_changed": "changed the base branch",
        "assigned": f"assigned {details.get('assignee')}",
        "unassigned": f"unassigned {details.get('assignee')}",
    }
    verb = verbs.get(event.event)
    return (
        Entry("event", event.created_at, event.actor, verb, state=event.event, labels=[label] if label else [])
        if verb
        else None
    )
