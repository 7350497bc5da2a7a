"""A disk that is full, or fills up while a runbook runs: a truthful result, or a loud refusal before anything is done."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from learner.executor.fitting import fitted
from learner.models.execution import ExecutionResult
from learner.telemetry.parse import encoded
from learner.telemetry.spool import Spool
from tests.executor.conftest import Site, runbook, wait_for
from tests.executor.test_execute_cli import kept, learner
from tests.samples import document

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tmpfs")


@pytest.fixture
def disk(site: Site) -> Iterator[Path]:
    """A disk of 8 MiB that holds the host's spool."""
    path = site.spool
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting needs root")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def filling(disk: Path) -> str:
    return f"cat /dev/zero > {disk}/filler 2>/dev/null || echo the disk is full"


def test_a_disk_that_is_full_stops_a_run_before_anything_is_done(site: Site, disk: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    site.runbook(runbook(f"- {{id: make, action: run_command, params: {{argv: [touch, {flag}]}}}}"))
    subprocess.run(["sh", "-c", filling(disk)], check=True)
    done = learner(site, "execute", "RB-LIN-TEST-001", "--no-push", "--no-fetch")
    assert done.returncode == 1, done.stderr
    assert "error:" in done.stderr
    assert "free some space" in done.stderr
    assert not flag.exists()
    (disk / "filler").unlink()
    after = learner(site, "execute", "RB-LIN-TEST-001", "--no-push", "--no-fetch")
    assert (after.returncode, len(kept(site))) == (0, 1), after.stderr
    assert list((disk / "runs/journal").iterdir()) == []


def test_a_disk_that_fills_up_takes_nothing_from_the_result(site: Site, disk: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    site.runbook(
        runbook(
            f"""
            - {{id: fill, action: run_command, params: {{argv: [sh, -c, "{filling(disk)}"]}}}}
            - {{id: make, action: run_command, params: {{argv: [sh, -c, "touch {flag}; seq 9000"]}}}}
            """,
            f"- {{id: made, check: file_exists, params: {{path: {flag}}}}}",
        )
    )
    done = learner(site, "execute", "RB-LIN-TEST-001", "--no-push", "--no-fetch", "--json")
    assert done.returncode == 0, done.stderr
    (shown,) = json.loads(done.stdout)["results"]
    assert (shown["status"], shown["verification_passed"]) == ("success", True)
    assert shown["executed_steps"][0]["output"] == "the disk is full\n"
    assert kept(site) == [shown]


def test_a_spool_that_breaks_while_a_runbook_runs_loses_nothing(site: Site, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    script = f"touch {flag}; mv {site.spool}/pending {tmp_path}/gone"
    site.runbook(
        runbook(
            f"- {{id: make, action: run_command, params: {{argv: [sh, -c, '{script}']}}}}",
            f"- {{id: made, check: file_exists, params: {{path: {flag}}}}}",
        )
    )
    done = learner(site, "execute", "RB-LIN-TEST-001", "--no-push", "--no-fetch", "--json")
    assert done.returncode == 0, done.stderr
    assert "the result rests in its journal until the next start" in done.stderr
    (shown,) = json.loads(done.stdout)["results"]
    after = learner(site, "execute", "RB-LIN-OTHER-001", "--no-push", "--no-fetch")
    assert "had nowhere to put its result: kept exec-" in after.stderr
    assert kept(site) == [shown]
    assert shown["verification_passed"] is True


def test_a_run_that_is_killed_on_a_full_disk_is_told_of_step_by_step(site: Site, disk: Path, tmp_path: Path) -> None:
    began = tmp_path / "began"
    site.runbook(
        runbook(
            f"""
            - {{id: fill, action: run_command, params: {{argv: [sh, -c, "{filling(disk)}"]}}}}
            - {{id: wait, action: run_command, params: {{argv: [sh, -c, "touch {began}; exec sleep 2"]}}}}
            """
        )
    )
    running = learner(site, "execute", "RB-LIN-TEST-001", "--no-push", "--no-fetch", wait=False)
    wait_for(began.exists, 30)
    running.kill()
    running.communicate()
    (disk / "filler").unlink()
    learner(site, "execute", "RB-LIN-OTHER-001", "--no-push", "--no-fetch")
    (result,) = kept(site)
    assert (result["status"], result["verification_passed"], result["error_step"]) == ("partial", None, 2)
    assert [(s["step_id"], s["success"], s["output"]) for s in result["executed_steps"]] == [
        ("fill", True, "the disk is full\n"),
        ("wait", False, ""),
    ]


def test_a_run_that_said_too_much_is_cut_and_kept(tmp_path: Path) -> None:
    steps = [
        {"step_number": n, "action": "run_command", "success": False, "output": f"begin {n} {'é' * 60_000} end {n}",
         "error": "\x01" * 60_000, "data": {"rows": ["x" * 9000]}}
        for n in range(1, 41)
    ]  # fmt: skip
    result = ExecutionResult.model_validate_json(json.dumps(document(executed_steps=steps, error_message="y" * 70_000)))
    spool = Spool(tmp_path / "spool")
    short = fitted(result, spool.max_result_bytes)
    assert len(encoded(short)) <= spool.max_result_bytes < len(encoded(result))
    spool.add(short)
    for n, step in enumerate(short.executed_steps, 1):
        assert step.output.startswith(f"begin {n} éé")
        assert step.output.endswith(f"é end {n}")
        assert "characters left out" in step.output
    assert fitted(short, spool.max_result_bytes) == short
    small = result.model_copy(update={"executed_steps": result.executed_steps[:1]})
    assert fitted(small, spool.max_result_bytes) == small
