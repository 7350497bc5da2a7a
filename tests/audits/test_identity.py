"""identity: a version that is what it says it is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.audits.books import START, book, edit, found

RULE = "identity"
BY = edit({"op": "set_timeout", "step_id": "start", "timeout_seconds": 60})


def test_the_next_version_passes() -> None:
    metadata = {"parent_runbook": "RB-LIN-SERVICE-001-v1", "requires_human_review": True}
    assert not found(RULE, book(), book({**START, "timeout_seconds": 60}, version=2, metadata=metadata), edit=BY)
    assert not found(RULE, book(), book({**START, "timeout_seconds": 60}, version=2))
    assert not found(RULE, book(), book())


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "RB-LIN-SERVICE-002", "version": 2},
        {"version": 1, "name": "Another"},
        {"version": 3},
        {"version": 2, "metadata": {"parent_runbook": "RB-LIN-SERVICE-001-v9"}},
        {"version": 2, "metadata": {"parent_runbook": "RB-LIN-DISK-001-v1"}},
        {"version": 2, "metadata": {"requires_human_review": False}},
    ],
)
def test_false_names_are_blocked(changes: dict[str, Any]) -> None:
    assert [f.level.value for f in found(RULE, book(), book(**changes), edit=BY)] == ["block"]


def test_metadata_of_the_parent_left_standing() -> None:
    stale = {"parent_runbook": "RB-LIN-SERVICE-001-v1"}
    old, new = book(version=2, metadata=stale), book(version=3, metadata=stale, name="Another")
    assert found(RULE, old, new, edit=BY)
    assert not found(RULE, old, new)
