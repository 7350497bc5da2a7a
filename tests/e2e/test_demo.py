"""The whole loop, on real processes: the demo's own flow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
REPAIRED = ("RB-LIN-SERVICE-001", "RB-LIN-DB-001", "RB-LIN-API-001")


def start(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "learner", "demo", *words],
        cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def left_behind(tmp_path: Path) -> list[str]:
    """Processes and files of a demo that should be gone."""
    lines = [process.info["cmdline"] or () for process in psutil.process_iter(["cmdline"])]
    alive = [" ".join(line) for line in lines if any(str(tmp_path) in word for word in line)]
    return alive + [str(path) for path in tmp_path.glob("learner-demo-*")]


def test_the_loop_from_fault_to_fix(tmp_path: Path) -> None:
    done = start(tmp_path, "--yes", "--json")
    out, err = done.communicate(timeout=180)
    assert done.returncode == 0, out + err
    story, _, report = out.partition("\n{")
    metrics = json.loads("{" + report)
    rates = {version["ref"]: version["success_rate"] for version in metrics["versions"]}
    for runbook in REPAIRED:
        assert rates[f"{runbook}-v1"] == 0.0
        assert rates[f"{runbook}-v2"] == 1.0
    assert rates["RB-LIN-TOKEN-001-v1"] == 0.0
    assert "RB-LIN-TOKEN-001-v2" not in rates
    assert (metrics["generated"], metrics["approved"], metrics["approval_rate"]) == (3, 3, 1.0)
    assert "a second run right after: nothing to do" in story
    assert "RB-LIN-SERVICE-001-v2: refused" in story
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_everything_is_gone_when_it_is_interrupted(tmp_path: Path, number: int) -> None:
    demo = start(tmp_path, "--yes")
    ends_at = time.monotonic() + 60
    while not any("supervisord" in line for line in left_behind(tmp_path)) and time.monotonic() < ends_at:
        time.sleep(0.1)
    time.sleep(1.0)
    demo.send_signal(number)
    _, err = demo.communicate(timeout=60)
    assert demo.returncode == 130, err
    assert "Traceback" not in err
    assert left_behind(tmp_path) == []
