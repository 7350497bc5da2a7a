"""The results on main: they fit their model, are of the runbooks beside them, hold no secret, and teach something."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from learner.cli import cli
from learner.models import ExecutionResult
from learner.runbook_file import read


def recorded(root: Path) -> list[tuple[Path, ExecutionResult]]:
    paths = sorted((root / "telemetry").rglob("*.json"))
    return [(path, ExecutionResult.model_validate_json(path.read_bytes())) for path in paths]


def test_they_stand_where_they_belong_and_are_of_the_runbooks_on_main(root: Path) -> None:
    found = recorded(root)
    assert len(found) == 7
    for path, result in found:
        assert path == root / result.path
        held = read(root / f"runbooks/{result.platform}/{result.runbook_id}.yaml")
        if held.runbook.version == result.runbook_version:
            assert held.blob == result.runbook_blob


def test_they_hold_no_secret_and_nothing_of_the_machine_they_were_made_on(root: Path) -> None:
    text = "".join(path.read_text() for path, _ in recorded(root))
    assert "database_password = ***" in text
    assert "Tr0ub" not in text
    assert "/root" not in text
    assert "/home" not in text


def test_the_learner_proposes_the_repair_they_call_for(root: Path) -> None:
    argv = [
        "learn",
        "--dry-run",
        "--json",
        "--runbooks",
        str(root / "runbooks"),
        "--telemetry",
        str(root / "telemetry"),
    ]
    done = CliRunner().invoke(cli, argv, standalone_mode=False, catch_exceptions=False)
    clusters = {cluster["runbook_id"]: cluster for cluster in json.loads(done.stdout)["clusters"]}
    service = clusters["RB-LIN-SERVICE-001"]
    assert service["outcome"] == "proposed"
    assert service["failures"] == 3
    assert "only_if: stale_pid" in service["new_version"]
    assert clusters["RB-LIN-PORT-001"]["outcome"] == "not_improvable"
