"""A `RunbookEdit` applied: to a runbook's values, and to its bytes by splicing.

Both ways are taken each time and must agree, so that what a reviewer reads in the diff is what the edit says and
nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from learner.errors import LearnerError
from learner.models import Retry, Runbook, RunbookEdit, RunbookMetadata, Step, Verification
from learner.models import records as ops
from learner.models.runbook import Parameter
from learner.runbook_file import InvalidRunbook, RunbookFile, parse
from learner.splice import Document, SpliceError
from learner.strict import Json
from learner.yaml_text import same

STEPS = ("steps", "rollback", "finally")
"""The lists of a runbook that hold steps."""

RUNBOOK = tuple("finally" if name == "finally_" else name for name in Runbook.model_fields)
_STEP = tuple(Step.model_fields)
_VERIFICATION = tuple(Verification.model_fields)
METADATA = tuple(RunbookMetadata.model_fields)
_PARAMETER = tuple(Parameter.model_fields)
_RETRY = tuple(Retry.model_fields)

Change = Callable[[Document], None]


class EditError(LearnerError):
    """An edit that does not fit its runbook."""


def apply(parent: RunbookFile, edit: RunbookEdit, metadata: RunbookMetadata) -> bytes:
    """The bytes of the next version: the parent's, with the edit, the next number and `metadata` spliced in.

    They depend on the arguments alone. Every line that the edit does not speak of stays byte for byte.

    Raises: `EditError` when an operation does not fit, changes nothing, or makes something that is no runbook.
    """
    value = dict(parent.tree.value)
    document = Document(parent.text)
    words = metadata.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    try:
        for number, operation in enumerate(edit.operations, 1):
            change = _change(operation, value)
            before = document.tree.value
            change(document)
            value = document.tree.value
            if same(before, value):
                raise EditError(f"operation {number} ({operation.op}) changes nothing", "leave it out")
        document.set(("version",), parent.runbook.version + 1)
        if words:
            document.merge(("metadata",), words, METADATA if "metadata" in value else RUNBOOK)
    except SpliceError as e:
        raise EditError(f"{parent.runbook.ref}: {e.message}", e.hint) from e
    except ValueError as e:
        raise EditError(f"{parent.runbook.ref}: {e}", "write it as printable text") from e
    expected = {**applied(parent.tree.value, edit), "version": parent.runbook.version + 1}
    expected |= {"metadata": words} if words else {}
    if not same(document.tree.value, expected):
        raise EditError(
            f"{parent.runbook.ref}: its layout keeps this edit from being spliced in",
            "write the file in plain block style, one key a line",
        )
    try:
        parse(document.text, f"{parent.runbook.id}-v{parent.runbook.version + 1}")
    except InvalidRunbook as e:
        raise EditError("; ".join(str(problem) for problem in e.problems[:5]), "correct the operation") from e
    return document.text


def applied(value: Mapping[str, Json], edit: RunbookEdit) -> dict[str, Json]:
    """A runbook's JSON with the operations of `edit` carried out, without number or metadata.

    Raises: `EditError` when an operation does not fit.
    """
    runbook: dict[str, Json] = json.loads(json.dumps(value))
    for operation in edit.operations:
        _carry_out(operation, runbook)
    return runbook


def _carry_out(operation: ops.Operation, runbook: dict[str, Json]) -> None:
    """One operation on plain values: the measure that the spliced text is held against."""
    match operation:
        case ops.InsertStep():
            runbook["steps"].insert(_place(runbook, "steps", operation.before, operation.after), operation.step)
        case ops.ReplaceStep():
            part, i = _find(runbook, operation.step_id)
            runbook[part][i] = {"id": operation.step_id, **operation.step}
        case ops.RemoveStep():
            part, i = _find(runbook, operation.step_id)
            del runbook[part][i]
        case ops.MoveStep():
            part, i = _find(runbook, operation.step_id)
            step = runbook[part].pop(i)
            runbook[part].insert(_place(runbook, part, operation.before, operation.after), step)
        case ops.SetParameter():
            part, i = _find(runbook, operation.step_id)
            runbook[part][i]["params"] = {**runbook[part][i].get("params", {}), operation.name: operation.value}
        case ops.SetWhen() | ops.SetRetry() | ops.SetTimeout() | ops.SetOnFailure():
            part, i = _find(runbook, operation.step_id)
            key, said = _setting(operation)
            if said is None:
                runbook[part][i].pop(key, None)
            else:
                runbook[part][i][key] = said
        case ops.AddParameter():
            said = _parameter(operation.parameter)
            runbook["parameters"] = {**runbook.get("parameters", {}), operation.name: said}
        case ops.AddVerification():
            runbook["verification"].append(operation.verification)
        case ops.SetVerification():
            i = _claim(runbook, operation.verification_id)
            runbook["verification"][i] = {"id": operation.verification_id, **operation.verification}
        case ops.AddRollbackStep():
            runbook["rollback"] = [*runbook.get("rollback", []), operation.step]
        case ops.SetPrecondition():
            conditions = list(runbook.get("preconditions", []))
            if operation.replaces is None:
                conditions.append(operation.expression)
            else:
                conditions[_condition(runbook, operation.replaces)] = operation.expression
            runbook["preconditions"] = conditions


def _change(operation: ops.Operation, runbook: Mapping[str, Json]) -> Change:
    """The same operation as a splice, after looking whether it fits `runbook` as it is now."""
    match operation:
        case ops.InsertStep():
            _free(runbook, operation.step.get("id"))
            at = _place(runbook, "steps", operation.before, operation.after)
            return partial(Document.insert, path=("steps",), index=at, value=_sorted(operation.step, _STEP))
        case ops.ReplaceStep():
            part, i = _find(runbook, operation.step_id)
            step = _sorted(_kept_id(operation.step, operation.step_id), _STEP)
            return partial(Document.merge, path=(part, i), value=step, order=_STEP)
        case ops.RemoveStep():
            part, i = _find(runbook, operation.step_id)
            if part == "steps" and len(runbook["steps"]) == 1:
                raise EditError(f"{operation.step_id} is the only step", "put another one in its place")
            return partial(Document.remove, path=(part, i))
        case ops.MoveStep():
            part, i = _find(runbook, operation.step_id)
            rest = {part: [step for step in runbook[part] if step["id"] != operation.step_id]}
            to = _place(rest, part, operation.before, operation.after)
            if to == i:
                raise EditError(f"{operation.step_id} stands there already", "leave the move out")
            return partial(Document.move, path=(part,), index=i, to=to)
        case ops.SetParameter():
            part, i = _find(runbook, operation.step_id)
            if "params" in runbook[part][i]:
                return partial(Document.merge, path=(part, i, "params", operation.name), value=operation.value)
            params = {operation.name: operation.value}
            return partial(Document.set, path=(part, i, "params"), value=params, order=_STEP)
        case ops.SetWhen() | ops.SetRetry() | ops.SetTimeout() | ops.SetOnFailure():
            part, i = _find(runbook, operation.step_id)
            key, said = _setting(operation)
            if said is not None:
                return partial(Document.merge, path=(part, i, key), value=said, order=_STEP)
            if key not in runbook[part][i]:
                raise EditError(f"{operation.step_id} has no {key} to take away", "leave the operation out")
            return partial(Document.remove, path=(part, i, key))
        case ops.AddParameter():
            if operation.name in runbook.get("parameters", {}):
                raise EditError(f"there is a parameter {operation.name} already", "choose another name")
            if operation.parameter.required:
                raise EditError(
                    f"the new parameter {operation.name} has no default", "incidents don't know it: give it a default"
                )
            said = _parameter(operation.parameter)
            if runbook.get("parameters"):
                return partial(Document.set, path=("parameters", operation.name), value=said)
            return partial(Document.set, path=("parameters",), value={operation.name: said}, order=RUNBOOK)
        case ops.AddVerification():
            _free(runbook, operation.verification.get("id"))
            claim = _sorted(operation.verification, _VERIFICATION)
            return partial(Document.insert, path=("verification",), index=len(runbook["verification"]), value=claim)
        case ops.SetVerification():
            i = _claim(runbook, operation.verification_id)
            claim = _sorted(_kept_id(operation.verification, operation.verification_id), _VERIFICATION)
            return partial(Document.merge, path=("verification", i), value=claim, order=_VERIFICATION)
        case ops.AddRollbackStep():
            _free(runbook, operation.step.get("id"))
            return _append(runbook, "rollback", _sorted(operation.step, _STEP))
        case ops.SetPrecondition():
            if operation.expression in runbook.get("preconditions", []):
                raise EditError(f"the precondition {operation.expression} is there already", "leave it out")
            if operation.replaces is None:
                return _append(runbook, "preconditions", operation.expression)
            i = _condition(runbook, operation.replaces)
            return partial(Document.set, path=("preconditions", i), value=operation.expression)


def _append(runbook: Mapping[str, Json], part: str, value: Json) -> Change:
    if part in runbook:
        return partial(Document.insert, path=(part,), index=len(runbook[part]), value=value)
    return partial(Document.set, path=(part,), value=[value], order=RUNBOOK)


def _setting(operation: ops.SetWhen | ops.SetRetry | ops.SetTimeout | ops.SetOnFailure) -> tuple[str, Json]:
    match operation:
        case ops.SetWhen():
            return "when", operation.when
        case ops.SetRetry():
            return "retry", None if operation.retry is None else _sorted(operation.retry, _RETRY)
        case ops.SetTimeout():
            seconds = operation.timeout_seconds
            return "timeout_seconds", int(seconds) if seconds.is_integer() else seconds
        case ops.SetOnFailure():
            return "on_failure", operation.on_failure


def _parameter(parameter: Parameter) -> Json:
    return _sorted(parameter.model_dump(mode="json", exclude_unset=True), _PARAMETER)


def _find(runbook: Mapping[str, Json], step_id: str) -> tuple[str, int]:
    for part in STEPS:
        for i, step in enumerate(runbook.get(part, [])):
            if step["id"] == step_id:
                return part, i
    raise EditError(f"there is no step {step_id}", f"there are: {', '.join(_ids(runbook, STEPS))}")


def _place(runbook: Mapping[str, Json], part: str, before: str | None, after: str | None) -> int:
    """The index of what comes before or after an anchor; the end without one."""
    ids = [step["id"] for step in runbook[part]]
    if before is not None and after is not None:
        raise EditError("both before and after are given", "give one of them")
    anchor = before if before is not None else after
    if anchor is None:
        return len(ids)
    if anchor not in ids:
        raise EditError(f"there is no step {anchor} among the {part}", f"there are: {', '.join(ids) or 'none'}")
    return ids.index(anchor) + (before is None)


def _claim(runbook: Mapping[str, Json], claim_id: str) -> int:
    ids = _ids(runbook, ("verification",))
    if claim_id not in ids:
        raise EditError(f"there is no verification {claim_id}", f"there are: {', '.join(ids)}")
    return ids.index(claim_id)


def _condition(runbook: Mapping[str, Json], expression: str) -> int:
    conditions: list[str] = runbook.get("preconditions", [])
    if expression not in conditions:
        raise EditError(f"there is no precondition {expression}", "name one as it is written")
    return conditions.index(expression)


def _ids(runbook: Mapping[str, Json], parts: Sequence[str]) -> list[str]:
    return [item["id"] for part in parts for item in runbook.get(part, [])]


def _free(runbook: Mapping[str, Json], new: Json) -> None:
    if not isinstance(new, str) or not new:
        raise EditError("a new step or claim needs an id", "give it one")
    if new in _ids(runbook, (*STEPS, "verification")):
        raise EditError(f"the id {new} is taken", "choose another one")


def _kept_id(value: Mapping[str, Json], wanted: str) -> dict[str, Json]:
    if value.get("id", wanted) != wanted:
        raise EditError(f"{wanted} can't become {value['id']}: ids stay", "remove it and insert a new one")
    return {"id": wanted, **value}


def _sorted(value: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """`value` with its keys as hand-written runbooks have them."""
    known = [key for key in order if key in value]
    return {key: value[key] for key in (*known, *(key for key in value if key not in order))}
