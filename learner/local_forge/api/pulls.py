"""Pull requests: list, open, edit, merge, reviewers, commits and files.

Source: GitHub REST reference, "Pulls", "Review requests".
"""

from __future__ import annotations

from flask import Response, request

from learner.local_forge import issues as issue_deeds
from learner.local_forge import pulls as deeds
from learner.local_forge.api.issues import sort
from learner.local_forge.api.repository import REPO
from learner.local_forge.api.request import Room, body, forge, me, nothing, paged, said, shapes
from learner.local_forge.records import Pull
from learner.local_forge.refusal import Refusal, invalid, not_found

room = Room("pulls")
PULL = REPO + "/pulls/<int:number>"


@room.get(REPO + "/pulls")
def pulls() -> Response:
    args = request.args
    state, base = args.get("state", "open"), args.get("base")
    owner, colon, head = args.get("head", "").rpartition(":")
    chosen = [
        p
        for p in forge().store.all(Pull)
        if state in ("all", p.state)
        and (not base or p.base_ref == base)
        and (not head or (p.head_ref == head and (not colon or owner.lower() == forge().owner.lower())))
    ]
    return paged(sort(chosen), shapes().pull_simple)


@room.post(REPO + "/pulls")
def open_pull() -> Response:
    sent = body()
    if "issue" in sent:
        raise Refusal(422, "Converting an issue into a pull request is not supported here.")
    title = sent.text("title")
    if title is None:
        raise invalid("PullRequest", field="title", code="missing_field")
    pull = deeds.open_pull(
        forge(), me(), title, sent.required("head"), sent.required("base"), sent.text("body"), bool(sent.flag("draft"))
    )
    return said(shapes().pull(pull), 201)


@room.get(PULL)
def pull(number: int) -> Response:
    pull, accept = forge().pull(number), request.headers.get("Accept", "")
    for kind, command in (("diff", ["diff"]), ("patch", ["format-patch", "--stdout"])):
        if f"application/vnd.github.{kind}" in accept or f"application/vnd.github.v3.{kind}" in accept:
            span = f"{forge().fork_point(pull)}..{pull.head_sha}"
            text = forge().repo.git.run(*command, span)
            return Response(text, content_type=f"application/vnd.github.{kind}; charset=utf-8")
    return said(shapes().pull(pull))


@room.patch(PULL)
def edit_pull(number: int) -> Response:
    sent, pull = body(), forge().pull(number)
    issue_deeds.edit_issue(
        forge(), me(), pull, title=sent.text("title"), body=sent.text("body"), state=sent.text("state")
    )
    base = sent.text("base")
    if base is not None and base != pull.base_ref:
        deeds.rebase_onto(forge(), me(), pull, base)
    return said(shapes().pull(pull))


@room.get(PULL + "/commits")
def commits(number: int) -> Response:
    pull = forge().pull(number)
    ids = list(reversed(forge().repo.log(f"{forge().fork_point(pull)}..{pull.head_sha}")))
    return paged(forge().repo.commits(ids), shapes().commit)


@room.get(PULL + "/files")
def files(number: int) -> Response:
    pull = forge().pull(number)
    return paged(forge().changes(pull), lambda change: shapes().file_change(change, pull.head_sha))


@room.get(PULL + "/merge")
def is_merged(number: int) -> Response:
    if forge().pull(number).merged_at is None:
        raise not_found()
    return nothing()


@room.put(PULL + "/merge")
def merge(number: int) -> Response:
    sent = body()
    sha = deeds.merge(
        forge(),
        me(),
        forge().pull(number),
        sha=sent.text("sha"),
        method=sent.text("merge_method") or "merge",
        title=sent.text("commit_title"),
        message=sent.text("commit_message"),
    )
    return said({"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


@room.put(PULL + "/update-branch")
def update_branch(number: int) -> Response:
    pull = forge().pull(number)
    deeds.update_branch(forge(), me(), pull, body().text("expected_head_sha"))
    return said({"message": "Updating pull request branch.", "url": f"{shapes().repo_url}/pulls/{number}"}, 202)


@room.get(PULL + "/requested_reviewers")
def requested_reviewers(number: int) -> Response:
    return said({"users": [shapes().user(login) for login in forge().pull(number).requested_reviewers], "teams": []})


@room.post(PULL + "/requested_reviewers")
def request_reviewers(number: int) -> Response:
    pull = forge().pull(number)
    deeds.request_reviewers(forge(), me(), pull, body().names("reviewers") or [])
    return said(shapes().pull_simple(pull), 201)


@room.delete(PULL + "/requested_reviewers")
def drop_reviewers(number: int) -> Response:
    pull = forge().pull(number)
    deeds.drop_reviewers(forge(), me(), pull, body().names("reviewers") or [])
    return said(shapes().pull_simple(pull))
