"""The one small template language of runbooks: `{{ expression }}` over data, with nothing to call.

A value that is wholly `{{ expression }}` keeps the expression's type; any other use gives a string. The
syntax tree is held against a whitelist before anything is compiled: names, attributes, items, comparisons,
`and`/`or`/`not`/`in` and a few filters. There is no arithmetic, no call and no `{% %}`, so that a template
can neither run for long nor reach anything but the data it was given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from learner.errors import LearnerError

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

LONGEST = 10_000
"""Characters of a template; longer ones are refused."""

EXPRESSION = re.compile(r"\s*\{\{(?P<inner>[^{}]+)\}\}\s*")
EXPRESSION_PATTERN = r"^\s*\{\{[^{}]+\}\}\s*$"
FILTERS = (
    "lower",
    "upper",
    "trim",
    "int",
    "float",
    "string",
    "length",
    "default",
    "first",
    "last",
    "join",
    "basename",
    "dirname",
)


class TemplateError(LearnerError):
    """A template that is not of the language."""


class UndefinedName(LearnerError):
    """A template asked for something that is not there; `name` says what."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not defined", "check the name, or give it a default: {{ name | default('…') }}")
        self.name = name


def is_expression(text: str) -> bool:
    """Whether `text` is wholly one `{{ expression }}` and so keeps its type."""
    return EXPRESSION.fullmatch(text) is not None


def check(text: str) -> None:
    """Raises: `TemplateError` when `text` is not a template of this language."""
    _parse(text)


def check_expression(text: str) -> None:
    """Raises: `TemplateError` when `text` (without braces) is not an expression of this language."""
    _parse("{{" + text + "}}")


def references(text: str) -> frozenset[tuple[str, ...]]:
    """The data paths that a template reads, such as `("state", "disk", "usage_percent")` or `("service",)`.

    A path ends where it depends on another value: `state.services[service]` gives `("state", "services")`
    and `("service",)`.
    """
    from jinja2 import nodes

    found: set[tuple[str, ...]] = set()

    def path(node: nodes.Node) -> tuple[str, ...] | None:
        if isinstance(node, nodes.Name):
            return (node.name,)
        if isinstance(node, nodes.Getattr) and (base := path(node.node)) is not None:
            return (*base, node.attr)
        if (
            isinstance(node, nodes.Getitem)
            and isinstance(node.arg, nodes.Const)
            and (base := path(node.node)) is not None
        ):
            return (*base, str(node.arg.value))
        return None

    def visit(node: nodes.Node) -> None:
        if (whole := path(node)) is not None:
            found.add(whole)
            return
        for child in node.iter_child_nodes():
            visit(child)

    visit(_parse(text))
    return frozenset(found)


def expression_references(text: str) -> frozenset[tuple[str, ...]]:
    """`references` of an expression written without braces, as in `when`."""
    return references("{{" + text + "}}")


def evaluate(expression: str, scope: Mapping[str, Any]) -> Any:
    """The value of an expression (written without braces) over `scope`.

    Raises: `UndefinedName` when it needs something that is not there; `TemplateError` when it is no expression
    of the language or its values don't fit together (`'a' < 3`).
    """
    return _run(_compiled(expression), scope, expression)


def render(value: Any, scope: Mapping[str, Any]) -> Any:
    """`value` with every template in it filled in, through lists and mappings; other values as they are.

    Raises: as `evaluate`.
    """
    if isinstance(value, str):
        if "{{" not in value:
            check(value)
            return value
        if whole := EXPRESSION.fullmatch(value):
            return evaluate(whole["inner"], scope)
        return _run(_compiled_text(value), scope, value)
    if isinstance(value, list | tuple):
        return [render(item, scope) for item in value]
    if isinstance(value, Mapping):
        return {key: render(item, scope) for key, item in value.items()}
    return value


def _run(program: Any, scope: Mapping[str, Any], text: str) -> Any:
    from jinja2 import UndefinedError

    try:
        return program(dict(scope))
    except UndefinedName:
        raise
    except UndefinedError as e:
        raise UndefinedName(str(e.message or text)) from e
    except (TypeError, ValueError) as e:
        raise TemplateError(f"{text.strip()}: {e}", "compare values of the same kind") from e


@lru_cache(maxsize=2048)
def _compiled(expression: str) -> Any:
    _parse("{{" + expression + "}}")
    program = _environment().compile_expression(expression.strip(), undefined_to_none=False)
    return lambda scope: _defined(program(scope))


@lru_cache(maxsize=2048)
def _compiled_text(text: str) -> Any:
    _parse(text)
    template = _environment().from_string(text)
    return lambda scope: template.render(scope)


def _defined(value: Any) -> Any:
    from jinja2 import Undefined

    if isinstance(value, Undefined):
        name = str(getattr(value, "_undefined_name", None) or "a value")
        raise UndefinedName(name)
    return value


@lru_cache(maxsize=4096)
def _parse(text: str) -> nodes.Template:
    from jinja2 import TemplateSyntaxError, nodes

    if len(text) > LONGEST:
        raise TemplateError(f"a template of {len(text)} characters", f"keep it under {LONGEST}")
    if "{%" in text or "{#" in text:
        raise TemplateError("`{%` and `{#` are not part of the template language", "use `when` and `{{ expression }}`")
    try:
        tree = _environment().parse(text)
    except TemplateSyntaxError as e:
        raise TemplateError(f"{text.strip()[:120]}: {e.message}", "see docs/runbooks.md, Templates") from e
    allowed = (
        nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const,
        nodes.List, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Filter, nodes.Test,
        nodes.CondExpr,
    )  # fmt: skip
    for node in (tree, *tree.find_all(nodes.Node)):
        if not isinstance(node, allowed):
            kind = type(node).__name__.lower()
            raise TemplateError(
                f"{text.strip()[:120]}: {kind} is not part of the template language",
                "see docs/runbooks.md, Templates",
            )
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            raise TemplateError(
                f"{text.strip()[:120]}: there is no filter {node.name}", f"there are: {', '.join(FILTERS)}"
            )
        if isinstance(node, nodes.Test) and node.name not in ("defined", "none"):
            raise TemplateError(f"{text.strip()[:120]}: there is no test {node.name}", "there are: defined, none")
    return tree


@lru_cache(maxsize=1)
def _environment() -> Environment:
    import posixpath

    from jinja2 import Environment, StrictUndefined

    class DataOnly(Environment):
        """Looks things up as items of data, never as attributes of Python objects."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            return self._item(obj, attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            return self._item(obj, argument)

        def _item(self, obj: Any, key: Any) -> Any:
            if isinstance(obj, Mapping):
                if key in obj:
                    return obj[key]
                if str(key) in obj:
                    return obj[str(key)]
            elif isinstance(obj, list | tuple) and isinstance(key, int) and -len(obj) <= key < len(obj):
                return obj[key]
            return self.undefined(obj=obj, name=str(key))

    environment = DataOnly(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    kept = {name: environment.filters[name] for name in FILTERS if name in environment.filters}
    kept |= {
        "basename": lambda path: posixpath.basename(str(path)),
        "dirname": lambda path: posixpath.dirname(str(path)),
    }
    environment.filters = kept
    environment.tests = {name: environment.tests[name] for name in ("defined", "none")}
    environment.globals = {}
    environment.finalize = lambda value: _defined(value)
    return environment
