"""Splicing: the change is made, and every other byte stays."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.splice import Document, SpliceError
from learner.yaml_text import double_quoted, one_line, same, written
from learner.yaml_tree import load

COMMENTED = """\
# yaml-language-server: $schema=../../schemas/runbook.schema.json
id: RB-LIN-SERVICE-001   # never changes
version: 1

steps:            # in order
  # look first
  - id: look
    action: check_service_status
    params: {name: "{{ service }}"}   # the unit

  # then start it
  - id: start
    action: 'start_service'
    params:
      name: "{{ service }}"
      # a comment inside
    retry:
      attempts: 3   # three
      delay_seconds: 2
      # belongs to start

  - id: script
    action: run_script
    params:
      shell: sh
      script: |
        echo one

        echo two

# what proves it
verification:
- id: running
  check: service_running
  params: {name: "{{ service }}"}
# the end
"""


def changed(text: str, *changes: tuple[str, Any]) -> str:
    document = Document(text.encode())
    for name, arguments in changes:
        getattr(document, name)(*arguments)
    return document.text.decode()


def difference(old: str, new: str) -> tuple[list[str], list[str]]:
    """Lines that went and lines that came."""
    import difflib

    lines = list(difflib.ndiff(old.splitlines(keepends=True), new.splitlines(keepends=True)))
    return [x[2:] for x in lines if x[0] == "-"], [x[2:] for x in lines if x[0] == "+"]


@pytest.mark.parametrize(
    ("change", "gone", "come"),
    [
        (("set", (("version",), 2)), ["version: 1\n"], ["version: 2\n"]),
        (("set", (("id",), "RB-X-001")), ["id: RB-LIN-SERVICE-001   # never changes\n"], ["id: RB-X-001   # never changes\n"]),
        (
            ("set", (("steps", 1, "action"), "restart_service")),
            ["    action: 'start_service'\n"],
            ["    action: 'restart_service'\n"],
        ),
        (("set", (("steps", 1, "retry", "attempts"), 5)), ["      attempts: 3   # three\n"], ["      attempts: 5   # three\n"]),
        (
            ("set", (("steps", 0, "params", "name"), "web")),
            ['    params: {name: "{{ service }}"}   # the unit\n'],
            ['    params: {name: "web"}   # the unit\n'],
        ),
        (
            ("set", (("steps", 2, "params", "script"), "echo three\necho four\n")),
            ["        echo one\n", "\n", "        echo two\n"],
            ["        echo three\n", "        echo four\n"],
        ),
        (
            ("set", (("steps", 1, "when"), "state.services[service] != 'running'", ("id", "action", "params", "when", "retry"))),
            [],
            ['    when: "state.services[service] != \'running\'"\n'],
        ),
        (("set", (("metadata",), {"a": 1, "b": "x"})), [], ["metadata:\n", "  a: 1\n", "  b: x\n"]),
        (("remove", (("steps", 1, "retry"),)), ["    retry:\n", "      attempts: 3   # three\n", "      delay_seconds: 2\n", "      # belongs to start\n"], []),
        (("remove", (("steps", 0, "id"),)), ["  - id: look\n", "    action: check_service_status\n"], ["  - action: check_service_status\n"]),
        (
            ("insert", (("verification",), 1, {"id": "port", "check": "port_open", "params": {"port": 80}})),
            [],
            ["- id: port\n", "  check: port_open\n", "  params: {port: 80}\n"],
        ),
    ],
)  # fmt: skip
def test_only_the_lines_that_are_meant_change(change: Any, gone: list[str], come: list[str]) -> None:
    assert difference(COMMENTED, changed(COMMENTED, change)) == (gone, come)


def test_a_new_item_stands_behind_what_belongs_to_the_one_before_it_and_keeps_the_lists_spacing() -> None:
    new = changed(COMMENTED, ("insert", (("steps",), 2, {"id": "wait", "action": "wait", "params": {"seconds": 2}})))
    assert (
        "      # belongs to start\n\n  - id: wait\n    action: wait\n    params: {seconds: 2}\n\n  - id: script\n"
        in new
    )


def test_a_new_first_item_leaves_the_comment_with_the_old_first() -> None:
    new = changed(COMMENTED, ("insert", (("steps",), 0, {"id": "wait", "action": "wait"})))
    assert "steps:            # in order\n  - id: wait\n    action: wait\n\n  # look first\n  - id: look\n" in new


def test_a_moved_item_takes_its_comments_along() -> None:
    new = changed(COMMENTED, ("move", (("steps",), 1, 0)))
    assert new.index("# then start it") < new.index("# belongs to start") < new.index("# look first")
    assert "steps:            # in order\n  # then start it\n  - id: start\n" in new
    assert sorted(new) == sorted(COMMENTED)


def test_a_removed_item_leaves_the_comments_above_it() -> None:
    gone, come = difference(COMMENTED, changed(COMMENTED, ("remove", (("steps", 0),))))
    assert come == []
    assert gone[0] == "  - id: look\n"
    assert not any("#" in line and "the unit" not in line for line in gone)


def test_a_literal_block_does_not_swallow_what_follows() -> None:
    new = changed(COMMENTED, ("insert", (("steps",), 3, {"id": "last", "action": "wait"})))
    assert load(new).value["steps"][2]["params"]["script"] == "echo one\n\necho two\n"
    assert new.index("- id: last") < new.index("# what proves it")


def test_windows_line_ends_and_a_byte_order_mark_stay() -> None:
    text = "\ufeff" + COMMENTED.replace("\n", "\r\n")
    new = changed(
        text, ("insert", (("steps",), 1, {"id": "w", "action": "wait"})), ("set", (("metadata",), {"a": "b"}))
    )
    assert new.startswith("\ufeff#")
    assert "\n" not in new.replace("\r\n", "")
    assert new.endswith("# the end\r\n")


@pytest.mark.parametrize(
    ("text", "change", "expected"),
    [
        ("a: 1", ("set", (("b",), 2)), "a: 1\nb: 2"),
        ("a: 1\nb: 2", ("remove", (("b",),)), "a: 1"),
        ("a:\nb: 2\n", ("set", (("a",), "x")), "a: x\nb: 2\n"),
        ("a:   # why\n  b: 1\n", ("set", (("a",), {})), "a: {}   # why\n"),
        ("a: {}  # why\n", ("set", (("a",), {"b": "x\ny\n"})), "a:  # why\n  b: |\n    x\n    y\n"),
        ("r: []  # none\nz: 1\n", ("insert", (("r",), 0, {"id": "x"})), "r:  # none\n  - id: x\nz: 1\n"),
        ("r: []\nz:\n- 1\n", ("insert", (("r",), 0, {"id": "x"})), "r:\n- id: x\nz:\n- 1\n"),
        ("r: [{id: a}, {id: b}]\n", ("insert", (("r",), 1, {"id": "x"})), "r: [{id: a}, {id: x}, {id: b}]\n"),
        ("r: [{id: a}]\n", ("insert", (("r",), 1, {"id": "x"})), "r: [{id: a}, {id: x}]\n"),
        ("r: [{id: a}, {id: b}]\n", ("remove", (("r", 0),)), "r: [{id: b}]\n"),
        ("r: [{id: a}, {id: b},]\n", ("remove", (("r", 1),)), "r: [{id: a},]\n"),
        ("r: [{id: a}, {id: b}, {id: c}]\n", ("move", (("r",), 2, 0)), "r: [{id: c}, {id: a}, {id: b}]\n"),
        ("r: [\n  a,  # one\n  b   # two\n]\n", ("insert", (("r",), 2, "c")), "r: [\n  a,  # one\n  b,   # two\n  c\n]\n"),
        ("r: [\n  a,  # one\n  b   # two\n]\n", ("insert", (("r",), 1, "c")), "r: [\n  a,  # one\n  c,\n  b   # two\n]\n"),
        ('{"a": 1, "r": ["x"]}\n', ("set", (("m",), {"k": "v"})), '{"a": 1, "r": ["x"], "m": {"k": "v"}}\n'),
        ('{\n  "a": 1\n}\n', ("set", (("b",), "v")), '{\n  "a": 1,\n  "b": "v"\n}\n'),
        ("s: |+\n  x\n\nb: 1\n", ("set", (("c",), 2, ("s", "c", "b"))), "s: |+\n  x\n\nc: 2\nb: 1\n"),
        ("c:\n- a\n- 'b'  # two\n", ("set", (("c", 1), "it's")), "c:\n- a\n- 'it''s'  # two\n"),
        ("a: >-\n  folded\n  text\nb: 1\n", ("set", (("a",), "x")), "a: x\nb: 1\n"),
        ("a: plain\n  text  # c\nb: 1\n", ("set", (("a",), "x")), "a: x  # c\nb: 1\n"),
        ("- 1\n", ("set", ((0,), 2)), "- 2\n"),
    ],
)  # fmt: skip
def test_every_layout(text: str, change: Any, expected: str) -> None:
    assert changed(text, change) == expected


def test_what_can_not_be_changed_in_place_is_said() -> None:
    document = Document(b"a:\n- - 1\n  - 2\n")
    with pytest.raises(SpliceError, match="begins inside another"):
        document.remove(("a", 0, 0))


texts = st.text(max_size=30) | st.sampled_from(
    [
        "yes",
        "null",
        "0o7",
        "1e3",
        "# no",
        "a: b",
        "a #b",
        "-",
        "{{ x }}",
        "x\ny\n",
        "x\n\n y",
        " lead",
        "tail ",
        "\n",
        "é",
        "2026-11-22T05:00:00Z",
        "'",
        '"',
        "|",
        "x\n\tz\n",
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


def readable(value: Any) -> bool:
    """Whether JSON of ours: no half surrogates, no number a reader would refuse."""
    try:
        return load(json.dumps(value, ensure_ascii=False)) is not None
    except Exception:
        return False


@settings(max_examples=150, deadline=None)
@given(values.filter(readable))
def test_what_is_written_is_read_back(value: Any) -> None:
    assert same(load("k: " + one_line(value)).value["k"], value)
    assert same(load('{"k": ' + one_line(value, json_like=True) + "}").value["k"], value)
    head, below = written(value, 4, 60)
    assert same(load(f"a:\n  k: {head}\n" + "".join(line + "\n" for line in below) + "  z: 1\n").value["a"]["k"], value)


def test_half_a_surrogate_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        double_quoted("\ud800")


LAYOUTS = [
    COMMENTED,
    COMMENTED.replace("\n", "\r\n"),
    COMMENTED.rstrip("\n"),
    json.dumps(load(COMMENTED).value, indent=2),
    json.dumps(load(COMMENTED).value),
]


@st.composite
def some_change(draw: st.DrawFn, value: Any) -> tuple[str, tuple[Any, ...]]:
    part = draw(st.sampled_from(["steps", "verification"]))
    size = len(value[part])
    item = {"id": draw(texts.filter(readable)), "action": "x", "params": {"a": draw(values.filter(readable))}}
    kind = draw(st.sampled_from(["insert", "set", "remove", "move", "key", "merge"]))
    at = draw(st.integers(0, size - 1))
    if kind == "insert":
        return "insert", ((part,), draw(st.integers(0, size)), item)
    if kind == "remove" and size > 1:
        return "remove", ((part, at),)
    if kind == "move" and size > 1:
        return "move", ((part,), at, draw(st.integers(0, size - 1)))
    if kind == "merge":
        return "merge", ((part, at), item)
    if kind == "key":
        return "remove", ((part, at, draw(st.sampled_from(sorted(value[part][at])))),)
    return "set", (
        (part, at, draw(st.sampled_from(["action", "params", "when", "retry"]))),
        draw(values.filter(readable)),
    )


def plainly(value: Any, change: tuple[str, tuple[Any, ...]]) -> Any:
    value = copy.deepcopy(value)
    name, (path, *rest) = change
    if name == "insert":
        value[path[0]].insert(rest[0], rest[1])
    elif name == "move":
        value[path[0]].insert(rest[1], value[path[0]].pop(rest[0]))
    else:
        above = value
        for key in path[:-1]:
            above = above[key]
        if name == "remove":
            del above[path[-1]]
        else:
            above[path[-1]] = rest[0]
    return value


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(LAYOUTS))
def test_any_change_gives_what_the_same_change_gives_to_plain_values(data: st.DataObject, text: str) -> None:
    document = Document(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        before = document.tree.value
        change = data.draw(
            some_change(before).filter(
                lambda c: c[0] != "remove" or len(c[1][0]) < 3 or len(before[c[1][0][0]][c[1][0][1]]) > 1
            )
        )
        comments = [line for line in document.text.decode().splitlines() if line.lstrip().startswith("#")]
        getattr(document, change[0])(*change[1])
        assert same(document.tree.value, plainly(before, change))
        if change[0] in ("insert", "move"):
            after = [line for line in document.text.decode().splitlines() if line.lstrip().startswith("#")]
            assert sorted(comments) == sorted(x for x in after if x in comments)
