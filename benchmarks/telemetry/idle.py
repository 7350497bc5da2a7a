"""`learner learn` with nothing new, as a whole process: a clone, a local forge, one proposal that waits."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.telemetry.data import result
from benchmarks.telemetry.table import Figure, most, timed
from learner.local_forge import Forge, User, serve
from learner.repository.git import Git, Identity, init
from learner.telemetry import inbox
from learner.telemetry.spool import Spool

_TOKEN = "token-of-the-bench"
_DANA = Identity("Dana", "dana@example.org")
_RUNBOOK = Path(__file__).parents[2] / "learner/demo/runbooks/RB-LIN-SERVICE-001.yaml"


def figures(folder: Path, *, full: bool) -> Iterator[Figure]:
    """The process's time by the clock, and how much of it is computing."""
    base = folder / "idle"
    shutil.rmtree(base, ignore_errors=True)
    bare, work = init(base / "runbooks.git", bare=True), init(base / "work")
    users = [User("learner[bot]", _TOKEN, "write", "Bot", "learner", "learner@example.org")]
    with serve(Forge(bare.path, users, "acme/runbooks")) as forge:
        files = {
            "runbooks/linux/RB-LIN-SERVICE-001.yaml": _RUNBOOK.read_text("utf-8"),
            ".github/learner.yml": f"forge: {{api_url: '{forge.api_url}', repository: acme/runbooks}}\n",
        }
        for name, text in files.items():
            (work.path / name).parent.mkdir(parents=True, exist_ok=True)
            (work.path / name).write_text(text, "utf-8")
        work.run("add", "-A")
        work.run("commit", "-qm", "first", env=_DANA.environment())
        work.run("push", "-q", str(bare.path), "main")
        Git(base).run("clone", "-q", str(bare.path), "clone")
        clone, spool, now = Git(base / "clone"), Spool(base / "spool"), datetime.now(UTC)
        for number in range(20):
            spool.add(result(number).model_copy(update={"client_id": "acme", "runbook_id": "RB-LIN-SERVICE-001"}))
        inbox.push(spool, clone, "origin", client_id="acme", executor_id="web", author=_DANA, now=now)
        for _ in range(2):
            _learn(clone)
        time.sleep(2.1)  # the forge's seconds must be over before a run's note is trusted
        _learn(clone)
        walls, computing = [], []
        for _ in range(15 if full else 3):
            with timed() as took:
                said = _learn(clone)
            assert said.startswith("nothing has changed"), said
            walls.append(took()[0] * 1000)
            computing.append(took()[1] * 1000)
    said = f"  (fastest {min(walls):.0f} ms; {statistics.median(computing):.0f} ms of computing)"
    yield most(
        "whole learn process with nothing new, local", statistics.median(walls), 250, " ms", said=said, counts=full
    )


def _learn(clone: Git) -> str:
    argv = [sys.executable, "-m", "learner", "learn", "--repo", str(clone.path)]
    env = {**os.environ, "LEARNER_TOKEN": _TOKEN}
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, check=True).stdout.decode()
