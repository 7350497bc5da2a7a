"""Branches and their protection.

Source: GitHub REST reference, "Branches", "Protected branches", "Rules".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Response

from learner.local_forge.api.repository import REPO
from learner.local_forge.api.request import Body, Room, body, forge, found, me, need, nothing, paged, said, shapes
from learner.local_forge.protection import Protection
from learner.local_forge.refusal import Refusal

room = Room("branches")
BRANCH = REPO + "/branches/<path:branch>"
REVIEWS = BRANCH + "/protection/required_pull_request_reviews"
RULESET = 1


@room.get(REPO + "/branches")
def branches() -> Response:
    def shape(item: tuple[str, str]) -> dict[str, Any]:
        name, sha = item
        url = f"{shapes().repo_url}/commits/{sha}"
        return {"name": name, "commit": {"sha": sha, "url": url}, "protected": forge().protection(name) is not None}

    return paged(sorted(forge().repo.heads().items()), shape)


@room.get(BRANCH)
def branch(branch: str) -> Response:
    sha = forge().repo.heads().get(branch)
    commit = forge().repo.commit(sha) if sha else None
    if commit is None:
        raise Refusal(404, "Branch not found")
    rules = forge().protection(branch)
    url = f"{shapes().repo_url}/branches/{branch}"
    checks = list(rules.checks) if rules else []
    summary = {
        "enabled": rules is not None,
        "required_status_checks": {
            "enforcement_level": "everyone" if checks else "off",
            "contexts": checks,
            "checks": [{"context": name, "app_id": None} for name in checks],
        },
    }
    return said(
        {
            "name": branch,
            "commit": shapes().commit(commit),
            "_links": {"self": url, "html": f"{shapes().web}/tree/{branch}"},
            "protected": rules is not None,
            "protection": summary,
            "protection_url": f"{url}/protection",
        }
    )


def _rules(branch: str) -> Protection:
    rules = forge().protection(branch)
    if rules is None:
        raise Refusal(404, "Branch not protected")
    return rules


@room.get(BRANCH + "/protection")
def protection(branch: str) -> Response:
    need("admin")
    return said(shapes().protection(branch, _rules(branch)))


@room.put(BRANCH + "/protection")
def set_protection(branch: str) -> Response:
    """All rules at once; what is not named is off, as on GitHub."""
    need("admin")
    sent = body()
    for key in ("required_status_checks", "enforce_admins", "required_pull_request_reviews", "restrictions"):
        if key not in sent:
            raise Refusal(422, f'Invalid request.\n\n"{key}" wasn\'t supplied.')
    if sent.data["restrictions"]:
        raise Refusal(422, "Only organization repositories can have users and team restrictions")
    reviews, checks = sent.mapping("required_pull_request_reviews"), sent.mapping("required_status_checks")
    rules = Protection(
        approvals=None if reviews is None else 0,
        dismiss_stale_reviews=False,
        require_code_owner_reviews=False,
        require_last_push_approval=False,
        enforce_admins=bool(sent.flag("enforce_admins")),
        checks_required=checks is not None,
        checks=_contexts(Body(checks)) if checks is not None else (),
        strict_checks=bool(checks is not None and Body(checks).flag("strict")),
        linear_history=bool(sent.flag("required_linear_history")),
        allow_force_pushes=bool(sent.flag("allow_force_pushes")),
        allow_deletions=bool(sent.flag("allow_deletions")),
        lock_branch=bool(sent.flag("lock_branch")),
    )
    if reviews is not None:
        rules = _with_reviews(replace(rules, approvals=1), Body(reviews))
    forge().protect(branch, rules)
    return said(shapes().protection(branch, rules))


def _contexts(sent: Body) -> tuple[str, ...]:
    checks = sent.names("checks", "context")
    return tuple(checks if checks is not None else sent.names("contexts") or [])


def _with_reviews(rules: Protection, sent: Body) -> Protection:
    stale, owners, last = (
        sent.flag(k) for k in ("dismiss_stale_reviews", "require_code_owner_reviews", "require_last_push_approval")
    )
    rules = replace(
        rules,
        dismiss_stale_reviews=rules.dismiss_stale_reviews if stale is None else stale,
        require_code_owner_reviews=rules.require_code_owner_reviews if owners is None else owners,
        require_last_push_approval=rules.require_last_push_approval if last is None else last,
    )
    count = sent.number("required_approving_review_count")
    if count is not None and not 0 <= count <= 6:
        raise Refusal(422, "Invalid request.\n\nrequired_approving_review_count must be between 0 and 6.")
    return rules if count is None else replace(rules, approvals=count)


@room.delete(BRANCH + "/protection")
def drop_protection(branch: str) -> Response:
    need("admin")
    _rules(branch)
    forge().protect(branch, None)
    return nothing()


@room.get(REVIEWS)
def review_rules(branch: str) -> Response:
    need("admin")
    rules = _rules(branch)
    found(rules.approvals)
    return said(shapes().reviews_rule(branch, rules))


@room.patch(REVIEWS)
def set_review_rules(branch: str) -> Response:
    need("admin")
    rules = _rules(branch)
    rules = _with_reviews(replace(rules, approvals=1 if rules.approvals is None else rules.approvals), body())
    forge().protect(branch, rules)
    return said(shapes().reviews_rule(branch, rules))


@room.delete(REVIEWS)
def drop_review_rules(branch: str) -> Response:
    need("admin")
    forge().protect(branch, replace(_rules(branch), approvals=None))
    return nothing()


@room.get(REPO + "/rules/branches/<path:branch>")
def rules_of(branch: str) -> Response:
    """The same protection, told as rules: any reader may ask for these."""
    rules = forge().protection(branch)
    told: list[dict[str, Any]] = []
    if rules is not None:
        told += [] if rules.allow_deletions else [{"type": "deletion"}]
        told += [] if rules.allow_force_pushes else [{"type": "non_fast_forward"}]
        told += [{"type": "required_linear_history"}] if rules.linear_history else []
        if rules.approvals is not None:
            told.append({"type": "pull_request", "parameters": _pull_rule(rules)})
        if rules.checks_required:
            checks = [{"context": name} for name in rules.checks]
            parameters = {"strict_required_status_checks_policy": rules.strict_checks, "required_status_checks": checks}
            told.append({"type": "required_status_checks", "parameters": parameters})
    source = {"ruleset_source_type": "Repository", "ruleset_source": forge().full_name, "ruleset_id": RULESET}
    return paged(told, lambda rule: rule | source)


@room.get(REPO + "/rulesets/<int:number>")
def ruleset(number: int) -> Response:
    """The default branch's protection as the one ruleset there is; who may pass by it is told to administrators."""
    rules = forge().protection(forge().default_branch)
    if number != RULESET or rules is None:
        raise Refusal(404, "Not Found")
    told = {
        "id": RULESET,
        "name": forge().default_branch,
        "target": "branch",
        "source_type": "Repository",
        "source": forge().full_name,
        "enforcement": "active",
    }
    if me().may("admin"):
        # Source: GitHub REST reference, "Rules": 5 is the role of repository administrators.
        admins = {"actor_type": "RepositoryRole", "actor_id": 5, "bypass_mode": "always"}
        told |= {"bypass_actors": [] if rules.enforce_admins else [admins]}
        told |= {"current_user_can_bypass": "never" if rules.enforce_admins else "always"}
    else:
        told |= {"current_user_can_bypass": "never"}
    return said(told)


def _pull_rule(rules: Protection) -> dict[str, Any]:
    methods = [
        m
        for m, key in (("merge", "merge_commit"), ("squash", "squash_merge"), ("rebase", "rebase_merge"))
        if forge().setting(f"allow_{key}")
    ]
    return {
        "required_approving_review_count": rules.approvals,
        "dismiss_stale_reviews_on_push": rules.dismiss_stale_reviews,
        "require_code_owner_review": rules.require_code_owner_reviews,
        "require_last_push_approval": rules.require_last_push_approval,
        "required_review_thread_resolution": False,
        "allowed_merge_methods": methods,
    }
