"""YAML read as JSON: no timestamps, no yes/no, no octal numbers, no aliases, no key twice; and every value's place."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import yaml

LARGEST = 1 << 20
"""Bytes of a YAML document; larger ones are refused."""
DEEPEST = 40
SAFE_DEPTH = 1000
"""Levels that a C stack holds without thought."""

Loc: TypeAlias = tuple[str | int, ...]

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Problem:
    """Something wrong at a place; line and column count from 1."""

    message: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.message}"


class YamlError(Exception):
    """The text is no YAML of ours."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True)
class Tree:
    """A document: its value as JSON, its nodes, and the place of each."""

    value: Any
    root: Any
    marks: dict[Loc, tuple[int, int]] = field(repr=False)

    def place(self, loc: Sequence[str | int]) -> tuple[int, int]:
        """Line and column (from 1) of the innermost value on the way to `loc` that exists."""
        at = tuple(loc)
        while at not in self.marks and at:
            at = at[:-1]
        return self.marks.get(at, (1, 1))


def load(text: str | bytes) -> Tree:
    """The tree of one YAML document.

    Raises: `YamlError` saying where and what, for bad syntax and for everything that is no JSON in disguise.
    """
    if len(text) > LARGEST:
        raise YamlError(Problem(f"{len(text)} bytes; a document may have {LARGEST}"))
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as e:
            raise YamlError(Problem(f"not UTF-8: byte {e.start}")) from None
    root = compose(text)
    marks: dict[Loc, tuple[int, int]] = {}
    value = _value(root, (), marks, set()) if root is not None else None
    return Tree(value, root, marks)


def compose(text: str) -> yaml.Node | None:
    """PyYAML's node graph of `text`, every plain scalar left as text.

    Raises: `YamlError` for bad syntax.
    """
    import yaml

    _not_too_deep(text)
    loader = _loader()(text)
    try:
        return loader.get_single_node()  # type: ignore[no-any-return]
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        words = " ".join(x for x in (e.problem, e.context) if x)
        raise YamlError(
            Problem(words or "no YAML", mark.line + 1 if mark else 1, mark.column + 1 if mark else 1)
        ) from None
    except yaml.YAMLError as e:
        raise YamlError(Problem(" ".join(str(e).split()))) from None
    finally:
        loader.dispose()


def _not_too_deep(text: str) -> None:
    """PyYAML composes by recursion in C, where a text of nothing but brackets ends the process, not the parse.

    Texts that can't nest deeply by their looks are let through at once; others are counted out, event by event.
    """
    import yaml

    if text.count("[") + text.count("{") <= SAFE_DEPTH and max(map(len, text.splitlines()), default=0) <= SAFE_DEPTH:
        return
    loader, depth = _loader()(text), 0
    try:
        while loader.check_event():
            event = loader.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > SAFE_DEPTH:
                mark = event.start_mark
                raise YamlError(Problem(f"nested deeper than {DEEPEST}", mark.line + 1, mark.column + 1))
    except yaml.YAMLError:
        return  # composing says what is wrong, in its own words
    finally:
        loader.dispose()


def _loader() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if not hasattr(base, "_learner"):

        class Plain(base):  # type: ignore[misc]
            yaml_implicit_resolvers: dict[str, Any] = {}

        base._learner = Plain
    return base._learner


def _value(node: yaml.Node, at: Loc, marks: dict[Loc, tuple[int, int]], seen: set[int]) -> Any:
    import yaml

    marks[at] = (node.start_mark.line + 1, node.start_mark.column + 1)

    def refuse(words: str, where: yaml.Node = node) -> YamlError:
        return YamlError(Problem(words, where.start_mark.line + 1, where.start_mark.column + 1))

    if id(node) in seen:
        raise refuse("aliases (*name) are not allowed; write the value out")
    seen.add(id(node))
    if len(at) > DEEPEST:
        raise refuse(f"nested deeper than {DEEPEST}")
    if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.rsplit(":", 1)[1] not in (
        "str",
        "seq",
        "map",
    ):
        raise refuse(f"tags ({node.tag.replace('tag:yaml.org,2002:', '!!')}) are not allowed")
    if isinstance(node, yaml.ScalarNode):
        if node.style:
            return node.value
        try:
            return scalar(node.value)
        except ValueError as e:
            raise refuse(str(e)) from None
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*at, i), marks, seen) for i, item in enumerate(node.value)]
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise refuse("a key must be a plain text", key_node)
        key = key_node.value
        if key == "<<" and not key_node.style:
            raise refuse("merge keys (<<) are not allowed", key_node)
        if key in mapping:
            raise refuse(f"the key {key} stands here twice", key_node)
        mapping[key] = _value(value_node, (*at, key), marks, seen)
    return mapping


def scalar(text: str) -> Any:
    """What an unquoted scalar means: null, true, false and numbers as JSON writes them; all else is text.

    Raises: `ValueError` for a number that no JSON reader could hold.
    """
    if text in ("null", "~", ""):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        if len(text) > 18:
            raise ValueError("a number with more than 18 digits; quote it if it is a text")
        return int(text)
    if _NUMBER.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            raise ValueError("a number too large; quote it if it is a text")
        return number
    return text
