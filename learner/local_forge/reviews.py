"""Deeds of reviewers: review, say words on lines, answer them, dismiss.

Source: GitHub docs, "Pull request reviews" of the REST API.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from learner.local_forge.diff import DiffLine, FilePatch, carried
from learner.local_forge.forge import Forge
from learner.local_forge.issues import check_text
from learner.local_forge.records import LineComment, Pull, Review
from learner.local_forge.refusal import Refusal, forbidden, invalid, not_found, unprocessable
from learner.local_forge.users import User

STATES = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


@dataclass(frozen=True)
class Remark:
    """Words on a line, before they are placed: a file's line on a side, or a position in the diff."""

    path: str
    body: str
    line: int | None = None
    side: str = "RIGHT"
    start_line: int | None = None
    position: int | None = None


def start_review(
    forge: Forge,
    user: User,
    pull: Pull,
    event: str | None,
    body: str,
    remarks: Sequence[Remark] = (),
    commit_id: str | None = None,
) -> Review:
    """A new review; pending when there is no `event`. Raises: 422 for one's own pull request, or no words."""
    _check(forge, user, pull, event, body, bool(remarks))
    if event is None and any(
        r.state == "PENDING" and r.author == user.login for r in forge.store.all(Review, pull.number)
    ):
        raise unprocessable("User can only have one pending review per pull request")
    review = forge.store.add(
        Review(number=pull.number, author=user.login, body=body, state="PENDING", commit_id=commit_id or pull.head_sha)
    )
    changes = forge.changes(pull) if remarks else []
    for remark in remarks:
        place = find(changes, remark)
        if place is None:
            raise unprocessable(
                "Path could not be resolved"
                if remark.path not in {c.path for c in changes}
                else "Line could not be resolved"
            )
        _write(forge, user, pull, review, remark, place)
    if event is not None:
        _submit(forge, user, pull, review, event)
    return review


def submit_review(forge: Forge, user: User, pull: Pull, review: Review, event: str, body: str | None) -> Review:
    """A pending review, now said. Raises: 422 when it was submitted before."""
    if review.author != user.login:
        raise not_found()
    if review.state != "PENDING":
        raise unprocessable("Can not submit a review that is not pending")
    if event not in STATES:
        raise unprocessable(f"Variable $event of type PullRequestReviewEvent was provided invalid value {event!r}")
    review.body = review.body if body is None else body
    remarks = any(c.review_id == review.id for c in forge.store.all(LineComment, pull.number))
    _check(forge, user, pull, event, review.body, remarks)
    _submit(forge, user, pull, review, event)
    return review


def _check(forge: Forge, user: User, pull: Pull, event: str | None, body: str, remarks: bool) -> None:
    check_text("PullRequestReview", "body", body)
    if event is not None and event not in STATES:
        raise unprocessable(f"Variable $event of type PullRequestReviewEvent was provided invalid value {event!r}")
    if user.login == pull.author and event == "APPROVE":
        raise unprocessable("Can not approve your own pull request")
    if user.login == pull.author and event == "REQUEST_CHANGES":
        raise unprocessable("Can not request changes on your own pull request")
    if (event == "REQUEST_CHANGES" or (event == "COMMENT" and not remarks)) and not body.strip():
        raise unprocessable("Body can't be blank")


def _submit(forge: Forge, user: User, pull: Pull, review: Review, event: str) -> None:
    review.state, review.submitted_at = STATES[event], forge.now()
    forge.store.put(review)
    if user.login in pull.requested_reviewers:
        pull.requested_reviewers.remove(user.login)
    pull.updated_at = forge.now()
    forge.store.put(pull)


def find(changes: Sequence[FilePatch], remark: Remark) -> DiffLine | None:
    """The line of the diff a remark is about; None when it is not part of it."""
    patch = next((c for c in changes if c.path == remark.path), None)
    if patch is None or remark.side not in ("LEFT", "RIGHT"):
        return None
    if remark.line is not None:
        return patch.at(remark.line, remark.side)
    return patch.at_position(remark.position) if remark.position is not None else None


