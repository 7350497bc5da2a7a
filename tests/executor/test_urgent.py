"""A failure of high severity asks the watcher of the spool to push at once; nothing else does."""

from __future__ import annotations

import sys

import pytest

from learner.telemetry.spool import Spool
from tests.executor.conftest import Site, runbook
from tests.executor.test_execute_cli import learner

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX programs")


@pytest.mark.parametrize(
    ("severity", "program", "urgent"), [("high", "false", True), ("high", "true", False), ("medium", "false", False)]
)
def test_what_asks_for_a_push(site: Site, severity: str, program: str, urgent: bool) -> None:
    step = f"- {{id: run, action: run_command, params: {{argv: ['{program}']}}}}"
    site.runbook(runbook(step, more=f"severity: {severity}\n"))
    done = learner(site, "execute", "RB-LIN-TEST-001", "--no-push")
    assert done.returncode == (1 if program == "false" else 0), done.stderr
    spool = Spool(site.spool)
    assert len(spool.pending()) == 1, done.stderr
    assert spool.take_urgent() is urgent
