"""A local forge over a bare repository with one runbook, a person, a second person and the learner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from learner.forge.gateway import Gateway
from learner.forge.person import Person
from learner.local_forge import Forge, RunningForge, User, serve
from learner.repository.git import Git, Identity, init
from learner.settings import ForgeSettings

DANA = Identity("Dana Reviewer", "dana@acme.example")
LEARNER = Identity("learner[bot]", "learner[bot]@users.noreply.github.com")
RUNBOOK = Path(__file__).parents[1] / "learner/demo/runbooks/RB-LIN-SERVICE-001.yaml"
TOKENS = {"dana": "token-of-dana", "eve": "token-of-eve", "learner": "token-of-the-learner"}


@dataclass
class Place:
    forge: RunningForge
    git: Git
    settings: ForgeSettings

    def gateway(self, who: str = "learner") -> Gateway:
        return Gateway(self.settings, "acme/runbooks", TOKENS[who], retries=0)

    def person(self, who: str = "dana") -> Person:
        return Person(self.gateway(who))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    bare, work = tmp_path / "runbooks.git", tmp_path / "seed"
    init(bare, bare=True)
    git = init(work)
    (work / "runbooks/linux").mkdir(parents=True)
    (work / "runbooks/linux/RB-LIN-SERVICE-001.yaml").write_bytes(RUNBOOK.read_bytes())
    git.run("add", "-A")
    git.run("commit", "-qm", "first", env=DANA.environment())
    git.run("push", "-q", str(bare), "main")
    users = [
        User("dana", TOKENS["dana"], "admin", "User", DANA.name, DANA.email),
        User("eve", TOKENS["eve"], "read"),
        User("learner[bot]", TOKENS["learner"], "write", "Bot", LEARNER.name, LEARNER.email),
    ]
    with serve(Forge(bare, users, "acme/runbooks")) as forge:
        Git(tmp_path).run("clone", "-q", forge.git_url(TOKENS["learner"]), "clone")
        yield Place(forge, Git(tmp_path / "clone"), ForgeSettings(api_url=forge.api_url, repository="acme/runbooks"))
