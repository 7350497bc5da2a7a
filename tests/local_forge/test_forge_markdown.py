"""Rendered Markdown: GitHub's flavour, and nothing that acts."""

from __future__ import annotations

import re

import pytest

from learner.local_forge.web.markdown import render


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '<img src="https://evil.example/x.png" onerror="alert(1)">',
        '<a href="javascript:alert(1)">x</a>',
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        '<iframe src="//evil.example"></iframe>',
        '<svg onload="alert(1)"><script>alert(1)</script></svg>',
        '<p style="position:fixed;inset:0">x</p>',
        '<form action="https://evil.example"><input name="token"><button>Go</button></form>',
        '<details ontoggle="alert(1)" open>x</details>',
        '<meta http-equiv="refresh" content="0;url=https://evil.example">',
        '<base href="https://evil.example/">',
        '<link rel="stylesheet" href="https://evil.example">',
        "<style>body{display:none}</style>",
        '<div id="main" class="decide">x</div>',
        '<span class="pill good">Approved</span>',
        "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
        '```mermaid\nflowchart TD\n a["<script>alert(1)</script>"]\n```',
        '```mermaid\nflowchart TD\n a["x"]:::b\n classDef b fill:url(//evil.example),stroke:red"onload="alert(1)\n```',
        "```mermaid\n</code></pre><script>alert(1)</script>\n```",
    ],
)
def test_nothing_acts(text: str) -> None:
    html = str(render(text))
    tags = re.findall(r"<([^>]*)>", html)
    assert not re.search(r"<(script|img|iframe|form|input|button|meta|base|link|style|math|object|embed)\b", html, re.I)
    for tag in tags:
        tag = tag.removeprefix("marker id=")
        assert not re.search(r"\s(on\w+|style|id|action)\s*=", tag, re.I), tag
        assert "evil.example" not in tag or tag.startswith('a class="image-link"'), tag
        assert "javascript:" not in tag
        assert not re.match(r"(div|span)\b.*(decide|pill)", tag)


def test_images_become_links() -> None:
    html = str(render('![a "chart"](https://example.com/x.png)'))
    assert 'href="https://example.com/x.png"' in html
    assert 'rel="noopener noreferrer nofollow"' in html
    assert "<img" not in html


@pytest.mark.parametrize("kind", ["NOTE", "TIP", "IMPORTANT", "WARNING", "CAUTION"])
def test_alerts(kind: str) -> None:
    html = str(render(f"> [!{kind}]\n> Look **out**."))
    assert f'class="alert alert-{kind.lower()}"' in html
    assert f"<strong>{kind.capitalize()}</strong><br>Look <strong>out</strong>." in html.replace("<br>\n", "<br>")
    assert "[!" not in html


def test_a_quote_is_no_alert() -> None:
    assert "alert" not in str(render("> [!SHOUT]\n> x"))
    assert "alert" not in str(render("> x [!NOTE]"))


def test_tables_tasks_details_and_struck_words() -> None:
    text = "| a | b |\n|---|--:|\n| 1 | `x` |\n\n- [x] done\n- [ ] open\n- plain\n\n<details><summary>More</summary>\n\n~~old~~ **new**\n\n</details>"
    html = str(render(text))
    assert '<td align="right"><code>x</code></td>' in html
    assert html.count('class="task-item"') == 2
    assert 'aria-label="done"' in html
    assert 'aria-label="open"' in html
    assert "<details><summary>More</summary>" in html
    assert "<s>old</s> <strong>new</strong>" in html


def test_a_table_without_a_head_has_none() -> None:
    assert "<thead>" not in str(render("| | |\n|---|---|\n| a | b |"))
    assert "<th></th>" not in str(render("| a | |\n|---|---|\n| a | b |"))


def test_headings_fit_below_the_pages_own() -> None:
    html = str(render("# One\n\n## Two\n\n###### Six"))
    assert re.findall(r"<h(\d)>", html) == ["3", "4", "6"]
    assert re.findall(r"<h(\d)>", str(render("## Two"))) == ["3"]


def test_charts_are_drawn_or_shown() -> None:
    drawn = str(render('```mermaid\nflowchart TD\n a["One"] --> b["Two"]\n```'))
    assert "<svg" in drawn
    assert "Chart source" in drawn
    shown = str(render("```mermaid\nsequenceDiagram\n A->>B: hi\n```"))
    assert "<svg" not in shown
    assert "sequenceDiagram" in shown


def test_comments_are_gone() -> None:
    assert str(render("<!-- secret -->\n\nseen")).strip() == "<p>seen</p>"


def test_a_placeholder_can_not_be_guessed() -> None:
    html = str(render("<p>0000000000000000-0</p>\n\n```mermaid\nflowchart TD\n a[x]\n```"))
    assert html.count("<svg") == 1
