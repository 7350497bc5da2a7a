"""The pipeline's way to GitHub, GitHub Enterprise or the local forge.

It has no merge and no approve: what a machine may not do is not written here. People's decisions go through
`forge.person`, with a person's own token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from learner.errors import ForgeError, LearnerError
from learner.settings import ForgeSettings

if TYPE_CHECKING:
    from github.Issue import Issue
    from github.PullRequest import PullRequest
    from github.Repository import Repository

WRITERS = ("admin", "maintain", "write")
_REMOTE = re.compile(r"(?:[/:])(?P<owner>[A-Za-z0-9_.-]+)/(?P<name>[A-Za-z0-9_.-]+?)(?:\.git)?/?$")


@dataclass(frozen=True)
class Pull:
    """A pull request as the forge holds it."""

    number: int
    title: str
    body: str
    author: str
    branch: str
    head: str
    base: str
    state: Literal["open", "merged", "closed"]
    created_at: datetime
    decided_at: datetime | None
    merge_commit: str | None
    labels: tuple[str, ...]
    url: str
    raw: Any = field(repr=False, compare=False, default=None)


@dataclass(frozen=True)
class Said:
    """A review, or a comment on the page or on a line."""

    login: str
    body: str
    at: datetime
    kind: Literal["review", "comment", "line"]
    verdict: str = ""
    """APPROVED, CHANGES_REQUESTED, COMMENTED or DISMISSED, of a review."""
    commit: str | None = None
    path: str | None = None
    line: int | None = None
    identifier: int = 0
    is_bot: bool = False


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """PyGithub's and requests' exceptions as `ForgeError` with the next step."""
    import requests
    from github import GithubException
    from github.GithubException import BadCredentialsException, RateLimitExceededException, UnknownObjectException

    try:
        yield
    except BadCredentialsException as e:
        raise ForgeError(
            f"{doing}: the forge does not know this token", "check the token's variable", status=401
        ) from e
    except RateLimitExceededException as e:
        raise ForgeError(
            f"{doing}: the rate limit is used up", "wait for its reset; the next run goes on", status=403
        ) from e
    except UnknownObjectException as e:
        raise ForgeError(f"{doing}: not found", "check forge.repository, and what the token may see", status=404) from e
    except GithubException as e:
        said = e.data.get("message") if isinstance(e.data, dict) else None
        more = _first_error(e.data)
        hint = (
            "try again; what is done stays done, the next run goes on" if e.status >= 500 else "see the forge's words"
        )
        if e.status == 403:
            hint = "give the token the permissions that docs/setup-github.md lists"
        raise ForgeError(f"{doing}: {e.status} {said or ''}{more}".rstrip(), hint, status=e.status) from e
    except requests.RequestException as e:
        raise ForgeError(
            f"{doing}: the forge can't be reached ({type(e).__name__})",
            "check forge.api_url and the network; run again",
        ) from e


def _first_error(data: object) -> str:
    errors = data.get("errors") if isinstance(data, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    words = first.get("message") if isinstance(first, dict) else first if isinstance(first, str) else None
    return f" ({words})" if words else ""


def repository_name(settings: ForgeSettings, remote_url: str) -> str:
    """owner/name: the settings', else what the remote's address says.

    Raises: `LearnerError` when neither does.
    """
    if settings.repository:
        return settings.repository
    match = _REMOTE.search(remote_url)
    if not match:
        raise LearnerError(
            f"the remote's address does not say owner/name: {remote_url}", "set forge.repository in .github/learner.yml"
        )
    return f"{match['owner']}/{match['name']}"


class Gateway:
    """Pull requests, labels, comments and permissions of one repository."""

    def __init__(self, settings: ForgeSettings, repository: str, token: str, *, retries: int = 3) -> None:
        if not token:
            raise LearnerError(
                "there is no token for the forge", f"set {settings.token_env}; `learner plan` needs read access only"
            )
        self.settings = settings
        self.name = repository
        self._token = token
        self._retries = retries

    @cached_property
    def _repo(self) -> Repository:
        from github import Auth, Github, GithubRetry

        client = Github(
            auth=Auth.Token(self._token),
            base_url=self.settings.api_url,
            timeout=30,
            per_page=100,
            retry=GithubRetry(total=self._retries, backoff_factor=0.2) if self._retries else None,
            seconds_between_requests=None,
            seconds_between_writes=None,
        )
        with translated(f"looking up {self.name}"):
            return client.get_repo(self.name)

    @cached_property
    def _me(self) -> Any:
        from github import GithubException

        try:
            return self._repo.requester.requestJsonAndCheck("GET", "/user")[1]
        except GithubException:
            # An App's installation token has no user; its commits and pull requests carry "<app>[bot]".
            return {"login": None}

    @property
    def login(self) -> str | None:
        """Who the token is; None for an App's installation token."""
        login = self._me["login"]
        return str(login) if login else None

    @property
    def url(self) -> str:
        """The repository's page."""
        return str(self._repo.html_url)

    def pulls(self, prefix: str) -> list[Pull]:
        """All pull requests, open and decided, whose branch starts with `prefix`, oldest first."""
        with translated("listing pull requests"):
            found = self._repo.get_pulls(state="all", sort="created", direction="asc")
            return [_pull(pull) for pull in found if pull.head.ref.startswith(prefix)]

    def pull_of(self, branch: str) -> Pull | None:
        """The newest pull request of a branch."""
        owner = self.name.split("/")[0]
        with translated("looking for the pull request"):
            found = [_pull(pull) for pull in self._repo.get_pulls(state="all", head=f"{owner}:{branch}")]
        return max(found, key=lambda pull: pull.number, default=None)

    def said(self, pull: Pull) -> list[Said]:
        """Everything said on a pull request, oldest first."""
        with translated(f"reading what was said on #{pull.number}"):
            reviews = [
                Said(
                    review.user.login if review.user else "ghost",
                    review.body or "",
                    _utc(review.submitted_at) or pull.created_at,
                    "review",
                    review.state,
                    review.commit_id,
                    identifier=review.id,
                    is_bot=bool(review.user and review.user.type == "Bot"),
                )
                for review in pull.raw.get_reviews()
                if review.state != "PENDING"
            ]
            lines = [
                Said(
                    comment.user.login if comment.user else "ghost",
                    comment.body,
                    _utc(comment.created_at) or pull.created_at,
                    "line",
                    "",
                    comment.commit_id,
                    comment.path,
                    comment.line or comment.original_line,
                    comment.id,
                    bool(comment.user and comment.user.type == "Bot"),
                )
                for comment in pull.raw.get_review_comments()
            ]
            comments = [
                Said(
                    comment.user.login if comment.user else "ghost",
                    comment.body,
                    _utc(comment.created_at) or pull.created_at,
                    "comment",
                    identifier=comment.id,
                    is_bot=bool(comment.user and comment.user.type == "Bot"),
                )
                for comment in self._issue(pull).get_comments()
            ]
        return sorted([*reviews, *lines, *comments], key=lambda said: (said.at, said.identifier))

    def may_write(self, login: str) -> bool:
        """Whether a person has write access; `False` when the forge does not know them."""
        if login not in self._permissions:
            try:
                with translated(f"asking what {login} may do"):
                    self._permissions[login] = self._repo.get_collaborator_permission(login) in WRITERS
            except ForgeError as e:
                if e.status not in (403, 404):
                    raise
                self._permissions[login] = False
        return self._permissions[login]

    @cached_property
    def _permissions(self) -> dict[str, bool]:
        return {}

    def open(self, *, branch: str, base: str, title: str, body: str, labels: Sequence[str]) -> Pull:
        """Open a pull request and label it."""
        with translated(f"opening the pull request of {branch}"):
            pull = self._repo.create_pull(base=base, head=branch, title=title, body=body, maintainer_can_modify=False)
        self.label(_pull(pull), labels)
        if self.settings.reviewers:
            with translated(f"asking for reviews of #{pull.number}"):
                pull.create_review_request(reviewers=list(self.settings.reviewers))
        return _pull(pull)

    def label(self, pull: Pull, labels: Sequence[str]) -> None:
        """Add labels that are not there yet."""
        missing = [label for label in labels if label not in pull.labels]
        if missing:
            with translated(f"labelling #{pull.number}"):
                self._issue(pull).add_to_labels(*missing)

    def rewrite(self, pull: Pull, title: str, body: str) -> bool:
        """Set title and body; whether anything was different."""
        if (pull.title, pull.body.replace("\r\n", "\n")) == (title, body):
            return False
        with translated(f"rewriting #{pull.number}"):
            pull.raw.edit(title=title, body=body)
        return True

    def note(self, pull: Pull, mark: str, body: str) -> bool:
        """One comment of ours, known by `mark`, written or edited in place; whether anything changed."""
        text = f"<!-- learner:{mark} -->\n{body}"
        with translated(f"commenting on #{pull.number}"):
            for comment in self._issue(pull).get_comments():
                if comment.body.startswith(f"<!-- learner:{mark} -->") and self._ours(comment.user.login):
                    if comment.body.replace("\r\n", "\n") == text:
                        return False
                    comment.edit(text)
                    return True
            self._issue(pull).create_comment(text)
        return True

    def _ours(self, login: str) -> bool:
        return self.login is None or login == self.login

    def answer(self, pull: Pull, comment_id: int, body: str) -> None:
        """Answer a comment on a line."""
        with translated(f"answering on #{pull.number}"):
            pull.raw.create_review_comment_reply(comment_id, body)

    def close(self, pull: Pull, reason: str, labels: Sequence[str] = ()) -> None:
        """Close without merging, with the reason as a comment."""
        self.note(pull, "closed", reason)
        self.label(pull, labels)
        with translated(f"closing #{pull.number}"):
            pull.raw.edit(state="closed")

    def pulls_of_commit(self, sha: str) -> list[Pull]:
        """The pull requests that brought a commit."""
        with translated(f"asking which pull request brought {sha[:10]}"):
            return [_pull(pull) for pull in self._repo.get_commit(sha).get_pulls()]

    def issues(self, label: str) -> dict[str, tuple[int, str, str]]:
        """Open issues with a label: title → (number, body, page)."""
        with translated(f"listing issues labelled {label}"):
            found = self._repo.get_issues(state="open", labels=[label])
            return {issue.title: (issue.number, issue.body or "", issue.html_url) for issue in found}

    def keep_issue(self, title: str, body: str, label: str, number: int | None) -> int:
        """Open an issue, or write `body` into the one that is open; its number."""
        with translated(f"writing the issue {title}"):
            if number is None:
                return int(self._repo.create_issue(title=title, body=body, labels=[label]).number)
            self._repo.get_issue(number).edit(body=body)
        return number

    def close_issue(self, number: int, comment: str) -> None:
        """Close an issue with a word."""
        with translated(f"closing the issue #{number}"):
            issue = self._repo.get_issue(number)
            issue.create_comment(comment)
            issue.edit(state="closed", state_reason="completed")

    def look(self, what: str, ask: Callable[[Repository], Any]) -> Any:
        """The answer to a read-only question, for `doctor` and the audit of the gate; None when there is no answer."""
        try:
            with translated(what):
                return ask(self._repo)
        except ForgeError as e:
            if e.status in (403, 404):
                return None
            raise

    def _issue(self, pull: Pull) -> Issue:
        issue: Issue = pull.raw.as_issue()
        return issue


def _pull(pull: PullRequest) -> Pull:
    state: Literal["open", "merged", "closed"] = (
        "merged" if pull.merged_at else "open" if pull.state == "open" else "closed"
    )
    return Pull(
        number=pull.number,
        title=pull.title,
        body=pull.body or "",
        author=pull.user.login if pull.user else "ghost",
        branch=pull.head.ref,
        head=pull.head.sha,
        base=pull.base.ref,
        state=state,
        created_at=_utc(pull.created_at) or datetime.now(UTC),
        decided_at=_utc(pull.merged_at or pull.closed_at),
        merge_commit=pull.merge_commit_sha if state == "merged" else None,
        labels=tuple(sorted(label.name for label in pull.labels)),
        url=pull.html_url,
        raw=pull,
    )


def _utc(value: datetime | None) -> datetime | None:
    return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)
