"""docs/setup-github.md, followed step by step from a repository that was just made, on the local forge."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from learner.local_forge import Forge, User, serve
from learner.repository.git import Git, init
from learner.settings import HostSettings, RepositorySettings, read
from tests.docs.blocks import blocks
from tests.places import DANA, TOKENS
from tests.workflows.stage import ROOT, WORKFLOWS

GUIDE = ROOT / "docs/setup-github.md"
HERE = "tests/workflows/test_setup_guide.py"


def test_every_step_works(tmp_path: Path) -> None:
    bare, seed = tmp_path / "runbooks.git", init(tmp_path / "seed")
    init(bare, bare=True)
    init(tmp_path / "telemetry.git", bare=True)
    (seed.path / "README.md").write_text("Runbooks of acme\n")
    seed.run("add", "-A")
    seed.run("commit", "-qm", "Initial commit", env=DANA.environment())
    seed.run("push", "-q", str(bare), "main")
    users = [User("dana", TOKENS["dana"], "admin", "User", DANA.name, DANA.email)]
    with serve(Forge(bare, users, "acme/runbooks")) as forge:
        # GitHub's repositories begin unprotected; the local forge's do not.
        forge.forge.protect("main", None)
        # The addresses of the guide lead to this machine, by git's own means.
        (Path(os.environ["HOME"]) / ".gitconfig").write_text(
            f'[url "{forge.git_url(TOKENS["dana"])}"]\n\tinsteadOf = https://github.com/acme/runbooks.git\n'
            f"[user]\n\tname = {DANA.name}\n\temail = {DANA.email}\n"
        )
        elsewhere = {
            "/srv/runbooks": tmp_path / "srv", "/var/lib/learner/spool": tmp_path / "spool",
            "/etc/learner/host.yml": tmp_path / "host.yml", "github_pat_…": TOKENS["dana"],
            # From here on we are on the host, whose settings lie in no folder of the system's.
            "learner init --host": f"export LEARNER_HOST_CONFIG={tmp_path}/host.yml; learner init --host",
        }  # fmt: skip
        script = ["set -eu", f"cd {tmp_path}"]
        ran = 0
        for block in blocks(GUIDE):
            if block.not_run and HERE in block.not_run:
                text = block.script
                for there, here in elsewhere.items():
                    text = text.replace(there, str(here))
                script.append(f"echo '== line {block.line}'\n{text}")
                ran += 1
        assert ran >= 7
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)], capture_output=True, text=True, timeout=240, check=False,
            env={
                **os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "GITHUB_API_URL": forge.api_url, "COLUMNS": "200",
            },
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        rules = forge.forge.protection("main")
    assert rules is not None
    assert rules.require_code_owner_reviews
    assert rules.checks == ("Runbooks",)
    assert "main takes only what people reviewed" in done.stdout
    assert "the host takes refs below refs/learner" in done.stdout
    assert read(HostSettings, (tmp_path / "host.yml").read_bytes(), "x").executor_id == "web-1-agent"
    held = Git(bare).text("ls-tree", "-r", "--name-only", "main")
    assert ".github/workflows/learn.yml" in held


def test_every_setting_the_guide_shows_is_one() -> None:
    shown = re.findall(r"^```yaml\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(shown) >= 4
    for text in shown:
        model = HostSettings if "client_id" in text else RepositorySettings
        read(model, text, "docs/setup-github.md")


@pytest.mark.parametrize("kind", ["vars", "secrets"])
def test_every_variable_and_secret_of_the_workflows_is_explained(kind: str) -> None:
    used = {
        name for path in WORKFLOWS.glob("*.yml") for name in re.findall(rf"\b{kind}\.([A-Z_]+)", path.read_text())
    }  # fmt: skip
    assert used
    assert {name for name in used if name not in GUIDE.read_text()} == set()


def test_the_required_check_is_the_name_of_a_job() -> None:
    jobs = yaml.safe_load((WORKFLOWS / "validate.yml").read_text())["jobs"]
    assert jobs["runbooks"]["name"] == "Runbooks"
