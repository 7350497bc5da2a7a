"""The ground of all shapes: links, ids, users and the repository."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

from learner.local_forge.forge import GHOST, Forge
from learner.local_forge.users import User

Json = dict[str, Any]

_USER_LINKS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
_REPOSITORY_LINKS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}
_ZEROS = (
    "forks",
    "forks_count",
    "network_count",
    "stargazers_count",
    "subscribers_count",
    "watchers",
    "watchers_count",
    "size",
)
_PERMISSIONS = {"pull": "read", "triage": "triage", "push": "write", "maintain": "maintain", "admin": "admin"}


class BaseShapes:
    """`site` is this server's address, such as `http://127.0.0.1:8080`."""

    def __init__(self, forge: Forge, site: str) -> None:
        self.forge = forge
        self.site = site
        self.api = f"{site}/api/v3"
        self.repo_url = f"{self.api}/repos/{forge.full_name}"
        self.web = f"{site}/{forge.full_name}"
        self._plain: Json | None = None

    def node(self, kind: str, id: object) -> str:
        """An opaque id, as GitHub's `node_id`."""
        return base64.b64encode(f"{kind}:{id}".encode()).decode()

    def user(self, login: str) -> Json:
        """A simple user; somebody unknown is GitHub's ghost."""
        user = self.forge.users.named(login) or User(GHOST, "no token at all", "read")
        url = f"{self.api}/users/{quote(user.login)}"
        return {
            "login": user.login,
            "id": user.id,
            "node_id": self.node("User", user.id),
            "avatar_url": f"{self.site}/avatar/{quote(user.login)}.svg",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.site}/?q=author:{quote(user.login)}",
            "type": user.type,
            "site_admin": False,
            **{key: url + tail for key, tail in _USER_LINKS.items()},
        }

    def maybe_user(self, login: str | None) -> Json | None:
        return self.user(login) if login else None

    def mailed(self, email: str) -> Json | None:
        """The user a commit's address belongs to."""
        user = self.forge.users.mailed(email)
        return self.user(user.login) if user else None

    def full_user(self, user: User, *, private: bool) -> Json:
        created = self.forge.store.setting("created_at")
        shape = self.user(user.login) | {
            "name": user.name,
            "company": None,
            "blog": "",
            "location": None,
            "email": user.email,
            "hireable": None,
            "bio": None,
            "public_repos": 0,
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "created_at": created,
            "updated_at": created,
            "user_view_type": "private" if private else "public",
        }
        hidden = ("private_gists", "total_private_repos", "owned_private_repos", "disk_usage", "collaborators")
        return shape | ({**dict.fromkeys(hidden, 0), "two_factor_authentication": False} if private else {})

    def association(self, login: str) -> str:
        """GitHub's author_association of a user here."""
        user = self.forge.users.named(login)
        if user is None or user.is_bot:
            return "NONE"
        return "OWNER" if user.may("admin") else "COLLABORATOR" if user.may("triage") else "CONTRIBUTOR"

    def owner(self) -> Json:
        login = self.forge.owner
        shape = self.user(login)
        known = self.forge.users.named(login) is not None
        return shape if known else shape | {"login": login, "type": "Organization", "url": f"{self.api}/users/{login}"}

    def repository(self, viewer: User | None = None) -> Json:
        """The full repository; what `viewer` may do in it when they are given."""
        if self._plain is None:
            self._plain = self._repository()
        if viewer is None:
            return self._plain
        return self._plain | {"permissions": {key: viewer.may(role) for key, role in _PERMISSIONS.items()}}

    def _repository(self) -> Json:
        forge = self.forge
        created = forge.store.setting("created_at")
        issues = forge.open_issues()
        host = self.site.removeprefix("http://")
        shape: Json = {
            "id": 1,
            "node_id": self.node("Repository", 1),
            "name": forge.name,
            "full_name": forge.full_name,
            "owner": self.owner(),
            "private": True,
            "visibility": "private",
            "html_url": self.web,
            "description": forge.setting("description"),
            "homepage": forge.setting("homepage"),
            "fork": False,
            "url": self.repo_url,
            **{key: self.repo_url + tail for key, tail in _REPOSITORY_LINKS.items()},
            "git_url": f"git://{host}/{forge.full_name}.git",
            "ssh_url": f"git@{host}:{forge.full_name}.git",
            "clone_url": f"{self.web}.git",
            "svn_url": self.web,
            "mirror_url": None,
            **dict.fromkeys(_ZEROS, 0),
            "open_issues": issues,
            "open_issues_count": issues,
            "language": None,
            "license": None,
            "topics": [],
            "default_branch": forge.default_branch,
            "has_issues": True,
            "has_projects": False,
            "has_wiki": False,
            "has_pages": False,
            "has_downloads": False,
            "has_discussions": False,
            "archived": False,
            "disabled": False,
            "is_template": False,
            "allow_forking": False,
            "web_commit_signoff_required": False,
            "created_at": created,
            "updated_at": created,
            "pushed_at": created,
        }
        merging = (
            "allow_merge_commit",
            "allow_squash_merge",
            "allow_rebase_merge",
            "allow_update_branch",
            "allow_auto_merge",
            "delete_branch_on_merge",
        )
        shape |= {key: forge.setting(key) for key in merging}
        shape |= {"merge_commit_title": "MERGE_MESSAGE", "merge_commit_message": "PR_TITLE"}
        return shape
