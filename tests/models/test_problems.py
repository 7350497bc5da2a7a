"""What a schema can't see of a runbook."""

from __future__ import annotations

from pathlib import Path

import pytest

from learner.runbook_file import InvalidRunbook, parse

TEXT = (Path(__file__).parents[2] / "learner/demo/runbooks/RB-LIN-API-001.yaml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  backend: {type", "  state: {type", "state is a name of the language"),
        ("  - id: restart", "  - id: look_at_backend", "used twice"),
        ("on_failure: continue", "on_failure: {goto: nowhere}", "there is no such step"),
        ("on_failure: continue", "on_failure: rollback", "no rollback steps"),
        ('"{{ backend }}"', '"{{ bakend }}"', "did you mean backend?"),
        ("default: db", "default: 7", "is no string"),
        (
            "action: restart_service\n    params: {name: api}",
            "action: sync_tim\n    params: {}",
            "did you mean sync_time?",
        ),
    ],
)
def test_each_is_told_with_its_place(old: str, new: str, words: str) -> None:
    assert old in TEXT
    with pytest.raises(InvalidRunbook) as refused:
        parse(TEXT.replace(old, new, 1).encode())
    found = [problem for problem in refused.value.problems if words in problem.message]
    assert found, refused.value.problems
    assert found[0].line > 1
