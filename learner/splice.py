"""Changes of a YAML text that leave every other byte alone: comments, blank lines, line ends, quotes, a BOM.

PyYAML's node graph says where each value stands; a change replaces only that stretch of text. Loading and dumping
again would lose what a person wrote between the values.

Where does a value end? Not at its node's end mark: that of a block list or mapping lies behind the comments and
blank lines that follow it, which speak of what comes next. The end of its last leaf is the place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from learner.errors import LearnerError
from learner.strict import Json
from learner.yaml_lines import BREAK, BREAKS, blank_above, break_before, line_end, line_start, next_line
from learner.yaml_text import WIDTH, block, one_line, same, written
from learner.yaml_tree import Tree, YamlError, load

_COMMENT = re.compile(r"( *)#")
_BOM = "\ufeff"

Path = Sequence[str | int]
Span = tuple[int, int]


class SpliceError(LearnerError):
    """The text is laid out in a way that can't be changed in place."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "write this part of the file in plain block style, one key a line")


class Document:
    """A YAML text that can be changed. Paths are keys and indices from the root."""

    def __init__(self, text: bytes) -> None:
        """Raises: `YamlError` when `text` can't be read."""
        whole = text.decode("utf-8") if load(text) else ""
        self._bom = _BOM if whole.startswith(_BOM) else ""
        self._text = whole.removeprefix(_BOM)
        found = BREAK.search(self._text)
        self._break = found[0] if found and found[0] in ("\n", "\r\n", "\r") else "\n"
        self._tree = load(self._text)

    @property
    def text(self) -> bytes:
        """The bytes as they are now."""
        return (self._bom + self._text).encode("utf-8")

    @property
    def tree(self) -> Tree:
        """What the text says now."""
        return self._tree

    def get(self, path: Path) -> Json:
        """The value at `path`. Raises: `KeyError` or `IndexError` when nothing is there."""
        value = self._tree.value
        for key in path:
            value = value[key]
        return value

    def set(self, path: Path, value: Json, order: Sequence[str] = ()) -> None:
        """Put `value` at `path`, in the place of what is there or as a new key of the mapping above.

        A new key stands behind the nearest of those that come before it in `order`, else last.

        Raises: `SpliceError`.
        """
        *above, key = path
        if isinstance(key, int):
            self._set_item(above, key, value)
            return
        mapping = self._node(above)
        for key_node, value_node in mapping.value:
            if key_node.value == key:
                self._replace(mapping, key_node, value_node, value)
                return
        self._add(mapping, key, value, order)

    def merge(self, path: Path, value: Json, order: Sequence[str] = ()) -> None:
        """Make the value at `path` equal `value` with the fewest changes: equal parts are not touched.

        Raises: `SpliceError`.
        """
        try:
            now = self.get(path)
        except (KeyError, IndexError):
            self.set(path, value, order)
            return
        if same(now, value):
            return
        if not (isinstance(now, dict) and isinstance(value, dict) and (now.keys() & value.keys())):
            self.set(path, value, order)
            return
        for key in [key for key in now if key not in value]:
            self.remove((*path, key))
        inner = tuple(value)
        for key, item in value.items():
            self.merge((*path, key), item, order or inner)

    def insert(self, path: Path, index: int, value: Json) -> None:
        """Put `value` into the list at `path` so that it stands at `index`.

        Raises: `SpliceError`.
        """
        node = self._node(path)
        if not node.value:
            self.set(path, [value])
        elif node.flow_style:
            spans = [(item.start_mark.index, self._end(item)) for item in node.value]
            self._insert_flow(spans, index, one_line(value, flow=True, json_like=self._json_like()))
        else:
            self._insert_lines(node, index, self._broken(block([value], node.start_mark.column)))

    def move(self, path: Path, index: int, to: int) -> None:
        """Take the item at `index` out and put it in again so that it stands at `to`; its comments come along.

        Raises: `SpliceError`.
        """
        node = self._node(path)
        item = node.value[index]
        if node.flow_style:
            text = self._text[item.start_mark.index : self._end(item)]
            self.remove((*path, index))
            node = self._node(path)
            spans = [(each.start_mark.index, self._end(each)) for each in node.value]
            self._insert_flow(spans, to, text)
            return
        start = self._lead(node, index)
        end = self._below(item, node.start_mark.column)
        lines = self._text[start:end]
        self._cut(start, end)
        self._insert_lines(self._node(path), to, lines)

    def remove(self, path: Path) -> None:
        """Take out the item or key at `path`, with the comments inside it; those above it stay.

        Raises: `SpliceError`.
        """
        *above, key = path
        node = self._node(above)
        if len(node.value) == 1:
            self.set(above, [] if isinstance(key, int) else {})
            return
        if isinstance(key, int):
            spans = [(item.start_mark.index, self._end(item)) for item in node.value]
            if node.flow_style:
                self._remove_flow(spans, key)
            else:
                start = line_start(self._text, self._dash(node, key))
                self._cut(start, self._below(node.value[key], node.start_mark.column))
            return
        spans = [(name.start_mark.index, self._end(value)) for name, value in node.value]
        index = [name.value for name, _ in node.value].index(key)
        if node.flow_style:
            self._remove_flow(spans, index)
            return
        start, line = spans[index][0], line_start(self._text, spans[index][0])
        if self._text[line:start].strip(" "):
            # The first key of a list's item shares its line with the dash: the next key moves up to it.
            following = spans[index + 1][0]
            between = self._text[spans[index][1] : following]
            self._swap(start, following if "#" not in between else spans[index][1], "")
        else:
            self._cut(line, self._below(node.value[index][1], node.start_mark.column))

    # Places

    def _node(self, path: Path) -> Any:
        node = self._tree.root
        for key in path:
            if isinstance(key, int):
                node = node.value[key]
            else:
                node = next(value for name, value in node.value if name.value == key)
        return node

    def _end(self, node: Any) -> int:
        """Where the last leaf of `node` ends."""
        if not isinstance(node.value, str) and not node.flow_style and node.value:
            last = node.value[-1]
            return self._end(last[1]) if isinstance(last, tuple) else self._end(last)
        start, end = node.start_mark.index, node.end_mark.index
        if isinstance(node.value, str) and node.style in ("|", ">"):
            header = BREAK.split(self._text[start:end], maxsplit=1)[0]
            if "+" not in header.split("#")[0]:
                # Blank lines behind a literal count as its own, though only `|+` keeps them.
                end = start + len(self._text[start:end].rstrip(" " + BREAKS))
            else:
                end -= len(break_before(self._text, end))
        return int(end)

    def _below(self, node: Any, column: int) -> int:
        """The start of the line below `node` and below the comments that stand deeper than `column`: its own."""
        place = at = next_line(self._text, self._end(node))
        while at < len(self._text):
            line = self._text[at : line_end(self._text, at)]
            comment = _COMMENT.match(line)
            if comment is None and line.strip(" "):
                break
            at = next_line(self._text, at)
            if comment and len(comment[1]) > column:
                place = at
        return place

    def _dash(self, node: Any, index: int) -> int:
        """Where the dash of a block list's item stands."""
        column: int = node.start_mark.column
        if index == 0:
            at = int(node.start_mark.index)
            if self._text[line_start(self._text, at) : at].strip(" "):
                raise SpliceError(f"line {node.start_mark.line + 1}: a list that begins inside another one")
            return at
        at = next_line(self._text, self._end(node.value[index - 1]))
        while not re.match(r"-(?:\s|$)", self._text[at + column : at + column + 2]):
            if at >= len(self._text):
                raise SpliceError(f"line {node.start_mark.line + 1}: an item of this list was not found")
            at = next_line(self._text, at)
        return at + column

    def _lead(self, node: Any, index: int) -> int:
        """The start of an item's first line, or of the comments right above it that speak of it."""
        at = line_start(self._text, self._dash(node, index))
        first = next_line(self._text, self._end(node.value[index - 1])) if index else 0
        while at > first:
            above = line_start(self._text, at - len(break_before(self._text, at)))
            if not _COMMENT.match(self._text[above:at]) or above < first:
                break
            at = above
        return at

    def _json_like(self) -> bool:
        root = self._tree.root
        return bool(root.flow_style and root.value and root.value[0][0].style == '"')

    # Changes

    def _swap(self, start: int, end: int, text: str) -> None:
        self._text = self._text[:start] + text + self._text[end:]
        try:
            self._tree = load(self._text)
        except YamlError as e:
            raise SpliceError(f"a change would leave no YAML: {e.problem}") from e

    def _broken(self, lines: Sequence[str]) -> str:
        return "".join(line + self._break for line in lines)

    def _paste(self, at: int, lines: str) -> None:
        """Put whole lines at the start of a line, or behind a last line that has no line break."""
        if at == len(self._text) and self._text and not BREAK.fullmatch(self._text[-1]):
            lines = self._break + lines.removesuffix(self._break)
        self._swap(at, at, lines)

    def _cut(self, start: int, end: int) -> None:
        """Take whole lines out; of two blank stretches that would meet, one blank line goes too."""
        if end == len(self._text) and not BREAK.fullmatch(self._text[-1:]):
            start -= len(break_before(self._text, start))
        elif start and blank_above(self._text, start) and not self._text[end : line_end(self._text, end)].strip(" "):
            start = line_start(self._text, start - len(break_before(self._text, start)))
        self._swap(start, end, "")

    def _insert_lines(self, node: Any, index: int, lines: str) -> None:
        # Where blank lines stand between all items of a list, the new one gets its own.
        gaps = [blank_above(self._text, self._lead(node, i)) for i in range(1, len(node.value))]
        apart = bool(gaps) and all(gaps)
        if index:
            at = self._below(node.value[index - 1], node.start_mark.column)
            self._paste(at, self._break + lines if apart else lines)
        else:
            self._paste(self._lead(node, 0), lines + self._break if apart else lines)

    def _insert_flow(self, spans: Sequence[Span], index: int, text: str) -> None:
        if index < len(spans):
            at = spans[index][0]
            line = line_start(self._text, at)
            own = not self._text[line:at].strip(" \t") and line > 0
            self._swap(at, at, f"{text},{self._break}{self._text[line:at]}" if own else f"{text}, ")
            return
        start, end = spans[-1]
        line = line_start(self._text, start)
        comma = re.compile(r"\s*,").match(self._text, end)
        after = comma.end() if comma else end
        rest = self._text[after : line_end(self._text, after)]
        if not self._text[line:start].strip(" \t") and line > 0 and re.fullmatch(r"\s*(#.*)?", rest):
            below = rest + self._break + self._text[line:start] + text + ("," if comma else "")
            self._swap(after, after + len(rest), ("" if comma else ",") + below)
        else:
            self._swap(end, end, f", {text}")

    def _remove_flow(self, spans: Sequence[Span], index: int) -> None:
        start, end = spans[index]
        if index < len(spans) - 1:
            between = self._text[end : spans[index + 1][0]]
            if "#" not in between:
                self._swap(start, spans[index + 1][0], "")
                return
            comma = re.compile(r"\s*,").match(self._text, end)
            self._swap(start, comma.end() if comma else end, "")
        else:
            before = spans[index - 1][1]
            self._swap(start if "#" in self._text[before:start] else before, end, "")

    def _set_item(self, above: Path, index: int, value: Json) -> None:
        node = self._node(above)
        item = node.value[index]
        if node.flow_style or isinstance(item.value, str) or item.flow_style:
            text = one_line(
                value, flow=bool(node.flow_style), style=getattr(item, "style", None), json_like=self._json_like()
            )
            self._swap(item.start_mark.index, self._end(item), text)
        else:
            raise SpliceError(f"line {item.start_mark.line + 1}: an item of a list can't be written anew as a whole")

    def _replace(self, mapping: Any, key: Any, old: Any, value: Json) -> None:
        start, end = old.start_mark.index, self._end(old)
        style = old.style if isinstance(old.value, str) else None
        colon = self._text.index(":", key.end_mark.index) + 1
        if mapping.flow_style:
            text = one_line(value, flow=True, style=style, json_like=self._json_like())
            self._swap(start, end, text if start < end or self._text[start - 1] == " " else " " + text)
            return
        column = mapping.start_mark.column
        if isinstance(value, dict | list) and value and start < end and not isinstance(old.value, str):
            head, below = self._in_style(old, value, column)
        else:
            head, below = written(value, column + 2, WIDTH - key.end_mark.column - 2, style)
        key_ends = line_end(self._text, colon)
        if start <= key_ends:
            before = self._text[colon:start] if head else ""
            rest = self._text[end : line_end(self._text, end)]
        else:
            before, rest = " " if head else "", self._text[colon:key_ends]
        before = before or (" " if head else "")
        lines = "".join(self._break + line for line in below)
        self._swap(colon, line_end(self._text, end), before + head + rest + lines)

    def _in_style(self, old: Any, value: Json, column: int) -> tuple[str, list[str]]:
        """`value` in block style where a block stood, on one line where brackets stood."""
        if old.flow_style and old.value:
            return one_line(value, json_like=self._json_like()), []
        listed = isinstance(value, list)
        if listed and not old.value:
            return "", block(value, column + self._list_offset())
        indent = old.start_mark.column if old.value else 0
        return "", block(value, indent if indent >= column + (not listed) else column + 2)

    def _list_offset(self) -> int:
        """How much deeper than their keys the lists of this file stand."""
        for key, value in self._tree.root.value if not self._tree.root.flow_style else ():
            if isinstance(value.value, list) and value.value and not value.flow_style and value.id == "sequence":
                return int(value.start_mark.column - key.start_mark.column)
        return 2

    def _add(self, mapping: Any, key: str, value: Json, order: Sequence[str]) -> None:
        names = [name.value for name, _ in mapping.value]
        earlier = order[: order.index(key)] if key in order else ()
        index = next((names.index(name) + 1 for name in reversed(earlier) if name in names), len(names))
        quoted = self._json_like()
        if mapping.flow_style:
            text = f"{one_line(key, flow=True, json_like=quoted)}: {one_line(value, flow=True, json_like=quoted)}"
            if not names:
                self._swap(mapping.start_mark.index, self._end(mapping), "{" + text + "}")
            else:
                spans = [(name.start_mark.index, max(name.end_mark.index, self._end(v))) for name, v in mapping.value]
                self._insert_flow(spans, index, text)
            return
        column = mapping.start_mark.column
        # A part of its own at the top of the file gets a line for each of its items.
        if not column and isinstance(value, dict) and value:
            lines = [f"{key}:", *block(value, 2)]
        elif not column and isinstance(value, list) and any(isinstance(item, dict) for item in value):
            lines = [f"{key}:", *block(value, self._list_offset())]
        else:
            lines = block({key: value}, column)
        self._paste(self._below(mapping.value[index - 1][1], column), self._broken(lines))
