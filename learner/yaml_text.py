"""JSON values written as YAML that `yaml_tree` reads back as the same values, in the style of hand-written runbooks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from learner.strict import Json
from learner.yaml_tree import scalar

WIDTH = 110
"""Columns that a list or mapping on one line may take; longer ones get a line for each item."""

# Plain words that other YAML readers take for something else than text.
_RESERVED = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_WORD = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+=-]*")
_PROSE = re.compile(r"[A-Za-z][^\x00-\x1f\x7f-\xa0{}\[\]'\"#&*!|>%@`\\\u2028\u2029\ud800-\udfff\ufeff]*[A-Za-z0-9.)?]")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z")
# Source: YAML 1.2.2, production 1 (c-printable); tabs and breaks are escaped too.
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def double_quoted(text: str) -> str:
    """`text` in double quotes.

    Raises: `ValueError` for half of a surrogate pair, which UTF-8 can't hold.
    """

    def escaped(match: re.Match[str]) -> str:
        character = match[0]
        code = ord(character)
        if 0xD800 <= code <= 0xDFFF:
            raise ValueError("half of a surrogate pair is no text")
        return _ESCAPES.get(character, f"\\u{code:04x}")  # what JSON knows too, for runbooks that are JSON

    return '"' + _UNPRINTABLE.sub(escaped, text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def one_line(value: Json, *, flow: bool = False, style: str | None = None, json_like: bool = False) -> str:
    """`value` on one line.

    `flow` says that it stands inside brackets; `style` is the quote of the text it replaces; `json_like` quotes
    every text and key, for runbooks that are JSON.
    """
    if isinstance(value, str):
        return _text(value, flow, style, json_like)
    if isinstance(value, Mapping):
        pairs = (
            f"{_text(str(key), True, None, json_like)}: {one_line(item, flow=True, json_like=json_like)}"
            for key, item in value.items()
        )
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(one_line(item, flow=True, json_like=json_like) for item in value) + "]"
    return json.dumps(value, allow_nan=False)


def written(value: Json, indent: int, room: int, style: str | None = None) -> tuple[str, list[str]]:
    """`value` as it stands after a key: what goes on the key's own line, and the lines below it.

    `indent` is the column of lines below, `room` the columns left on the key's line.
    """
    if isinstance(value, str):
        return _literal(value, indent) or (one_line(value, style=style), [])
    if isinstance(value, Mapping | list | tuple) and value and not (_flat(value) and len(one_line(value)) <= room):
        return "", block(value, indent)
    return one_line(value), []


def block(value: Json, indent: int) -> list[str]:
    """The lines of a mapping or list that is not empty, in block style at column `indent`."""
    at = " " * indent
    lines: list[str] = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            name = _text(str(key), False, None, False)
            head, below = written(item, indent + 2, WIDTH - indent - len(name) - 2)
            lines += [f"{at}{name}: {head}".rstrip(" "), *below]
        return lines
    for item in value:
        if isinstance(item, Mapping) and item:
            first, *rest = block(item, indent + 2)
            lines += [f"{at}- {first[indent + 2 :]}", *rest]
        else:
            head, below = written(item, indent + 2, WIDTH - indent - 2)
            lines += [f"{at}- {head}" if head else f"{at}-", *below]
    return lines


def _flat(value: Json, depth: int = 0) -> bool:
    if isinstance(value, Mapping):
        return depth < 2 and all(_flat(item, depth + 1) for item in value.values())
    if isinstance(value, list | tuple):
        return depth < 2 and all(_flat(item, depth + 1) for item in value)
    return not isinstance(value, str) or "\n" not in value


def _text(text: str, flow: bool, style: str | None, json_like: bool) -> str:
    if json_like or style == '"':
        return double_quoted(text)
    if style == "'" and not _UNPRINTABLE.search(text) and text:
        return "'" + text.replace("'", "''") + "'"
    return text if _plain(text, flow) else double_quoted(text)


def _plain(text: str, flow: bool) -> bool:
    """Whether `text` can stand without quotes."""
    if text.lower() in _RESERVED or scalar_is_no_text(text):
        return False
    if _WORD.fullmatch(text):
        return True
    if flow:
        return False
    if _INSTANT.fullmatch(text):
        return True
    return bool(_PROSE.fullmatch(text)) and ": " not in text and not text.endswith(":")


def scalar_is_no_text(text: str) -> bool:
    """Whether a plain `text` would be read as null, a boolean or a number."""
    try:
        return not isinstance(scalar(text), str)
    except ValueError:
        return True


def _literal(text: str, indent: int) -> tuple[str, list[str]] | None:
    """`text` as a literal block (`|`), None when it has one line or could not be read back from one."""
    body = text.removesuffix("\n")
    lines = body.split("\n")
    if "\n" not in text or not lines[0].strip() or lines[0][0] in " \t" or not lines[-1].strip():
        return None
    if any(_UNPRINTABLE.search(line.replace("\t", "")) for line in lines):
        return None
    at = " " * indent
    return "|" if text.endswith("\n") else "|-", [at + line if line else "" for line in lines]


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal, true and 1 being different and 30 and 30.0 the same."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
