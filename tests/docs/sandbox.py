"""What a reader of the docs has after setting up: a forge, a clone, a host with a broken service, a waiting proposal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from learner.local_forge import Forge, User, serve
from learner.repository.git import Git, Identity, init
from learner.runbook_file import read
from tests.runbooks.host import ROOT, BrokenHost

PERSON = Identity("Dana Reviewer", "dana@acme.example")
TOKENS = {"reviewer": "token-of-dana-1", "learner": "token-of-learner-1", "executor": "token-of-executor-1"}
COPIED = ("runbooks", "telemetry", "schemas", "docs/examples", "learner/demo/runbooks")


class Sandbox:
    """Commands run in `clone`, a clone of a runbook repository that a local forge serves."""

    def __init__(self, folder: Path, host: BrokenHost, api_url: str) -> None:
        self.folder, self.host, self.api_url = folder, host, api_url
        self.clone = folder / "clone"

    def run(self, script: str, role: str = "learner") -> subprocess.CompletedProcess[str]:
        """A block of the docs, as a reader would paste it; it ends at the first command that fails."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=self.clone, env=self._environment(role), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180,
        )  # fmt: skip

    def _environment(self, role: str) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LEARNER_TOKEN": TOKENS[role],
            "GITHUB_API_URL": self.api_url,
            "LEARNER_HOST_CONFIG": str(self.folder / "host.yml"),
            "COLUMNS": "160",
            "PORT": str(self.host.ports["web"]),
        }

    def prepare(self) -> None:
        """Break the service, send what was recorded, and let the learner propose."""
        self.host.control("stop", "web")
        done = self.run(
            "learner telemetry import telemetry && learner telemetry push && learner gate fetch && learner learn"
        )
        assert done.returncode == 0, done.stdout


@contextlib.contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A fresh one; everything it started is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="docs-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        host = BrokenHost(folder / "machine")
        stack.callback(host.close)
        host.add("web")
        bare = folder / "runbooks.git"
        init(bare, bare=True)
        _seed(folder / "seed", bare)
        users = [
            User("dana", TOKENS["reviewer"], "admin", "User", PERSON.name, PERSON.email),
            User("learner[bot]", TOKENS["learner"], "write", "Bot"),
            User("executor", TOKENS["executor"], "write"),
        ]
        forge = serve(Forge(bare, users, "acme/runbooks"))
        stack.callback(forge.close)
        Git(folder).run("clone", "--quiet", forge.git_url(TOKENS["learner"]), "clone")
        Git(folder).run("clone", "--quiet", forge.git_url(TOKENS["executor"]), "machine/runbooks")
        (folder / "host.yml").write_text(
            f"client_id: acme\nexecutor_id: web-1-agent\nhostname: web-1\nrepository: {folder}/machine/runbooks\n"
            f"spool: {folder}/machine/spool\nservice_manager: supervisord\nsupervisor_config: {host.config}\n"
        )
        _samples(folder / "clone")
        yield Sandbox(folder, host, forge.api_url)


def _seed(work: Path, bare: Path) -> None:
    git = init(work)
    for name in COPIED:
        shutil.copytree(ROOT / name, work / name)
    (work / ".github").mkdir()
    (work / ".github/learner.yml").write_text("limits: {cooldown_hours: 0}\n")
    git.run("add", "--all")
    git.run("commit", "--quiet", "-m", "Our runbooks", env=PERSON.environment())
    git.run("push", "--quiet", str(bare), "main")


def _samples(clone: Path) -> None:
    """Two versions of a runbook, results as lines, and an incident: files that the docs name."""
    text = read(ROOT / "runbooks/linux/RB-LIN-SERVICE-001.yaml").text.decode()
    (clone / "v1.yaml").write_text(text)
    (clone / "v2.yaml").write_text(
        text.replace("version: 1\n", "version: 2\n").replace("timeout_seconds: 60", "timeout_seconds: 90")
    )
    results = sorted((ROOT / "telemetry").rglob("*.json"))
    (clone / "results.jsonl").write_text("".join(json.dumps(json.loads(path.read_bytes())) + "\n" for path in results))
    incident = {"incident_id": "INC-2001", "incident_type": "service_crash", "client_id": "acme", "hostname": "web-1"}
    (clone / "incident.json").write_text(json.dumps(incident))
    shutil.copy(clone.parent / "host.yml", clone / "host.yml")
    # The result that docs/integrate.md shows, as its reader would have saved it.
    shown = re.findall(r"```json\n(.*?)```", (ROOT / "docs/integrate.md").read_text(), re.DOTALL)
    (clone / "result.json").write_text(next(text for text in shown if '"execution_id"' in text))
