"""Steps that stand in the wrong place: what would make, or take away, the thing that a failure names comes later."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from learner.errors import LearnerError
from learner.models import Step, Verification
from learner.proposals.patterns.general import Unfit
from learner.proposals.patterns.traces import words_of
from learner.strict import Json
from learner.template import render

if TYPE_CHECKING:
    from learner.proposals.patterns.situation import Situation

_MAKES = {"write_file": "path", "copy_file": "destination", "restore_file": "path", "create_directory": "path"}
_MAKING = re.compile(
    r"(?<![\w-])(?:mkdir|install|create|add|import|init|initdb|pull|build|clone|load|mount|enable|useradd|adduser|groupadd"
    r"|addgroup|createdb|createuser|lvcreate|mkfifo|ln|cp|touch|apply|register|generate|genrsa)(?![\w-])"
    r"|\b(?:Import|New|Add|Install|Enable|Register|Mount|Copy)-[A-Z]\w+|-importpfx\b",
)
_TAKING = re.compile(
    r"(?<![\w-])(?:rm|rmdir|unlink|remove|delete|destroy|umount|drop|dropdb|dropuser|lvremove|vgremove|detach|del|close|luksClose"
    r"|userdel|groupdel|deluser|rmmod|snapshot-delete|undefine|thaw|unfreeze)(?![\w-])"
    r"|\b(?:Remove|Dismount|Unregister)-[A-Z]\w+",
)
TWICE = "twice"
"""Marks an operation that is meant to do what another step does, too."""
_STOPS = ("stop_service", "kill_process")
_NAMED = re.compile(
    r"[\"'“‘<\[`]([\w@.:/\\+-]{2,200})[\"'”’>\]`]"
    r"|(?<![\w.-])(/[\w@.+-]+(?:/[\w@.+-]+)+)"
    r"|(?<![\w.-])([\w.+-]{2,80}): (?:command )?not found"
    r"|(?:unknown|invalid) (?:user|group)[: ]+([\w.-]{2,64})"
    r"|(?:interface|device|snapshot|volume|container|network|database|role|pool|dataset|image|user|group) ([\w@./:-]{2,120})"
)


def named(text: str) -> set[str]:
    """The things that `text` names: what it quotes, paths, and programs or accounts that it says are not known."""
    found = {next(filter(None, match.groups())).strip(".:") for match in _NAMED.finditer(text)}
    return {name for name in found if len(name) > 1}


def providers(situation: Situation) -> dict[str, str]:
    """The steps after the failing one that make what it says is missing, by id, with their action.

    Only those that may come first: their words need no step before them, and nothing is stopped in between.
    """
    exists = situation.failing.result.state_before.files
    things = {
        name
        for name in named(situation.text)
        if not (isinstance(found := exists.get(name), Mapping) and found.get("exists") is True)
    }
    found = {}
    for step in _later(situation):
        if step.action in _STOPS:
            break
        params = _rendered(step, situation)
        if params is None or "steps." in step.model_dump_json():
            continue
        made = str(params.get(_MAKES.get(step.action, ""), "")).rstrip("/")
        inside = step.action == "create_directory"
        if (made and any(thing == made or (inside and thing.startswith(f"{made}/")) for thing in things)) or (
            (words := words_of(params)) and _MAKING.search(words) and any(_says(words, thing) for thing in things)
        ):
            found[step.id] = step.action
    return found


def undoers(situation: Situation) -> dict[str, str]:
    """The steps after the failing one, and those that always run, which take away what it says is there already."""
    return {step.id: step.action for step, _ in _undoing(situation)}


def undo_first(situation: Situation) -> dict[str, Json]:
    """The operation that does first what the runbook itself does with the thing in the end.

    Raises: `Unfit` when not exactly one step takes it away.
    """
    step, found = situation.step, list(_undoing(situation))
    if step is None or len(found) != 1:
        raise Unfit(f"{len(found)} steps take away what is there already, not one")
    undoer, _ = found[0]
    earlier = situation.parent.steps[: situation.parent.steps.index(step)] if step in situation.parent.steps else ()
    if any((done.action, done.params) == (undoer.action, undoer.params) for done in earlier):
        raise Unfit("the runbook takes it away first already")
    new: dict[str, Json] = {
        key: value
        for key, value in undoer.model_dump(mode="json", exclude_unset=True).items()
        if key in ("action", "params", "become", "timeout_seconds")
    }
    new = {"id": "clear_left_over", **new, "on_failure": "continue"}
    new |= {"when": step.when} if step.when is not None else {}
    new["why"] = f"a run that was cut off before {undoer.id} leaves it behind; mostly there is nothing to take away"
    return {"op": "insert_step", "before": step.id, "step": new, TWICE: True}


def _undoing(situation: Situation) -> Iterator[tuple[Step, Mapping[str, Any]]]:
    things = {name.rpartition("/")[2] or name for name in named(situation.text)} | named(situation.text)
    for step in (*_later(situation), *situation.parent.finally_):
        params = _rendered(step, situation)
        if params is None or "steps." in step.model_dump_json():
            continue
        words = words_of(params) if step.action != "remove_file" else f"rm {params.get('path', '')}"
        if words.count("\n") > 1 or re.search(r"[;&|]", words):
            continue  # it does more than take one thing away
        if _TAKING.search(words) and any(_says(words, thing) for thing in things):
            yield step, params


def claimed_files(situation: Situation) -> list[str]:
    """The files that the verification wants to be there: the run is to make them."""
    claims = (claim for claim in situation.parent.verification if claim.check == "file_exists")
    return [str(params["path"]) for claim in claims if (params := _rendered(claim, situation))]


def claimed(situation: Situation) -> str:
    """The commands that the verification asks, one a line, with the run's parameters."""
    rendered = (_rendered(claim, situation) for claim in situation.parent.verification)
    return "\n".join(words_of(params) for params in rendered if params)


def _later(situation: Situation) -> Sequence[Step]:
    steps = situation.parent.steps
    return steps[steps.index(situation.step) + 1 :] if situation.step in steps else ()


def _rendered(part: Step | Verification, situation: Situation) -> Mapping[str, Any] | None:
    runbook, result = situation.parent, situation.failing.result
    defaults = {name: p.default for name, p in runbook.parameters.items() if not p.required}
    try:
        rendered: Mapping[str, Any] = render(part.params, {**defaults, **result.parameters})
    except LearnerError:
        return None  # it needs facts or earlier steps
    return rendered


def _says(words: str, thing: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(thing)}(?![\w-])", words) is not None
