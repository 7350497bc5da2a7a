from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.yaml_tree import LARGEST, YamlError, load

# JSON escapes what stands outside the first plane as two halves; YAML has no halves.
texts = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], max_codepoint=0xD7FF), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(texts, below, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: yes", {"a": "yes"}),
        ("a: 0755", {"a": "0755"}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: 2026-11-22", {"a": "2026-11-22"}),
        ("a: 12:30:00", {"a": "12:30:00"}),
        ("a: .inf", {"a": ".inf"}),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("a: true", {"a": True}),
        ("a: '1'", {"a": "1"}),
        ("a: 1e3", {"a": 1000.0}),
        ("- 1\n- 2.5", [1, 2.5]),
        ("", None),
    ],
)
def test_yaml_reads_as_json(text: str, value: Any) -> None:
    assert load(text).value == value


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: &x 1\nb: *x", (1, 4), "alias"),
        ("a: 1\nb: 2\na: 3", (3, 1), "twice"),
        ("a: !!python/object:os.system {}", (1, 4), "tags"),
        ("a: !!int '1'", (1, 4), "tags"),
        ("<<: {a: 1}", (1, 1), "merge keys"),
        ("? [a]\n: 1", (1, 3), "key"),
        ("a: [1", (2, 1), "flow"),
        ("a: b: c", (1, 5), "mapping values"),
        ("\ta: 1", (1, 1), "token"),
        ("a: 1\n---\nb: 2", (2, 1), "document"),
        ("a: 12345678901234567890", (1, 4), "18 digits"),
        ("a: " + "[" * 60 + "]" * 60, (1, 44), "nested"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(text: str, place: tuple[int, int], words: str) -> None:
    with pytest.raises(YamlError) as refused:
        load(text)
    problem = refused.value.problem
    assert words in problem.message
    assert problem.line == place[0]


def test_a_laugh_of_a_billion_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    with pytest.raises(YamlError, match="alias"):
        load("\n".join(lines))


def test_large_and_foreign_bytes_are_refused() -> None:
    with pytest.raises(YamlError, match="bytes"):
        load(b"a" * (LARGEST + 1))
    with pytest.raises(YamlError, match="UTF-8"):
        load(b"a: \xff")


def test_every_value_knows_its_place() -> None:
    tree = load("a:\n  - b: 1\n    c: two\n")
    assert tree.place(("a", 0, "c")) == (3, 8)
    assert tree.place(("a", 0, "missing")) == (2, 5)


@given(json_values)
def test_json_is_yaml(value: Any) -> None:
    assert load(json.dumps({"v": value})).value == {"v": value}


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        load(text)
    except YamlError as e:
        assert e.problem.line >= 1


@pytest.mark.parametrize(
    "text", ["[" * 200_000, "{a: " * 100_000, "- " * 200_000, "- - ? " * 50_000, "a: " + "[" * 5000 + "]" * 5000]
)
def test_a_text_of_brackets_is_refused_and_the_process_lives(text: str) -> None:
    with pytest.raises(YamlError):
        load(text)
