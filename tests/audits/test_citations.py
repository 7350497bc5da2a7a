"""citations: evidence that exists."""

from __future__ import annotations

from tests.audits.books import START, book, edit, found
from tests.samples import result

RULE = "citations"
OLD, NEW = book(), book({**START, "timeout_seconds": 60}, version=2)


def because(*citations: str) -> object:
    return edit({"op": "set_timeout", "step_id": "start", "timeout_seconds": 60, "because": list(citations)})


def test_what_was_recorded_may_be_cited() -> None:
    for citation in ("exec-20261122-01JDABCD", "exec-20261122-01JDABCD#1"):
        assert not found(RULE, OLD, NEW, result(), edit=because(citation))  # type: ignore[arg-type]
    checked = result(checks=[{"id": "running", "check": "service_running", "passed": False}])
    assert not found(RULE, OLD, NEW, checked, edit=because("exec-20261122-01JDABCD#check:running"))  # type: ignore[arg-type]


def test_inventions_are_blocked() -> None:
    for citation in (
        "exec-20261122-ZZZZ",
        "exec-20261122-01JDABCD#2",
        "exec-20261122-01JDABCD#check:nope",
        "exec-20261122-01JDABC#1",
    ):
        (finding,) = found(RULE, OLD, NEW, result(), edit=because(citation))  # type: ignore[arg-type]
        assert finding.level == "block"
        assert finding.evidence == (citation,)
    assert found(RULE, OLD, NEW, edit=because("exec-20261122-01JDABCD"))  # type: ignore[arg-type]
    one_true = because("exec-20261122-01JDABCD#1", "exec-20261122-01JDABCD#9")
    assert found(RULE, OLD, NEW, result(), edit=one_true)  # type: ignore[arg-type]


def test_runs_of_another_runbook_are_no_evidence() -> None:
    for other in ({"runbook_id": "RB-LIN-DISK-001"}, {"runbook_version": 7}):
        (finding,) = found(RULE, OLD, NEW, result(**other), edit=because("exec-20261122-01JDABCD#1"))  # type: ignore[arg-type]
        assert finding.level == "block"


def test_metadata_names_only_what_is_there() -> None:
    new = book(
        {**START, "timeout_seconds": 60}, version=2, metadata={"generated_from_failures": ["exec-20261122-MADEUP"]}
    )
    (finding,) = found(RULE, OLD, new, result(), edit=because("exec-20261122-01JDABCD#1"))  # type: ignore[arg-type]
    assert finding.where == "metadata.generated_from_failures"


def test_an_edit_on_successes_alone_warns() -> None:
    good = result(status="success", success=True, verification_passed=True, error_message=None, executed_steps=[])
    (finding,) = found(RULE, OLD, NEW, good, edit=because("exec-20261122-01JDABCD"))  # type: ignore[arg-type]
    assert finding.level == "warning"


def test_a_person_needs_no_citations() -> None:
    assert not found(RULE, OLD, NEW)
