"""What a reviewer sees coloured on the chart of a new version."""

from __future__ import annotations

import pytest

from learner.forge.flowchart import chart
from tests.audits.books import book, step

FIRST, SECOND, THIRD = (step("run_command", name, argv=["true", name]) for name in ("first", "second", "third"))
OTHER = step("run_command", "other", argv=["true"])


def marked(old: list[dict[str, object]], new: list[dict[str, object]]) -> dict[str, str]:
    """Step → `added` or `changed`, for those that are coloured."""
    lines = chart(book(*old).runbook, book(*new, version=2).runbook).splitlines()
    nodes = [line.strip() for line in lines if line.strip().startswith("s_") and ":::" in line]
    return {node[2:].partition("[")[0]: node.rpartition(":::")[2] for node in nodes}


@pytest.mark.parametrize(
    ("new", "coloured"),
    [
        ([FIRST, SECOND, THIRD], {}),
        ([FIRST, OTHER, SECOND, THIRD], {"other": "added"}),
        ([FIRST, {**SECOND, "timeout_seconds": 5}, THIRD], {"second": "changed"}),
        ([THIRD, FIRST, SECOND], {"third": "changed"}),
        ([FIRST, OTHER, THIRD, SECOND], {"other": "added", "third": "changed"}),
        ([FIRST, THIRD], {}),
    ],
)
def test_what_is_new_changed_or_moved_is_coloured(new: list[dict[str, object]], coloured: dict[str, str]) -> None:
    assert marked([FIRST, SECOND, THIRD], new) == coloured
