"""Shell text taken apart: whatever comes in, words come out, soon."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.audits.foreign_code import Code, commands_in
from learner.audits.outcomes import outcomes, sources
from learner.audits.programs import flatten
from learner.audits.shell import parse
from learner.audits.simple import Simple

PIECES = st.lists(
    st.sampled_from(
        [
            "rm",
            " ",
            "-rf",
            "/",
            "$x",
            "${x",
            "}",
            "$(",
            ")",
            "`",
            "'",
            '"',
            "\\",
            "|",
            "&&",
            ";",
            "\n",
            "<<E",
            "<<<",
            ">",
            "<(",
            "{a,b}",
            "x=1",
            "$'\\x72",
            "sh -c ",
            "eval ",
            "xargs ",
            "find . -exec ",
            "E",
            "\x00",
            "é",
            "#",
            "for i in ",
            "case ",
            "function f() {",
        ]
    ),
    max_size=30,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(PIECES | st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    for command in flatten(parse(text)):
        if isinstance(command, Simple):
            assert isinstance(command.options, frozenset)
            assert isinstance(str(command), str)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["python", "perl", "ruby", "node", "php", "powershell"]), st.text(max_size=200))
def test_any_code_can_be_read(language: str, text: str) -> None:
    commands_in(Code(language, text))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=100))
def test_any_template_can_be_read(text: str) -> None:
    outcomes("{{ " + text + " }}", {})
    sources("{{ " + text + " }}")


@pytest.mark.parametrize(
    "text",
    [
        "$(" * 2000,
        "'" * 5001,
        "a=$a$a;" * 300,
        "sh -c " * 500 + "x",
        "<<E\n" * 500,
        "{a,b}" * 50,
        "x|" * 2000,
        "`" * 3001,
        "${a:-" * 1000,
        "\\" * 5001,
        "(" * 3000,
        "eval eval " * 300,
    ],
)
def test_hostile_text_takes_no_time(text: str) -> None:
    began = time.monotonic()
    list(flatten(parse(text)))
    assert time.monotonic() - began < 2.0


def test_variables_that_double_do_not_explode() -> None:
    text = "a=xxxxxxxxxx\n" + "".join("a=$a$a\n" for _ in range(60)) + "rm $a"
    began = time.monotonic()
    parse(text)
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a 'b c' d", ("a", "b c", "d")),
        ('a "$(echo b c)"', ("a", "b c")),
        ("x=1; a $x", ("a", "1")),
        ("a ${y:-z}", ("a", "z")),
        ("a \\\n b", ("a", "b")),
        ("a # comment", ("a",)),
        ("a b#c", ("a", "b#c")),
        ("if x; then a; fi", ("a",)),
        ("a {b,c}d", ("a", "bd", "cd")),
        ("a $((1+2))", ("a", "$((1+2))")),
    ],
)
def test_words(text: str, words: tuple[str, ...]) -> None:
    assert words in [command.words for command in parse(text)]


def test_branches_of_templates() -> None:
    assert outcomes("{{ 'a' if x else 'b' }}", {}) == ["a", "b"]
    assert outcomes("/run/{{ n }}.pid", {"n": ["web", "db"]}) == ["/run/web.pid", "/run/db.pid"]
    assert outcomes("{{ state.x }}", {}) == ["$state_x"]
    assert outcomes("{{ x | default('y') }}", {}) == ["$x", "y"]
    assert outcomes("{{ ['a', 'b'] | join('-') }}", {}) == ["a-b"]
    assert sources("{{ 'a' if host.os == service else state.b }}") == {("state", "b")}
