"""The catalogue: complete, declared truthfully, documented, and open to other packages."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from learner.actions import FAMILIES, catalogue
from learner.actions.base import EVERYWHERE, Action
from learner.actions.catalogue_page import page

EXAMPLE = Path(__file__).parent / "example_package"
FIRST_EDITION = [
    "check_service_status",
    "start_service",
    "stop_service",
    "restart_service",
    "reload_service",
    "wait_for_service",
    "find_processes",
    "kill_process",
    "set_priority",
    "check_disk_usage",
    "find_large_files",
    "clean_directory",
    "rotate_logs",
    "vacuum_journal",
    "clean_package_cache",
    "create_directory",
    "remove_file",
    "write_file",
    "copy_file",
    "backup_file",
    "restore_file",
    "set_permissions",
    "ensure_line",
    "check_port",
    "wait_for_port",
    "check_http",
    "wait_for_http",
    "resolve_dns",
    "flush_dns_cache",
    "check_certificate",
    "renew_certificate",
    "check_time_offset",
    "sync_time",
    "run_command",
    "run_script",
    "wait",
    "assert",
    "escalate",
    "service_running",
    "service_stopped",
    "process_running",
    "process_absent",
    "port_open",
    "http_ok",
    "disk_usage_below",
    "cpu_usage_below",
    "memory_usage_below",
    "file_exists",
    "file_absent",
    "certificate_valid",
    "dns_resolves",
    "time_offset_below",
    "command_succeeds",
]


def test_everything_of_the_first_edition_is_there() -> None:
    known = catalogue()
    assert [name for name in FIRST_EDITION if name not in known.family] == []
    assert set(known.family.values()) == set(FAMILIES)


def test_everything_says_what_it_does_and_where() -> None:
    known = catalogue()
    for thing in (*known.actions.values(), *known.checks.values()):
        assert inspect.getdoc(type(thing)), thing.name
        assert set(thing.platforms) <= set(EVERYWHERE), thing.name
        assert thing.platforms, thing.name
        for field in thing.Params.model_fields.values():
            assert field.annotation is not None


def test_what_only_reads_leaves_nothing_behind() -> None:
    for action in catalogue():
        if action.read_only:
            assert type(action).effects is Action.effects, f"{action.name} reads only, and declares effects"


def test_the_page_is_what_the_catalogue_says(root: Path) -> None:
    assert (root / "docs/catalogue.md").read_text() == page(), "run `python -m learner.actions.catalogue_page`"


def elsewhere(code: str, *folders: Path, cwd: Path = Path(__file__).parents[2]) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60, cwd=cwd)


def test_another_packages_family_is_part_of_everything() -> None:
    code = """
import json
from learner.actions import catalogue
from learner.actions.catalogue_page import page
from learner.models import Runbook
from learner.runbook_file import parse
assert catalogue().family["acme_purge_queue"] == "acme"
assert "acme_purge_queue" in page()
assert "acme_purge_queue" in json.dumps(Runbook.model_json_schema())
text = b'''id: RB-LIN-ACME-001
version: 1
name: A queue
description: Empties a queue.
platform: linux
incident_types: [queue_full]
steps:
  - {id: purge, action: acme_purge_queue, params: {name: mail}}
verification:
  - {id: empty, check: acme_queue_empty, params: {name: mail}}
'''
from datetime import UTC, datetime
from learner.executor.hosts.local import LocalHost
from learner.executor.run import Order, new_execution_id, run
from learner.models import Executor, HostFacts, Incident
order = Order(parse(text), Incident(incident_id="x", incident_type="queue_full", client_id="acme"), LocalHost(name="web-1"),
              HostFacts(), Executor(), new_execution_id(datetime.now(UTC)), {}, 2.0)
result = run(order).result
print(result.status.value, result.verification_passed, result.executed_steps[0].output)
"""
    done = elsewhere(code, EXAMPLE)
    assert done.stdout == "success True purged mail\n", done.stderr


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("import no_such_module", "can't be loaded: No module named 'no_such_module'"),
        (
            "from learner.actions.service import ACTIONS, CHECKS",
            "check_service_status is defined by service and by acme",
        ),
    ],
)
def test_a_family_that_is_wrong_is_told_and_not_half_taken(tmp_path: Path, module: str, said: str) -> None:
    folder = tmp_path / "acme_learner-1.0.dist-info"
    folder.mkdir()
    for name in ("METADATA", "entry_points.txt"):
        (folder / name).write_text((EXAMPLE / "acme_learner-1.0.dist-info" / name).read_text())
    (tmp_path / "acme_learner.py").write_text(module)
    done = elsewhere(
        "from learner.cli import main; main(['validate', 'runbooks/linux/RB-LIN-SERVICE-001.yaml'])", tmp_path
    )
    assert done.returncode == 1
    assert said in done.stderr


def test_an_instance_of_a_windows_service_has_a_name() -> None:
    action = catalogue().actions["start_service"]
    assert action.Params.model_validate_json('{"name": "MSSQL$PROD"}').model_dump() == {"name": "MSSQL$PROD"}
