"""A pattern's edit, with the values of this failure in the place of its `<<names>>`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from learner.actions import catalogue
from learner.models import Runbook, RunbookEdit
from learner.proposals.patterns.general import Unfit, Value
from learner.proposals.patterns.goals import look_first
from learner.proposals.patterns.native import unlock_first, use_action
from learner.proposals.patterns.order import TWICE, undo_first
from learner.proposals.patterns.pattern import PLACEHOLDER, Pattern
from learner.proposals.patterns.removals import skip_when_gone
from learner.proposals.patterns.scripts import import_as_before, script_to_action, where_it_is_loaded
from learner.proposals.patterns.situation import Situation
from learner.proposals.patterns.traces import cleaners, saying
from learner.strict import Json

_EXPRESSIONS = frozenset({"when", "until", "expression", "replaces"})
_BRACES = re.compile(r"\{\{[^{}]*\}\}")
_CONDITION = re.compile(r"<<(same_when|when_not_running)>>")
_OWN, _STEP_OF, _STEP_SAYING, _SEEN = "own.", "step_of.", "step_saying.", ".seen"


def edit_of(pattern: Pattern, situation: Situation, values: Mapping[str, Value], because: Sequence[str]) -> RunbookEdit:
    """The pattern's edit for this parent, each operation citing `because`.

    Raises: `Unfit` when a value is missing or does not go where it is wanted, or the parent has the repair already.
    """
    known = _Known(situation, values)
    operations: list[dict[str, Json]] = []
    for written in pattern.operations:
        operation = _filled(written, known)
        match operation.get("op"):
            case "set_when" | "set_retry":
                operations.append(_added(operation, situation))
            case "set_everywhere":
                operations += _everywhere(operation, situation)
            case "change_claim":
                operations.append(_claim(operation, situation))
            case "change_step":
                operations.append(_step(operation, situation))
            case "set_program":
                operations.append(_program(operation, situation))
            case "look_first":
                operations += look_first(situation)
            case "undo_first":
                operations.append(undo_first(situation))
            case "skip_when_gone":
                operations += skip_when_gone(situation)
            case "use_action":
                operations.append(use_action(situation))
            case "script_to_action":
                operations.append(script_to_action(situation))
            case "import_as_before":
                operations.append(import_as_before(situation))
            case "where_it_is_loaded":
                operations.append(where_it_is_loaded(situation))
            case "unlock_first":
                operations.append(unlock_first(situation))
            case "set_in_argv":
                operations.append(_in_argv(operation, situation))
            case "add_option":
                operations.append(_one_more_option(operation, situation))
            case "extend_last_argument":
                operations.append(_longer_last(operation, situation))
            case "add_argument":
                operations.append(_one_more(operation, situation))
            case _:
                operations.append(operation)
    operations = [_named(_with_rights(operation, situation), situation.parent) for operation in operations]
    whole = {
        "root_cause": known.prose(pattern.root_cause),
        "summary": _cut(known.prose(pattern.summary), 200),
        "expected_effect": known.prose(pattern.expected_effect),
        "risk": " ".join([known.prose(pattern.risk), *known.warnings()]),
        "operations": [{**operation, "because": list(because)} for operation in operations],
    }
    try:
        return RunbookEdit.model_validate_json(json.dumps(whole))
    except ValidationError as e:
        first = e.errors()[0]
        raise Unfit(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from e


class _Known:
    """What a name means: a value of the failure, one of the built-in numbers, or `own.<parameter>`."""

    def __init__(self, situation: Situation, values: Mapping[str, Value]) -> None:
        self._values = dict(values)
        self._situation = situation
        self._used: dict[str, Value] = {}

    def value(self, name: str) -> Value:
        """Raises: `Unfit` when the failure does not say."""
        part = self._situation.step or self._situation.claim
        if name.endswith(_SEEN):
            return Value(self.value(name.removesuffix(_SEEN)).seen)
        if name in ("step", "check") and part is not None:
            return Value(part.id)
        if name == "own" and part is not None:
            return Value(part.params)
        if name.startswith(_OWN):
            params = part.params if part is not None else {}
            if (key := name.removeprefix(_OWN)) not in params:
                raise Unfit(f"the failing step has no parameter {key}")
            written = params[key]
            return Value(written, written if isinstance(written, str) and "{{" in written else None)
        if name.startswith(_STEP_OF):
            action = name.removeprefix(_STEP_OF)
            ids = [step.id for step in self._situation.parent.steps if step.action == action]
            if len(ids) != 1:
                raise Unfit(f"the runbook has {len(ids)} steps with {action}, not one")
            return Value(ids[0])
        if name.startswith(_STEP_SAYING):
            ids = saying(self._situation.parent.steps, word := name.removeprefix(_STEP_SAYING))
            if len(ids) != 1:
                raise Unfit(f"the runbook has {len(ids)} steps that say {word}, not one")
            return Value(ids[0])
        if name == "cleaner":
            if not (ids := cleaners(self._situation.parent.steps)):
                raise Unfit("the runbook has no step that removes files")
            return Value(ids[-1])
        if name == "starter":
            starts = [s.id for s in self._situation.parent.steps if s.action in ("start_service", "restart_service")]
            if len(starts) != 1:
                raise Unfit(f"the runbook has {len(starts)} steps that start a service, not one")
            return Value(starts[0])
        if name in self._situation.numbers:
            number = self._situation.numbers[name]
            if not number and name.startswith(("longer_", "more_")):
                raise Unfit("it already waits as long as is sensible")
            return Value(number)
        if name not in self._values:
            raise Unfit(f"{name} is not known")
        self._used[name] = self._values[name]
        return self._values[name]

    def condition(self, name: str) -> str | None:
        """`same_when`: the failing step's own condition; `when_not_running`: that, or that its service is down."""
        step = self._situation.step
        if step is None:
            raise Unfit("only steps have conditions")
        if step.when is not None or name == "same_when":
            return step.when
        return f"state.services[{self.value('own.name').expression()}] | default('unknown') != 'running'"

    def prose(self, text: str) -> str:
        return " ".join(PLACEHOLDER.sub(lambda m: str(self.value(m[1]).seen), text).split())

    def warnings(self) -> Iterator[str]:
        """What a reviewer should know of values that stand as they were seen."""
        for name in sorted(self._used):
            value = self._used[name]
            if value.bound_to:
                yield (
                    f"{value.seen} is written as it was seen with {', '.join(value.bound_to)}: "
                    f"with other values the new steps act on the same {name}."
                )


