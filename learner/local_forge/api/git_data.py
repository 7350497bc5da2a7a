"""Git's own objects and refs over REST.

Source: GitHub REST reference, "Git database". A protected branch takes no change this way either.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from flask import Response, request

from learner.local_forge.api.repository import REPO
from learner.local_forge.api.request import Body, Room, body, forge, found, need, nothing, paged, said, shapes
from learner.local_forge.bare import SHA, ZERO
from learner.local_forge.refusal import Refusal, not_found
from learner.local_forge.users import User
from learner.repository.git import Identity

room = Room("git_data")
MODES = {"100644": "blob", "100755": "blob", "120000": "blob", "040000": "tree", "160000": "commit"}


def identity(given: dict[str, Any] | None, user: User) -> tuple[Identity, str | None]:
    """Who a commit names, and when (None: now); the asking user where nothing is given. Raises: 422."""
    if given is None:
        return Identity(user.name, user.email), None
    sent = Body(given)
    name, email = sent.required("name"), sent.required("email")
    if not name.strip("<>\n \0") or set("<>\n\0") & set(name + email):
        raise Refusal(422, "Invalid author or committer")
    return Identity(name, email), sent.text("date")


def check_path(path: str) -> None:
    """Raises: 422 for a path Git would not take."""
    parts = path.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or any(ord(c) < 32 for c in path):
        raise Refusal(422, "path contains a malformed path component")


def check_push(ref: str, *, rest: int = 422) -> None:
    """Whether a ref may be set by hand. Raises: 422 (409 for files) for a protected branch, 422 for the forge's own."""
    if ref.startswith("refs/pull/"):
        raise Refusal(422, "Reference update failed: refs/pull/ is read-only")
    branch = ref.removeprefix("refs/heads/")
    if ref.startswith("refs/heads/") and branch in forge().guarded_branches():
        message = (
            "Changes must be made through a pull request."
            if rest == 409
            else "Protected branch update failed for " + ref
        )
        if rest == 409:
            raise Refusal(409, f"Repository rule violations found\n\n{message}\n\n")
        raise Refusal(422, f"{message}: Changes must be made through a pull request.")


@room.get(REPO + "/git/blobs/<sha>")
def blob(sha: str) -> Response:
    if forge().repo.object_type(sha) != "blob":
        raise not_found()
    return said(shapes().blob(sha, forge().repo.blob(sha)))


@room.post(REPO + "/git/blobs")
def write_blob() -> Response:
    need("write")
    sent = body()
    content, encoding = sent.required("content"), sent.text("encoding") or "utf-8"
    if encoding not in ("utf-8", "base64"):
        raise Refusal(422, "Invalid request.\n\nencoding must be utf-8 or base64.")
    try:
        data = base64.b64decode(content) if encoding == "base64" else content.encode()
    except (binascii.Error, ValueError) as e:
        raise Refusal(422, "content is not valid Base64") from e
    sha = forge().repo.write_blob(data)
    return said({"sha": sha, "url": f"{shapes().repo_url}/git/blobs/{sha}"}, 201)


@room.get(REPO + "/git/commits/<sha>")
def commit(sha: str) -> Response:
    return said(shapes().git_commit(found(forge().repo.commit(sha) if SHA.fullmatch(sha) else None)))


@room.post(REPO + "/git/commits")
def write_commit() -> Response:
    user = need("write")
    sent = body()
    tree, parents = sent.required("tree"), sent.names("parents") or []
    repo = forge().repo
    if repo.object_type(tree) != "tree":
        raise Refusal(422, "Tree SHA does not exist")
    if any(repo.object_type(parent) != "commit" for parent in parents):
        raise Refusal(422, "Parent SHA does not exist or is not a commit object")
    author, author_at = identity(sent.mapping("author"), user)
    committer, committer_at = identity(sent.mapping("committer"), user) if "committer" in sent else (author, author_at)
    sha = repo.write_commit(
        tree, parents, sent.required("message"), author, committer, author_at=author_at, committer_at=committer_at
    )
    return said(shapes().git_commit(found(repo.commit(sha))), 201)


@room.get(REPO + "/git/trees/<path:tree_sha>")
def tree(tree_sha: str) -> Response:
    repo = forge().repo
    sha = tree_sha if repo.object_type(tree_sha) == "tree" else None
    if sha is None:
        entry = repo.entry(found(repo.resolve(tree_sha)), "")
        sha = found(entry).sha
    return said(shapes().tree(sha, repo.tree(sha, recursive="recursive" in request.args)))


