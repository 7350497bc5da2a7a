"""What must hold for a step that was never recorded: a reason why it would fail, where recorded facts say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from learner.actions import Action, catalogue
from learner.actions.base import UNKNOWN
from learner.facts import Facts, Path, get
from learner.replay.world import World

# Actions that ask what a check asks, with the same parameters.
_CLAIMS: Mapping[str, str] = {
    "check_port": "port_open",
    "wait_for_port": "port_open",
    "check_http": "http_ok",
    "wait_for_http": "http_ok",
    "resolve_dns": "dns_resolves",
    "check_certificate": "certificate_valid",
}
# Actions that need their file to be there, by the parameter that names it.
_FILES: Mapping[str, str] = {
    "copy_file": "source",
    "backup_file": "path",
    "set_permissions": "path",
    "clean_directory": "path",
    "find_large_files": "path",
}


def claim(action: Action[Any], params: Any) -> tuple[Any, Any] | None:
    """The check (and its parameters) that an action asks; None when it asks none."""
    name = _CLAIMS.get(action.name)
    if action.name == "wait_for_service":
        name = f"service_{params.status}"
    if name is None:
        return None
    check = catalogue().checks[name]
    values = params.model_dump(mode="json", exclude_none=True)
    known = {field: value for field, value in values.items() if field in check.Params.model_fields}
    return check, check.Params.model_validate_json(_json(known))


def contradiction(action: Action[Any], params: Any, world: World) -> str | None:
    """Why the action must fail in `world`; None when nothing that is known speaks against it."""
    if action.name == "assert":
        return None if params.that else (params.message or "the assertion does not hold")
    if field := _FILES.get(action.name):
        path = getattr(params, field)
        if get(world.state, ("files", path, "exists")) is False:
            return f"{path} does not exist"
    if action.name == "reload_service" and get(world.state, ("services", params.name)) in ("stopped", "failed"):
        return f"service {params.name} is not running"
    if not action.name.startswith("wait") and (asked := claim(action, params)):
        check, check_params = asked
        if check.holds(check_params, world.state) is False:
            return f"{check.name} does not hold: {_shown(check.probe(check_params).paths, world)}"
    return None


def reached(action: Action[Any], params: Any, world: World) -> Facts:
    """The facts that an unrecorded wait leaves behind when it ends well: what it waited for, so far unknown."""
    if not action.name.startswith("wait_for_"):
        return {}
    asked = claim(action, params)
    if asked is None or asked[0].holds(asked[1], world.state) is True:
        return {}
    if action.name == "wait_for_service":
        return {("services", params.name): params.status}
    value = "listening" if action.name == "wait_for_port" else params.expect_status
    return {asked[0].probe(asked[1]).paths[0]: value}


def _shown(paths: tuple[Path, ...], world: World) -> str:
    return ", ".join(f"{'.'.join(path)} is {get(world.state, path, UNKNOWN)}" for path in paths)


def _json(value: Any) -> str:
    import json

    return json.dumps(value)