def _filled(value: Json, known: _Known, *, expression: bool = False) -> Any:
    if isinstance(value, dict):
        if (whole := _CONDITION.fullmatch(str(value.get("when")))) is not None:
            condition = known.condition(whole[1])
            value = {k: v for k, v in value.items() if k != "when"} | ({"when": condition} if condition else {})
        return {key: _filled(item, known, expression=key in _EXPRESSIONS) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, known) for item in value]
    if not isinstance(value, str):
        return value
    if expression:
        return PLACEHOLDER.sub(lambda m: known.value(m[1]).expression(), value)
    if whole := PLACEHOLDER.fullmatch(value):
        return known.value(whole[1]).whole()
    inner = _BRACES.sub(lambda part: PLACEHOLDER.sub(lambda m: known.value(m[1]).expression(), part[0]), value)
    return PLACEHOLDER.sub(lambda m: known.value(m[1]).text(), inner)


def _added(operation: Mapping[str, Json], situation: Situation) -> dict[str, Json]:
    """`set_when` and `set_retry` beside what the failing step says already: its condition still counts, its `until` too."""
    step = situation.step
    if step is None or operation.get("step_id") != step.id:
        return dict(operation)
    if operation["op"] == "set_when" and step.when is not None:
        return {**operation, "when": f"({step.when}) and ({operation['when']})"}
    if operation["op"] == "set_retry" and step.retry is not None:
        return {**operation, "retry": {**step.retry.model_dump(mode="json", exclude_unset=True), **operation["retry"]}}
    return dict(operation)


def _everywhere(operation: Mapping[str, Json], situation: Situation) -> Iterator[dict[str, Json]]:
    """`set_everywhere`: a value of `params` in every step and claim that has the same one as the failing step."""
    part, name, new = situation.step or situation.claim, operation["name"], operation["value"]
    assert part is not None
    old = part.params.get(name)
    for step in situation.parent.all_steps:
        if old is not None and step.params.get(name) == old:
            yield {"op": "set_parameter", "step_id": step.id, "name": name, "value": new}
    for claim in situation.parent.verification:
        if old is not None and claim.params.get(name) == old:
            written = claim.model_dump(mode="json", exclude_unset=True)
            written["params"] = {**claim.params, name: new}
            yield {"op": "set_verification", "verification_id": claim.id, "verification": written}


