"""GitHub-flavoured Markdown as HTML that is safe to show: sanitised, with no outside images, with charts drawn here."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from learner.local_forge.web.flowchart import draw

# Source: GitHub docs, "Basic writing and formatting syntax", section "Alerts".
_ALERTS = {"NOTE": "Note", "TIP": "Tip", "IMPORTANT": "Important", "WARNING": "Warning", "CAUTION": "Caution"}
_ALERT = re.compile(r"\[!(NOTE|TIP|IMPORTANT|WARNING|CAUTION)\]\s*(?:\n|$)")
_TASK = re.compile(r"\[([ xX])\] ")

_EMPTY_HEAD = re.compile(r"<thead>\s*<tr>\s*(?:<th[^>]*></th>\s*)+</tr>\s*</thead>")

_TAGS = {
    *(
        "a",
        "b",
        "blockquote",
        "br",
        "code",
        "dd",
        "del",
        "details",
        "div",
        "dl",
        "dt",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
    ),
    *("hr", "i", "kbd", "li", "ol", "p", "pre", "s", "samp", "span", "strong", "sub", "summary", "sup"),
    *("table", "tbody", "td", "th", "thead", "tr", "ul"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "td": {"align"}, "th": {"align", "scope"}, "ol": {"start"}, "details": {"open"}}
_ATTRIBUTES |= {"span": {"role", "aria-label"}}
_CLASSES = {
    "blockquote": {"alert", *(f"alert-{name.lower()}" for name in _ALERTS)},
    "p": {"alert-title"},
    "span": {"task", "task-done"},
    "li": {"task-item"},
    "a": {"image-link"},
}

_parser = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table", "strikethrough"])


def render(text: str, *, first_heading: int = 3) -> Markup:
    """The text as HTML. Its top headings become `<h{first_heading}>`, so that they fit below the page's own."""
    tokens = _parser.parse(text[:200_000])
    mark = secrets.token_hex(8)
    charts: list[str] = []
    _walk(tokens, first_heading, mark, charts)
    raw = _parser.renderer.render(tokens, _parser.options, {})
    clean = nh3.clean(
        raw,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes=_CLASSES,
        link_rel="noopener noreferrer nofollow",
        url_schemes={"http", "https", "mailto"},
        strip_comments=True,
    )
    clean = _EMPTY_HEAD.sub("", clean).replace("<th></th>", "<td></td>")
    clean = clean.replace("<table>", '<div class="scroll" tabindex="0" role="group" aria-label="Table"><table>')
    clean = clean.replace("</table>", "</table></div>").replace("<pre>", '<pre tabindex="0">')
    for number, chart in enumerate(charts):
        clean = clean.replace(f"<p>{mark}-{number}</p>", chart)
    return Markup(clean)  # noqa: S704 - nh3 has sanitised it, and the charts are ours


def _walk(tokens: list[Token], first_heading: int, mark: str, charts: list[str]) -> None:
    top = min((int(t.tag[1]) for t in tokens if t.type == "heading_open"), default=1)
    for at, token in enumerate(tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) - top + first_heading, 6)}"
        elif token.type == "fence" and token.info.strip() == "mermaid":
            charts.append(_chart(token.content))
            token.type, token.tag, token.content = "html_block", "", f"<p>{mark}-{len(charts) - 1}</p>\n"
        elif token.type in ("th_open", "td_open"):
            align = str(token.attrs.pop("style", "")).removeprefix("text-align:")
            token.attrs |= {"align": align} if align else {}
        elif token.type == "blockquote_open":
            _alert(token, tokens[at + 1 : at + 3])
        elif token.type == "list_item_open":
            _task(token, tokens[at + 1 : at + 3])
        for child in token.children or ():
            if child.type == "image":
                _unload(child)


def _chart(source: str) -> str:
    svg = draw(source)
    shown = f'<figure class="chart" tabindex="0" aria-label="Flow chart">{svg}</figure>' if svg else ""
    state = "" if svg else " open"
    return f'{shown}<details class="chart-source"{state}><summary>Chart source</summary><pre tabindex="0"><code>{escape(source)}</code></pre></details>'


def _alert(quote: Token, inside: Sequence[Token]) -> None:
    """`> [!WARNING]` opens an alert: a quote with a colour and a title."""
    if len(inside) < 2 or inside[1].type != "inline" or not (found := _ALERT.match(inside[1].content)):
        return
    children = inside[1].children or []
    quote.attrs["class"] = f"alert alert-{found[1].lower()}"
    cut = 2 if len(children) > 1 and children[1].type == "softbreak" else 1
    title = Token("html_inline", "", 0, content=f"<strong>{_ALERTS[found[1]]}</strong><br>")
    inside[1].children = [title, *children[cut:]]


def _task(item: Token, inside: Sequence[Token]) -> None:
    """`- [x] done` becomes a drawn box: nothing on this page can be ticked."""
    if len(inside) < 2 or inside[1].type != "inline" or not (found := _TASK.match(inside[1].content)):
        return
    children = inside[1].children or []
    if not children or children[0].type != "text":
        return
    done = found[1] != " "
    children[0].content = children[0].content[4:]
    box = (
        f'<span class="task{" task-done" if done else ""}" role="img" aria-label="{"done" if done else "open"}"></span>'
    )
    inside[1].children = [Token("html_inline", "", 0, content=box), *children]
    item.attrs["class"] = "task-item"


def _unload(image: Token) -> None:
    """An image becomes a link to itself: nothing outside is ever loaded."""
    source, alt = str(image.attrs.get("src", "")), image.content or "image"
    link = f'<a class="image-link" href="{escape(source)}">{escape(alt)}</a>'
    image.type, image.tag, image.content, image.children = "html_inline", "", link, None
