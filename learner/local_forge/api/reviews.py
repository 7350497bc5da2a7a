"""Reviews and the words in them.

Source: GitHub REST reference, "Pull request reviews", "Pull request review comments".
"""

from __future__ import annotations

from flask import Response, request

from learner.local_forge import issues as issue_deeds
from learner.local_forge import reviews as deeds
from learner.local_forge.api.pulls import PULL
from learner.local_forge.api.repository import REPO
from learner.local_forge.api.request import Body, Room, body, forge, found, me, nothing, paged, said, shapes
from learner.local_forge.records import LineComment, Review
from learner.local_forge.refusal import Refusal, forbidden, unprocessable
from learner.local_forge.reviews import Remark

room = Room("reviews")
REVIEW = PULL + "/reviews/<int:review_id>"
COMMENT = REPO + "/pulls/comments/<int:comment_id>"


def _remark(sent: Body) -> Remark:
    return Remark(
        path=sent.required("path"),
        body=sent.required("body"),
        line=sent.number("line"),
        side=sent.text("side") or "RIGHT",
        start_line=sent.number("start_line"),
        position=sent.number("position"),
    )


@room.get(PULL + "/reviews")
def reviews(number: int) -> Response:
    return paged(deeds.visible(forge(), forge().pull(number), me()), shapes().review)


@room.post(PULL + "/reviews")
def review(number: int) -> Response:
    sent = body()
    items = sent.items("comments") or []
    if not all(isinstance(item, dict) for item in items):
        raise Refusal(422, "Invalid request.\n\ncomments must be a list of objects.")
    remarks = [_remark(Body(item)) for item in items]
    event = sent.text("event")
    event = None if event in (None, "", "PENDING") else event
    made = deeds.start_review(
        forge(), me(), forge().pull(number), event, sent.text("body") or "", remarks, sent.text("commit_id")
    )
    return said(shapes().review(made))


def _review(number: int, review_id: int) -> Review:
    return deeds.review_of(forge(), forge().pull(number), review_id, me())


@room.get(REVIEW)
def one_review(number: int, review_id: int) -> Response:
    return said(shapes().review(_review(number, review_id)))


@room.put(REVIEW)
def edit_review(number: int, review_id: int) -> Response:
    review, text = _review(number, review_id), body().required("body")
    if review.author != me().login:
        raise forbidden()
    if not text.strip() and review.state != "PENDING":
        raise unprocessable("Body can't be blank")
    issue_deeds.check_text("PullRequestReview", "body", text)
    review.body = text
    return said(shapes().review(forge().store.put(review)))


@room.delete(REVIEW)
def delete_review(number: int, review_id: int) -> Response:
    review = _review(number, review_id)
    shape = shapes().review(review)
    deeds.delete_pending(forge(), me(), forge().pull(number), review)
    return said(shape)


@room.get(REVIEW + "/comments")
def review_comments(number: int, review_id: int) -> Response:
    review = _review(number, review_id)
    return paged([c for c in forge().store.all(LineComment, number) if c.review_id == review.id], shapes().line_comment)


@room.post(REVIEW + "/events")
def submit(number: int, review_id: int) -> Response:
    sent, review = body(), _review(number, review_id)
    event = sent.text("event")
    if not event:
        raise unprocessable("Event can't be blank")
    return said(
        shapes().review(deeds.submit_review(forge(), me(), forge().pull(number), review, event, sent.text("body")))
    )


@room.put(REVIEW + "/dismissals")
def dismiss(number: int, review_id: int) -> Response:
    review = _review(number, review_id)
    deeds.dismiss_review(forge(), me(), forge().pull(number), review, body().required("message"))
    return said(shapes().review(review))


@room.get(PULL + "/comments")
def line_comments(number: int) -> Response:
    said_so_far = deeds.visible_remarks(forge(), forge().pull(number), me())
    since = request.args.get("since", "")
    said_so_far = [c for c in said_so_far if c.updated_at >= since]
    if request.args.get("direction") == "desc":
        said_so_far.reverse()
    return paged(said_so_far, shapes().line_comment)


@room.post(PULL + "/comments")
def line_comment(number: int) -> Response:
    sent, pull = body(), forge().pull(number)
    if (parent := sent.number("in_reply_to")) is not None:
        return said(
            shapes().line_comment(deeds.reply(forge(), me(), pull, _said(parent, number), sent.required("body"))), 201
        )
    made = deeds.say_on_line(forge(), me(), pull, _remark(sent), sent.required("commit_id"))
    return said(shapes().line_comment(made), 201)


@room.post(PULL + "/comments/<int:comment_id>/replies")
def answer(number: int, comment_id: int) -> Response:
    pull = forge().pull(number)
    made = deeds.reply(forge(), me(), pull, _said(comment_id, number), body().required("body"))
    return said(shapes().line_comment(made), 201)


def _said(comment_id: int, number: int | None = None) -> LineComment:
    known = found(forge().store.get(LineComment, comment_id))
    pull = forge().pull(known.number)
    seen = known in deeds.visible_remarks(forge(), pull, me()) and number in (None, known.number)
    return found(known if seen else None)


@room.get(COMMENT)
def one_line_comment(comment_id: int) -> Response:
    return said(shapes().line_comment(_said(comment_id)))


@room.patch(COMMENT)
def edit_line_comment(comment_id: int) -> Response:
    known, text = _own(comment_id), body().required("body")
    if not text.strip():
        raise unprocessable("Body can't be blank")
    issue_deeds.check_text("PullRequestReviewComment", "body", text)
    known.body, known.updated_at = text, forge().now()
    return said(shapes().line_comment(forge().store.put(known)))


@room.delete(COMMENT)
def delete_line_comment(comment_id: int) -> Response:
    forge().store.remove(_own(comment_id))
    return nothing()


def _own(comment_id: int) -> LineComment:
    known = _said(comment_id)
    if known.author != me().login and not me().may("write"):
        raise forbidden()
    return known
