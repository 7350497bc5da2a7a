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


@pytest.mark.parametrize(
    ("platform", "params", "words"),
    [
        ("linux", "path: 'C:\\web\\a'", "is a path on Windows, not on linux"),
        ("windows", "path: /srv/a", "/srv/a is no path on Windows"),
        ("windows", "path: 'C:\\web\\a'", ""),
        ("windows", "path: '\\\\nas\\web\\a'", ""),
        ("windows", 'path: "{{ host.name }}/a"', ""),
    ],
)
def test_a_path_of_another_platform_is_told(platform: str, params: str, words: str) -> None:
    open_path = 'path: "{{ host.name }}"'
    for part in ("steps", "verification"):
        book = [
            "id: RB-ANY-FILE-001", "version: 1", "name: a", "description: b", f"platform: {platform}", "incident_types: [x]",
            f"steps: [{{id: one, action: remove_file, params: {{{params if part == 'steps' else open_path}}}}}]",
            f"verification: [{{id: gone, check: file_absent, params: {{{params if part != 'steps' else open_path}}}}}]",
        ]  # fmt: skip
        try:
            parse("\n".join(book).encode())
            said = []
        except InvalidRunbook as refused:
            said = [problem.message for problem in refused.problems]
        assert bool(said) is bool(words), said
        assert all(words in message for message in said)
