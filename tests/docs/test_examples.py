"""The examples that hosts are set up with: what reads them finds nothing to say, and the commands in them exist."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from learner.cli import cli

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


def unit(name: str) -> dict[str, str]:
    """Key → value of a unit, whatever its section."""
    lines = (EXAMPLES / name).read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    # the program need not be installed where this runs; everything else is verified as it stands
    text = (
        (EXAMPLES / "learner-push.service").read_text("utf-8").replace("/usr/bin/learner", shutil.which("true") or "")
    )
    (tmp_path / "learner-push.service").write_text(text.replace("man:learner(1)", "https://example.org"))
    argv = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "learner-push.service")]
    done = subprocess.run(argv, capture_output=True, text=True)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "learner-push" in line]
    assert ours == []


def test_the_windows_task_can_be_read() -> None:
    task = ET.parse(EXAMPLES / "learner-push-task.xml").getroot()
    assert task.tag == f"{TASK}Task"
    [trigger] = task.findall(f"{TASK}Triggers/{TASK}TimeTrigger")
    order = [child.tag.removeprefix(TASK) for child in trigger]
    assert order == ["Repetition", "StartBoundary", "RandomDelay"], "the order that Windows itself writes"
    [arguments] = task.findall(f"{TASK}Actions/{TASK}Exec/{TASK}Arguments")
    commands = [arguments.text or "", unit("learner-push.service")["ExecStart"].partition(" ")[2]]
    for command in commands:
        words = [word for word in command.split() if not word.startswith("C:")]
        help_text = CliRunner().invoke(cli, [*words[:2], "--help"]).output
        assert all(word in help_text for word in words[2:]), command
