"""What the pages read: two versions side by side, the machine part, results, CODEOWNERS, diffs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import forge_scene as scene
import pytest
from forge_world import World
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.local_forge import User
from learner.local_forge.codeowners import owners_of, parse
from learner.local_forge.diff import carried
from learner.local_forge.users import Directory
from learner.local_forge.web import machine_part
from learner.local_forge.web.failures import read_failures
from learner.local_forge.web.side_by_side import compare
from learner.repository.git import Identity, init
from learner.settings import TelemetrySettings
from learner.telemetry.archive import archive
from learner.telemetry.fold import fold
from learner.telemetry.inbox import push
from learner.telemetry.spool import Spool
from samples import result

LINES = st.lists(st.sampled_from(["a: 1", "a: 2", "- id: x", "  - id: y", "    b: c d", "", "# note"]), max_size=25)


@settings(max_examples=150, deadline=None)
@given(LINES, LINES)
def test_both_sides_can_be_read_back(old: list[str], new: list[str]) -> None:
    rows = [row for block in compare("\n".join(old) + "\n", "\n".join(new) + "\n") for row in block.rows]
    left = ["".join(p.text for p in r.old) for r in rows if r.old_number]
    right = ["".join(p.text for p in r.new) for r in rows if r.new_number]
    assert left == (old if old != [""] else []) or (old, left) == ([], [])
    assert right == (new if new != [""] else []) or (new, right) == ([], [])
    assert [r.old_number for r in rows if r.old_number] == list(range(1, len(left) + 1))
    assert [r.new_number for r in rows if r.new_number] == list(range(1, len(right) + 1))


def test_changed_words_and_steps_stand_out() -> None:
    blocks = compare(scene.V1, scene.V2)
    rows = [row for block in blocks for row in block.rows]
    changed = [row for row in rows if row.kind == "changed"]
    assert [
        ["".join(p.text for p in r.old if p.changed), "".join(p.text for p in r.new if p.changed)] for r in changed
    ] == [["1", "2"], ["20", "45"]]
    assert {"".join(p.text for p in r.new).strip(): r.badge for r in rows if r.badge} == {
        "- id: clear_stale_pid": "new step",
        "- id: answer": "changed step",
    }
    assert sum(b.folded for b in blocks) >= 2
    assert all(row.kind == "same" and not row.badge for b in blocks if b.folded for row in b.rows)


def test_a_new_file_has_no_left_side() -> None:
    rows = [row for block in compare("", "a\nb\n") for row in block.rows]
    assert [(r.kind, r.new_number) for r in rows] == [("added", 1), ("added", 2)]


def test_the_machine_part_is_read() -> None:
    part = machine_part.read(scene.machine() + "\n\nWords")
    assert part
    assert (part.runbook_id, part.version, part.priority, part.worst) == ("RB-LIN-SERVICE-001", 2, "high", "notice")
    assert part.executions == tuple(scene.EXECUTIONS)
    assert part.replay
    assert (part.replay.verdict, part.replay.recorded, len(part.replay.runs)) == ("fixed", 0.55, 3)
    assert machine_part.without(scene.machine() + "\n\nWords") == "Words"


@pytest.mark.parametrize(
    "body",
    [
        None,
        "",
        "Words",
        "<!-- learner:proposal {nope} -->",
        "<!-- learner:proposal [] -->",
        "x <!-- learner:proposal {} -->",
    ],
)
def test_no_machine_part(body: str | None) -> None:
    assert machine_part.read(body) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["level", "verdict", "runs", "added", "rule", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["runbook_id", "version", "findings", "capabilities", "replay", "executions", "priority"]), JSON
    )
)
def test_any_machine_part_can_be_read(held: dict[str, object]) -> None:
    text = json.dumps(held).replace("--", "\\u002d\\u002d")
    assert machine_part.read(f"<!-- learner:proposal {text} -->")


def test_results_are_found_by_their_names(world: World) -> None:
    scene.first_runbooks(world)
    first, second, gone = read_failures(world.forge.repo, scene.EXECUTIONS)
    assert (first.hostname, first.client, first.status, first.failed_step) == ("web-1", "acme", "failure", "start")
    assert [(s.outcome, s.attempts) for s in first.steps] == [("done", 1), ("failed", 2), ("skipped", 1)]
    assert ("services.web", "failed", "failed") in first.state
    assert second.hostname == "web-2"
    assert "nor in an archive" in gone.missing
    assert read_failures(world.forge.repo, ["../../etc/passwd", "exec-20269999-aaaa"])[0].missing


def test_archived_results_are_read_as_if_they_lay_there(world: World, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    now, who, telemetry = datetime(2026, 12, 24, tzinfo=UTC), Identity("l", "l@x"), TelemetrySettings()
    clone, spool = init(tmp_path / "learner"), Spool(tmp_path / "spool")
    clone.run("remote", "add", "origin", str(world.forge.repo.git.path))
    ids = ["exec-20261122-aaaa", "exec-20261130-bbbb"]  # the second ran on the first of December
    spool.add(result(execution_id=ids[0], hostname="web-1"))
    spool.add(
        result(
            execution_id=ids[1],
            hostname="web-2",
            started_at="2026-12-01T00:00:01Z",
            completed_at="2026-12-01T00:01:00Z",
        )
    )
    push(spool, clone, "origin", client_id="acme", executor_id="web", author=who, now=now)
    tip = fold(clone, "origin", settings=telemetry, author=who, now=now).commit or ""
    before = read_failures(world.forge.repo, ids)
    assert [one.hostname for one in before] == ["web-1", "web-2"]
    archive(clone, "origin", tip, settings=telemetry, author=who, now=now, before=date(2027, 1, 1))
    assert not any(path.startswith("telemetry/acme") for path in world.forge.repo.git.listing("telemetry"))
    assert read_failures(world.forge.repo, ids) == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "null",
        '{"executed_steps": {"a": 1}, "checks": [1, null, {"passed": []}], "state_diff": [1], "duration_seconds": "long"}',
        "[" * 5000,
    ],
)
def test_broken_results_say_so_and_nothing_worse(world: World, text: str) -> None:
    work = world.clone("bob")
    world.git("switch", "-q", "--orphan", "telemetry", cwd=work)
    world.commit(work, "telemetry/acme/2026/11/22/exec-20261122-aaaa.json", text)
    world.git("push", "-q", "origin", "HEAD:telemetry", cwd=work)
    failure = read_failures(world.forge.repo, ["exec-20261122-aaaa"])[0]
    assert failure.missing or not failure.steps


def test_no_telemetry_branch(world: World) -> None:
    assert read_failures(world.forge.repo, ["exec-20261122-aaaa"])[0].missing == "there is no telemetry branch yet"


@pytest.mark.parametrize(
    ("rules", "path", "owners"),
    [
        ("* @ada", "a/b.yaml", {"ada"}),
        ("* @ada\n*.yaml @bob", "a/b.yaml", {"bob"}),
        ("/runbooks/ @ada", "runbooks/linux/a.yaml", {"ada"}),
        ("/runbooks/ @ada", "x/runbooks/a.yaml", set()),
        ("runbooks/ @ada", "x/runbooks/a.yaml", {"ada"}),
        ("/docs/* @ada", "docs/a.md", {"ada"}),
        ("/docs/* @ada", "docs/deep/a.md", set()),
        ("apps/**/x @ada", "apps/one/two/x", {"ada"}),
        ("* @ada # the boss", "x", {"ada"}),
        ("* @ada\n/free.txt", "free.txt", set()),
        ("* bob@example.com @nobody @rita", "x", {"bob"}),
    ],
)
def test_code_owners(rules: str, path: str, owners: set[str]) -> None:
    people = [
        User("ada", "token-ada"),
        User("bob", "token-bob", email="bob@example.com"),
        User("rita", "token-rita", "read"),
    ]
    assert owners_of(path, parse(rules), Directory(people)) == owners


def test_a_line_is_carried_along() -> None:
    old = ["a", "b", "c"]
    assert carried(2, old, ["x", "a", "b", "c"]) == 3
    assert carried(2, old, ["a", "B", "c"]) is None
    assert carried(9, old, old) is None


def test_names_of_files_with_odd_letters(make_world: Callable[..., World]) -> None:
    world = make_world()
    work = world.clone("ada")
    name = 'odd "quoted" \u00fc\u2603 name.txt'
    world.commit(work, name, "one\n")
    world.git("push", "-q", "origin", "HEAD:main", cwd=work)
    world.branch("bob", "mine", {name: "two\n"})
    pull = world.repo("bob").create_pull(title="T", body="", base="main", head="mine")
    assert [(f.filename, f.status, f.additions) for f in pull.get_files()] == [(name, "modified", 1)]
    assert world.repo("bob").get_contents(name, ref="mine").decoded_content == b"two\n"  # type: ignore[union-attr]
