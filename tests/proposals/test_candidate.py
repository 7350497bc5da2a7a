"""Repair patterns made of merged edits: they give the edit back, load, and name nobody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from learner.models import ExecutionResult, RunbookEdit, RunbookMetadata, Score
from learner.proposals.brief import Draft
from learner.proposals.candidate import NotGeneral, candidate
from learner.proposals.edit import apply
from learner.proposals.merged import Improvement
from learner.proposals.patterns import Pattern, PatternProposer, builtin, load
from learner.runbook_file import RunbookFile, parse
from samples import result
from tests.proposals.examples import brief_of, failure_of, parent_of

PARENT = parse((Path(__file__).parents[2] / "learner/demo/runbooks/RB-LIN-SERVICE-001.yaml").read_bytes())
DAMAGED = "web-1 web: ERROR the geo table /var/lib/geo/world.mmdb is damaged, refusing to serve"
RESTORE = {
    "op": "insert_step",
    "before": "start",
    "step": {
        "id": "restore_table",
        "action": "restore_file",
        "params": {"path": "/var/lib/geo/world.mmdb"},
        "when": "state.services[service] != 'running'",
        "why": "a crash while writing leaves /var/lib/geo/world.mmdb damaged",
    },
}


def failed(number: int, error: str = DAMAGED, **changes: Any) -> ExecutionResult:
    ident = f"exec-20261122-{number:08d}"
    step = result().executed_steps[0].model_dump(mode="json") | {"error": error}
    held = {"execution_id": ident, "executed_steps": [step], "error_message": error,
            "parameters": {"service": "web", "port": 8080}} | changes  # fmt: skip
    return result(**held)


def edit_of(*operations: dict[str, Any], words: str = "Put the damaged table back") -> RunbookEdit:
    cited = [{"because": ["exec-20261122-00000001#1"]} | operation for operation in operations]
    return RunbookEdit.model_validate_json(json.dumps({
        "root_cause": "The table /var/lib/geo/world.mmdb on web-1 was damaged by the crash.", "summary": words,
        "expected_effect": "The service finds a whole table.", "risk": "Low. Newer entries are lost.", "operations": cited,
    }))  # fmt: skip


def improvement(edit: RunbookEdit, parent: RunbookFile = PARENT) -> Improvement:
    new = parse(apply(parent, edit, RunbookMetadata(generated_by="learning_engine")))
    return Improvement(
        parent, new, edit, "gpt-4o", "the geo table <path> is damaged", "start_service", None, "3fa94c01d2e8", (),
        Score(ref=parent.runbook.ref, verified=0, failed=5), Score(ref=new.runbook.ref, verified=12, failed=0),
    )  # fmt: skip


def test_a_merged_edit_becomes_a_pattern_that_gives_it_back() -> None:
    one = improvement(edit_of(RESTORE))
    made = candidate(one, [failed(1), failed(2)], builtin(), ["acme"])
    (pattern,) = load([(made.path, made.text.encode())])
    assert made.path == f"runbooks/patterns/{pattern.id}.yaml"
    assert pattern.match.actions == ("start_service",)
    assert "%{path:path}" in pattern.match.error[0]
    assert "web-1" not in made.text
    assert "acme" not in made.text
    assert made == candidate(one, [failed(1), failed(2)], builtin(), ["acme"]), "its bytes depend on the evidence alone"


def test_it_repairs_a_sibling_with_other_values() -> None:
    (pattern,) = load([("x", candidate(improvement(edit_of(RESTORE)), [failed(1)], (), ()).text.encode())])
    other = parse(PARENT.text.replace(b"RB-LIN-SERVICE-001", b"RB-LIN-OTHER-001").replace(b"{{ service }}", b"mail"))
    error = "mail-7 mail: ERROR the geo table /srv/tables/eu.mmdb is damaged, refusing to serve"
    failure = failed(1, error, runbook_id="RB-LIN-OTHER-001", client_id="beta", hostname="mail-7")
    draft = PatternProposer([pattern]).propose(brief_of(other, failure))
    assert isinstance(draft, Draft)
    step = draft.edit.operations[0].step  # type: ignore[union-attr]
    assert step["params"] == {"path": "/srv/tables/eu.mmdb"}
    assert "/srv/tables/eu.mmdb" in step["why"]
    assert "world.mmdb" not in draft.edit.root_cause


def test_its_example_is_one_that_the_tests_of_patterns_can_run() -> None:
    made = candidate(improvement(edit_of(RESTORE)), [failed(1)], (), ())
    (pattern,) = load([("x", made.text.encode())])
    assert operations_of(pattern) == json.loads(json.dumps(pattern.example.operations))


def operations_of(pattern: Pattern) -> Any:
    parent = parent_of(pattern)
    draft = PatternProposer([pattern]).propose(brief_of(parent, failure_of(pattern, parent)))
    assert isinstance(draft, Draft), draft
    return [op.model_dump(mode="json", exclude={"because"}, exclude_none=True) for op in draft.edit.operations]


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ({"op": "set_timeout", "step_id": "start", "timeout_seconds": 40}, "web: ERROR it is still reading its tables"),
        ({"op": "set_retry", "step_id": "start", "retry": {"attempts": 3, "delay_seconds": 2}}, "web: ERROR the licence server is slow"),
        ({"op": "insert_step", "before": "start", "step": {"id": "make", "action": "create_directory", "params": {"path": "/run/geo"}}},
         "web: ERROR cannot write its state into /run/geo/state.db there"),
    ],
)  # fmt: skip
def test_times_tries_and_directories_become_names(operation: dict[str, Any], error: str) -> None:
    made = candidate(improvement(edit_of(operation)), [failed(1, error)], (), ())
    (pattern,) = load([("x", made.text.encode())])
    assert "<<step>>" in made.text
    assert operations_of(pattern) == [operation]


@pytest.mark.parametrize(
    ("operation", "error", "why"),
    [
        (RESTORE, "web: ERROR the geo table is damaged", "stands in no error"),
        (RESTORE, "web: ERROR /var/lib/geo/world.mmdb", "too few words"),
        (RESTORE, DAMAGED.replace("geo table", "geo table of acme's"), None),
        ({"op": "set_precondition", "expression": "state.disk.usage_percent < 95"}, DAMAGED, "this one runbook"),
        ({"op": "insert_step", "before": "start", "step": {"id": "look", "action": "check_port", "params": {"port": "{{ port }}"}}},
         DAMAGED, "stands in no error"),
    ],
)  # fmt: skip
def test_what_is_about_this_one_runbook_is_no_pattern(operation: dict[str, Any], error: str, why: str | None) -> None:
    one = improvement(edit_of(operation))
    if why is None:  # the client's name is not what the failure is known by
        assert "acme" not in candidate(one, [failed(1, error)], (), ["acme"]).text
        return
    with pytest.raises(NotGeneral, match=why):
        candidate(one, [failed(1, error)], (), ["acme"])


def test_the_name_of_a_client_keeps_it_from_being_offered() -> None:
    with pytest.raises(NotGeneral, match="name of a client"):
        candidate(improvement(edit_of(RESTORE, words="Put Acme's table back")), [failed(1)], (), ["acme"])


def test_what_a_pattern_does_already_is_not_offered_again() -> None:
    made = candidate(improvement(edit_of(RESTORE)), [failed(1)], (), ())
    with pytest.raises(NotGeneral, match=made.id):
        candidate(improvement(edit_of(RESTORE)), [failed(1)], load([("x", made.text.encode())]), ())
