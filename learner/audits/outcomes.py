"""What a template can come to, without knowing the host: every branch of a condition, every default, every enum value.

A value that nothing tells is written `$name`, as an unset variable would be in a shell.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any

from jinja2 import Environment, nodes
from jinja2.exceptions import TemplateSyntaxError

from learner.facts import Path

MOST = 16
"""Values of one template that are followed."""

_ONE_WAY: Mapping[str, Callable[[Any], Any]] = {
    "lower": lambda v: str(v).lower(),
    "upper": lambda v: str(v).upper(),
    "trim": lambda v: str(v).strip(),
    "string": str,
    "basename": lambda v: posixpath.basename(str(v)),
    "dirname": lambda v: posixpath.dirname(str(v)),
    "first": lambda v: v[0] if isinstance(v, list | str) and v else v,
    "last": lambda v: v[-1] if isinstance(v, list | str) and v else v,
    "length": lambda v: len(v) if isinstance(v, list | str) else v,
}


def outcomes(template: str, names: Mapping[str, Sequence[Any]]) -> list[Any]:
    """The values that `template` can come to when each of `names` can be any of its values; at most `MOST`."""
    try:
        tree = Environment(autoescape=False, keep_trailing_newline=True).parse(template)  # noqa: S701 - never rendered
    except TemplateSyntaxError:
        return [template]
    parts = [node for output in tree.find_all(nodes.Output) for node in output.nodes]
    choices = [_values(node, names) for node in parts]
    if len(choices) == 1:
        return choices[0]
    return _distinct("".join(map(str, picked)) for picked in product(*choices))


def sources(template: str) -> frozenset[Path]:
    """The data paths whose values can reach the outcome; what only decides between branches does not."""
    try:
        tree = Environment(autoescape=False).parse(template)  # noqa: S701 - never rendered
    except TemplateSyntaxError:
        return frozenset()
    return frozenset(path for output in tree.find_all(nodes.Output) for node in output.nodes for path in _paths(node))


def _values(node: nodes.Node, names: Mapping[str, Sequence[Any]]) -> list[Any]:
    match node:
        case nodes.TemplateData():
            return [node.data]
        case nodes.Const():
            return [node.value]
        case nodes.List():
            return [list(picked) for picked in islice(product(*(_values(item, names) for item in node.items)), MOST)]
        case nodes.CondExpr():
            other = _values(node.expr2, names) if node.expr2 is not None else []
            return _distinct([*_values(node.expr1, names), *other])
        case nodes.And() | nodes.Or():
            return _distinct([*_values(node.left, names), *_values(node.right, names)])
        case nodes.Compare() | nodes.Not() | nodes.Test():
            return [True, False]
        case nodes.Name() if node.name in names:
            return list(names[node.name])
        case nodes.Getitem() if isinstance(node.node, nodes.List):
            return _distinct(value for item in node.node.items for value in _values(item, names))
        case nodes.Filter() if node.node is not None:
            return _filtered(node, names)
    path = next(iter(_paths(node)), None)
    return ["$" + "_".join(path)] if path else ["$unknown"]


def _filtered(node: nodes.Filter, names: Mapping[str, Sequence[Any]]) -> list[Any]:
    assert node.node is not None
    values = _values(node.node, names)
    if node.name == "default":
        return _distinct([*values, *(value for arg in node.args[:1] for value in _values(arg, names))])
    if node.name == "join":
        between = str(_values(node.args[0], names)[0]) if node.args else ""
        return [between.join(map(str, value)) if isinstance(value, list) else value for value in values]
    if change := _ONE_WAY.get(node.name):
        return _distinct(change(value) for value in values)
    return values


def _paths(node: nodes.Node) -> Iterator[Path]:
    match node:
        case nodes.Name():
            yield (node.name,)
        case nodes.Getattr():
            yield from ((*path, node.attr) for path in _paths(node.node))
        case nodes.Getitem():
            key = str(node.arg.value) if isinstance(node.arg, nodes.Const) else None
            for path in _paths(node.node):
                yield (*path, key) if key is not None else path
        case nodes.CondExpr():
            yield from _paths(node.expr1)
            if node.expr2 is not None:
                yield from _paths(node.expr2)
        case nodes.Compare() | nodes.Not() | nodes.Test():
            return
        case _:
            for child in node.iter_child_nodes():
                yield from _paths(child)


def _distinct(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in islice(values, MOST * 4):
        if not any(value is other or (type(value) is type(other) and value == other) for other in found):
            found.append(value)
    return found[:MOST]
