"""Repair patterns: YAML files that say which failure has which repair. `docs/patterns.md` is their reference."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from learner.actions import catalogue
from learner.errors import LearnerError
from learner.models.runbook import Platform
from learner.proposals.patterns.kinds import KINDS, compiled
from learner.proposals.patterns.phrases import phrases
from learner.strict import Json, Matching, Strict, Text
from learner.template import check_expression
from learner.yaml_tree import Problem, YamlError, load

PLACEHOLDER = re.compile(r"<<([a-z][a-z0-9_.]*)>>")
BUILT_IN = frozenset({
    "step", "check", "timeout", "longer_timeout", "within", "longer_within", "os_id", "more_attempts",
    "same_when", "when_not_running", "own", "starter", "cleaner",
})  # fmt: skip
"""Names that every pattern may use beside its own; `own` are the failing step's or claim's parameters, as written,
`own.<parameter>` is one of them, `starter` the id of the only step that starts a service, `cleaner` of the last that removes files,
`step_of.<action>` the id of the only step with that action, `step_saying.<word>` of the only one whose command says so, and `<name>.seen` a value as it was seen."""

Name = Annotated[str, Matching(r"[a-z][a-z0-9_]*")]
KindName = Literal["path", "mount", "service", "process", "port", "host", "option", "number"]


class Match(Strict):
    """When a pattern fires: all of it must hold."""

    actions: tuple[Text, ...] = ()
    """The failing step's action is one of these."""
    checks: tuple[Text, ...] = ()
    """Or the failing claim's check is one of these."""
    platforms: Annotated[tuple[Platform, ...], Field(min_length=1)]
    error: tuple[Text, ...] = ()
    """One of these regular expressions is found in what the failure says; `%{kind:name}` captures."""
    says: tuple[Text, ...] = ()
    """Or one that stands for one of these causes, in the words of many tools: `not_ready`, `busy`, `there_already` …"""
    unless: tuple[Text, ...] = ()
    """None of these is found."""
    where: tuple[Text, ...] = ()
    """Expressions over the facts: all are true. One that needs an unknown fact is not."""


class Derived(Strict):
    """A value made of others."""

    value: Text
    """An expression of the template language."""
    kind: KindName


class Picked(Strict):
    """The one key of a mapping of facts for which an expression over `key` and `value` is true."""

    among: Text
    where: Text
    kind: KindName


class Listed(Strict):
    """A value looked up in a table; without an entry the pattern does not fire."""

    of: Text
    entries: Annotated[dict[str, str], Field(min_length=1)]
    kind: KindName


class Example(Strict):
    """A failure that the pattern repairs, and how. The tests run it."""

    runbook: dict[str, Json]
    """The parts of the parent that matter; the rest is filled in."""
    failure: dict[str, Json]
    """`at` (the failing step or claim), `error` or `observed`, and what the facts say: `state`, `parameters`, `host`."""
    operations: Annotated[tuple[dict[str, Json], ...], Field(min_length=1)]
    """What must come out, without the citations."""


