"""Whether the host's recorded state bears out what an incident claims."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from learner.actions import catalogue
from learner.facts import get
from learner.strict import Json
from learner.triage.case import Seen

FULL_PERCENT = 90.0
"""A mount is full from here on."""
MEASURED = ("high_cpu", "memory_leak", "high_memory", "disk_full", "time_drift")
"""Incidents that are one number: when it is fine, the alert is wrong or over."""
ROOMY_PERCENT = 75.0
"""Nobody calls a mount below this full."""


def borne_out(seen: Seen) -> bool | None:
    """Whether the state before the run shows what the incident says; None when it does not tell."""
    kind, before = seen.incident_type, seen.before
    if kind in ("service_crash", "service_down", "service_stopped", "service_failed"):
        return _some_down(seen)
    if kind == "disk_full":
        return _beyond([value for _, *values in mounts(before) for value in values], ROOMY_PERCENT, FULL_PERCENT)
    if kind == "high_cpu":
        return _beyond([get(before, ("cpu", "usage_percent"))], 50.0, 75.0)
    if kind in ("memory_leak", "high_memory"):
        return _beyond([get(before, ("memory", "usage_percent"))], 50.0, 75.0)
    if kind == "port_unreachable":
        wanted = [seen.port(port) for port in seen.own_ports]
        return None if not wanted or "unknown" in wanted else "closed" in wanted
    if kind == "endpoint_down":
        codes = list(get(before, ("endpoints",), {}).values())
        return None if not codes else not all(code == 200 for code in codes)
    if kind == "cert_expiry":
        days = [get(value, ("days_left",)) for value in get(before, ("certificates",), {}).values()]
        left = [day for day in days if isinstance(day, int | float)]
        return None if not left else min(left) < 30
    if kind == "dns_failure":
        resolves = list(get(before, ("dns",), {}).values())
        return None if not resolves or any(not isinstance(r, bool) for r in resolves) else not all(resolves)
    if kind == "time_drift":
        offset = get(before, ("time", "offset_seconds"))
        return None if not isinstance(offset, int | float) else abs(offset) >= 0.5
    return None


def _some_down(seen: Seen) -> bool | None:
    known = [status for name in seen.own_services if (status := seen.service(name)) != "unknown"]
    return None if not known else any(status != "running" for status in known)


def _beyond(values: list[Any], fine: float, bad: float) -> bool | None:
    """True when a value is `bad` or beyond, False when all are below `fine`, None between and when nobody looked."""
    known = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if not known:
        return None
    return True if max(known) >= bad else False if max(known) < fine else None


def mounts(state: Mapping[str, Any]) -> list[tuple[str, float | None, float | None]]:
    """(path, used percent, used inodes percent) of every mount in `state`; the disk without mounts is `/`."""
    found = []
    below = get(state, ("disk", "mounts"), {})
    for path, values in sorted(below.items()) if isinstance(below, Mapping) else ():
        usage, inodes = get(values, ("usage_percent",)), get(values, ("inodes_percent",))
        found.append((str(path), _number(usage), _number(inodes)))
    if not any(path == "/" for path, _, _ in found):
        usage = _number(get(state, ("disk", "usage_percent")))
        inodes = _number(get(state, ("disk", "inodes_percent")))
        if usage is not None or inodes is not None:
            found.append(("/", usage, inodes))
    return found


def mount_of(path: str, paths: list[str]) -> str | None:
    """The mount that `path` lies on."""
    on = [mount for mount in paths if path == mount or path.startswith(mount.rstrip("/") + "/")]
    return max(on, key=len, default=None)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def exhausted(state: Mapping[str, Any]) -> str:
    """What else is visibly wrong with the host: a full disk, no inodes, no memory, a wrong clock; empty when nothing."""
    for path, usage, inodes in mounts(state):
        if usage is not None and usage >= 97:
            return f"{path} is {usage:g}% full"
        if inodes is not None and inodes >= 97:
            return f"{path} has {inodes:g}% of its inodes in use"
    memory = _number(get(state, ("memory", "usage_percent")))
    if memory is not None and memory >= 97:
        return f"memory is {memory:g}% in use"
    cpu = _number(get(state, ("cpu", "usage_percent")))
    if cpu is not None and cpu >= 97:
        return f"the processors are {cpu:g}% busy"
    offset = _number(get(state, ("time", "offset_seconds")))
    if offset is not None and abs(offset) >= 60:
        return f"the clock is {offset:g} s off"
    return ""


def holds(check: str, params: Mapping[str, Json], state: Mapping[str, Any]) -> bool | None:
    """Whether a check's claim is true in a recorded state; None when the state does not say."""
    known = catalogue().checks.get(check)
    if known is None:
        return None
    try:
        return known.holds(known.Params.model_validate_json(json.dumps(dict(params))), state)
    except ValidationError:
        return None
