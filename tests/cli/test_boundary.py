"""The frame of the command line: exit codes, errors in one line, lazy start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from learner.cli import COMMANDS

ROOT = Path(__file__).parents[2]


def learner(*words: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "learner", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=60,
    )


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_teaches_itself(command: str) -> None:
    done = learner(command, "--help")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 5
    assert "Usage: learner" in done.stdout


def test_help_starts_without_the_heavy_imports() -> None:
    script = "import sys, learner.cli; heavy = {'openai', 'github', 'git', 'pydantic', 'jinja2', 'rich', 'flask'} & set(sys.modules); sys.exit(', '.join(heavy) or 0)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_an_unknown_command_is_usage_with_a_suggestion() -> None:
    done = learner("valdate")
    assert done.returncode == 2
    assert "Did you mean validate?" in done.stderr


def test_an_expected_error_is_one_line_and_a_next_step(tmp_path: Path) -> None:
    done = learner("report", "--repo", str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert lines[0].startswith("error:")
    assert lines[1].startswith("next:")
    assert "Traceback" not in done.stderr


def test_validate_says_where(tmp_path: Path) -> None:
    text = (ROOT / "learner/demo/runbooks/RB-LIN-DB-001.yaml").read_text()
    (tmp_path / "RB-LIN-DB-001.yaml").write_text(text.replace("restart_service", "restart_servce"))
    (tmp_path / "result.json").write_text('{\n  "execution_id": 3\n}')
    (tmp_path / "results.jsonl").write_text('{"a": 1}\n\nnonsense\n')
    done = learner("validate", "--json", str(tmp_path))
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert {"path", "kind", "ok", "errors"} == set(found[0])
    runbook = found[0]
    assert runbook["kind"] == "runbook"
    assert runbook["errors"][0]["line"] == 13
    assert "did you mean restart_service?" in runbook["errors"][0]["message"]
    assert found[1]["errors"][0] == {"line": 2, "column": 19, "message": found[1]["errors"][0]["message"]}
    assert [one["errors"][0]["line"] for one in found[2:]] == [1, 3]


def test_changed_bytes_need_a_new_version(tmp_path: Path) -> None:
    from learner.repository.git import Identity, init

    git = init(tmp_path)
    path = tmp_path / "runbooks/linux/RB-LIN-DB-001.yaml"
    path.parent.mkdir(parents=True)
    text = (ROOT / "learner/demo/runbooks/RB-LIN-DB-001.yaml").read_text()
    path.write_text(text)
    git.run("add", "-A")
    git.run("commit", "-qm", "first", env=Identity("a", "a@x").environment())
    path.write_text(text.replace("timeout_seconds: 20", "timeout_seconds: 30"))
    done = learner("validate", "--since", "HEAD", str(path))
    assert done.returncode == 1
    assert f"{path}:3:10: changed, but still version 1; raise it to 2" in done.stdout
    path.write_text(path.read_text().replace("version: 1", "version: 2"))
    assert learner("validate", "--since", "HEAD", str(path)).returncode == 0


def test_schemas_are_what_the_models_say(tmp_path: Path) -> None:
    assert learner("schema", "--check").returncode == 0
    (tmp_path / "runbook.schema.json").write_text("{}")
    done = learner("schema", "--check", "--directory", str(tmp_path))
    assert done.returncode == 1
    assert "differ from the models" in done.stderr


def test_plain_folders_need_dry_run(tmp_path: Path) -> None:
    done = learner("learn", "--runbooks", str(tmp_path), "--telemetry", str(tmp_path))
    assert done.returncode == 2
    assert "--dry-run" in done.stderr
