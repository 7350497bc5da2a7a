"""Files of the repository: read, write, delete with a commit each.

Source: GitHub REST reference, "Repository contents".
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from flask import Response, request

from learner.local_forge.api.git_data import check_path, check_push, identity
from learner.local_forge.api.repository import REPO
from learner.local_forge.api.request import Body, Room, body, forge, found, need, said, shapes
from learner.local_forge.bare import ZERO, Entry
from learner.local_forge.refusal import Refusal, not_found
from learner.local_forge.users import User

room = Room("contents")
FILE = REPO + "/contents/<path:path>"


@room.get(REPO + "/contents/", defaults={"path": ""})
@room.get(REPO + "/contents", defaults={"path": ""})
@room.get(FILE)
def contents(path: str) -> Response:
    ref = request.args.get("ref") or forge().default_branch
    repo = forge().repo
    sha = repo.resolve(ref)
    if sha is None:
        raise Refusal(404, f"No commit found for the ref {ref}") if "ref" in request.args else not_found()
    entry = found(repo.entry(sha, path.strip("/")))
    accept = request.headers.get("Accept", "")
    if entry.type == "tree":
        prefix = f"{entry.path}/" if entry.path else ""
        inner = [Entry(e.mode, e.type, e.sha, prefix + e.path, e.size) for e in repo.tree(entry.sha)]
        return said([shapes().content(e, ref) for e in inner])
    if entry.type == "commit":
        return said(shapes().content(entry, ref) | {"submodule_git_url": shapes().web})
    data = repo.blob(entry.sha)
    if "raw" in accept:
        return Response(data, content_type="application/vnd.github.raw+json; charset=utf-8")
    return said(shapes().content(entry, ref, data))


@room.put(FILE)
def write(path: str) -> Response:
    """Create or replace a file. Raises: 409 when `sha` is not the file's, 422 when it is missing."""
    user = need("write")
    sent = body()
    check_path(path)
    message = sent.required("message")
    try:
        data = base64.b64decode(sent.required("content").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError) as e:
        raise Refusal(422, "content is not valid Base64") from e
    old = _old(sent, path)
    blob = forge().repo.write_blob(data)
    commit = _commit(user, sent, message, ("100755" if old and old.mode == "100755" else "100644", path, blob))
    entry = found(forge().repo.entry(commit, path))
    return said({"content": shapes().content(entry, _branch(sent)), "commit": _shape(commit)}, 200 if old else 201)


@room.delete(FILE)
def delete(path: str) -> Response:
    user = need("write")
    sent = Body({**request.args, **body().data})
    message = sent.required("message")
    sent.required("sha")
    found(_old(sent, path))
    commit = _commit(user, sent, message, ("100644", path, None))
    return said({"content": None, "commit": _shape(commit)})


def _shape(commit: str) -> dict[str, Any]:
    return shapes().git_commit(found(forge().repo.commit(commit)))


def _branch(sent: Body) -> str:
    return sent.text("branch") or forge().default_branch


def _old(sent: Body, path: str) -> Entry | None:
    """The file as it stands, after checking that the sender knows it."""
    branch = _branch(sent)
    head = forge().repo.heads().get(branch)
    if head is None and (branch != forge().default_branch or forge().repo.heads()):
        raise Refusal(404, f"Branch {branch} not found")
    entry = forge().repo.entry(head, path) if head else None
    given = sent.text("sha")
    if entry and entry.type != "blob":
        raise Refusal(422, f"{path} is a directory")
    if entry and given is None:
        raise Refusal(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    if entry and given != entry.sha:
        raise Refusal(409, f"{path} does not match {given}")
    return entry


def _commit(user: User, sent: Body, message: str, change: tuple[str, str, str | None]) -> str:
    repo, ref = forge().repo, f"refs/heads/{_branch(sent)}"
    head = repo.heads().get(_branch(sent))
    check_push(ref, rest=409)
    tree = repo.write_tree(head, [change])
    committer, committer_at = identity(sent.mapping("committer"), user)
    author, author_at = identity(sent.mapping("author"), user) if "author" in sent else (committer, committer_at)
    commit = repo.write_commit(
        tree, [head] if head else [], message, author, committer, author_at=author_at, committer_at=committer_at
    )
    if not repo.move(ref, commit, head or ZERO):
        raise Refusal(409, f"is at {head} but expected {repo.heads().get(_branch(sent))}")
    forge().pushed(ref, commit, user)
    return commit
