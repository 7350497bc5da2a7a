"""What a new version can touch and its parent could not."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from learner.actions import Capabilities, catalogue
from learner.actions.paths import below, is_windows
from learner.audits.code import readings, running
from learner.models import CapabilityDiff, Runbook
from learner.models.runbook import templated

LOOKED = " (looked at)"
"""What a runbook reads and never acts upon: starting a service is more than asking how it is."""


def diff(old: Runbook, new: Runbook) -> CapabilityDiff:
    """Phrases such as `path /run/web`, `service db`, `command rm`, `host 127.0.0.1:5433`, `privilege sudo`,
    `service db (looked at)`.

    Templates stand as they are written and as their parameters' defaults fill them in. *Widened* says what a new
    phrase took the place of: a fixed value that became a template, a wider pattern, a directory further up.
    """
    before, after = phrases(old), phrases(new)
    added = sorted(phrase for phrase in after - before if phrase.removesuffix(LOOKED) not in before)
    removed = sorted(phrase for phrase in before - after if phrase.removesuffix(LOOKED) not in after)
    widened = []
    for phrase in added:
        if phrase + LOOKED in before:
            widened.append(f"{phrase} (was looked at)")
            continue
        narrower = next((other for other in sorted(before) if _covers(phrase, other)), None)
        if narrower:
            widened.append(f"{phrase} (was {narrower.partition(' ')[2].removesuffix(LOOKED)})")
    return CapabilityDiff(added=tuple(added), removed=tuple(removed), widened=tuple(widened))


def phrases(runbook: Runbook) -> frozenset[str]:
    """Everything that `runbook` touches, its checks included."""
    found: set[str] = set()
    looked: set[str] = set()
    known = catalogue()
    for step in runbook.all_steps:
        action = known.actions[step.action]
        (looked if action.read_only else found).update(_of(action, step.params, runbook))
        if step.become:
            found.add("privilege sudo")
        if action.name in ("run_command", "run_script", "write_file"):
            for command in running(runbook, step).commands:
                if command.name and "$" not in command.name:
                    found.add(f"command {command.words[0] if '/' in command.words[0] else command.name}")
                if command.name in ("sudo", "doas", "su", "pkexec", "runuser"):
                    found.add("privilege sudo")
                found.update(f"path {word}" for word in command.words[1:] if _is_path(word))
                found.update(
                    f"path {target}" for _, target in command.redirects if _is_path(target) and target != "/dev/null"
                )
    for claim in runbook.verification:
        looked.update(_of(known.checks[claim.check], claim.params, runbook))
    kinds = ("service ", "path ")
    found.update(phrase for phrase in looked if not phrase.startswith(kinds))
    found.update(f"{phrase}{LOOKED}" for phrase in looked - found if phrase.startswith(kinds))
    return frozenset(found)


def _of(thing: Any, params: dict[str, Any], runbook: Runbook) -> Iterator[str]:
    # A value that nobody knows yet stands there as a template already.
    unknown = [
        f"${name}" for name, parameter in runbook.parameters.items() if parameter.required and not parameter.enum
    ]
    for filled in readings(runbook, params):
        if filled is not params and any(name in json.dumps(filled) for name in unknown):
            continue
        made = _params(thing, filled)
        if made is not None:
            yield from _said(thing.capabilities(made))


def _params(thing: Any, params: dict[str, Any]) -> Any:
    """The parameter model of values that may still hold templates; None when they don't fit at all."""
    try:
        return thing.Params.model_validate_json(json.dumps(params))
    except (ValidationError, ValueError):
        pass
    try:
        loose = templated(thing.Params).model_validate_json(json.dumps(params))
    except (ValidationError, ValueError):
        return None
    return thing.Params.model_construct(**{name: getattr(loose, name) for name in type(loose).model_fields})


def _said(capabilities: Capabilities) -> Iterator[str]:
    for word, values in (
        ("service", capabilities.services),
        ("path", capabilities.paths),
        ("host", capabilities.hosts),
        ("command", capabilities.commands),
        ("privilege", capabilities.privileges),
    ):
        yield from (f"{word} {value}" for value in values)


def _is_path(word: str) -> bool:
    return (word.startswith("/") and len(word) > 1) or is_windows(word)


def _covers(wider: str, narrower: str) -> bool:
    """Whether a phrase lets in what another one said, and more."""
    kind, _, value = wider.removesuffix(LOOKED).partition(" ")
    other_kind, _, other = narrower.removesuffix(LOOKED).partition(" ")
    if kind != other_kind or value == other:
        return False
    if "{{" in value and "{{" not in other:
        # A fixed value that became a template: the fixed parts around it must still fit.
        head, tail = value.split("{{", 1)[0], value.rsplit("}}", 1)[1]
        return other.startswith(head) and other.endswith(tail)
    if "{{" in value or "{{" in other:
        return False
    if kind == "path":
        if any(c in value for c in "*?["):
            return fnmatch.fnmatchcase(other, value) or fnmatch.fnmatchcase(other.replace("*", "x"), value)
        return below(other, value)
    if kind == "host":
        return value.startswith(("0.0.0.0", "*")) and other.rpartition(":")[2] == value.rpartition(":")[2]  # noqa: S104
    return False
