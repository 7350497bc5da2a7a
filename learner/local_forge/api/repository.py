"""Users, rate limit, the repository and its settings, collaborators, dispatches.

Source: GitHub REST reference, "Users", "Rate limit", "Repositories", "Collaborators".
"""

from __future__ import annotations

from flask import Response

from learner.local_forge import codeowners
from learner.local_forge.api.request import Room, body, forge, found, me, need, nothing, paged, said, shapes
from learner.local_forge.forge import MERGE_DEFAULTS
from learner.local_forge.records import Dispatch
from learner.local_forge.refusal import Refusal, invalid, not_found

room = Room("repository")
_PERMISSION = {"maintain": "write", "triage": "read"}
REPO = "/repos/<owner>/<repo>"


@room.get("/user")
def user() -> Response:
    return said(shapes().full_user(me(), private=True))


@room.get("/users/<username>")
def named_user(username: str) -> Response:
    return said(shapes().full_user(found(forge().users.named(username)), private=False))


@room.get("/rate_limit")
def rate_limit() -> Response:
    """Nobody is ever slowed down here; the numbers say so."""
    free = {"limit": 5000, "used": 0, "remaining": 5000, "reset": int(forge().clock()) + 3600}
    return said({"resources": {"core": free, "search": free}, "rate": free})


@room.get(REPO)
def repository() -> Response:
    return said(shapes().repository(me()))


@room.patch(REPO)
def edit_repository() -> Response:
    need("admin")
    changes = body()
    saved = forge().store.setting("repository") or {}
    for name, default in MERGE_DEFAULTS.items():
        if name in changes:
            saved[name] = changes.flag(name) if isinstance(default, bool) else changes.text(name)
    methods = ("allow_merge_commit", "allow_squash_merge", "allow_rebase_merge")
    if not any(saved.get(m, MERGE_DEFAULTS[m]) for m in methods):
        raise invalid(
            "Repository", "Sorry, you need to allow at least one merge strategy.", field="merge_commit_allowed"
        )
    forge().store.set("repository", saved)
    return said(shapes().repository(me()))


@room.get(REPO + "/collaborators/<username>/permission")
def permission(username: str) -> Response:
    who = found(forge().users.named(username))
    person = shapes().user(who.login) | {"role_name": who.role}
    person["permissions"] = shapes().repository(who)["permissions"]
    return said({"permission": _PERMISSION.get(who.role, who.role), "role_name": who.role, "user": person})


@room.get(REPO + "/collaborators/<username>")
def is_collaborator(username: str) -> Response:
    found(forge().users.named(username))
    return nothing()


@room.get(REPO + "/collaborators")
def collaborators() -> Response:
    need("write")
    return paged(
        list(forge().users),
        lambda u: shapes().user(u.login) | {"role_name": u.role, "permissions": shapes().repository(u)["permissions"]},
    )


@room.get(REPO + "/codeowners/errors")
def codeowners_errors() -> Response:
    head = found(forge().repo.heads().get(forge().default_branch))
    path, text = forge().codeowners(head)
    if not text:
        raise not_found()
    wrong = codeowners.mistakes(text, forge().users)
    return said(
        {
            "errors": [
                {
                    "line": m.line,
                    "column": m.column,
                    "kind": m.kind,
                    "source": m.source,
                    "suggestion": None,
                    "message": m.message,
                    "path": path,
                }
                for m in wrong
            ]
        }
    )


@room.post(REPO + "/dispatches")
def dispatch() -> Response:
    """Kept for whoever looks; the forge runs nothing."""
    user = need("write")
    sent = body()
    event = sent.required("event_type")
    if not 1 <= len(event) <= 100:
        raise Refusal(422, "Invalid request.\n\nevent_type must be 1 to 100 characters.")
    forge().store.add(
        Dispatch(event_type=event, payload=sent.mapping("client_payload") or {}, login=user.login, at=forge().now())
    )
    return nothing()
