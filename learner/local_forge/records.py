"""What the forge remembers besides Git's own objects: flat records, one JSON document each in the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(kw_only=True)
class Record:
    """`id` is unique over all records; `of` is what a record belongs to, the key it is listed by."""

    kind: ClassVar[str]
    id: int = 0

    @property
    def of(self) -> str:
        return ""


@dataclass(kw_only=True)
class Issue(Record):
    kind = "issue"
    number: int
    title: str
    body: str | None
    author: str
    created_at: str
    updated_at: str
    state: str = "open"
    state_reason: str | None = None
    closed_at: str | None = None
    closed_by: str | None = None
    labels: list[str] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)

    @property
    def of(self) -> str:
        return str(self.number)


@dataclass(kw_only=True)
class Pull(Issue):
    """A pull request. On GitHub every pull request is an issue too, and shares its numbers."""

    kind = "pull"
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    draft: bool = False
    merged_at: str | None = None
    merged_by: str | None = None
    merge_commit_sha: str | None = None
    requested_reviewers: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Comment(Record):
    kind = "comment"
    number: int
    author: str
    body: str
    created_at: str
    updated_at: str

    @property
    def of(self) -> str:
        return str(self.number)


@dataclass(kw_only=True)
class Review(Record):
    """`state` is PENDING, COMMENTED, APPROVED, CHANGES_REQUESTED or DISMISSED."""

    kind = "review"
    number: int
    author: str
    body: str
    state: str
    commit_id: str
    submitted_at: str | None = None

    @property
    def of(self) -> str:
        return str(self.number)


@dataclass(kw_only=True)
class LineComment(Record):
    """Words on a line of a pull request's diff; `side` is LEFT (old file) or RIGHT (new file)."""

    kind = "line_comment"
    number: int
    review_id: int
    author: str
    body: str
    path: str
    side: str
    original_line: int
    original_start_line: int | None
    original_commit_id: str
    original_position: int
    diff_hunk: str
    created_at: str
    updated_at: str
    in_reply_to_id: int | None = None

    @property
    def of(self) -> str:
        return str(self.number)


@dataclass(kw_only=True)
class Event(Record):
    """Something that happened to an issue; `details` are the keys GitHub adds for this `event`."""

    kind = "event"
    number: int
    event: str
    actor: str
    created_at: str
    commit_id: str | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def of(self) -> str:
        return str(self.number)


@dataclass(kw_only=True)
class Label(Record):
    kind = "label"
    name: str
    color: str = "ededed"
    description: str | None = None

    @property
    def of(self) -> str:
        return self.name.lower()


@dataclass(kw_only=True)
class CheckRun(Record):
    kind = "check_run"
    head_sha: str
    name: str
    status: str
    author: str
    conclusion: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    details_url: str | None = None
    external_id: str | None = None
    output: dict[str, Any] = field(default_factory=dict)

    @property
    def of(self) -> str:
        return self.head_sha


@dataclass(kw_only=True)
class Status(Record):
    kind = "status"
    sha: str
    state: str
    context: str
    author: str
    created_at: str
    description: str | None = None
    target_url: str | None = None

    @property
    def of(self) -> str:
        return self.sha


@dataclass(kw_only=True)
class Push(Record):
    """Who moved a ref to a commit, as the forge itself authenticated them."""

    kind = "push"
    ref: str
    sha: str
    login: str
    at: str

    @property
    def of(self) -> str:
        return self.ref


@dataclass(kw_only=True)
class Dispatch(Record):
    """A `repository_dispatch`; nothing runs for it here, it is kept to be looked at."""

    kind = "dispatch"
    event_type: str
    payload: dict[str, Any]
    login: str
    at: str
