"""A running forge, its people, and the clients they use: PyGithub, bare HTTP, git."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import requests
from github import Auth, Github
from github.PullRequest import PullRequest
from github.Repository import Repository

from learner.local_forge import Forge, RunningForge
from learner.repository.git import environment

RUNBOOK = "id: RB-LIN-SERVICE-001\nversion: 1\nname: Restart a crashed service\nsteps:\n  - id: start\n    action: start_service\n"


@dataclass
class World:
    """A running forge and its people."""

    running: RunningForge
    folder: Path

    @property
    def forge(self) -> Forge:
        return self.running.forge

    def token(self, login: str) -> str:
        user = self.forge.users.named(login)
        assert user
        return user.token

    def github(self, login: str) -> Github:
        """PyGithub as this user, without its waits and retries."""
        auth = Auth.Token(self.token(login))
        return Github(
            base_url=self.running.api_url, auth=auth, retry=None, seconds_between_requests=0, seconds_between_writes=0
        )

    def repo(self, login: str) -> Repository:
        return self.github(login).get_repo(self.forge.full_name)

    def call(self, login: str | None, method: str, path: str, **options: object) -> requests.Response:
        """A bare REST call; `path` is below the repository, or absolute when it begins with `/`."""
        url = self.running.api_url + (
            path if path.startswith("/") else f"/repos/{self.forge.full_name}/{path}".rstrip("/")
        )
        headers = {"Authorization": f"Bearer {self.token(login)}"} if login else {}
        return requests.request(method, url, headers=headers, timeout=30, **options)  # type: ignore[arg-type]

    def git(self, *args: str, cwd: Path | None = None, ok: bool = True) -> subprocess.CompletedProcess[str]:
        who = environment(
            {"GIT_AUTHOR_NAME": "Bob", "GIT_AUTHOR_EMAIL": "bob@example.com", "GIT_COMMITTER_NAME": "Bob"}
        )
        who |= {"GIT_COMMITTER_EMAIL": "bob@example.com", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
        done = subprocess.run(
            ["git", *args], cwd=cwd or self.folder, env=who, capture_output=True, text=True, check=False
        )
        assert not ok or done.returncode == 0, done.stderr
        return done

    def clone(self, login: str, name: str = "work", *options: str) -> Path:
        path = self.folder / name
        self.git("clone", "-q", *options, self.running.git_url(self.token(login)), str(path))
        return path

    def commit(self, work: Path, file: str, text: str, message: str = "Change") -> str:
        (work / file).parent.mkdir(parents=True, exist_ok=True)
        (work / file).write_text(text, encoding="utf-8")
        self.git("add", "--all", cwd=work)
        self.git("commit", "-q", "-m", message, cwd=work)
        return self.git("rev-parse", "HEAD", cwd=work).stdout.strip()

    def branch(self, login: str, name: str, files: dict[str, str], base: str = "main") -> str:
        """A branch with one commit on top of `base`, made through the API; its head."""
        repo = self.repo(login)
        repo.create_git_ref(f"refs/heads/{name}", repo.get_branch(base).commit.sha)
        sha = ""
        for path, text in files.items():
            known = self.forge.repo.entry(self.forge.repo.heads()[name], path)
            if known:
                sha = repo.update_file(path, f"Change {path}", text, known.sha, branch=name)["commit"].sha
            else:
                sha = repo.create_file(path, f"Add {path}", text, branch=name)["commit"].sha
        return sha

    def pull(
        self,
        login: str = "learner[bot]",
        name: str = "learner/fix-1",
        files: dict[str, str] | None = None,
        **more: object,
    ) -> PullRequest:
        """An open pull request of this user."""
        self.branch(login, name, files or {"runbooks/linux/a.yaml": RUNBOOK.replace("version: 1", "version: 2")})
        return self.repo(login).create_pull(
            base="main", head=name, **{"title": "A better runbook", "body": "Because.", **more}
        )  # type: ignore[arg-type]
