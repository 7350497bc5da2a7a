"""Setting a repository up so that only what people reviewed gets onto main: done by an administrator, with their own
token. What is stricter already stays as it is.

Source: GitHub REST API, "Update a repository", "Update branch protection", "Set default workflow permissions for a
repository", "Create a label".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from learner.errors import LearnerError, Refused
from learner.forge.gateway import Gateway, translated
from learner.forge.person import Person

_MERGING = {
    "allow_merge_commit": True,
    # A squash or a rebase is a commit of the learner's: the gate could not see that a person merged it.
    "allow_squash_merge": False,
    "allow_rebase_merge": False,
    "delete_branch_on_merge": True,
}
_BYPASS = "bypass_pull_request_allowances"


def protect(
    gateway: Gateway, branch: str, *, labels: Sequence[Mapping[str, str]], checks: Sequence[str] = (), app: bool = True
) -> Iterator[str]:
    """Do it, saying in one line each what was changed; a second run says nothing.

    `app`: proposals are opened by a GitHub App, so Actions' own token need not be allowed to open any.

    Raises: `Refused` when the token is a machine's or no administrator's; `LearnerError` when there is no such branch.
    """
    person = Person(gateway)
    repo = gateway._repo
    if not (repo.permissions and repo.permissions.admin):
        raise Refused(
            f"{person.login} is no administrator of {gateway.name}", "ask one: this needs an administrator's own token"
        )
    different = [name for name, wanted in _MERGING.items() if getattr(repo, name) is not wanted]
    if different:
        with translated("setting how pull requests are merged"):
            repo.edit(
                allow_merge_commit=_MERGING["allow_merge_commit"],
                allow_squash_merge=_MERGING["allow_squash_merge"],
                allow_rebase_merge=_MERGING["allow_rebase_merge"],
                delete_branch_on_merge=_MERGING["delete_branch_on_merge"],
            )
        yield f"merge commits only: {', '.join(different)}"
    yield from _branch(gateway, branch, checks)
    yield from _actions(gateway, app)
    with translated("listing labels"):
        known = {label.name.lower() for label in repo.get_labels()}
    missing = [label for label in labels if label["name"].lower() not in known]
    for label in missing:
        with translated(f"making the label {label['name']}"):
            repo.create_label(label["name"], label["color"], label["description"])
    if missing:
        yield f"{len(missing)} labels"


def _branch(gateway: Gateway, branch: str, checks: Sequence[str]) -> Iterator[str]:
    url = f"{gateway._repo.url}/branches/{branch}"
    if gateway.look(f"looking for {branch}", lambda repo: _get(gateway, url)) is None:
        raise LearnerError(f"{gateway.name} has no branch {branch}", f"push it first: git push origin {branch}")
    held: Any = gateway.look(f"reading the protection of {branch}", lambda repo: _get(gateway, f"{url}/protection"))
    wanted = rules(held or {}, checks)
    if held is not None and _told(held) == wanted:
        return
    with translated(f"protecting {branch}"):
        gateway._repo.requester.requestJsonAndCheck("PUT", f"{url}/protection", input=wanted)
    yield f"{branch} takes pull requests alone, reviewed by code owners; nobody bypasses that"


def _get(gateway: Gateway, url: str) -> Any:
    return gateway._repo.requester.requestJsonAndCheck("GET", url)[1]


def rules(held: Mapping[str, Any], checks: Sequence[str]) -> dict[str, Any]:
    """The body of "Update branch protection": what docs/setup-github.md asks for, and what is held beyond it."""
    told = _told(held)
    reviews = {k: v for k, v in (told["required_pull_request_reviews"] or {}).items() if k != _BYPASS}
    status = told["required_status_checks"] or {"strict": False, "checks": []}
    known = {check["context"] for check in status["checks"]}
    status["checks"] += [{"context": name} for name in checks if name not in known]
    return told | {
        "required_status_checks": status if status["checks"] or told["required_status_checks"] else None,
        "enforce_admins": True,
        "required_pull_request_reviews": reviews
        | {
            "dismiss_stale_reviews": True,
            "require_code_owner_reviews": True,
            "require_last_push_approval": True,
            "required_approving_review_count": max(1, reviews.get("required_approving_review_count", 0)),
        },
        # A linear history would forbid the merge commits that the gate looks for.
        "required_linear_history": False,
        "allow_force_pushes": False,
        "allow_deletions": False,
    }


def _told(held: Mapping[str, Any]) -> dict[str, Any]:
    """An answer of "Get branch protection" in the form that "Update branch protection" takes."""
    status, reviews = held.get("required_status_checks"), held.get("required_pull_request_reviews")
    told: dict[str, Any] = {
        "required_status_checks": None,
        "enforce_admins": _on(held, "enforce_admins"),
        "required_pull_request_reviews": None,
        "restrictions": _actors(held.get("restrictions")),
        **{
            name: _on(held, name)
            for name in ("required_linear_history", "allow_force_pushes", "allow_deletions", "required_conversation_resolution", "lock_branch")
        },
    }  # fmt: skip
    if status:
        checks = status.get("checks") or [{"context": name} for name in status.get("contexts", ())]
        told["required_status_checks"] = {
            "strict": bool(status.get("strict")),
            "checks": [{key: value for key, value in check.items() if value is not None} for check in checks],
        }
    if reviews:
        told["required_pull_request_reviews"] = {
            key: reviews[key]
            for key in ("dismiss_stale_reviews", "require_code_owner_reviews", "require_last_push_approval", "required_approving_review_count")
            if key in reviews
        }  # fmt: skip
        if dismissers := _actors(reviews.get("dismissal_restrictions")):
            told["required_pull_request_reviews"]["dismissal_restrictions"] = dismissers
        if any((reviews.get(_BYPASS) or {}).values()):
            # This differs from what is wanted, whatever the rest says: the update takes it away.
            told["required_pull_request_reviews"][_BYPASS] = _actors(reviews[_BYPASS])
    return told


def _on(held: Mapping[str, Any], name: str) -> bool:
    return bool((held.get(name) or {}).get("enabled"))


def _actors(held: Mapping[str, Any] | None) -> dict[str, list[str]] | None:
    if not held:
        return None
    names = {"users": "login", "teams": "slug", "apps": "slug"}
    return {kind: [one[key] for one in held.get(kind) or ()] for kind, key in names.items()}


def _actions(gateway: Gateway, app: bool) -> Iterator[str]:
    """What GITHUB_TOKEN may do by itself; not every forge has such a setting."""
    url = f"{gateway._repo.url}/actions/permissions/workflow"
    held = gateway.look("reading what workflows may do", lambda repo: _get(gateway, url))
    wanted = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": not app}
    if held is None or all(held.get(name) == value for name, value in wanted.items()):
        return
    with translated("setting what workflows may do"):
        gateway._repo.requester.requestJsonAndCheck("PUT", url, input=wanted)
    yield "workflows read only, unless they say more; " + (
        "Actions may neither open nor approve pull requests" if app else "Actions may open pull requests"
    )
