"""What a runbook's schema can't see: whether its parts fit together."""

from __future__ import annotations

from collections.abc import Iterator

from learner.actions import catalogue
from learner.actions.paths import misplaced, path_fields
from learner.models.runbook import Goto, Platform, Runbook, misfit, near
from learner.strict import Json

RESERVED = {"state": "host's facts", "incident": "incident itself", "host": "host itself", "steps": "steps before"}
"""Names in scope of every expression, which no parameter may take."""


def problems(runbook: Runbook) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What the schema can't see: (where, what) for names used twice, jumps to nowhere, defaults that don't fit.

    The model alone accepts exactly what the schema accepts; this is held against both by `runbook_file`.
    """
    seen: dict[str, str] = {}
    for part in ("steps", "rollback", "finally", "verification"):
        for i, item in enumerate(getattr(runbook, "finally_" if part == "finally" else part)):
            if item.id in seen:
                yield (part, i, "id"), f"the id {item.id} is used twice, here and in {seen[item.id]}"
            seen[item.id] = part
    ids = {step.id for step in runbook.steps}
    for i, step in enumerate(runbook.steps):
        if isinstance(step.on_failure, Goto) and step.on_failure.goto not in ids:
            yield ("steps", i, "on_failure"), f"goto {step.on_failure.goto}: there is no such step"
        if runbook.platform not in catalogue().actions[step.action].platforms:
            yield ("steps", i, "action"), f"{step.action} does not exist on {runbook.platform}"
        if step.on_failure == "rollback" and not runbook.rollback:
            yield ("steps", i, "on_failure"), "rollback is asked for, but there are no rollback steps"
    for part in ("rollback", "finally"):
        for i, step in enumerate(runbook.rollback if part == "rollback" else runbook.finally_):
            if isinstance(step.on_failure, Goto) or step.on_failure == "rollback":
                yield (part, i, "on_failure"), f"a step of {part} can only abort or continue"
            if runbook.platform not in catalogue().actions[step.action].platforms:
                yield (part, i, "action"), f"{step.action} does not exist on {runbook.platform}"
    for i, claim in enumerate(runbook.verification):
        if runbook.platform not in catalogue().checks[claim.check].platforms:
            yield ("verification", i, "check"), f"{claim.check} does not exist on {runbook.platform}"
    for name, parameter in runbook.parameters.items():
        if name in RESERVED:
            yield ("parameters", name), f"{name} is a name of the language (the {RESERVED[name]}); choose another"
        if (
            not parameter.required
            and parameter.default is not None
            and (said := misfit(name, parameter, parameter.default))
        ):
            yield ("parameters", name, "default"), said
    yield from _misplaced_paths(runbook)
    yield from _unknown_names(runbook)


def _misplaced_paths(runbook: Runbook) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Paths that are written out and are none on the runbook's platform."""
    known = catalogue()
    for part, items in (("steps", runbook.steps), ("rollback", runbook.rollback), ("finally", runbook.finally_)):
        for i, step in enumerate(items):
            for name in path_fields(known.actions[step.action].Params):
                if said := _misplaced(step.params.get(name), runbook.platform):
                    yield (part, i, "params", name), said
    for i, claim in enumerate(runbook.verification):
        for name in path_fields(known.checks[claim.check].Params):
            if said := _misplaced(claim.params.get(name), runbook.platform):
                yield ("verification", i, "params", name), said


def _misplaced(value: Json, platform: Platform) -> str | None:
    return misplaced(value, platform) if isinstance(value, str) and "{{" not in value else None


def _unknown_names(runbook: Runbook) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Names in templates that nothing defines."""
    from learner.template import expression_references, references

    known = {*runbook.parameters, "state", "incident", "host", "steps"}
    steps = {step.id for step in runbook.all_steps}

    def unknown(paths: frozenset[tuple[str, ...]]) -> str | None:
        for path in sorted(paths):
            if path[0] not in known:
                return (
                    f"{path[0]} is no parameter and none of state, incident, host, steps{near(path[0], sorted(known))}"
                )
            if path[0] == "steps" and len(path) > 1 and path[1] not in steps:
                return f"there is no step {path[1]}{near(path[1], sorted(steps))}"
        return None

    def walk(value: Json, at: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
        if isinstance(value, str) and "{{" in value:
            if said := unknown(references(value)):
                yield at, said
        elif isinstance(value, dict):
            for key, below in value.items():
                yield from walk(below, (*at, key))
        elif isinstance(value, list | tuple):
            for i, below in enumerate(value):
                yield from walk(below, (*at, i))

    for i, expression in enumerate(runbook.preconditions):
        if said := unknown(expression_references(expression)):
            yield ("preconditions", i), said
    for part, items in (
        ("steps", runbook.steps),
        ("rollback", runbook.rollback),
        ("finally", runbook.finally_),
    ):
        for i, step in enumerate(items):
            yield from walk(step.params, (part, i, "params"))
            if step.when and (said := unknown(expression_references(step.when))):
                yield (part, i, "when"), said
            if step.retry and step.retry.until and (said := unknown(expression_references(step.retry.until))):
                yield (part, i, "retry", "until"), said
    for i, claim in enumerate(runbook.verification):
        yield from walk(claim.params, ("verification", i, "params"))
