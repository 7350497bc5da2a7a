"""Scripts and commands written for one kind of host, told to do the same on another kind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from learner.proposals.patterns.general import Unfit
from learner.proposals.patterns.native import Native, native
from learner.proposals.patterns.situation import Situation
from learner.strict import Json

_IDLE = re.compile(
    r"set -[a-z]+(?: -?o? ?pipefail)?|#.*|:|true|systemctl (?:-q )?(?:reset-failed|daemon-reload|is-failed|is-active)\b.*"
)
"""Lines of a script without which an action does its work as well."""
_IMPORT = re.compile(r"(?mi)^([ \t]*)Import-Module[ \t]+(?:-Name[ \t]+)?([\w.]+)[ \t]*$")
_DOMAIN = re.compile(r"(?:gui|user)/[0-9]+/([\w.-]+)")


def script_to_action(situation: Situation) -> dict[str, Json]:
    """The operation that puts one action of the catalogue in the place of a short script.

    Raises: `Unfit` when the script does more than one action, or anything that is not known.
    """
    step = situation.step
    if step is None or step.action != "run_script" or step.params.get("shell") not in ("sh", "bash"):
        raise Unfit("the failing step is no shell script")
    found = list(_actions(str(step.params["script"]), step.params.get("env") or {}))
    if len(found) != 1 or found[0] is None:
        raise Unfit("no action is known that does what this script does")
    if re.search(rf"steps\.{re.escape(step.id)}\.(?:stdout|exit_code|data)", situation.parent.model_dump_json()):
        raise Unfit("another step reads what the script prints")
    action, params = found[0]
    written = step.model_dump(mode="json", exclude_unset=True)
    new = {**written, "action": action, "params": params, "why": "takes what the host has for it"}
    return {"op": "replace_step", "step_id": step.id, "step": new}


def _actions(script: str, env: Mapping[str, Json]) -> Iterator[Native | None]:
    """The actions of the script's lines, those left out that need none; None for a line that is not understood."""
    for line in script.splitlines():
        plain = re.sub(r"\s*(?:\|\|\s*(?:true|:)|2?>\s*/dev/null|2>&1)", "", line.strip())
        for name, value in env.items():
            plain = _with_value(plain, name, str(value))
        if not plain or _IDLE.fullmatch(plain):
            continue
        words = re.findall(r"(?:\{\{[^{}]*\}\}|[^\s])+", plain)
        yield None if re.search(r"[;&|<>$`()'\"\\]", re.sub(r"\{\{[^{}]*\}\}", "", plain)) else native(words)


def _with_value(line: str, name: str, value: str) -> str:
    variable = rf'"?\$(?:{{{re.escape(name)}}}|{re.escape(name)}\b)"?'
    return re.sub(variable, lambda _: value, line)


def import_as_before(situation: Situation) -> dict[str, Json]:
    """The operation that has a newer PowerShell import a module by way of the one that it was written for.

    Raises: `Unfit` when the script imports no module on a line of its own.
    Source: about_Windows_PowerShell_Compatibility: `Import-Module -UseWindowsPowerShell`, from PowerShell 7 on.
    """
    step = situation.step
    script = str(step.params.get("script", "")) if step else ""
    new = _IMPORT.sub(
        r"\1if ($PSVersionTable.PSVersion.Major -ge 7) { Import-Module \2 -UseWindowsPowerShell } else { Import-Module \2 }",
        script,
    )
    if step is None or new == script:
        raise Unfit("the script imports no module on a line of its own")
    return {"op": "set_parameter", "step_id": step.id, "name": "script", "value": new}


def where_it_is_loaded(situation: Situation) -> dict[str, Json]:
    """The operation that names a launchd job in the system's domain on Macs where its file lies there.

    Raises: `Unfit` when the command names no job of a user's domain.
    """
    step = situation.step
    argv = step.params.get("argv") if step else None
    if step is None or not isinstance(argv, list):
        raise Unfit("the failing step is no command")
    new = []
    for word in argv:
        match = _DOMAIN.fullmatch(str(word))
        if match:
            there = f"state.files['/Library/LaunchDaemons/{match[1]}.plist'].exists | default(false)"
            new.append(f"{{{{ 'system/{match[1]}' if {there} else '{word}' }}}}")
        else:
            new.append(word)
    if new == argv:
        raise Unfit("the command names no job of a user's domain")
    return {"op": "set_parameter", "step_id": step.id, "name": "argv", "value": new}
