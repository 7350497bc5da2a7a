"""The workflows under the linters of their field, and under what no linter knows: who may hold what."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflows.stage import ROOT, USES, WORKFLOWS, pins

ALL = sorted(WORKFLOWS.glob("*.yml"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"))


def tool(name: str, *args: str) -> None:
    """Run a linter that stands beside this Python; the test is skipped where it is not installed."""
    beside = Path(sys.executable).with_name(name)
    if not beside.exists():
        pytest.skip(f"{name} is not installed here")
    done = subprocess.run(
        [str(beside), *args], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={k: v for k, v in os.environ.items() if k != "GITHUB_ACTIONS"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint() -> None:
    tool("actionlint", "-config-file", ".github/actionlint.yaml", *map(str, ALL))


def test_zizmor() -> None:
    tool("zizmor", "--offline", "--no-progress", "--min-severity=informational", ".github")


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", ALL),
        ("custom.github-workflows-require-timeout", ALL),
        ("vendor.dependabot", [ROOT / ".github/dependabot.yml"]),
        ("vendor.github-issue-forms", FORMS),
        ("vendor.github-issue-config", [ROOT / ".github/ISSUE_TEMPLATE/config.yml"]),
    ],
)
def test_schemas(schema: str, files: list[Path]) -> None:
    assert files
    tool("check-jsonschema", "--builtin-schema", schema, *map(str, files))


# ------------------------------------------------------------------------- what no linter knows


def workflow(name: str) -> dict[str, Any]:
    held: dict[str, Any] = yaml.safe_load((WORKFLOWS / name).read_text())
    return held


def text_of(job: dict[str, Any]) -> str:
    return yaml.safe_dump(job)


def test_every_action_is_pinned_to_one_commit_with_its_version() -> None:
    for path in ALL:
        text = path.read_text()
        assert text.count("uses: ") == len(USES.findall(text)), path.name
    assert all(len(found) == 1 for found in pins().values()), pins()


def test_no_job_holds_both_the_model_key_and_leave_to_write() -> None:
    jobs = workflow("learn.yml")["jobs"]
    assert list(jobs) == ["fold", "plan", "apply"]
    holding = {name for name, job in jobs.items() if "LEARNER_MODEL_KEY" in text_of(job)}
    writing = {
        name for name, job in jobs.items()
        if "write" in job["permissions"].values()
        or any(str(v) == "write" for step in job["steps"] for k, v in (step.get("with") or {}).items() if k.startswith("permission-"))
    }  # fmt: skip
    assert holding == {"plan"}
    # Nor may the job that asks a model hold the key that tokens for writing are minted with.
    assert "LEARNER_APP_KEY" not in text_of(jobs["plan"])
    assert writing == {"fold", "apply"}
    assert set(jobs["fold"]["permissions"]) == {"contents"}


def test_no_workflow_gives_anything_by_default_and_no_checkout_keeps_a_token() -> None:
    for path in ALL:
        held = workflow(path.name)
        assert held["permissions"] == {}, path.name
        # YAML 1.1 reads the key `on` as true.
        assert "pull_request_target" not in held[True]
        assert "workflow_run" not in held[True]
        for job in held["jobs"].values():
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False


def test_no_expression_stands_in_a_script() -> None:
    for path in ALL:
        for job in workflow(path.name)["jobs"].values():
            for step in job["steps"]:
                assert "${{" not in step.get("run", ""), (path.name, step)


def test_the_job_that_comments_runs_nothing_of_the_change() -> None:
    comment = workflow("validate.yml")["jobs"]["comment"]
    assert comment["permissions"] == {"pull-requests": "write"}
    assert "head.repo.full_name == github.repository" in comment["if"]
    assert not any("checkout" in step.get("uses", "") or "pip" in step.get("run", "") for step in comment["steps"])
    assert "write" not in workflow("validate.yml")["jobs"]["runbooks"]["permissions"].values()


def test_schedules_are_off_the_hour() -> None:
    for name in ("learn.yml", "report.yml"):
        (schedule,) = workflow(name)[True]["schedule"]
        assert schedule["cron"].split()[0] not in ("0", "30")
        assert "workflow_dispatch" in workflow(name)[True]
        assert workflow(name)["concurrency"]["cancel-in-progress"] is False
