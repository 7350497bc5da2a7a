"""Git over HTTP: fetch and push with a token, protected branches refused, the pusher remembered.

Source: gitprotocol-http(5), githooks(5).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from flask import Blueprint, Response, request

from learner.local_forge.api.request import forge, given_token
from learner.local_forge.forge import Forge
from learner.local_forge.users import User
from learner.repository.http_backend import http_backend

git = Blueprint("git", __name__)

# `update` runs once a ref, so one refused branch does not take the other refs of a push down with it.
_UPDATE = """#!/bin/sh
case " $LEARNER_FORGE_GUARDED " in
*" $1 "*)
    echo "error: GH006: Protected branch update failed for $1." >&2
    echo "error: Changes must be made through a pull request." >&2
    echo "error: protected branch hook declined" >&2
    exit 1 ;;
esac
zero=0000000000000000000000000000000000000000
case " $LEARNER_FORGE_KEPT " in
*" $1 "*)
    if test "$3" = "$zero"; then
        echo "error: GH006: Protected branch update failed for $1." >&2
        echo "error: Cannot delete a protected branch: protected branch hook declined" >&2
        exit 1
    fi
    if test "$2" != "$zero" && ! git merge-base --is-ancestor "$2" "$3"; then
        echo "error: GH006: Protected branch update failed for $1." >&2
        echo "error: Cannot force-push to this branch: protected branch hook declined" >&2
        exit 1
    fi ;;
esac
"""
# The quarantine of a push hides its objects until it is accepted, so what happened is told after the fact.
_POST_RECEIVE = """#!/bin/sh
cat >"$LEARNER_FORGE_RECEIVED"
"""

_CONFIG = {
    "http.receivepack": "true",
    "http.getanyfile": "false",
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    "receive.advertisePushOptions": "true",
    "receive.hideRefs": "refs/pull",
    "receive.denyDeleteCurrent": "ignore",
    "receive.denyCurrentBranch": "ignore",
    "gc.autoDetach": "false",
}


def write_hooks(folder: Path) -> None:
    """The two hooks a push runs, written where the forge keeps its state and nowhere in the repository."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("update", _UPDATE), ("post-receive", _POST_RECEIVE)):
        path = folder / name
        path.write_text(text, encoding="ascii", newline="\n")
        path.chmod(0o755)


def hooks_folder(here: Forge) -> Path:
    return here.state_path.with_suffix(".hooks")


def _user() -> User | Response:
    token = given_token()
    user = forge().users.holding(token) if token else None
    if user is None:
        words = "remote: Invalid username or token. A token of this forge goes in as the password.\n"
        return Response(words, 401, {"WWW-Authenticate": 'Basic realm="learner forge"'}, content_type="text/plain")
    return user


@git.get("/<owner>/<repo>/info/refs")
@git.post("/<owner>/<repo>/git-upload-pack")
@git.post("/<owner>/<repo>/git-receive-pack")
def serve(owner: str, repo: str) -> Response:
    """What git answers; a push is taken into the pull requests before the client hears of its success."""
    here = forge()
    request.max_content_length = None
    user = _user()
    if isinstance(user, Response):
        return user
    if f"{owner}/{repo.removesuffix('.git')}".lower() != here.full_name.lower():
        return Response("remote: Repository not found.\n", 404, content_type="text/plain")
    service = request.args.get("service", "") if request.method == "GET" else request.path.rpartition("/")[2]
    if service not in ("git-upload-pack", "git-receive-pack"):
        return Response("Smart HTTP only: use git 1.6.6 or newer.\n", 403, content_type="text/plain")
    if service == "git-receive-pack" and not user.may("write"):
        words = f"remote: Permission to {here.full_name}.git denied to {user.login}.\n"
        return Response(words, 403, content_type="text/plain")
    path = "/info/refs" if request.method == "GET" else f"/{service}"
    pushing = request.method == "POST" and service == "git-receive-pack"
    return _push(here, user, path) if pushing else _answer(here, user, path, {})[0]


def _answer(here: Forge, user: User, path: str, env: dict[str, str]) -> tuple[Response, Callable[[], Iterator[bytes]]]:
    answer = http_backend(
        here.repo.path,
        path,
        method=request.method,
        query=request.query_string.decode("ascii", "replace"),
        content_type=request.headers.get("Content-Type", ""),
        content_encoding=request.headers.get("Content-Encoding", ""),
        protocol=request.headers.get("Git-Protocol", ""),
        remote_user=user.login,
        body=request.stream,
        config=_CONFIG | {"core.hooksPath": str(hooks_folder(here))},
        env=env,
    )
    return Response(answer.body, answer.status, answer.headers, direct_passthrough=True), lambda: answer.body


def _push(here: Forge, user: User, path: str) -> Response:
    with here.store.transaction():
        guarded = [f"refs/heads/{name}" for name in here.guarded_branches()]
        kept = [f"refs/heads/{name}" for name in here.repo.heads() if here.protection(name)]
    with tempfile.TemporaryDirectory(prefix="learner-push-") as folder:
        received = Path(folder, "received")
        env = {
            "LEARNER_FORGE_GUARDED": " ".join(guarded),
            "LEARNER_FORGE_KEPT": " ".join(kept),
            "LEARNER_FORGE_RECEIVED": str(received),
        }
        response, body = _answer(here, user, path, env)
        report = b"".join(body())
        lines = received.read_text(encoding="utf-8").splitlines() if received.exists() else []
    with here.store.transaction():
        for line in lines:
            _, new, ref = line.split(" ", 2)
            here.pushed(ref, new, user)
        here.sync()
    response.response = [report]
    response.headers["Content-Length"] = str(len(report))
    return response
