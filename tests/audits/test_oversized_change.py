"""oversized-change: edits that are no edits any more."""

from __future__ import annotations

from typing import Any

from tests.audits.books import START, book, edit, found, step

RULE = "oversized-change"
STEPS = [step("restart_service", f"s{i}", name="web") for i in range(4)]


def changed(count: int) -> list[dict[str, Any]]:
    return [{**s, "timeout_seconds": 77} if i < count else s for i, s in enumerate(STEPS)]


def test_a_rewrite_warns() -> None:
    assert found(RULE, book(*STEPS), book(*changed(3), version=2))[0].level == "warning"
    others = [step("create_directory", f"n{i}", path=f"/run/x{i}") for i in range(4)]
    assert found(RULE, book(*STEPS), book(*others, version=2))


def test_a_small_change_passes() -> None:
    assert not found(RULE, book(*STEPS), book(*changed(2), version=2))
    assert not found(RULE, book(*STEPS), book(*STEPS, step("create_directory", path="/run/x"), version=2))
    assert not found(RULE, book(), book(step("remove_file", path="/run/x.pid"), START, version=2))
    assert not found(
        RULE, book(), book(step("remove_file", path="/x"), START, step("reload_service", "r", name="x"), version=2)
    )


def test_many_operations_warn() -> None:
    many = edit(*[{"op": "set_timeout", "step_id": "s0", "timeout_seconds": n} for n in range(1, 11)])
    assert any("operations" in f.message for f in found(RULE, book(*STEPS), book(*changed(1), version=2), edit=many))


def test_an_edit_that_changes_nothing_is_blocked() -> None:
    by = edit({"op": "set_timeout", "step_id": "s0", "timeout_seconds": 1})
    assert found(RULE, book(*STEPS), book(*STEPS, version=2), edit=by)[0].level == "block"
    assert found(RULE, book(*STEPS), book(*STEPS, version=2, metadata={"generated_by": "x"}))[0].level == "block"
    assert not found(RULE, book(*STEPS), book(*STEPS, version=2))
