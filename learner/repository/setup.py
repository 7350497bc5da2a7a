"""Looking at a work tree that somebody sets up, with GitPython: once, by a person's command, where its start-up time
does not matter. The loop itself runs plain git (`repository.git`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from learner.errors import LearnerError
from learner.repository.git import without_credentials


@dataclass(frozen=True)
class WorkTree:
    """A work tree as it stands."""

    root: Path
    branch: str | None
    """None on a detached head."""
    remotes: dict[str, str]
    """Name → address, without credentials."""

    def has_branch(self, remote: str, branch: str) -> bool:
        """Whether this clone has fetched that branch."""
        from git import Repo

        with Repo(self.root) as repo:
            return any(ref.path == f"refs/remotes/{remote}/{branch}" for ref in repo.refs)

    def ignored(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Those of `paths` that a .gitignore keeps out of commits."""
        from git import GitCommandError, Repo

        with Repo(self.root) as repo:
            try:
                return tuple(repo.ignored(*paths))
            except GitCommandError:
                # A path behind a link inside the work tree: git has no opinion on those.
                return ()


def look(path: Path) -> WorkTree:
    """The work tree that `path` is in.

    Raises: `LearnerError` when it is in none.
    """
    from git import InvalidGitRepositoryError, NoSuchPathError, Repo

    try:
        repo = Repo(path, search_parent_directories=True)
    except (InvalidGitRepositoryError, NoSuchPathError) as e:
        raise LearnerError(f"{path.resolve()} is no Git repository", "make it one: git init -b main") from e
    with repo:
        if repo.working_tree_dir is None:
            raise LearnerError(f"{path.resolve()} is a bare repository", "run this in a clone of it")
        return WorkTree(
            root=Path(repo.working_tree_dir),
            branch=None if repo.head.is_detached else repo.head.ref.name,
            remotes={remote.name: without_credentials(remote.url) for remote in repo.remotes},
        )
