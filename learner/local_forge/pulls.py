"""Deeds on pull requests: open, ask for reviewers, judge whether they merge, merge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from learner.local_forge.forge import Forge
from learner.local_forge.issues import check_text, check_title, open_twin
from learner.local_forge.protection import Standing
from learner.local_forge.records import CheckRun, Pull, Status
from learner.local_forge.refusal import Refusal, forbidden, invalid
from learner.local_forge.users import User
from learner.repository.git import Identity

_METHODS = {"merge": "Merge commits", "squash": "Squash merges", "rebase": "Rebase merges"}
_SETTINGS = {"merge": "allow_merge_commit", "squash": "allow_squash_merge", "rebase": "allow_rebase_merge"}


@dataclass(frozen=True)
class Judgement:
    """Whether a pull request merges. `state` is GitHub's `mergeable_state`; `mergeable` is about conflicts alone."""

    mergeable: bool | None
    state: str
    standing: Standing
    conflicts: tuple[str, ...] = ()


def open_pull(forge: Forge, user: User, title: str, head: str, base: str, body: str | None, draft: bool) -> Pull:
    """A new pull request between two branches of the repository.

    Raises: 403, and 422 for a branch that is not there, nothing to merge, or an open one for these branches.
    """
    if not user.may("write"):
        raise forbidden()
    check_title("PullRequest", title)
    check_text("PullRequest", "body", body)
    heads = forge.repo.heads()
    owner, colon, branch = head.partition(":")
    head = branch if colon and owner.lower() == forge.owner.lower() else head
    for field, name in (("head", head), ("base", base)):
        if name not in heads:
            raise invalid("PullRequest", field=field, code="invalid")
    if open_twin(forge, head, base):
        raise invalid("PullRequest", f"A pull request already exists for {forge.owner}:{head}.")
    if head == base or forge.repo.ahead_behind(heads[base], heads[head])[0] == 0:
        raise invalid("PullRequest", f"No commits between {base} and {head}")
    now = forge.now()
    pull = Pull(
        number=forge.store.next("number"),
        title=title,
        body=body,
        author=user.login,
        created_at=now,
        updated_at=now,
        head_ref=head,
        head_sha=heads[head],
        base_ref=base,
        base_sha=heads[base],
        draft=draft,
    )
    forge.store.add(pull)
    forge.point_at_head(pull)
    return pull


def rebase_onto(forge: Forge, user: User, pull: Pull, base: str) -> None:
    """Give a pull request another base branch. Raises: 422."""
    heads = forge.repo.heads()
    if base not in heads:
        raise invalid("PullRequest", field="base", code="invalid")
    if pull.state != "open":
        raise invalid("PullRequest", "Cannot change the base branch of a closed pull request.")
    if open_twin(forge, pull.head_ref, base):
        raise invalid(
            "PullRequest", f"A pull request already exists for base branch '{base}' and head branch '{pull.head_ref}'"
        )
    pull.base_ref, pull.base_sha = base, heads[base]
    forge.happened(pull, "base_ref_changed", user.login)


def request_reviewers(forge: Forge, user: User, pull: Pull, logins: Sequence[str]) -> None:
    """Ask for reviews. Raises: 403, 422 for the author and for people the repository does not know."""
    if not user.may("triage") and user.login != pull.author:
        raise forbidden()
    for login in logins:
        who = forge.users.named(login)
        if who is None:
            words = "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator"
            raise Refusal(422, f"{words} of the {forge.full_name} repository.")
        if who.login == pull.author:
            raise Refusal(422, "Review cannot be requested from pull request author.")
        if who.login not in pull.requested_reviewers:
            pull.requested_reviewers.append(who.login)
            forge.happened(pull, "review_requested", user.login, reviewer=who.login)


def drop_reviewers(forge: Forge, user: User, pull: Pull, logins: Sequence[str]) -> None:
    if not user.may("triage") and user.login != pull.author:
        raise forbidden()
    for login in logins:
        if login in pull.requested_reviewers:
            pull.requested_reviewers.remove(login)
            forge.happened(pull, "review_request_removed", user.login, reviewer=login)


def judge(forge: Forge, pull: Pull) -> Judgement:
    """Whether a pull request merges now. Source: GitHub docs, GraphQL enum `MergeStateStatus`."""
    standing = forge.standing(pull)
    if pull.state != "open":
        return Judgement(None, "unknown", standing)
    conflicts = forge.conflicts(pull)
    rules = forge.protection(pull.base_ref)
    behind = rules is not None and rules.strict_checks and rules.checks_required
    if conflicts:
        return Judgement(False, "dirty", standing, conflicts)
    if pull.draft:
        return Judgement(True, "draft", standing)
    if standing.blocks:
        return Judgement(True, "blocked", standing)
    if behind and forge.repo.ahead_behind(pull.base_sha, pull.head_sha)[1]:
        return Judgement(True, "behind", standing)
    return Judgement(True, "clean" if checks_pass(forge, pull) else "unstable", standing)


def checks_pass(forge: Forge, pull: Pull) -> bool:
    """False when a check or status of the head has not succeeded."""
    runs = forge.store.all(CheckRun, pull.head_sha)
    statuses = {s.context: s.state for s in forge.store.all(Status, pull.head_sha)}
    return all(r.conclusion in ("success", "neutral", "skipped") for r in runs) and all(
        s == "success" for s in statuses.values()
    )


