from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner import facts

keys = st.text(min_size=1, max_size=8)
paths = st.lists(keys, min_size=1, max_size=4).map(tuple)
states = st.recursive(
    st.dictionaries(keys, st.one_of(st.integers(), st.booleans(), st.text(max_size=4), st.lists(st.integers(), max_size=2)), max_size=3),
    lambda below: st.dictionaries(keys, below, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(paths)
def test_a_written_path_reads_back(path: facts.Path) -> None:
    assert facts.parse(facts.dotted(path)) == path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("services", "web"), "services.web"),
        (("files", "/run/app.pid", "exists"), 'files["/run/app.pid"].exists'),
        (("ports", "10.0.0.1:80"), 'ports["10.0.0.1:80"]'),
    ],
)
def test_paths_as_people_read_them(path: facts.Path, text: str) -> None:
    assert facts.dotted(path) == text


@pytest.mark.parametrize("text", ["a..b", "[x]", "a[", ".a"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fact path"):
        facts.parse(text)


@given(states)
def test_a_state_does_not_differ_from_itself(state: dict[str, Any]) -> None:
    assert facts.diff(state, state) == {}


@given(states, states)
def test_differences_turned_round_are_the_differences_the_other_way(one: dict[str, Any], other: dict[str, Any]) -> None:
    turned = {
        path: {"before": sides["after"], "after": sides["before"]} for path, sides in facts.diff(other, one).items()
    }
    assert facts.diff(one, other) == turned


@given(states, paths, st.integers())
def test_merging_leaves_the_original_alone(state: dict[str, Any], path: facts.Path, value: int) -> None:
    before = repr(state)
    assert facts.get(facts.merged(state, {path: value}), path) == value
    assert repr(state) == before


def test_paths_touch_when_one_stands_inside_the_other() -> None:
    assert facts.touches(("files", "/a"), ("files", "/a", "exists"))
    assert facts.touches(("ports",), ("ports", "80"))
    assert not facts.touches(("files", "/a"), ("files", "/b"))
