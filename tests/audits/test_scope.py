"""scope: what a runbook is for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.audits.books import START, book, edit, found

RULE = "scope"
BY = edit({"op": "set_timeout", "step_id": "start", "timeout_seconds": 60})
BASE: dict[str, Any] = {
    "selector": {"tier": "web"},
    "evidence_required": ["before"],
    "compliance_controls": ["164.308"],
}
CHANGES = [
    {
        "platform": "darwin",
        "steps": [{"id": "say", "action": "escalate", "params": {"message": "x"}}],
        "verification": [{"id": "running", "check": "file_exists", "params": {"path": "/x"}}],
    },
    {"incident_types": ["service_crash", "disk_full"]},
    {"incident_types": ["disk_full"]},
    {"selector": {}},
    {"selector": {"tier": "db"}},
    {"selector": {"tier": "web", "zone": "a"}},
    {"severity": "low"},
    {"evidence_required": []},
    {"compliance_controls": []},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_a_machine_may_not(changes: dict[str, Any]) -> None:
    assert found(RULE, book(**BASE), book(version=2, **(BASE | changes)), edit=BY)[0].level == "block"
    claimed = {"metadata": {"generated_by": "learning_engine"}}
    assert found(RULE, book(**BASE), book(version=2, **(BASE | changes | claimed)))[0].level == "block"


@pytest.mark.parametrize("changes", CHANGES)
def test_a_person_may_and_is_told(changes: dict[str, Any]) -> None:
    assert found(RULE, book(**BASE), book(version=2, **(BASE | changes)))[0].level in ("warning", "notice")


def test_other_changes_pass() -> None:
    more = {"evidence_required": ["before", "after"], "name": "Another name"}
    assert not found(RULE, book(**BASE), book({**START, "timeout_seconds": 9}, version=2, **(BASE | more)), edit=BY)