def merge(
    forge: Forge,
    user: User,
    pull: Pull,
    *,
    sha: str | None = None,
    method: str = "merge",
    title: str | None = None,
    message: str | None = None,
) -> str:
    """The merge commit's id: made, signed where there is a key, and authored by the person who merges.

    Raises: 403, 405 when it may not be merged, 409 when a branch moved meanwhile.
    """
    if not user.may("write"):
        raise forbidden()
    if method not in _METHODS:
        raise invalid("PullRequest", f"{method!r} is no merge method", field="merge_method", code="invalid")
    if not forge.setting(_SETTINGS[method]):
        raise Refusal(405, f"{_METHODS[method]} are not allowed on this repository.")
    if pull.state != "open":
        raise Refusal(405, "Pull Request is not mergeable")
    if sha is not None and sha != pull.head_sha:
        raise Refusal(409, "Head branch was modified. Review and try the merge again.")
    judgement = judge(forge, pull)
    if pull.draft:
        raise Refusal(405, "Pull Request is still a draft")
    rules = forge.protection(pull.base_ref)
    if rules and rules.linear_history and method == "merge":
        raise Refusal(405, "This branch must not contain merge commits.")
    bypass = rules is not None and not rules.enforce_admins and user.may("admin")
    if judgement.standing.blocks and not bypass:
        raise Refusal(405, " ".join(judgement.standing.blocks))
    if judgement.conflicts:
        raise Refusal(405, "Pull Request is not mergeable")
    if judgement.state == "behind" and not bypass:
        raise Refusal(405, "Head branch is out of date. Review and try the merge again.")
    commit = _commit(forge, user, pull, method, title, message)
    if not forge.repo.move(f"refs/heads/{pull.base_ref}", commit, pull.base_sha):
        raise Refusal(409, "Base branch was modified. Review and try the merge again.")
    forge.pushed(f"refs/heads/{pull.base_ref}", commit, user)
    forge.mark_merged(pull, user.login, commit)
    if forge.setting("delete_branch_on_merge") and not forge.protection(pull.head_ref):
        forge.repo.remove(f"refs/heads/{pull.head_ref}", pull.head_sha)
        forge.happened(pull, "head_ref_deleted", user.login)
    return commit


def _commit(forge: Forge, user: User, pull: Pull, method: str, title: str | None, message: str | None) -> str:
    repo, who = forge.repo, Identity(user.name, user.email)
    key = user.signing_key if user.signing_key and user.signing_key.exists() else None
    tree = repo.three_way(pull.base_sha, pull.head_sha).tree
    if method == "merge":
        subject = title or f"Merge pull request #{pull.number} from {forge.owner}/{pull.head_ref}"
        text = f"{subject}\n\n{pull.title if message is None else message}".rstrip() + "\n"
        return repo.write_commit(
            tree,
            [pull.base_sha, pull.head_sha],
            text,
            who,
            who,
            committer_at=forge.now(),
            author_at=forge.now(),
            signing_key=key,
        )
    if method == "squash":
        first = repo.commit(pull.head_sha)
        author = Identity(first.author.name, first.author.email) if first else who
        text = f"{title or f'{pull.title} (#{pull.number})'}\n\n{message or ''}".rstrip() + "\n"
        return repo.write_commit(tree, [pull.base_sha], text, author, who, signing_key=key)
    at = pull.base_sha
    for commit in repo.commits(list(reversed(repo.log(f"{pull.base_sha}..{pull.head_sha}")))):
        if len(commit.parents) != 1:
            raise Refusal(405, "This branch can't be rebased")
        moved = repo.cherry(at, commit)
        if moved.conflicts:
            raise Refusal(405, "This branch can't be rebased")
        author = Identity(commit.author.name, commit.author.email)
        at = repo.write_commit(
            moved.tree, [at], commit.message + "\n", author, who, author_at=commit.author.at, signing_key=key
        )
    return at


def update_branch(forge: Forge, user: User, pull: Pull, expected: str | None) -> None:
    """Merge the base into the head branch. Raises: 403, 422."""
    if not user.may("write"):
        raise forbidden()
    if expected is not None and expected != pull.head_sha:
        raise invalid("PullRequest", "expected head sha didn’t match current head ref.")
    merge_result = forge.repo.three_way(pull.head_sha, pull.base_sha)
    if pull.state != "open" or merge_result.conflicts:
        raise Refusal(422, "merge conflict between base and head")
    if forge.repo.is_ancestor(pull.base_sha, pull.head_sha):
        raise Refusal(422, "There are no new commits on the base branch.")
    who = Identity(user.name, user.email)
    text = f"Merge branch '{pull.base_ref}' into {pull.head_ref}\n"
    commit = forge.repo.write_commit(merge_result.tree, [pull.head_sha, pull.base_sha], text, who, who)
    forge.pushed(f"refs/heads/{pull.head_ref}", commit, user)
    forge.repo.move(f"refs/heads/{pull.head_ref}", commit, pull.head_sha)
    forge.sync()
