"""What a step runs: its commands and code, with templates filled in as far as the runbook itself says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from typing import Any

from learner.audits.base import Change, StepPair
from learner.audits.foreign_code import Code, commands_in
from learner.audits.outcomes import outcomes
from learner.audits.programs import flatten
from learner.audits.shell import parse
from learner.audits.simple import Simple
from learner.models import Runbook, Step

_CRON_TIME = re.compile(r"^[ \t]*(?:@\w+|(?:[\d*,/-]+[ \t]+){4}[\w*,/-]+)[ \t]+", re.MULTILINE)
_CRON_USER = re.compile(r"^\w+[ \t]+", re.MULTILINE)
MOST_READINGS = 16
"""Ways of filling in a step's templates that are looked at."""


@dataclass(frozen=True)
class Running:
    """Everything a step runs, wrappers taken off."""

    commands: tuple[Simple, ...]
    codes: tuple[Code, ...]


def readings(runbook: Runbook, value: Any) -> list[Any]:
    """`value` as it is written, and in every way its templates can be filled in as far as the runbook says."""
    names: dict[str, list[Any]] = {}
    for name, parameter in runbook.parameters.items():
        values = [] if parameter.required else [parameter.default]
        names[name] = [*values, *(choice for choice in parameter.enum or () if choice not in values)] or [f"${name}"]
    found = [value]
    found += [made for made in islice(_filled(value, names), MOST_READINGS) if made != value]
    return found


def _filled(value: Any, names: Mapping[str, Sequence[Any]]) -> Iterator[Any]:
    if isinstance(value, str) and "{{" in value:
        yield from outcomes(value, names)
    elif isinstance(value, list | tuple):
        yield from map(list, product(*(islice(_filled(item, names), MOST_READINGS) for item in value)))
    elif isinstance(value, Mapping):
        ways = [[(key, made) for made in islice(_filled(item, names), MOST_READINGS)] for key, item in value.items()]
        yield from map(dict, product(*ways))
    else:
        yield value


def running(runbook: Runbook, step: Step) -> Running:
    """What `step` of `runbook` runs, in every reading of its templates."""
    return _running(
        piece for params in readings(runbook, step.params) for piece in _pieces(runbook, step.action, params)
    )


def running_check(runbook: Runbook, params: Mapping[str, Any]) -> Running:
    """The same of a check's command."""
    return _running(piece for filled in readings(runbook, params) for piece in _pieces(runbook, "run_command", filled))


def _running(pieces: Iterable[Simple | Code]) -> Running:
    made = dict.fromkeys(inner for piece in pieces for inner in _flat(piece))
    return Running(
        tuple(one for one in made if isinstance(one, Simple)), tuple(one for one in made if isinstance(one, Code))
    )


def new_running(change: Change) -> Iterator[tuple[str, Running, StepPair | None]]:
    """What every new or changed step or check runs that it did not run before, with its place."""
    for pair in change.touched:
        assert pair.new is not None
        now = running(change.new.runbook, pair.new)
        before = running(change.old.runbook, pair.old) if pair.old else Running((), ())
        if pair.old and pair.new.become and not pair.old.become:
            before = Running((), ())
        yield pair.where, _without(now, before), pair
    for check in change.checks:
        if check.new is None or check.new.check != "command_succeeds" or check.new == check.old:
            continue
        now = running_check(change.new.runbook, check.new.params)
        old = check.old if check.old and check.old.check == "command_succeeds" else None
        before = running_check(change.old.runbook, old.params) if old else Running((), ())
        yield check.where, _without(now, before), None


def _without(now: Running, before: Running) -> Running:
    return Running(
        tuple(command for command in now.commands if command not in before.commands),
        tuple(code for code in now.codes if code not in before.codes),
    )


@lru_cache(maxsize=1024)
def _flat(piece: Simple | Code) -> tuple[Simple | Code, ...]:
    if isinstance(piece, Simple):
        return tuple(flatten([piece]))
    commands = parse(piece.text) if piece.language == "shell" else commands_in(piece)
    return (piece, *flatten(commands))


def _pieces(runbook: Runbook, action: str, params: Any) -> Iterator[Simple | Code]:
    if action == "run_command":
        argv = params.get("argv")
        words = tuple(str(word) for word in argv) if isinstance(argv, list | tuple) else (str(argv),)
        env = params.get("env") or {}
        yield Simple(
            words,
            stdin=str(params.get("stdin") or ""),
            variables=tuple((str(k), str(v)) for k, v in env.items()),
        )
    elif action == "run_script":
        text, env = str(params.get("script", "")), params.get("env") or {}
        shell = str(params.get("shell", "sh"))
        if shell in ("sh", "bash"):
            # The script sees its environment as variables.
            settings = "".join(
                f"{name}={_quoted(str(value))}\n" for name, value in env.items() if "{{" not in str(value)
            )
            yield Code("shell", settings + text)
        else:
            yield Code(shell, text)
    elif action == "write_file" and (language := script_language(runbook, params)):
        content = str(params.get("content", ""))
        if "/cron" in str(params.get("path", "")):
            # Some crontabs name a user before the command, some don't.
            content = _CRON_TIME.sub("", content)
            content += "\n" + _CRON_USER.sub("", content)
        yield Code(language, content)


def script_language(runbook: Runbook, params: Mapping[str, Any]) -> str | None:
    """The language of a file that is written, when it is a script or is run by another step."""
    path, content = str(params.get("path", "")), str(params.get("content", ""))
    first = content.split("\n", 1)[0]
    if first.startswith("#!"):
        return "python" if "python" in first else "perl" if "perl" in first else "ruby" if "ruby" in first else "shell"
    for ending, language in (
        (".sh", "shell"),
        (".bash", "shell"),
        (".py", "python"),
        (".ps1", "powershell"),
        (".pl", "perl"),
    ):
        if path.endswith(ending):
            return language
    if (
        "/cron" in path
        or path.startswith(("/etc/profile", "/etc/init.d/", "/etc/rc"))
        or path.endswith((".bashrc", ".profile"))
    ):
        return "shell"
    named = any(
        path and path in str(step.params) for step in runbook.all_steps if step.action in ("run_command", "run_script")
    )
    return "shell" if named else None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
