"""Text that somebody else wrote, made harmless on a forge's page and in a commit message.

Text from telemetry, models and patterns must not mention people, close or link issues, load images or break
out of its block. A zero-width space inside `@name`, `#1` and `://` keeps it readable and dead.
"""

from __future__ import annotations

import re

GAP = "\u200b"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+!|~$&-])")
_RUN = re.compile(r"`+")


def plain(text: str, most: int = 500) -> str:
    """`text` for a commit message or a title: no control characters, no mentions, no references; cut to `most`."""
    text = _CONTROL.sub("", text)
    text = re.sub(r"(?<=[@#])(?=\w)", GAP, text)
    text = re.sub(r"\b(GH)-(?=\d)", rf"\1{GAP}-", text, flags=re.IGNORECASE)
    text = text.replace("://", f":{GAP}//")
    # "Closes owner/name#1" is dead with its #; trailers such as Co-authored-by are not, so they lose their line start.
    text = re.sub(r"(?im)^(co-authored-by|signed-off-by|reviewed-by)(?=:)", rf"{GAP}\1", text)
    return text if len(text) <= most else text[: most - 1] + "…"


def prose(text: str, most: int = 2000) -> str:
    """`text` as a paragraph of Markdown that means nothing but itself."""
    return _MARKDOWN.sub(r"\\\1", plain(" ".join(text.split()), most)).replace("\\-", "-")


def cell(text: str, most: int = 300) -> str:
    """`text` as the content of a table's cell."""
    return prose(text, most)


def code(text: str, most: int = 300) -> str:
    """`text` as an inline code span, also inside a table."""
    text = " ".join(_CONTROL.sub("", text).split())
    text = text if len(text) <= most else text[: most - 1] + "…"
    if not text:
        return "–"
    ticks = "`" * (max((len(run) for run in _RUN.findall(text)), default=0) + 1)
    gap = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{gap}{text}{gap}{ticks}".replace("|", "\\|")


def block(text: str, language: str = "text", most: int = 4000) -> str:
    """`text` as a fenced block whose fence it can't end."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\t", "    ")).strip("\n")
    if len(text) > most:
        text = f"{text[: most // 2]}\n… {len(text) - most} characters left out …\n{text[-most // 2 :]}"
    fence = "`" * max(3, max((len(run) for run in _RUN.findall(text)), default=0) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def label(text: str, most: int = 60) -> str:
    """`text` inside the quotes of a Mermaid node."""
    text = " ".join(_CONTROL.sub("", text).split())
    text = text if len(text) <= most else text[: most - 1] + "…"
    # Mermaid reads #…; as an entity and markdown strings between backticks; angle brackets would be HTML.
    return re.sub(r"""["#;<>`&{}()\[\]|\\@]""", lambda m: f"#{ord(m[0])};", text)
