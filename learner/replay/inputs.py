"""What a recorded run was given: its parameters, incident and host, as far as the result says or betrays them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from learner.facts import put
from learner.models import Parameter, Runbook
from learner.models.runbook import misfit
from learner.replay.recording import Recording
from learner.template import EXPRESSION, references

_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_PIECE = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")


@dataclass(frozen=True)
class Inputs:
    """Values for `flow.run`."""

    values: dict[str, Any]
    incident: dict[str, Any]
    host: dict[str, Any]
    refused: str | None = None
    """Why the candidate would not take what the parent was given."""


def inputs(recording: Recording, candidate: Runbook) -> Inputs:
    """What to give to `candidate` when it is replayed on `recording`."""
    result = recording.result
    betrayed = dict(_betrayed(recording))
    incident: dict[str, Any] = {
        "incident_id": result.incident_id,
        "incident_type": result.incident_type,
        "client_id": result.client_id,
        "hostname": result.hostname,
        "parameters": dict(result.parameters),
        "labels": {},
    }
    host: dict[str, Any] = {
        "hostname": result.hostname,
        "platform": result.platform,
        **result.host.model_dump(exclude_none=True),
    }
    for path, value in betrayed.items():
        if len(path) > 1 and path[0] in ("incident", "host"):
            put(incident if path[0] == "incident" else host, path[1:], value)
    values: dict[str, Any] = {}
    for name, parameter in candidate.parameters.items():
        old = recording.parent.parameters.get(name)
        given = result.parameters.get(name, betrayed.get((name,)))
        if given is not None and old is not None and not old.required and given == old.default:
            given = None
        if given is None and not parameter.required:
            values[name] = parameter.default
        elif given is None:
            values[name] = _some(parameter)
        elif not parameter.secret and (said := misfit(name, parameter, given)):
            return Inputs(values, incident, host, f"the parameter {said}")
        else:
            values[name] = given
    return Inputs(values, incident, host)


def _betrayed(recording: Recording) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Names and the values they must have had, read off the parent's templates and what they were rendered to."""
    for record in recording.records:
        if record.of is not None:
            yield from _compare(record.of.params, record.step.params)
    for verification in recording.parent.verification:
        looked = recording.checks.get(verification.id)
        if looked:
            yield from _compare(verification.params, looked.check.params)


def _compare(template: Any, rendered: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(template, Mapping) and isinstance(rendered, Mapping):
        for key in template.keys() & rendered.keys():
            yield from _compare(template[key], rendered[key])
    elif isinstance(template, list | tuple) and isinstance(rendered, list) and len(template) == len(rendered):
        for one, other in zip(template, rendered, strict=True):
            yield from _compare(one, other)
    elif isinstance(template, str) and "{{" in template:
        yield from _unrendered(template, rendered)


def _unrendered(template: str, rendered: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    whole = EXPRESSION.fullmatch(template)
    if whole:
        if _PLAIN_NAME.fullmatch(whole["inner"].strip()):
            yield from ((path, rendered) for path in references(template))
        return
    pieces = _PIECE.findall(template)
    if isinstance(rendered, str) and len(pieces) == 1 and _PLAIN_NAME.fullmatch(pieces[0]):
        before, after = _PIECE.split(template)[0], _PIECE.split(template)[2]
        found = re.fullmatch(f"{re.escape(before)}(.+){re.escape(after)}", rendered, re.DOTALL)
        if found:
            yield from ((path, found[1]) for path in references(template))


def _some(parameter: Parameter) -> Any:
    """A value of the right kind where nothing tells the real one."""
    if parameter.enum:
        return parameter.enum[0]
    return {"string": "unknown", "integer": 1, "number": 1.0, "boolean": False}[parameter.type]
