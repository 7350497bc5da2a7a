"""A real forge on loopback for every test, real Git around it, and GitHub's description watching each answer."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forge_world import RUNBOOK, World

from learner.local_forge import Forge, RunningForge, User, serve
from learner.repository.git import init
from openapi_guard import Seen, guarding


@pytest.fixture(autouse=True)
def seen() -> Iterator[Seen]:
    """Every call of the test, checked against GitHub's description."""
    with guarding() as calls:
        yield calls


@pytest.fixture(scope="session")
def signing_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SSH key that signs, for the people of the forge."""
    if not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is not installed")
    path = tmp_path_factory.mktemp("keys") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Builds forges; ends them after the test."""
    running: list[RunningForge] = []

    def make(**options: object) -> World:
        bare = tmp_path / "runbooks.git"
        if not bare.exists():
            init(bare, bare=True)
        people = [
            User("ada", "token-of-ada", "admin", email="ada@example.com", name="Ada"),
            User("bob", "token-of-bob", "write", email="bob@example.com", name="Bob"),
            User("cleo", "token-of-cleo", "maintain", email="cleo@example.com", name="Cleo"),
            User("tim", "token-of-tim", "triage"),
            User("rita", "token-of-rita", "read"),
            User("learner[bot]", "token-of-learner", "write", "Bot", email="learner@example.com"),
        ]
        world = World(serve(Forge(bare, options.pop("users", people), **options)), tmp_path)  # type: ignore[arg-type]
        running.append(world.running)
        return world

    yield make
    for each in running:
        each.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A forge whose protected main holds one runbook."""
    world = make_world()
    world.repo("ada").create_file("runbooks/linux/a.yaml", "First runbook", RUNBOOK)
    return world
