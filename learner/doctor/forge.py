"""What the forge enforces on main, held against docs/setup-github.md.

Two things may guard a branch, the older branch protection and rulesets, and several rulesets at once. A demand holds
when one guard makes it that nobody may pass by; a guard with a bypass list holds for nobody on it.
Source: GitHub REST API, "Get branch protection", "Get rules for a branch", "Get a repository ruleset".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from learner.doctor.check import Check
from learner.errors import LearnerError
from learner.forge.gateway import Gateway

GUIDE = "docs/setup-github.md, Protect main"

DEMANDS = {
    "pull": "changes by pull request alone",
    "approval": "at least one approval",
    "stale": "approvals dismissed when the branch moves",
    "owner": "a code owner's review",
    "last_push": "an approval by somebody else than the last pusher",
    "force": "no force pushes",
    "deletion": "no deletion",
}


@dataclass(frozen=True)
class Guard:
    """One thing that guards the branch: what it demands, and who may pass by it (None: this token can't see)."""

    name: str
    demands: frozenset[str]
    passes: str | None = ""


def checks(gateway: Gateway, branch: str) -> Iterator[Check]:
    """Merging, protection, code owners, and what Actions may do. Asks, and changes nothing."""
    yield Check("forge", "ok", f"{gateway.url} as {gateway.login or 'an App'}")
    yield from _merging(gateway)
    yield from _protection([*_classic(gateway, branch), *_rulesets(gateway, branch)], branch)
    yield from _owners(gateway, branch)
    yield from _actions(gateway)


def _merging(gateway: Gateway) -> Iterator[Check]:
    settings = gateway.look("reading the repository's settings", lambda repo: repo)
    for name, wanted in (("allow_squash_merge", False), ("allow_rebase_merge", False), ("allow_merge_commit", True)):
        held = getattr(settings, name, None) if settings is not None else None
        if held is None:
            yield Check("merging", "skip", f"{name} is not visible to this token")
        elif held is not wanted:
            yield Check("merging", "warn", f"{name} is {'on' if held else 'off'}",
                        "allow merge commits only: a squash carries the learner as its author and is refused by the gate")  # fmt: skip


def _protection(guards: list[Guard], branch: str) -> Iterator[Check]:
    if not guards:
        yield Check("protection", "warn", f"{branch} is unprotected, or this token may not see it",
                    f"{GUIDE}, or run doctor with an administrator's token")  # fmt: skip
        return
    demanded = frozenset[str]().union(*(guard.demands for guard in guards))
    kept = frozenset[str]().union(*(guard.demands for guard in guards if not guard.passes))
    if "pull" not in demanded:
        yield Check("protection", "bad", f"{branch} takes commits without a pull request", GUIDE)
        return
    missing = [words for key, words in DEMANDS.items() if key not in demanded]
    if missing:
        yield Check("protection", "warn", f"{branch} lacks: {'; '.join(missing)}", GUIDE)
    for guard in guards:
        if guard.passes and guard.demands - kept:
            yield Check("protection", "warn", f"{guard.passes} may pass by {guard.name} of {branch}",
                        "one exception is the way in: empty the bypass list")  # fmt: skip
    if not missing and demanded == kept:
        unseen = [guard.name for guard in guards if guard.passes is None]
        more = f"; who may pass by {' and '.join(unseen)} is not visible to this token" if unseen else ""
        yield Check("protection", "ok", f"{branch} takes only what people reviewed{more}")


def _classic(gateway: Gateway, branch: str) -> Iterator[Guard]:
    held: Mapping[str, Any] | None = gateway.look(
        "reading branch protection", lambda repo: repo.get_branch(branch).get_protection().raw_data
    )
    if held is None:
        return
    reviews = held.get("required_pull_request_reviews")
    demands = _of_reviews(reviews, stale="dismiss_stale_reviews", owner="require_code_owner_reviews")
    demands |= {key for key, setting in (("force", "allow_force_pushes"), ("deletion", "allow_deletions"))
                if not (held.get(setting) or {}).get("enabled")}  # fmt: skip
    passing = [] if (held.get("enforce_admins") or {}).get("enabled") else ["administrators"]
    allowed = (reviews or {}).get("bypass_pull_request_allowances") or {}
    passing += [str(one.get("login") or one.get("slug")) for kind in ("users", "teams", "apps") for one in allowed.get(kind) or ()]  # fmt: skip
    yield Guard("the branch protection", demands, ", ".join(passing))


def _rulesets(gateway: Gateway, branch: str) -> Iterator[Guard]:
    # A page holds at most 100 rules, and a branch with more than that has other worries.
    rules: list[Mapping[str, Any]] = gateway.look(
        "reading the branch's rules",
        lambda repo: repo.requester.requestJsonAndCheck("GET", f"{repo.url}/rules/branches/{branch}?per_page=100")[1],
    ) or []  # fmt: skip
    for number in sorted({int(rule["ruleset_id"]) for rule in rules if "ruleset_id" in rule}):
        demands: frozenset[str] = frozenset()
        for rule in (rule for rule in rules if rule.get("ruleset_id") == number):
            if rule["type"] == "pull_request":
                demands |= _of_reviews(
                    rule.get("parameters") or {},
                    stale="dismiss_stale_reviews_on_push",
                    owner="require_code_owner_review",
                )
            elif rule["type"] in ("non_fast_forward", "deletion"):
                demands |= {"force" if rule["type"] == "non_fast_forward" else "deletion"}
        yield _bypass(gateway, number, demands)


def _bypass(gateway: Gateway, number: int, demands: frozenset[str]) -> Guard:
    """A ruleset tells who may pass by it to those who may edit it, and everybody whether they themselves may."""
    held: Mapping[str, Any] | None = gateway.look(
        "reading a ruleset",
        lambda repo: repo.requester.requestJsonAndCheck("GET", f"{repo.url}/rulesets/{number}")[1],
    )
    name = f"the ruleset “{(held or {}).get('name', number)}”"
    if held is not None and "bypass_actors" in held:
        actors = [f"{actor['actor_type']} {actor.get('actor_id') or ''}".strip() for actor in held["bypass_actors"]]
        return Guard(name, demands, ", ".join(actors))
    if held is not None and held.get("current_user_can_bypass") not in (None, "never"):
        return Guard(name, demands, gateway.login or "this App")
    return Guard(name, demands, None)


def _of_reviews(reviews: Mapping[str, Any] | None, *, stale: str, owner: str) -> frozenset[str]:
    if reviews is None:
        return frozenset()
    wanted = {
        "approval": "required_approving_review_count",
        "stale": stale,
        "owner": owner,
        "last_push": "require_last_push_approval",
    }
    return frozenset({"pull", *(key for key, setting in wanted.items() if reviews.get(setting))})


def _owners(gateway: Gateway, branch: str) -> Iterator[Check]:
    """Source: GitHub REST API, "List CODEOWNERS errors"."""
    held: Mapping[str, Any] | None = gateway.look(
        "reading the code owners",
        lambda repo: repo.requester.requestJsonAndCheck("GET", f"{repo.url}/codeowners/errors?ref={branch}")[1],
    )
    for wrong in (held or {}).get("errors", ()):
        yield Check("code owners", "warn", f"{wrong['path']}:{wrong['line']}: {wrong['kind']}: {wrong['source'].strip()}",
                    "GitHub ignores that line's owners; name people or teams with write access")  # fmt: skip


def _actions(gateway: Gateway) -> Iterator[Check]:
    """Source: GitHub REST API, "Get default workflow permissions for a repository"."""
    try:
        held: Mapping[str, Any] | None = gateway.look(
            "reading what Actions may do",
            lambda repo: repo.requester.requestJsonAndCheck("GET", f"{repo.url}/actions/permissions/workflow")[1],
        )
    except LearnerError:
        return
    if held and held["can_approve_pull_request_reviews"]:
        yield Check("actions", "warn", "every workflow may open and approve pull requests",
                    "have a GitHub App open them, and switch it off: docs/setup-github.md, A GitHub App for the learner")  # fmt: skip
    if held and held["default_workflow_permissions"] == "write":
        yield Check("actions", "warn", "workflows have a write token unless they say otherwise",
                    "Settings → Actions → General → Workflow permissions: read")  # fmt: skip
