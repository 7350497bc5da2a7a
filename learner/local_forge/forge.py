"""The forge itself: one bare repository, its users, its memory, and keeping pull requests in step with Git."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from learner.errors import LearnerError
from learner.local_forge import codeowners, protection
from learner.local_forge.bare import ZERO, Bare, utc
from learner.local_forge.diff import FilePatch
from learner.local_forge.protection import Protection, Standing
from learner.local_forge.records import CheckRun, Event, Issue, Label, Pull, Push, Review, Status
from learner.local_forge.refusal import not_found
from learner.local_forge.signatures import Signatures
from learner.local_forge.store import Store
from learner.local_forge.users import Directory, User

MERGE_DEFAULTS: dict[str, Any] = {
    "allow_merge_commit": True,
    "allow_squash_merge": False,
    "allow_rebase_merge": False,
    "allow_update_branch": False,
    "allow_auto_merge": False,
    "delete_branch_on_merge": False,
    "description": None,
    "homepage": None,
}
GHOST = "ghost"


def check_bare(path: Path) -> None:
    """Raises: `LearnerError` when there is no bare repository at `path`."""
    if not (path / "HEAD").is_file() or not (path / "objects").is_dir():
        raise LearnerError(f"{path} is no bare repository", f"run `git init --bare {path}`")


class Forge:
    """Everything the REST operations and the review page share.

    `bare_repo` is an existing bare repository; what Git doesn't hold is kept in `state_path` (default: a
    file beside the repository). Its main branch is protected from its first commit on.
    """

    def __init__(
        self,
        bare_repo: Path,
        users: Sequence[User],
        full_name: str = "acme/runbooks",
        state_path: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.owner, slash, self.name = full_name.partition("/")
        if not (self.owner and slash and self.name) or "/" in self.name:
            raise LearnerError(f"{full_name!r} is no repository name", "write OWNER/NAME")
        check_bare(bare_repo)
        self.full_name = full_name
        self.repo = Bare(bare_repo.resolve())
        self.users = Directory(users)
        self.state_path = state_path or bare_repo.with_name(f"{bare_repo.name.removesuffix('.git')}.forge.sqlite")
        self.store = Store(self.state_path)
        self.clock = clock
        self.signatures = Signatures(self.repo, users, self.state_path.with_suffix(".signers"))
        self.default_branch = self.repo.git.text("symbolic-ref", "--short", "HEAD")
        self._seen: dict[str, str] | None = None
        if self.store.setting("created_at") is None:
            self.store.set("created_at", self.now())
            self.protect(self.default_branch, Protection())

    def now(self) -> str:
        return utc(self.clock())

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One request at a time: its writes are kept together, or not at all. Git's own state is taken in first."""
        with self.store.transaction():
            self.sync()
        with self.store.transaction():
            yield

    def close(self) -> None:
        self.store.close()

    # Settings

    def setting(self, name: str) -> Any:
        """A repository setting, by GitHub's name for it."""
        saved = self.store.setting("repository") or {}
        return saved.get(name, MERGE_DEFAULTS[name])

    def protection(self, branch: str) -> Protection | None:
        """The rules of a branch; None when it has none."""
        saved = self.store.setting(f"protection:{branch}")
        if saved is None:
            return None
        lists = {k: tuple(v) for k, v in saved.items() if isinstance(v, list)}
        return Protection(**{**saved, **lists})

    def protect(self, branch: str, rules: Protection | None) -> None:
        self.store.set(f"protection:{branch}", asdict(rules) if rules else None)

    def guarded_branches(self) -> list[str]:
        """The branches that exist and take changes by pull request alone."""
        return [name for name in self.repo.heads() if (rules := self.protection(name)) and rules.approvals is not None]

    # Issues and pull requests

    def issue(self, number: int) -> Issue:
        """The issue or pull request of this number. Raises: 404."""
        found: list[Issue] = [*self.store.all(Pull, number), *self.store.all(Issue, number)]
        if not found:
            raise not_found()
        return found[0]

    def pull(self, number: int) -> Pull:
        """The pull request of this number. Raises: 404."""
        found = self.store.all(Pull, number)
        if not found:
            raise not_found()
        return found[0]

    def open_issues(self) -> int:
        """How many issues and pull requests are open."""
        return sum(i.state == "open" for kind in (Issue, Pull) for i in self.store.all(kind))

    def happened(self, issue: Issue, event: str, actor: str, *, commit_id: str | None = None, **details: Any) -> Event:
        """Note an event, and that the issue was touched now."""
        issue.updated_at = self.now()
        self.store.put(issue)
        return self.store.add(
            Event(
                number=issue.number,
                event=event,
                actor=actor,
                created_at=self.now(),
                commit_id=commit_id,
                details=details,
            )
        )

    def label(self, name: str) -> Label | None:
        return next(iter(self.store.all(Label, name.lower())), None)

    # What Git says

    def pushed(self, ref: str, sha: str, user: User) -> None:
        """Note who moved a ref; asked for later by the last-push rule."""
        self.store.add(Push(ref=ref, sha=sha, login=user.login, at=self.now()))

    def pusher(self, pull: Pull) -> str | None:
        """Who pushed the pull request's head; told from its committer's address when the forge did not see the push."""
        for push in reversed(self.store.all(Push, f"refs/heads/{pull.head_ref}")):
            if push.sha == pull.head_sha:
                return push.login
        commit = self.repo.commit(pull.head_sha)
        user = self.users.mailed(commit.committer.email) if commit else None
        return user.login if user else None

    def sync(self) -> None:
        """Take in what happened to branches: new heads, merges made elsewhere, branches gone."""
        heads = self.repo.heads()
        if heads == self._seen:
            return
        for pull in self.store.all(Pull):
            if pull.state == "open":
                self._follow(pull, heads)
        self._seen = heads

    def _follow(self, pull: Pull, heads: dict[str, str]) -> None:
        base, head = heads.get(pull.base_ref), heads.get(pull.head_ref)
        if base and base != pull.base_sha and self.repo.is_ancestor(head or pull.head_sha, base):
            self._merged_elsewhere(pull, head or pull.head_sha, base)
        elif head is None or base is None:
            self.happened(pull, "head_ref_deleted", self._mover(pull.head_ref, ZERO))
            self.close_issue(pull, self._mover(pull.head_ref, ZERO))
        elif head != pull.head_sha:
            self._new_head(pull, head)
        if base and base != pull.base_sha and pull.state == "open":
            pull.base_sha = base
            self.store.put(pull)

    def _mover(self, branch: str, sha: str) -> str:
        pushes = [p for p in self.store.all(Push, f"refs/heads/{branch}") if p.sha == sha]
        return pushes[-1].login if pushes else GHOST

    def _new_head(self, pull: Pull, head: str) -> None:
        old, pull.head_sha = pull.head_sha, head
        self.point_at_head(pull)
        if not self.repo.is_ancestor(old, head):
            self.happened(pull, "head_ref_force_pushed", self._mover(pull.head_ref, head), commit_id=head)
        pull.updated_at = self.now()
        self.store.put(pull)
        rules = self.protection(pull.base_ref)
        if rules and rules.dismiss_stale_reviews:
            for review in self.store.all(Review, pull.number):
                if review.state == "APPROVED":
                    self.dismiss(pull, review, self._mover(pull.head_ref, head), None, head)

    def dismiss(self, pull: Pull, review: Review, actor: str, message: str | None, commit: str | None = None) -> None:
        """Take the weight off a review; the event keeps what it said."""
        said = {"state": review.state.lower(), "review_id": review.id, "dismissal_message": message}
        review.state = "DISMISSED"
        self.store.put(review)
        self.happened(
            pull, "review_dismissed", actor, dismissed_review=said | ({"dismissal_commit_id": commit} if commit else {})
        )

    def point_at_head(self, pull: Pull) -> None:
        """Keep `refs/pull/N/head` at the head. Source: GitHub docs, "Checking out pull requests locally"."""
        self.repo.move(f"refs/pull/{pull.number}/head", pull.head_sha)

    def _merged_elsewhere(self, pull: Pull, head: str, base: str) -> None:
        pull.head_sha = head
        path = self.repo.log(f"{head}..{base}", limit=None)
        made = next((c for c in reversed(self.repo.commits(path)) if head in c.parents), self.repo.commit(base))
        user = self.users.mailed(made.committer.email) if made else None
        self.mark_merged(pull, user.login if user else self._mover(pull.base_ref, base), made.sha if made else base)

    def mark_merged(self, pull: Pull, actor: str, commit: str) -> None:
        """The pull request's head is part of its base now."""
        pull.state, pull.merged_at, pull.merged_by, pull.merge_commit_sha = "closed", self.now(), actor, commit
        pull.closed_at, pull.closed_by = pull.merged_at, actor
        self.happened(pull, "merged", actor, commit_id=commit)
        self.happened(pull, "closed", actor)

    def close_issue(self, issue: Issue, actor: str, reason: str | None = None) -> None:
        issue.state, issue.closed_at, issue.closed_by = "closed", self.now(), actor
        issue.state_reason = None if isinstance(issue, Pull) else reason or "completed"
        self.happened(issue, "closed", actor)

    # Judging a pull request

    def fork_point(self, pull: Pull) -> str:
        """The commit the pull request's diff starts from."""
        base = (pull.merge_commit_sha and self._first_parent(pull.merge_commit_sha)) or pull.base_sha
        return self.repo.merge_base(base, pull.head_sha) or pull.base_sha

    def _first_parent(self, sha: str) -> str | None:
        commit = self.repo.commit(sha)
        return commit.parents[0] if commit and commit.parents else None

    def changes(self, pull: Pull) -> list[FilePatch]:
        """The files the pull request changes."""
        return self.repo.diff(self.fork_point(pull), pull.head_sha)

    def conflicts(self, pull: Pull) -> tuple[str, ...]:
        """The paths that do not merge; empty when a merge is clean."""
        return self.repo.three_way(pull.base_sha, pull.head_sha).conflicts

    def standing(self, pull: Pull) -> Standing:
        """Which opinions there are on a pull request, and what its base's rules still miss."""
        rules = self.protection(pull.base_ref)
        owners: list[frozenset[str]] = []
        if rules and rules.require_code_owner_reviews and pull.state == "open":
            rule_list = codeowners.parse(self.codeowners(pull.base_sha)[1])
            paths = [p.path for p in self.changes(pull)] if rule_list else []
            owners = [o for o in (codeowners.owners_of(path, rule_list, self.users) for path in paths) if o]
        return protection.standing(
            pull,
            rules,
            self.store.all(Review, pull.number),
            self.users,
            pusher=self.pusher(pull),
            owners=owners,
            checks=self.store.all(CheckRun, pull.head_sha),
            statuses=self.store.all(Status, pull.head_sha),
        )

    def codeowners(self, revision: str) -> tuple[str, str]:
        """(path, text) of the CODEOWNERS file that counts; empty text when there is none."""

        def find() -> tuple[str, str]:
            for path in codeowners.PLACES:
                if (data := self.repo.file(revision, path)) is not None:
                    return path, data.decode("utf-8", "replace")
            return codeowners.PLACES[0], ""

        return self.repo.kept("codeowners", revision, "", find)

    def update_protection(self, branch: str, **changes: Any) -> Protection:
        """The branch's rules after a change of some of them."""
        rules = replace(self.protection(branch) or Protection(), **changes)
        self.protect(branch, rules)
        return rules
