"""From what single failures show to what a runbook may say: values as its own parameters and templates.

A value that was seen is a fact about one run. It becomes `{{ parameter }}` where a parameter had that value in every
run, `{{ run_dir }}/web.pid` where a parameter holds its directory, and `/run/{{ service }}/{{ service }}.pid` only
where runs on two hosts, with two services, show that shape. Otherwise it stays as it was seen, if all agree on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from learner.errors import LearnerError
from learner.models import ExecutionResult, Runbook
from learner.strict import Json
from learner.template import EXPRESSION, render

_SIMPLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*(\[[^\[\]]+\])?")


class Unfit(Exception):
    """A pattern does not fit here; the words say why."""


@dataclass(frozen=True)
class Value:
    """A value for the runbook: as it was seen, or a template of the runbook's language."""

    seen: Json
    template: str | None = None
    bound_to: tuple[str, ...] = ()
    """`service=web`: parameters whose value stands literally in it."""

    def whole(self) -> Json:
        """What stands for it as a value of its own."""
        return self.template if self.template is not None else self.seen

    def text(self) -> str:
        """What stands for it among other words."""
        return str(self.whole())

    def expression(self) -> str:
        """What stands for it in an expression.

        Raises: `Unfit` for a template of several parts: the language has no way to join texts.
        """
        if self.template is None:
            return "'" + self.seen + "'" if isinstance(self.seen, str) else str(self.seen).lower()
        whole = EXPRESSION.fullmatch(self.template)
        if whole is None:
            raise Unfit(f"{self.template} can't stand in an expression")
        inner = whole["inner"].strip()
        return inner if _SIMPLE.fullmatch(inner) else f"({inner})"


def generalised(values: Sequence[Json], results: Sequence[ExecutionResult], runbook: Runbook) -> Value:
    """One value for the runbook out of the ones that each of `results` shows.

    Raises: `Unfit` when they differ and no parameter explains it.
    """
    seen = values[0]
    parameters = [_parameters(result, runbook) for result in results]
    for name in runbook.parameters:
        if all(_equal(p.get(name), value) for p, value in zip(parameters, values, strict=True)):
            return Value(seen, "{{ " + name + " }}")
    if isinstance(seen, str):
        if own := _written(values, parameters, runbook):
            return Value(seen, own)
        for template in (_below_directory(values, parameters), _shape(values, parameters, results)):
            if template:
                return Value(seen, template)
    if any(value != seen for value in values):
        raise Unfit(f"the failures show different values ({', '.join(sorted({str(v) for v in values})[:3])})")
    bound = tuple(
        f"{name}={value}"
        for name, value in sorted(parameters[0].items())
        if isinstance(value, str) and isinstance(seen, str) and len(value) > 1 and _inside(value).search(seen)
    )
    return Value(seen, None, bound)


def _parameters(result: ExecutionResult, runbook: Runbook) -> dict[str, Json]:
    """What the run's parameters were, as far as they may be shown."""
    given = {name: p.default for name, p in runbook.parameters.items() if not p.required}
    given |= result.parameters
    return {
        name: value
        for name, value in given.items()
        if name in runbook.parameters and not runbook.parameters[name].secret and value not in (None, "")
    }


def _equal(parameter: Json, value: Json) -> bool:
    return parameter is not None and not isinstance(parameter, bool) and str(parameter) == str(value)


def _written(values: Sequence[Json], parameters: Sequence[Mapping[str, Json]], runbook: Runbook) -> str | None:
    """A text of the runbook itself that means each value in its run."""
    for text in _templates(runbook):
        try:
            if all(render(text, scope) == value for scope, value in zip(parameters, values, strict=True)):
                return text
        except LearnerError:
            continue  # it needs facts or earlier steps
    return None


def _templates(runbook: Runbook) -> Iterator[str]:
    seen = set()

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            if "{{" in value and value not in seen:
                seen.add(value)
                yield value
        elif isinstance(value, Mapping):
            for item in value.values():
                yield from walk(item)
        elif isinstance(value, list | tuple):
            for item in value:
                yield from walk(item)

    for params in (*(step.params for step in runbook.all_steps), *(claim.params for claim in runbook.verification)):
        yield from walk(params)


def _below_directory(values: Sequence[Json], parameters: Sequence[Mapping[str, Json]]) -> str | None:
    """`{{ run_dir }}/web.pid`, of the parameter that holds most of the path."""
    found: list[tuple[int, str]] = []
    for name, directory in parameters[0].items():
        if not (isinstance(directory, str) and re.fullmatch(r"/[^/]+(/[^/]+)*", directory)):
            continue
        rests = {
            value[len(str(p[name])) :] if str(value).startswith(f"{p[name]}/") else None
            for p, value in zip(parameters, values, strict=True)
            if name in p
        }
        if len(rests) == 1 and (rest := rests.pop()):
            found.append((-len(directory), "{{ " + name + " }}" + rest))
    return min(found)[1] if found else None


def _shape(
    values: Sequence[Json], parameters: Sequence[Mapping[str, Json]], results: Sequence[ExecutionResult]
) -> str | None:
    """The values with one parameter's text in the place where it stands, if several hosts and texts show it."""
    if len({(result.client_id, result.hostname) for result in results}) < 2:
        return None
    for name in parameters[0]:
        texts = [p.get(name) for p in parameters]
        if not all(isinstance(text, str) and len(text) > 1 for text in texts) or len(set(map(str, texts))) < 2:
            continue
        shapes = {
            _inside(str(text)).sub(lambda _: "{{ " + name + " }}", str(value))  # noqa: B023 called at once
            for text, value in zip(texts, values, strict=True)
        }
        if len(shapes) == 1 and "{{" in (shape := shapes.pop()):
            return shape
    return None


def _inside(text: str) -> re.Pattern[str]:
    return re.compile(r"(?<![A-Za-z0-9])" + re.escape(text) + r"(?![A-Za-z0-9])")