def _write(
    forge: Forge, user: User, pull: Pull, review: Review, remark: Remark, place: DiffLine, reply_to: int | None = None
) -> LineComment:
    if not remark.body.strip():
        raise unprocessable("Body can't be blank")
    check_text("PullRequestReviewComment", "body", remark.body)
    side = remark.side if remark.line is not None else ("LEFT" if place.sign == "-" else "RIGHT")
    now = forge.now()
    return forge.store.add(
        LineComment(
            number=pull.number,
            review_id=review.id,
            author=user.login,
            body=remark.body,
            path=remark.path,
            side=side,
            original_line=(place.old if side == "LEFT" else place.new) or 0,
            original_start_line=remark.start_line,
            original_commit_id=review.commit_id,
            original_position=place.position,
            diff_hunk=place.hunk,
            created_at=now,
            updated_at=now,
            in_reply_to_id=reply_to,
        )
    )


def say_on_line(forge: Forge, user: User, pull: Pull, remark: Remark, commit_id: str) -> LineComment:
    """A line comment of its own, which GitHub keeps in a review of its own. Raises: 422 when it is not in the diff."""
    if not forge.repo.object_type(commit_id):
        raise invalid("PullRequestReviewComment", "commit_id is not part of the pull request", field="commit_id")
    place = find(forge.changes(pull), remark)
    if place is None:
        field = "pull_request_review_thread.line"
        raise invalid("PullRequestReviewComment", f"{field} must be part of the diff", field=field)
    return _write(forge, user, pull, _carrier(forge, user, pull), remark, place)


def reply(forge: Forge, user: User, pull: Pull, parent: LineComment, body: str) -> LineComment:
    """An answer in the thread of a line comment."""
    root = parent.in_reply_to_id or parent.id
    place = DiffLine(parent.original_position, " ", "", parent.original_line, parent.original_line, parent.diff_hunk)
    remark = Remark(parent.path, body, parent.original_line, parent.side, parent.original_start_line)
    said = _write(forge, user, pull, _carrier(forge, user, pull), remark, place, root)
    said.original_commit_id = parent.original_commit_id
    return forge.store.put(said)


def _carrier(forge: Forge, user: User, pull: Pull) -> Review:
    now = forge.now()
    pull.updated_at = now
    forge.store.put(pull)
    return forge.store.add(
        Review(
            number=pull.number, author=user.login, body="", state="COMMENTED", commit_id=pull.head_sha, submitted_at=now
        )
    )


def visible(forge: Forge, pull: Pull, user: User) -> list[Review]:
    """The reviews a user can see: a pending one only its author."""
    return [r for r in forge.store.all(Review, pull.number) if r.state != "PENDING" or r.author == user.login]


def visible_remarks(forge: Forge, pull: Pull, user: User) -> list[LineComment]:
    """The line comments a user can see: those of a pending review only its author."""
    shown = {r.id for r in visible(forge, pull, user)}
    return [c for c in forge.store.all(LineComment, pull.number) if c.review_id in shown]


def current_line(forge: Forge, pull: Pull, said: LineComment) -> int | None:
    """The line a comment stands on in the head's file; None when that line changed since (the comment is outdated)."""
    if said.side == "LEFT" or said.original_commit_id == pull.head_sha:
        return said.original_line
    old, new = (forge.repo.file(sha, said.path) for sha in (said.original_commit_id, pull.head_sha))
    if old is None or new is None:
        return None
    return carried(
        said.original_line, old.decode("utf-8", "replace").split("\n"), new.decode("utf-8", "replace").split("\n")
    )


def review_of(forge: Forge, pull: Pull, review_id: int, user: User) -> Review:
    """Raises: 404."""
    found = next((r for r in visible(forge, pull, user) if r.id == review_id), None)
    if found is None:
        raise not_found()
    return found


def dismiss_review(forge: Forge, user: User, pull: Pull, review: Review, message: str) -> None:
    """Take the weight off a review. On a protected branch an administrator's deed. Raises: 403, 422."""
    needed = "admin" if forge.protection(pull.base_ref) else "write"
    if not user.may(needed):
        raise forbidden(needed)
    if not message.strip():
        raise unprocessable("Message can't be blank")
    if review.state not in ("APPROVED", "CHANGES_REQUESTED"):
        raise unprocessable(f"Can not dismiss a {review.state.lower().replace('_', ' ')} pull request review")
    forge.dismiss(pull, review, user.login, message)


def delete_pending(forge: Forge, user: User, pull: Pull, review: Review) -> None:
    """Throw away one's own pending review. Raises: 404, 422."""
    if review.author != user.login:
        raise not_found()
    if review.state != "PENDING":
        raise Refusal(422, "Can not delete a non-pending pull request review")
    for said in forge.store.all(LineComment, pull.number):
        if said.review_id == review.id:
            forge.store.remove(said)
    forge.store.remove(review)