class Pattern(Strict):
    """One repair."""

    id: Annotated[str, Matching(r"[a-z0-9]+(-[a-z0-9]+)*")]
    title: Text
    match: Match
    pick: dict[Name, Picked] = {}
    let: dict[Name, Derived] = {}
    table: dict[Name, Listed] = {}
    operations: Annotated[tuple[dict[str, Json], ...], Field(min_length=1)]
    """Operations of a `RunbookEdit` without citations; `<<name>>` stands for a value of this failure."""
    root_cause: Text
    summary: Text
    expected_effect: Text
    risk: Text
    failure_type: Literal["runbook_insufficient", "environment_difference"] = "runbook_insufficient"
    example: Example

    @model_validator(mode="after")
    def _whole(self) -> Pattern:
        known = catalogue()
        for action in self.match.actions:
            if action not in known.actions:
                raise ValueError(f"match.actions: there is no action {action}")
        for check in self.match.checks:
            if check not in known.checks:
                raise ValueError(f"match.checks: there is no check {check}")
        if not (self.match.actions or self.match.checks):
            raise ValueError("match: actions or checks are needed, a pattern has a family")
        if not (self.match.error or self.match.says or self.match.where):
            raise ValueError("match: says, error or where is needed, a pattern has a cause")
        captured = [set(kinds) for _, kinds in self.errors]
        for text in self.match.unless:
            compiled(text)
        expressions = [*self.match.where, *(d.value for d in self.let.values())]
        expressions += [x for p in self.pick.values() for x in (p.among, p.where)]
        expressions += [t.of for t in self.table.values()]
        for expression in expressions:
            try:
                check_expression(expression)
            except LearnerError as e:
                raise ValueError(e.message) from e
        own = {*self.pick, *self.let, *self.table}
        texts = (self.root_cause, self.summary, self.expected_effect, self.risk, json.dumps(self.operations))
        for name in sorted({name for text in texts for name in PLACEHOLDER.findall(text)}):
            name = name.removesuffix(".seen")
            if name in BUILT_IN or name in own or name.startswith(("own.", "step_of.", "step_saying.")):
                continue
            if not captured or any(name not in names for names in captured):
                raise ValueError(f"<<{name}>> is not captured by every expression of match.error")
        return self

    @cached_property
    def errors(self) -> tuple[tuple[re.Pattern[str], dict[str, str]], ...]:
        """`match.error` and what `match.says` stands for, compiled, with the kinds of what each captures."""
        own = tuple(compiled(text) for text in self.match.error)
        return (*own, *((expression, {}) for cause in self.match.says for expression in phrases(cause)))

    @property
    def prepares(self) -> bool:
        """Whether it knows a failure by its words, and does something before or after the failing step."""
        return bool(self.errors) and any(operation.get("op") == "insert_step" for operation in self.operations)

    @property
    def waits(self) -> bool:
        """Whether it only gives more time or more attempts to what is there."""
        longer = {"set_retry", "set_timeout", "change_claim"}
        return all(o.get("op") in longer and o.keys() <= {"op", "step_id", "retry", "timeout_seconds", "within_seconds"}
                   for o in self.operations)  # fmt: skip

    @cached_property
    def exceptions(self) -> tuple[re.Pattern[str], ...]:
        """`match.unless`, compiled."""
        return tuple(compiled(text)[0] for text in self.match.unless)

    def kind(self, name: str) -> str | None:
        """The kind of a value of its own; None for a captured one."""
        for values in (self.pick, self.let, self.table):
            if name in values:
                return str(values[name].kind)
        return None


def parse(text: bytes, name: str) -> Pattern:
    """The pattern in `text`.

    Raises: `LearnerError` naming file, line and column.
    """
    try:
        tree = load(text)
    except YamlError as e:
        raise LearnerError(f"{name}:{e.problem}", "see docs/patterns.md") from e
    try:
        return Pattern.model_validate_json(json.dumps(tree.value))
    except ValidationError as e:
        first: Any = e.errors()[0]
        where = ".".join(map(str, first["loc"]))
        words = str(first["msg"]).removeprefix("Value error, ")
        problem = Problem(f"{where}: {words}" if where else words, *tree.place(first["loc"]))
        raise LearnerError(f"{name}:{problem}", "see docs/patterns.md") from e


def load_patterns(sources: Iterable[Path | tuple[str, bytes]]) -> tuple[Pattern, ...]:
    """The patterns in files, directories of files, or (name, bytes) pairs; of two with one id the later counts.

    Raises: `LearnerError` for a file that can't be read or holds no pattern.
    """
    found: dict[str, Pattern] = {}
    for name, text in _texts(sources):
        pattern = parse(text, name)
        found[pattern.id] = pattern
    return tuple(found[key] for key in sorted(found))


@lru_cache(maxsize=1)
def builtin() -> tuple[Pattern, ...]:
    """The patterns that come with this package.

    Raises: `LearnerError` when the installation lacks them.
    """
    package = Path(__file__).parents[2]
    for place in (package / "_data" / "patterns", package.parent / "runbooks" / "patterns"):
        if place.is_dir():
            return load_patterns([place])
    raise LearnerError("the patterns of this installation are missing", "install the package again")


def _texts(sources: Iterable[Path | tuple[str, bytes]]) -> Iterable[tuple[str, bytes]]:
    for source in sources:
        if isinstance(source, tuple):
            yield source
            continue
        files = sorted(source.glob("*.yaml")) if source.is_dir() else [source]
        for file in files:
            try:
                yield str(file), file.read_bytes()
            except OSError as e:
                raise LearnerError(f"{file}: {e.strerror}", "check the path") from e


assert set(KINDS) == set(KindName.__args__)  # type: ignore[attr-defined]
