"""Deeds on issues, which pull requests are too: open, edit, comment, label."""

from __future__ import annotations

from collections.abc import Sequence

from learner.local_forge.forge import Forge
from learner.local_forge.records import Comment, Issue, Label, Pull
from learner.local_forge.refusal import forbidden, invalid
from learner.local_forge.users import User

MAX_BODY = 65536


def check_text(resource: str, field: str, text: str | None, limit: int = MAX_BODY) -> None:
    """Raises: 422 when a text is longer than GitHub takes (65536 characters for a body, 256 for a title)."""
    if text and len(text) > limit:
        raise invalid(resource, f"{field} is too long (maximum is {limit} characters)", field=field)
    if text and "\0" in text:
        raise invalid(resource, f"{field} contains a null character", field=field)


def open_issue(
    forge: Forge, user: User, title: str, body: str | None, labels: Sequence[str], assignees: Sequence[str]
) -> Issue:
    """A new issue. Labels and assignees of someone who may not write are dropped, as on GitHub."""
    check_title("Issue", title)
    check_text("Issue", "body", body)
    now = forge.now()
    issue = Issue(
        number=forge.store.next("number"), title=title, body=body, author=user.login, created_at=now, updated_at=now
    )
    forge.store.add(issue)
    if user.may("write"):
        add_labels(forge, user, issue, labels)
        assign(forge, user, issue, assignees)
    return issue


def check_title(resource: str, title: str) -> None:
    if not title.strip():
        raise invalid(resource, field="title", code="missing_field")
    check_text(resource, "title", title, 256)


def edit_issue(
    forge: Forge,
    user: User,
    issue: Issue,
    *,
    title: str | None = None,
    body: str | None = None,
    state: str | None = None,
    state_reason: str | None = None,
) -> None:
    """Change what is given. The author may, and everyone from triage up. Raises: 403, 422."""
    resource = "PullRequest" if isinstance(issue, Pull) else "Issue"
    if user.login != issue.author and not user.may("triage"):
        raise forbidden()
    if (title is not None or body is not None) and user.login != issue.author and not user.may("write"):
        raise forbidden()
    if title is not None and title != issue.title:
        check_title(resource, title)
        old, issue.title = issue.title, title
        forge.happened(issue, "renamed", user.login, rename={"from": old, "to": title})
    if body is not None and body != issue.body:
        check_text(resource, "body", body)
        issue.body, issue.updated_at = body, forge.now()
        forge.store.put(issue)
    if state is not None and state not in ("open", "closed"):
        raise invalid(resource, f"state {state!r} is neither open nor closed", field="state", code="invalid")
    if state == "closed" and issue.state == "open":
        forge.close_issue(issue, user.login, state_reason)
    elif state == "open" and issue.state == "closed":
        reopen(forge, user, issue)


def reopen(forge: Forge, user: User, issue: Issue) -> None:
    """Open again. Raises: 422 for a merged pull request, or one whose branch is gone."""
    if isinstance(issue, Pull):
        head = forge.repo.heads().get(issue.head_ref)
        if issue.merged_at:
            raise invalid("PullRequest", "state cannot be changed. The pull request cannot be reopened.", field="state")
        if head is None:
            raise invalid(
                "PullRequest", f"state cannot be changed. The {issue.head_ref} branch was deleted.", field="state"
            )
        if twin := open_twin(forge, issue.head_ref, issue.base_ref):
            words = f"state cannot be changed. There is already an open pull request #{twin.number} for this branch."
            raise invalid("PullRequest", words, field="state")
        issue.head_sha = head
        forge.point_at_head(issue)
    issue.state, issue.closed_at, issue.closed_by = "open", None, None
    issue.state_reason = None if isinstance(issue, Pull) else "reopened"
    forge.happened(issue, "reopened", user.login)


def open_twin(forge: Forge, head_ref: str, base_ref: str) -> Pull | None:
    """The open pull request between these branches, if any."""
    pulls = forge.store.all(Pull)
    return next((p for p in pulls if p.state == "open" and p.head_ref == head_ref and p.base_ref == base_ref), None)


def comment(forge: Forge, user: User, issue: Issue, body: str) -> Comment:
    """A new comment. Raises: 422 when it is empty."""
    check_comment(body)
    now = forge.now()
    issue.updated_at = now
    forge.store.put(issue)
    return forge.store.add(Comment(number=issue.number, author=user.login, body=body, created_at=now, updated_at=now))


def check_comment(body: str) -> None:
    if not body.strip():
        raise invalid("IssueComment", "Body cannot be blank", field="body", code="unprocessable")
    check_text("IssueComment", "body", body)


def add_labels(forge: Forge, user: User, issue: Issue, names: Sequence[str]) -> None:
    """Put labels on an issue; those the repository does not know are made. Raises: 403, 422."""
    if names and not user.may("triage"):
        raise forbidden()
    for name in names:
        if len(name.strip()) == 0 or len(name) > 50:
            raise invalid("Label", field="name", code="invalid")
        label = forge.label(name) or forge.store.add(Label(name=name))
        if label.name not in issue.labels:
            issue.labels.append(label.name)
            forge.happened(issue, "labeled", user.login, label={"name": label.name, "color": label.color})


def drop_labels(forge: Forge, user: User, issue: Issue, names: Sequence[str]) -> None:
    if not user.may("triage"):
        raise forbidden()
    for name in names:
        label = forge.label(name)
        issue.labels.remove(name)
        forge.happened(
            issue, "unlabeled", user.login, label={"name": name, "color": label.color if label else "ededed"}
        )


def assign(forge: Forge, user: User, issue: Issue, logins: Sequence[str]) -> None:
    """Assign those who can be; others are passed over in silence, as on GitHub."""
    for login in logins:
        who = forge.users.named(login)
        if who and who.login not in issue.assignees:
            issue.assignees.append(who.login)
            forge.happened(issue, "assigned", user.login, assignee=who.login)


def unassign(forge: Forge, user: User, issue: Issue, logins: Sequence[str]) -> None:
    for login in logins:
        if login in issue.assignees:
            issue.assignees.remove(login)
            forge.happened(issue, "unassigned", user.login, assignee=login)
