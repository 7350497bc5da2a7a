"""What holds for all rules: they are found, told of, tested, and quiet on honest work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from learner.audits import Change, Evidence, every_rule, run
from learner.audits.base import Rule
from tests.audits.books import RUNNING, START, book, edit, step
from tests.samples import result


@pytest.mark.parametrize("rule", every_rule(), ids=lambda rule: rule.name)
def test_a_rule_has_a_file_a_test_and_a_section(rule: Rule, root: Path) -> None:
    module = type(rule).__module__.rpartition(".")[2]
    assert module == rule.name.replace("-", "_")
    assert (root / "tests" / "audits" / f"test_{module}.py").exists()
    section = re.search(rf"^### {rule.name}\n\n(.+?)\n", (root / "docs" / "audits.md").read_text(), re.MULTILINE)
    assert section, "no section in docs/audits.md"
    assert section[1] == rule.title


def test_no_section_without_a_rule(root: Path) -> None:
    told = set(re.findall(r"^### (\S+)$", (root / "docs" / "audits.md").read_text(), re.MULTILINE))
    assert told == {rule.name for rule in every_rule()}


def test_names_are_unique_and_findings_are_sorted() -> None:
    names = [rule.name for rule in every_rule()]
    assert len(names) == len(set(names)) >= 20
    grave = book(step("run_script", shell="sh", script="pip install x; rm -rf /"), START, version=2)
    levels = [finding.level.rank for finding in run(Change(book(), grave), Evidence())]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == 3


CLEAR = step("remove_file", path="/run/web/web.pid", only_if="stale_pid")
PATIENT = {**RUNNING, "within_seconds": 30}


@pytest.mark.parametrize(
    ("steps", "changes", "operation"),
    [
        ([CLEAR, START], {}, {"op": "insert_step", "step": CLEAR, "before": "start"}),
        (
            [step("create_directory", path="/run/web", mode="0755", owner="web"), START],
            {},
            {"op": "insert_step", "step": {}},
        ),
        ([step("start_service", "db", name="db"), START], {}, {"op": "insert_step", "step": {}}),
        ([{**START, "timeout_seconds": 120}], {}, {"op": "set_timeout", "step_id": "start", "timeout_seconds": 120}),
        (
            [{**START, "retry": {"attempts": 3, "delay_seconds": 5}}],
            {},
            {"op": "set_retry", "step_id": "start", "retry": {"attempts": 3}},
        ),
        (
            [START],
            {"verification": [PATIENT]},
            {"op": "set_verification", "verification_id": "running", "verification": PATIENT},
        ),
        ([START, step("wait_for_port", port=8080)], {}, {"op": "insert_step", "step": {}}),
        (
            [step("clean_directory", path="/var/log/web", patterns=["*.gz"], older_than_days=7), START],
            {},
            {"op": "insert_step", "step": {}},
        ),
        ([step("kill_process", name="old-web"), START], {}, {"op": "insert_step", "step": {}}),
        ([START, step("reload_service", name="nginx")], {}, {"op": "insert_step", "step": {}}),
        (
            [START],
            {"verification": [RUNNING, {"id": "open", "check": "port_open", "params": {"port": 8080}}]},
            {"op": "add_verification", "verification": {}},
        ),
        (
            [step("set_permissions", path="/var/lib/web", mode="0750", owner="web"), START],
            {},
            {"op": "insert_step", "step": {}},
        ),
        (
            [
                step("backup_file", "keep", path="/etc/web/web.conf"),
                step("write_file", path="/etc/web/web.conf", content="workers = 4\n"),
                START,
            ],
            {},
            {"op": "insert_step", "step": {}},
        ),
    ],
)
def test_honest_edits_raise_no_more_than_the_two_executors_rule(
    steps: list[dict[str, Any]], changes: dict[str, Any], operation: dict[str, Any]
) -> None:
    metadata = {
        "parent_runbook": "RB-LIN-SERVICE-001-v1",
        "generated_by": "learning_engine",
        "generated_from_failures": ["exec-20261122-01JDABCD"],
        "requires_human_review": True,
    }
    change = Change(book(), book(*steps, version=2, metadata=metadata, **changes), edit(operation))
    loud = [f for f in run(change, Evidence((result(),))) if f.level.rank > 1 and f.rule != "taint"]
    assert not loud
    assert not any(f.level == "block" for f in run(change, Evidence((result(),))))
