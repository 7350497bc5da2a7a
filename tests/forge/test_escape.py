"""Text from outside must not mention, close, load or break out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from learner.forge import escape

HOSTILE = [
    "@octocat fixes #1", "closes acme/runbooks#12", "GH-7", "![x](https://evil.example/p.png)", "<img src=x onerror=alert(1)>",
    "```\n# not code any more\n```", "` `` ``` @a", "| a | b |\n|---|---|", "<!-- learner:proposal {} -->", "</details><script>",
    "[link](javascript:alert(1))", "https://github.com/acme/runbooks/issues/1", "\u202egnp.exe", "a\x1b[31mred", "Co-authored-by: x <x@y>",
    "> [!CAUTION]\n> nothing", "$$x$$", "- [ ] task", "&#64;octocat", "line\u2028break",
]  # fmt: skip
texts = st.one_of(
    st.sampled_from(HOSTILE), st.text(max_size=80), st.lists(st.sampled_from(HOSTILE), max_size=3).map("\n".join)
)


def words(html: str) -> str:
    return re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)


@given(texts)
def test_prose_renders_as_one_dead_paragraph(text: str) -> None:
    html = MarkdownIt("gfm-like", {"linkify": False}).render(f"before {escape.prose(text)} after")
    assert re.fullmatch(r"<p>.*</p>\n", html, re.DOTALL)
    assert not re.search(r"<(?!/?p>|/?em>)\w", html.replace("&lt;", "")), html
    assert not re.search(r"[@#]\w", re.sub(r"&#?\w+;", "", html))


@given(texts)
def test_code_stays_in_its_span(text: str) -> None:
    html = MarkdownIt("gfm-like", {"linkify": False}).render(f"x {escape.code(text)} y")
    assert html.count("<p>") == 1
    assert "<img" not in words(html)
    assert not re.search(r"@\w", words(html))
    if text.split():
        assert html.count("<code>") <= 1


@given(texts)
def test_a_block_ends_where_it_should(text: str) -> None:
    html = MarkdownIt("gfm-like", {"linkify": False}).render(f"{escape.block(text)}\n\nafter")
    assert html.endswith("<p>after</p>\n")
    assert html.count("<pre>") == 1


@given(texts)
def test_a_commit_message_mentions_nobody_and_closes_nothing(text: str) -> None:
    plain = escape.plain(text)
    assert not re.search(r"[@#]\w", plain)
    assert "://" not in plain
    assert not re.search(r"(?im)^co-authored-by:", plain)
    assert escape.plain(plain) == plain or len(plain) >= 499


@given(texts)
def test_a_mermaid_label_can_not_leave_its_quotes(text: str) -> None:
    label = escape.label(text)
    assert not re.search(r"""["<>`\[\]{}()|\\\n]""", re.sub(r"#\d+;", "", label))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_table_cell_stays_one_cell(text: str) -> None:
    table = f"| a | b |\n|---|---|\n| {escape.cell(text)} | {escape.code(text)} |\n"
    html = MarkdownIt("gfm-like", {"linkify": False}).render(table)
    assert html.count("<td>") == 2
    assert html.count("<tr>") == 2
