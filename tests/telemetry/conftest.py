"""A forge of one bare repository, clones of it, and the cast that uses them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from learner.models import ExecutionResult
from learner.repository.git import Git, Identity, init
from learner.settings import TelemetrySettings
from learner.telemetry import fold as folding
from learner.telemetry import inbox
from learner.telemetry.spool import Spool
from tests.samples import result

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
SETTINGS = TelemetrySettings()
WHO = Identity("learner", "learner@example.org")


def nothing(_step: str) -> None:
    return None


@dataclass
class World:
    """A remote and whoever speaks to it."""

    path: Path
    remote: Git

    def clone(self, name: str) -> Git:
        """A clone called `name`, made when it is not there."""
        path = self.path / name
        if path.is_dir():
            return Git(path)
        git = init(path)
        git.run("remote", "add", "origin", str(self.remote.path))
        return git

    def spool(self, name: str) -> Spool:
        return Spool(self.path / f"{name}-spool")

    def push(
        self, name: str, client: str = "acme", batch: int = 200, step: Callable[[str], None] = nothing
    ) -> inbox.Pushed:
        """Push the spool of the host `name`."""
        return inbox.push(
            self.spool(name),
            self.clone(name),
            "origin",
            client_id=client,
            executor_id=name,
            author=Identity(name, f"{name}@{client}"),
            now=NOW,
            batch=batch,
            step=step,
        )

    def fold(
        self, name: str = "learner", settings: TelemetrySettings = SETTINGS, step: Callable[[str], None] = nothing
    ) -> folding.Folded:
        return folding.fold(self.clone(name), "origin", settings=settings, author=WHO, now=NOW, step=step)

    def files(self, branch: str = "telemetry") -> dict[str, bytes]:
        """Path → bytes on a branch of the remote."""
        if not self.remote.resolve(branch):
            return {}
        return {path: self.remote.run("cat-file", "blob", oid) for path, oid in self.remote.listing(branch).items()}

    def results(self) -> list[str]:
        """The ids on telemetry, one for each file."""
        return sorted(Path(path).stem for path in self.files() if path.startswith("telemetry/"))

    def refs(self, kind: str) -> dict[str, str]:
        lines = self.remote.text(
            "for-each-ref", "--format=%(refname) %(objectname)", f"refs/learner/{kind}"
        ).splitlines()
        return dict(line.split(" ") for line in lines)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, init(tmp_path / "forge.git", bare=True))


def numbered(number: int, **changes: object) -> ExecutionResult:
    """The result with this number: its own id, and everything else like the others."""
    return result(execution_id=f"exec-20261122-{number:04d}", **changes)