def _claim(operation: Mapping[str, Json], situation: Situation) -> dict[str, Json]:
    """`change_claim`: the failing claim with other values."""
    if situation.claim is None:
        raise Unfit("no claim failed")
    written = situation.claim.model_dump(mode="json", exclude_unset=True)
    new = {key: value for key, value in operation.items() if key != "op"}
    return {"op": "set_verification", "verification_id": situation.claim.id, "verification": {**written, **new}}


def _step(operation: Mapping[str, Json], situation: Situation) -> dict[str, Json]:
    """`change_step`: the failing step with other values."""
    if situation.step is None:
        raise Unfit("no step failed")
    written = situation.step.model_dump(mode="json", exclude_unset=True)
    new = {key: value for key, value in operation.items() if key != "op"}
    return {"op": "replace_step", "step_id": situation.step.id, "step": {**written, **new}}


def _program(operation: Mapping[str, Json], situation: Situation) -> dict[str, Json]:
    """`set_program`: the failing command with another program in front."""
    return _with_argv(situation, lambda argv: [operation["value"], *argv[1:]])


def _in_argv(operation: Mapping[str, Json], situation: Situation) -> dict[str, Json]:
    """`set_in_argv`: the failing command with `value` wherever `old` stands among its arguments, `--option=` before it or not."""

    def changed(argv: list[Any]) -> list[Any]:
        old, new = str(operation["old"]), str(operation["value"])
        return [
            new if word == old else word[: -len(old)] + new if str(word).endswith("=" + old) else word for word in argv
        ]

    return _with_argv(situation, changed)


def _one_more(operation: Mapping[str, Json], situation: Situation) -> dict[str, Json]:
    """`add_argument`: the failing command with one more argument, right after its program."""
    return _with_argv(situation, lambda argv: [argv[0], operation["value"], *argv[1:]])


def _one_more_option(operation: Mapping[str, Json], situation: Situation) -> dict[str, Json]:
    """`add_option`: the failing command with one more option, behind those that must come first (`--defaults-…`)."""

    def changed(argv: list[Any]) -> list[Any]:
        at = max((i for i, word in enumerate(argv) if str(word).startswith("--defaults-")), default=0) + 1
        return [*argv[:at], operation["value"], *argv[at:]]

    return _with_argv(situation, changed)


def _longer_last(operation: Mapping[str, Json], situation: Situation) -> dict[str, Json]:
    """`extend_last_argument`: the failing command with `value` right behind its last argument."""
    return _with_argv(situation, lambda argv: [*argv[:-1], f"{argv[-1]}{operation['value']}"])


def _with_argv(situation: Situation, change: Callable[[list[Any]], list[Any]]) -> dict[str, Json]:
    argv = situation.step.params.get("argv") if situation.step else None
    if not isinstance(argv, list) or not situation.step:
        raise Unfit("the failing step is no command")
    value = change(argv)
    if value == argv:
        raise Unfit("the failing command does not have this argument")
    return {"op": "set_parameter", "step_id": situation.step.id, "name": "argv", "value": value}


def _with_rights(operation: dict[str, Json], situation: Situation) -> dict[str, Json]:
    """A new step with the rights of the step that it stands beside: no more, and without them it could do nothing there."""
    beside = situation.step or next((step for step in situation.parent.steps if step.become), None)
    new = operation.get("step")
    if operation["op"] != "insert_step" or beside is None or not beside.become or not isinstance(new, dict):
        return operation
    if catalogue().actions[str(new["action"])].read_only:
        return operation
    return {**operation, "step": {**new, "become": True}}


def _named(operation: dict[str, Json], parent: Runbook) -> dict[str, Json]:
    """A new step or claim under an id that is free.

    Raises: `Unfit` when the parent does the same thing already.
    """
    key = "verification" if operation["op"] == "add_verification" else "step"
    if operation["op"] not in ("insert_step", "add_rollback_step", "add_verification"):
        return operation
    new = operation[key]
    twice = operation.pop(TWICE, False)
    steps, claims = parent.all_steps, parent.verification
    there = (
        [(c.check, c.params, c.id) for c in claims]
        if key == "verification"
        else [(s.action, s.params, s.id) for s in steps]
    )
    for kind, params, at in there:
        if not twice and kind == new.get("check", new.get("action")) and params == new.get("params", {}):
            raise Unfit(f"{at} does this already")
    taken = {step.id for step in steps} | {claim.id for claim in claims}
    wanted, number = str(new["id"]), 1
    while new["id"] in taken:
        number += 1
        new = {**new, "id": f"{wanted}_{number}"}
    return {**operation, key: new}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
