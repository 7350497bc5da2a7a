"""The forge's records in the shape of GitHub's answers: issues, pull requests, reviews, labels, events, checks."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from learner.local_forge.api.git_shapes import GitShapes
from learner.local_forge.api.shape_base import Json
from learner.local_forge.protection import Protection
from learner.local_forge.pulls import judge
from learner.local_forge.records import CheckRun, Comment, Event, Issue, Label, LineComment, Pull, Review, Status
from learner.local_forge.reviews import current_line


class Shapes(GitShapes):
    def label(self, name: str) -> Json:
        label = self.forge.label(name) or Label(name=name)
        return {
            "id": label.id,
            "node_id": self.node("Label", label.id),
            "url": f"{self.repo_url}/labels/{quote(label.name, safe='')}",
            "name": label.name,
            "color": label.color,
            "default": False,
            "description": label.description,
        }

    def _common(self, issue: Issue, room: str) -> Json:
        assignees = [self.user(login) for login in issue.assignees]
        return {
            "url": f"{self.repo_url}/{room}/{issue.number}",
            "id": issue.id,
            "node_id": self.node(type(issue).__name__, issue.id),
            "number": issue.number,
            "html_url": self.html_url(issue),
            "title": issue.title,
            "body": issue.body,
            "user": self.user(issue.author),
            "state": issue.state,
            "labels": [self.label(name) for name in issue.labels],
            "assignee": assignees[0] if assignees else None,
            "assignees": assignees,
            "milestone": None,
            "locked": False,
            "active_lock_reason": None,
            "author_association": self.association(issue.author),
            "created_at": issue.created_at,
            "updated_at": issue.updated_at,
            "closed_at": issue.closed_at,
        }

    def html_url(self, issue: Issue) -> str:
        return f"{self.web}/{'pull' if isinstance(issue, Pull) else 'issues'}/{issue.number}"

    def issue(self, issue: Issue) -> Json:
        url = f"{self.repo_url}/issues/{issue.number}"
        shape = self._common(issue, "issues") | {
            "repository_url": self.repo_url,
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "timeline_url": f"{url}/timeline",
            "comments": self.forge.store.count(Comment, issue.number),
            "closed_by": self.maybe_user(issue.closed_by),
            "state_reason": issue.state_reason,
            "performed_via_github_app": None,
        }
        if isinstance(issue, Pull):
            pull = f"{self.repo_url}/pulls/{issue.number}"
            html = self.html_url(issue)
            shape["draft"] = issue.draft
            shape["pull_request"] = {
                "url": pull,
                "html_url": html,
                "diff_url": f"{html}.diff",
                "patch_url": f"{html}.patch",
                "merged_at": issue.merged_at,
            }
        return shape

    def _side(self, ref: str, sha: str) -> Json:
        owner = self.owner()
        return {"label": f"{self.forge.owner}:{ref}", "ref": ref, "sha": sha, "user": owner, "repo": self.repository()}

    def pull_simple(self, pull: Pull) -> Json:
        """A pull request as lists show it."""
        url, html = f"{self.repo_url}/pulls/{pull.number}", self.html_url(pull)
        issue = f"{self.repo_url}/issues/{pull.number}"
        statuses = f"{self.repo_url}/statuses/{pull.head_sha}"
        links = {
            "self": url,
            "html": html,
            "issue": issue,
            "comments": f"{issue}/comments",
            "review_comments": f"{url}/comments",
            "review_comment": f"{self.repo_url}/pulls/comments{{/number}}",
            "commits": f"{url}/commits",
            "statuses": statuses,
        }
        shape = self._common(pull, "pulls")
        shape["labels"] = [label | {"description": label["description"] or ""} for label in shape["labels"]]
        return shape | {
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            "issue_url": issue,
            "commits_url": links["commits"],
            "review_comments_url": links["review_comments"],
            "review_comment_url": links["review_comment"],
            "comments_url": links["comments"],
            "statuses_url": statuses,
            "merged_at": pull.merged_at,
            "merge_commit_sha": pull.merge_commit_sha,
            "requested_reviewers": [self.user(login) for login in pull.requested_reviewers],
            "requested_teams": [],
            "head": self._side(pull.head_ref, pull.head_sha),
            "base": self._side(pull.base_ref, pull.base_sha),
            "_links": {rel: {"href": href} for rel, href in links.items()},
            "auto_merge": None,
            "draft": pull.draft,
        }

    def pull(self, pull: Pull) -> Json:
        """A pull request in full, with whether it merges."""
        judgement = judge(self.forge, pull)
        changes = self.forge.changes(pull)
        fork = self.forge.fork_point(pull)
        return self.pull_simple(pull) | {
            "merged": pull.merged_at is not None,
            "mergeable": judgement.mergeable,
            "rebaseable": judgement.mergeable,
            "mergeable_state": judgement.state,
            "merged_by": self.maybe_user(pull.merged_by),
            "comments": self.forge.store.count(Comment, pull.number),
            "review_comments": self.forge.store.count(LineComment, pull.number),
            "maintainer_can_modify": False,
            "commits": len(self.forge.repo.log(f"{fork}..{pull.head_sha}")),
            "additions": sum(c.additions for c in changes),
            "deletions": sum(c.deletions for c in changes),
            "changed_files": len(changes),
        }

    def comment(self, comment: Comment) -> Json:
        issue = self.forge.issue(comment.number)
        return {
            "id": comment.id,
            "node_id": self.node("IssueComment", comment.id),
            "url": f"{self.repo_url}/issues/comments/{comment.id}",
            "html_url": f"{self.html_url(issue)}#issuecomment-{comment.id}",
            "issue_url": f"{self.repo_url}/issues/{comment.number}",
            "user": self.user(comment.author),
            "author_association": self.association(comment.author),
            "body": comment.body,
            "created_at": comment.created_at,
            "updated_at": comment.updated_at,
        }

    def review(self, review: Review) -> Json:
        pull = f"{self.repo_url}/pulls/{review.number}"
        html = f"{self.web}/pull/{review.number}#pullrequestreview-{review.id}"
        shape: Json = {
            "id": review.id,
            "node_id": self.node("PullRequestReview", review.id),
            "user": self.user(review.author),
            "author_association": self.association(review.author),
            "body": review.body,
            "state": review.state,
            "commit_id": review.commit_id,
            "html_url": html,
            "pull_request_url": pull,
            "_links": {"html": {"href": html}, "pull_request": {"href": pull}},
        }
        return shape | ({"submitted_at": review.submitted_at} if review.submitted_at else {})

    def line_comment(self, said: LineComment) -> Json:
        """Words on a line. `line` and `position` are left out when that line has changed since."""
        pull = self.forge.pull(said.number)
        line = current_line(self.forge, pull, said)
        change = None
        if line is not None:
            change = next((c for c in self.forge.changes(pull) if c.path == said.path), None)
        place = change.at(line, said.side) if change and line is not None else None
        url = f"{self.repo_url}/pulls/comments/{said.id}"
        html = f"{self.web}/pull/{said.number}#discussion_r{said.id}"
        pull_url = f"{self.repo_url}/pulls/{said.number}"
        shape: Json = {
            "id": said.id,
            "node_id": self.node("PullRequestReviewComment", said.id),
            "url": url,
            "html_url": html,
            "pull_request_url": pull_url,
            "pull_request_review_id": said.review_id,
            "user": self.user(said.author),
            "author_association": self.association(said.author),
            "body": said.body,
            "path": said.path,
            "side": said.side,
            "original_line": said.original_line,
            "original_position": said.original_position,
            "subject_type": "line",
            "diff_hunk": said.diff_hunk,
            "commit_id": pull.head_sha,
            "original_commit_id": said.original_commit_id,
            "created_at": said.created_at,
            "updated_at": said.updated_at,
            "_links": {"self": {"href": url}, "html": {"href": html}, "pull_request": {"href": pull_url}},
        }
        if place:
            shape |= {"line": line, "position": place.position}
        if said.original_start_line:
            shape |= {"original_start_line": said.original_start_line, "start_side": said.side}
        return shape | ({"in_reply_to_id": said.in_reply_to_id} if said.in_reply_to_id else {})

    def event(self, event: Event) -> Json:
        shape: Json = {
            "id": event.id,
            "node_id": self.node("Event", event.id),
            "url": f"{self.repo_url}/issues/events/{event.id}",
            "actor": self.user(event.actor),
            "event": event.event,
            "commit_id": event.commit_id,
            "commit_url": f"{self.repo_url}/commits/{event.commit_id}" if event.commit_id else None,
            "created_at": event.created_at,
            "performed_via_github_app": None,
        }
        details = dict(event.details)
        if "assignee" in details:
            details = {"assignee": self.user(details["assignee"]), "assigner": self.user(event.actor)}
        if "reviewer" in details:
            details = {"requested_reviewer": self.user(details["reviewer"]), "review_requester": self.user(event.actor)}
        return shape | details

    def check_run(self, run: CheckRun) -> Json:
        url = f"{self.repo_url}/check-runs/{run.id}"
        here = (p for p in self.forge.store.all(Pull) if p.head_sha == run.head_sha and p.state == "open")
        return {
            "id": run.id,
            "node_id": self.node("CheckRun", run.id),
            "head_sha": run.head_sha,
            "external_id": run.external_id,
            "url": url,
            "html_url": f"{self.web}/commit/{run.head_sha}",
            "details_url": run.details_url,
            "status": run.status,
            "conclusion": run.conclusion,
            "started_at": run.started_at,
            "completed_at": run.completed_at,
            "output": {
                "title": run.output.get("title"),
                "summary": run.output.get("summary"),
                "text": run.output.get("text"),
                "annotations_count": len(run.output.get("annotations") or []),
                "annotations_url": f"{url}/annotations",
            },
            "name": run.name,
            "check_suite": {"id": run.id},
            "app": None,
            "pull_requests": [self.pull_minimal(p) for p in here],
        }

    def pull_minimal(self, pull: Pull) -> Json:
        repo = {"id": 1, "url": self.repo_url, "name": self.forge.name}
        return {
            "id": pull.id,
            "number": pull.number,
            "url": f"{self.repo_url}/pulls/{pull.number}",
            "head": {"ref": pull.head_ref, "sha": pull.head_sha, "repo": repo},
            "base": {"ref": pull.base_ref, "sha": pull.base_sha, "repo": repo},
        }

    def status(self, status: Status) -> Json:
        creator = self.user(status.author)
        return {
            "id": status.id,
            "node_id": self.node("Status", status.id),
            "url": f"{self.repo_url}/statuses/{status.sha}",
            "avatar_url": creator["avatar_url"],
            "state": status.state,
            "description": status.description,
            "target_url": status.target_url,
            "context": status.context,
            "created_at": status.created_at,
            "updated_at": status.created_at,
            "creator": creator,
        }

    def reviews_rule(self, branch: str, rules: Protection) -> Json:
        return {
            "url": f"{self.repo_url}/branches/{quote(branch, safe='')}/protection/required_pull_request_reviews",
            "dismiss_stale_reviews": rules.dismiss_stale_reviews,
            "require_code_owner_reviews": rules.require_code_owner_reviews,
            "require_last_push_approval": rules.require_last_push_approval,
            "required_approving_review_count": rules.approvals or 0,
        }

    def protection(self, branch: str, rules: Protection) -> Json:
        url = f"{self.repo_url}/branches/{quote(branch, safe='')}/protection"
        shape: dict[str, Any] = {
            "url": url,
            "enforce_admins": {"url": f"{url}/enforce_admins", "enabled": rules.enforce_admins},
            "required_signatures": {"url": f"{url}/required_signatures", "enabled": False},
            "required_linear_history": {"enabled": rules.linear_history},
            "allow_force_pushes": {"enabled": rules.allow_force_pushes},
            "allow_deletions": {"enabled": rules.allow_deletions},
            "block_creations": {"enabled": False},
            "required_conversation_resolution": {"enabled": False},
            "lock_branch": {"enabled": rules.lock_branch},
            "allow_fork_syncing": {"enabled": False},
        }
        if rules.approvals is not None:
            shape["required_pull_request_reviews"] = self.reviews_rule(branch, rules)
        if rules.checks_required:
            shape["required_status_checks"] = {
                "url": f"{url}/required_status_checks",
                "strict": rules.strict_checks,
                "contexts": list(rules.checks),
                "contexts_url": f"{url}/required_status_checks/contexts",
                "checks": [{"context": name, "app_id": None} for name in rules.checks],
            }
        return shape
