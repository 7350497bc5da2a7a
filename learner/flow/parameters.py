"""Values that fit, before anything runs: a runbook's parameters, and those of one action or check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from learner.errors import LearnerError
from learner.models.runbook import Runbook, misfit
from learner.strict import Strict


def parameters(runbook: Runbook, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with the defaults filled in; an optional parameter without a default value is None.

    Raises: `LearnerError` for a missing, unknown or ill-fitting value: nothing has run then.
    """
    unknown = sorted(set(given) - set(runbook.parameters))
    if unknown:
        raise LearnerError(
            f"{runbook.ref} has no parameter {', '.join(unknown)}",
            f"it has: {', '.join(runbook.parameters) or 'none'}",
        )
    values = {}
    for name, parameter in runbook.parameters.items():
        if name in given:
            said = misfit(name, parameter, given[name])
            if said:
                hidden = said if not parameter.secret else f"{name}: the secret does not fit"
                raise LearnerError(f"{runbook.ref}: {hidden}", "correct the incident's parameters")
            values[name] = given[name]
        elif parameter.required:
            raise LearnerError(
                f"{runbook.ref} needs the parameter {name}",
                "give it in the incident, or with --param name=value",
            )
        else:
            values[name] = parameter.default
    return values


def concrete(model: type[Strict], rendered: Mapping[str, Any]) -> Any:
    """The parameter model of `rendered` values.

    Raises: `LearnerError` naming the value that does not fit.
    """
    try:
        return model.model_validate_json(json.dumps(rendered))
    except (ValidationError, TypeError, ValueError) as e:
        if isinstance(e, ValidationError):
            first = e.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise LearnerError(
                f"{where}: {str(first['msg']).removeprefix('Value error, ')}", "check the parameters"
            ) from e
        raise LearnerError(str(e), "check the parameters") from e


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """`value` as the JSON that a record holds: tuples are lists, keys are texts."""
    return dict(json.loads(json.dumps(value))) if value else {}
