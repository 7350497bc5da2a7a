"""Issues, comments, labels, assignees, events, search.

Source: GitHub REST reference, "Issues", "Labels", "Issue events", "Timeline events", "Search".
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from flask import Response, request

from learner.local_forge import issues as deeds
from learner.local_forge.api.repository import REPO
from learner.local_forge.api.request import (
    Room,
    body,
    forge,
    found,
    me,
    names_in,
    need,
    nothing,
    page_of,
    paged,
    said,
    sent,
    shapes,
)
from learner.local_forge.records import Comment, Event, Issue, Label, Pull
from learner.local_forge.refusal import Refusal, forbidden, invalid
from learner.local_forge.reviews import visible

room = Room("issues")
ISSUE = REPO + "/issues/<int:number>"
_COLOR = re.compile(r"[0-9a-fA-F]{6}")


def _all() -> list[Issue]:
    return sorted([*forge().store.all(Issue), *forge().store.all(Pull)], key=lambda i: -i.number)


@room.get(REPO + "/issues")
def issues() -> Response:
    args = request.args
    state, labels = args.get("state", "open"), {x.lower() for x in args.get("labels", "").split(",") if x}
    chosen = [
        i
        for i in _all()
        if state in ("all", i.state)
        and labels <= {x.lower() for x in i.labels}
        and args.get("creator", i.author) == i.author
        and args.get("since", "") <= i.updated_at
        and (args.get("assignee", "*") == "*" or args["assignee"] in i.assignees)
    ]
    return paged(sort(chosen), shapes().issue)


def sort(items: list[Any]) -> list[Any]:
    """Sorted as `sort` and `direction` ask; newest first when they are silent."""
    args = request.args
    keys = {"updated": "updated_at", "created": "number"}
    by = args.get("sort", "created")
    if by == "comments":
        items.sort(key=lambda i: forge().store.count(Comment, i.number))
    else:
        items.sort(key=lambda i: getattr(i, keys.get(by, "number")))
    newest_first = args.get("direction", "desc") != "asc"
    return items[::-1] if newest_first else items


@room.post(REPO + "/issues")
def open_issue() -> Response:
    given = body()
    title = given.data.get("title")
    title = str(title) if isinstance(title, int) else given.required("title")
    issue = deeds.open_issue(
        forge(), me(), title, given.text("body"), given.names("labels") or [], given.names("assignees", "login") or []
    )
    return said(shapes().issue(issue), 201)


@room.get(ISSUE)
def issue(number: int) -> Response:
    return said(shapes().issue(forge().issue(number)))


@room.patch(ISSUE)
def edit_issue(number: int) -> Response:
    given, issue, user = body(), forge().issue(number), me()
    deeds.edit_issue(
        forge(),
        user,
        issue,
        title=given.text("title"),
        body=given.text("body"),
        state=given.text("state"),
        state_reason=given.text("state_reason"),
    )
    if (labels := given.names("labels")) is not None and user.may("triage"):
        _set_labels(issue, labels)
    if (people := given.names("assignees", "login")) is not None and user.may("triage"):
        deeds.unassign(forge(), user, issue, [a for a in issue.assignees if a not in people])
        deeds.assign(forge(), user, issue, people)
    return said(shapes().issue(issue))


def _set_labels(issue: Issue, names: list[str]) -> None:
    wanted = {n.lower() for n in names}
    deeds.drop_labels(forge(), me(), issue, [n for n in issue.labels if n.lower() not in wanted])
    deeds.add_labels(forge(), me(), issue, names)


@room.get(ISSUE + "/comments")
def comments(number: int) -> Response:
    forge().issue(number)
    since = request.args.get("since", "")
    return paged([c for c in forge().store.all(Comment, number) if c.updated_at >= since], shapes().comment)


@room.post(ISSUE + "/comments")
def comment(number: int) -> Response:
    return said(shapes().comment(deeds.comment(forge(), me(), forge().issue(number), body().required("body"))), 201)


@room.get(REPO + "/issues/comments/<int:comment_id>")
def one_comment(comment_id: int) -> Response:
    return said(shapes().comment(found(forge().store.get(Comment, comment_id))))


def _own_comment(comment_id: int) -> Comment:
    comment = found(forge().store.get(Comment, comment_id))
    if comment.author != me().login and not me().may("write"):
        raise forbidden()
    return comment


@room.patch(REPO + "/issues/comments/<int:comment_id>")
def edit_comment(comment_id: int) -> Response:
    comment, text = _own_comment(comment_id), body().required("body")
    deeds.check_comment(text)
    comment.body, comment.updated_at = text, forge().now()
    return said(shapes().comment(forge().store.put(comment)))


@room.delete(REPO + "/issues/comments/<int:comment_id>")
def drop_comment(comment_id: int) -> Response:
    forge().store.remove(_own_comment(comment_id))
    return nothing()


@room.get(ISSUE + "/labels")
def issue_labels(number: int) -> Response:
    return paged(forge().issue(number).labels, shapes().label)


def _labels_sent() -> list[str]:
    """Either `{labels: […]}` or a bare list, of names or of objects with a name."""
    given = sent()
    values = given.get("labels", []) if isinstance(given, dict) else given
    if not isinstance(values, list):
        raise Refusal(422, "Invalid request.\n\nA list of labels was expected.")
    return names_in(values)


@room.post(ISSUE + "/labels")
def add_labels(number: int) -> Response:
    issue = forge().issue(number)
    deeds.add_labels(forge(), need("triage"), issue, _labels_sent())
    return said([shapes().label(name) for name in issue.labels])


@room.put(ISSUE + "/labels")
def set_labels(number: int) -> Response:
    need("triage")
    issue = forge().issue(number)
    _set_labels(issue, _labels_sent())
    return said([shapes().label(name) for name in issue.labels])


@room.delete(ISSUE + "/labels")
def clear_labels(number: int) -> Response:
    issue = forge().issue(number)
    deeds.drop_labels(forge(), need("triage"), issue, list(issue.labels))
    return nothing()


@room.delete(ISSUE + "/labels/<path:name>")
def drop_label(number: int, name: str) -> Response:
    need("triage")
    issue = forge().issue(number)
    label = forge().label(name)
    if label is None or label.name not in issue.labels:
        raise Refusal(404, "Label does not exist")
    deeds.drop_labels(forge(), me(), issue, [label.name])
    return said([shapes().label(n) for n in issue.labels])


@room.get(REPO + "/labels")
def labels() -> Response:
    return paged(
        sorted(forge().store.all(Label), key=lambda label: label.name.lower()), lambda label: shapes().label(label.name)
    )


@room.post(REPO + "/labels")
def make_label() -> Response:
    need("write")
    given = body()
    name = given.required("name")
    if forge().label(name):
        raise invalid("Label", field="name", code="already_exists")
    label = Label(name=name, color=_color(given.text("color") or "ededed"), description=given.text("description"))
    if not name.strip() or len(name) > 50:
        raise invalid("Label", field="name", code="invalid")
    forge().store.add(label)
    return said(shapes().label(name), 201)


def _color(value: str) -> str:
    if not _COLOR.fullmatch(value):
        raise invalid("Label", field="color", code="invalid")
    return value.lower()


@room.get(REPO + "/labels/<path:name>")
def label(name: str) -> Response:
    return said(shapes().label(found(forge().label(name)).name))


@room.patch(REPO + "/labels/<path:name>")
def edit_label(name: str) -> Response:
    need("write")
    label, given = found(forge().label(name)), body()
    old, new = label.name, given.text("new_name") or label.name
    if new.lower() != old.lower() and forge().label(new):
        raise invalid("Label", field="name", code="already_exists")
    label.name, label.color = new, _color(given.text("color") or label.color)
    label.description = given.text("description") if "description" in given else label.description
    forge().store.put(label)
    _relabel(old, new)
    return said(shapes().label(new))


@room.delete(REPO + "/labels/<path:name>")
def delete_label(name: str) -> Response:
    need("write")
    label = found(forge().label(name))
    forge().store.remove(label)
    _relabel(label.name, None)
    return nothing()


def _relabel(old: str, new: str | None) -> None:
    for issue in _all():
        if old in issue.labels:
            issue.labels = [new if n == old else n for n in issue.labels if n != old or new]  # type: ignore[misc]
            forge().store.put(issue)


@room.post(ISSUE + "/assignees")
def assign(number: int) -> Response:
    issue = forge().issue(number)
    deeds.assign(forge(), need("triage"), issue, body().names("assignees", "login") or [])
    return said(shapes().issue(issue), 201)


@room.delete(ISSUE + "/assignees")
def unassign(number: int) -> Response:
    issue = forge().issue(number)
    deeds.unassign(forge(), need("triage"), issue, body().names("assignees", "login") or [])
    return said(shapes().issue(issue))


@room.get(REPO + "/assignees")
def assignable() -> Response:
    return paged([u for u in forge().users if u.may("triage")], lambda u: shapes().user(u.login))


@room.get(ISSUE + "/events")
def events(number: int) -> Response:
    forge().issue(number)
    return paged(forge().store.all(Event, number), shapes().event)


@room.get(REPO + "/issues/events/<int:event_id>")
def event(event_id: int) -> Response:
    return said(shapes().event(found(forge().store.get(Event, event_id))))


@room.get(ISSUE + "/timeline")
def timeline(number: int) -> Response:
    """Events, comments, reviews and commits, in the order they came."""
    issue, here = forge().issue(number), shapes()
    rows: list[tuple[str, dict[str, Any]]] = [(e.created_at, here.event(e)) for e in forge().store.all(Event, number)]
    for c in forge().store.all(Comment, number):
        shape = here.comment(c)
        rows.append((c.created_at, shape | {"event": "commented", "actor": shape["user"]}))
    if isinstance(issue, Pull):
        said_reviews = [(r.submitted_at, r) for r in visible(forge(), issue, me())]
        rows += [(at, here.review(r) | {"event": "reviewed", "state": r.state.lower()}) for at, r in said_reviews if at]
        ids = forge().repo.log(f"{forge().fork_point(issue)}..{issue.head_sha}")
        rows += [(c.committer.at, here.git_commit(c) | {"event": "committed"}) for c in forge().repo.commits(ids)]
    rows.sort(key=lambda row: row[0])
    return paged(rows, lambda row: row[1])


@room.get("/search/issues")
def search() -> Response:
    """`repo: is: state: label: author: head: base: in:title` and words. Other qualifiers are refused, not ignored."""
    try:
        terms = shlex.split(request.args.get("q", ""))
    except ValueError as e:
        raise Refusal(422, "Validation Failed", [{"resource": "Search", "field": "q", "code": "invalid"}]) from e
    if not terms:
        raise Refusal(422, "Validation Failed", [{"resource": "Search", "field": "q", "code": "missing"}])
    hits = [i for i in _all() if all(_matches(i, term) for term in terms)]
    shown, headers = page_of(sort(hits))
    items = [shapes().issue(i) | {"body": i.body or "", "score": 1.0} for i in shown]
    answer = said({"total_count": len(hits), "incomplete_results": False, "items": items, "search_type": "lexical"})
    answer.headers.update(headers)
    return answer


def _matches(issue: Issue, term: str) -> bool:
    negated = term.startswith("-")
    key, colon, value = term.lstrip("-").partition(":")
    if not colon:
        return (key.lower() in f"{issue.title}\n{issue.body or ''}".lower()) != negated
    return _holds(issue, key, value.lower()) != negated


def _holds(issue: Issue, key: str, value: str) -> bool:
    pull = issue if isinstance(issue, Pull) else None
    if key == "repo":
        return value == forge().full_name.lower()
    if key in ("is", "type", "state"):
        kinds = {
            "pr": pull is not None,
            "pull-request": pull is not None,
            "issue": pull is None,
            "open": issue.state == "open",
        }
        kinds |= {"closed": issue.state == "closed", "merged": bool(pull and pull.merged_at)}
        kinds |= {"unmerged": bool(pull and not pull.merged_at), "draft": bool(pull and pull.draft), "private": True}
        if value in kinds:
            return kinds[value]
    if key == "label":
        return value in {n.lower() for n in issue.labels}
    if key == "author":
        return value == issue.author.lower()
    if key == "head" and pull:
        return pull.head_ref.lower().startswith(value)
    if key == "base" and pull:
        return pull.base_ref.lower() == value
    if key in ("head", "base"):
        return False
    if key == "in" and value == "title":
        return True
    raise Refusal(
        422,
        "Validation Failed",
        [{"resource": "Search", "field": "q", "code": "invalid", "message": f"{key}:{value} is not supported here"}],
    )
