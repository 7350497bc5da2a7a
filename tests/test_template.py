from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.template import (
    TemplateError,
    UndefinedName,
    check,
    check_expression,
    evaluate,
    expression_references,
    references,
    render,
)

SCOPE: dict[str, Any] = {
    "port": 8080, "service": "nginx.service", "ratio": 0.5, "names": ["a", "b"],
    "state": {"services": {"nginx.service": "failed"}, "disk": {"usage_percent": 91.5}}, "steps": {"look": {"success": True}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ port }}", 8080),
        (" {{ port }} ", 8080),
        ("port {{ port }}", "port 8080"),
        ("{{ ratio }}", 0.5),
        ("{{ names }}", ["a", "b"]),
        ("{{ names[1] }}", "b"),
        ("{{ state.services[service] }}", "failed"),
        ("{{ state.disk.usage_percent > 90 }}", True),
        ("{{ steps.look.success and not (port == 1) }}", True),
        ("{{ missing | default('x') }}", "x"),
        ("{{ service | upper }}", "NGINX.SERVICE"),
        ("{{ '/a/b.c' | basename }}", "b.c"),
        ("007", "007"),
        ("None", "None"),
        (["{{ port }}", {"k": "{{ service }}"}], [8080, {"k": "nginx.service"}]),
        (7, 7),
    ],
)
def test_a_whole_expression_keeps_its_type_and_other_text_is_text(text: Any, value: Any) -> None:
    assert render(text, SCOPE) == value
    assert type(render(text, SCOPE)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 10**9 }}", "{{ 2 ** 99999999 }}", "{{ f() }}", "{{ ''.__class__.__mro__() }}", "{% for x in y %}{% endfor %}",
        "{{ names | map('x') }}", "{{ a ~ b }}", "{{ x + 1 }}", "{{ {'a': 1} }}", "{# note #}", "{{ x", "{{ x is mapping }}",
        "{{ " + "x" * 11_000 + " }}",
    ],
)  # fmt: skip
def test_what_is_not_in_the_language_is_refused_before_it_runs(text: str) -> None:
    with pytest.raises(TemplateError):
        check(text)
    with pytest.raises(TemplateError):
        render(text, SCOPE)


@pytest.mark.parametrize("text", ["{{ nope }}", "x {{ nope }}", "{{ state.nope.deeper }}", "{{ state.services['x'] }}"])
def test_what_is_not_there_is_named(text: str) -> None:
    with pytest.raises(UndefinedName):
        render(text, SCOPE)


def test_data_is_reached_as_data_never_as_python() -> None:
    with pytest.raises(UndefinedName):
        evaluate("names.append", SCOPE)
    with pytest.raises(UndefinedName):
        evaluate("service.__class__", SCOPE)
    assert evaluate("state.items", {"state": {"items": 3}}) == 3


def test_comparing_unlike_things_is_an_error_with_words() -> None:
    with pytest.raises(TemplateError, match="not supported"):
        evaluate("service < 3", SCOPE)


def test_references_end_where_they_depend_on_a_value() -> None:
    assert references("{{ state.services[service] }} {{ state.disk.usage_percent }}") == {
        ("state", "services"),
        ("service",),
        ("state", "disk", "usage_percent"),
    }
    assert expression_references("a.b == 'c' and d") == {("a", "b"), ("d",)}


@given(st.text(max_size=60))
def test_any_text_is_a_template_or_is_refused_never_a_crash(text: str) -> None:
    for judge in (check, check_expression):
        try:
            judge(text)
        except TemplateError as e:
            assert e.message


@given(st.text(max_size=40).filter(lambda t: "{{" not in t and "{%" not in t and "{#" not in t))
def test_text_without_braces_is_itself(text: str) -> None:
    assert render(text, {}) == text