@room.post(REPO + "/git/trees")
def write_tree() -> Response:
    need("write")
    sent = body()
    repo = forge().repo
    base = sent.text("base_tree")
    if base is not None and repo.object_type(base) not in ("tree", "commit"):
        raise Refusal(422, "base_tree is not a valid tree oid")
    changes = []
    for item in sent.items("tree") or []:
        if not isinstance(item, dict):
            raise Refusal(422, "Invalid tree info")
        changes.append(_change(Body(item)))
    if not changes:
        raise Refusal(422, "Invalid tree info")
    sha = repo.write_tree(base, changes)
    return said(shapes().tree(sha, repo.tree(sha)), 201)


def _change(item: Body) -> tuple[str, str, str | None]:
    path, mode, content = item.required("path"), item.text("mode") or "100644", item.text("content")
    check_path(path)
    if mode not in MODES:
        raise Refusal(422, "tree.mode is not valid")
    if content is not None:
        return mode, path, forge().repo.write_blob(content.encode())
    sha = item.text("sha")
    if sha is None and "sha" not in item:
        raise Refusal(422, "Must supply either tree.sha or tree.content")
    if sha is not None and MODES[mode] != "commit" and forge().repo.object_type(sha) != MODES[mode]:
        raise Refusal(422, f"tree.sha {sha} is not a valid {MODES[mode]}")
    return mode, path, sha


@room.get(REPO + "/git/ref/<path:ref>")
def ref(ref: str) -> Response:
    sha, kind = found(forge().repo.ref(f"refs/{ref}"))
    return said(shapes().ref(f"refs/{ref}", sha, kind))


@room.get(REPO + "/git/matching-refs/", defaults={"ref": ""})
@room.get(REPO + "/git/matching-refs/<path:ref>")
def matching_refs(ref: str) -> Response:
    return paged(forge().repo.refs(f"refs/{ref}"), lambda found: shapes().ref(*found))


@room.post(REPO + "/git/refs")
def write_ref() -> Response:
    user = need("write")
    sent = body()
    name, sha = sent.required("ref"), sent.required("sha")
    repo = forge().repo
    if not name.startswith("refs/") or name.count("/") < 2 or not repo.valid_ref(name):
        raise Refusal(422, f"{name} is not a valid ref name.")
    kind = repo.object_type(sha)
    if kind is None or (name.startswith("refs/heads/") and kind != "commit"):
        raise Refusal(422, "Object does not exist")
    check_push(name)
    if repo.ref(name) or not repo.move(name, sha, ZERO):
        raise Refusal(422, "Reference already exists")
    forge().pushed(name, sha, user)
    return said(shapes().ref(name, sha, kind), 201)


@room.patch(REPO + "/git/refs/<path:ref>")
def move_ref(ref: str) -> Response:
    user = need("write")
    sent = body()
    sha, force = sent.required("sha"), bool(sent.flag("force"))
    repo, name = forge().repo, f"refs/{ref}"
    old = repo.ref(name)
    if old is None:
        raise Refusal(422, "Reference does not exist")
    kind = repo.object_type(sha)
    if kind is None:
        raise Refusal(422, "Object does not exist")
    check_push(name)
    if not force and not (kind == old[1] == "commit" and repo.is_ancestor(old[0], sha)):
        raise Refusal(422, "Update is not a fast forward")
    if not repo.move(name, sha, old[0]):
        raise Refusal(409, "Reference was changed meanwhile")
    forge().pushed(name, sha, user)
    return said(shapes().ref(name, sha, kind))


@room.delete(REPO + "/git/refs/<path:ref>")
def drop_ref(ref: str) -> Response:
    user = need("write")
    name = f"refs/{ref}"
    old = forge().repo.ref(name)
    if old is None:
        raise Refusal(422, "Reference does not exist")
    if (
        name.startswith("refs/heads/")
        and (rules := forge().protection(ref.removeprefix("heads/")))
        and not rules.allow_deletions
    ):
        raise Refusal(422, "Cannot delete a protected branch")
    check_push(name)
    forge().repo.remove(name, old[0])
    forge().pushed(name, ZERO, user)
    return nothing()
