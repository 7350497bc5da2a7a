"""What the facts and the rest of the run say around a failure: names that patterns' conditions may use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from learner.mentions import LOCAL, addresses_in, hosts_in
from learner.models import ExecutionResult
from learner.proposals.patterns.needs import about_any, mount_points, needed
from learner.proposals.patterns.traces import words_of

if TYPE_CHECKING:
    from learner.proposals.patterns.situation import Situation

_STARTS = ("start_service", "restart_service")


def surroundings(situation: Situation) -> dict[str, Any]:
    """- `others`: hosts beside this one that the failure names;
    - `needed_down`: services that were down, that the failure is about and that the run did not start → their status;
      `needed_down_after`: those that were down when it ended;
    - `fallen`: whether a service that ran before, or that the run started, was down when it ended;
    - `about_started`: whether the failure may be about a service that the run started, not of another kind;
    - `mounts`: the recorded mounts; `unmounted`: mount points whose unit is down → the unit;
    - `outputs`: what each step that worked printed, by its action; `said_by`: the same, by its id;
    - `commands`: the commands and scripts that worked, as one text; `command`: the failing one;
    - `shows_renewed`: whether the claim asks this host, or one that a certificate which the run renewed is for;
    - `alike`: services whose name is that of the failing step's service but for figures, that the host has."""
    result, done = situation.failing.result, situation.failing.step or situation.failing.check
    before, after = result.state_before.services, result.state_after.services
    params: Mapping[str, Any] = done.params if done else {}
    own = str(params.get("name") or "")
    worked = [step for step in result.executed_steps if step.success and not step.skipped]
    started = {str(step.params.get("name")) for step in worked if step.action in _STARTS}
    spoken = words_of(params)
    text = f"{situation.text}\n{spoken}" if spoken else situation.text
    mounts = result.state_before.disk.get("mounts")
    known = mounts if isinstance(mounts, Mapping) else {}
    return {
        "others": _others(situation, params, spoken),
        "needed_down": {name: how for name, how in needed(before, own, text).items() if name not in started},
        "needed_down_after": needed(after, own, text),
        "fallen": _fallen(before, after, started),
        "about_started": about_any(started, text),
        "mounts": known,
        "unmounted": {path: unit for path, unit in mount_points(before) if path not in known}
        | {path: "looked for" for path in _sought(result) if path not in known and known},
        "outputs": {step.action: step.output for step in worked},
        "commands": "\n".join(words_of(step.params) for step in worked),
        "command": spoken,
        "shows_renewed": _shows_renewed(situation, str(params.get("host") or "")),
        "alike": _alike(own, before),
    }


_MANUAL = re.compile(r"https?://\S*(?:doc|manual|wiki|help|support|guide|faq|kb)\S*", re.IGNORECASE)
"""Addresses that tools print for people to read there; nothing of the failure is on those hosts."""


def _others(situation: Situation, params: Mapping[str, Any], spoken: str) -> list[str]:
    own = situation.failing.result.hostname.lower()
    text = "\n".join([_MANUAL.sub("", situation.text), spoken, *(str(params.get(key, "")) for key in ("host", "url"))])
    hosts = dict.fromkeys([*(host for host, _ in addresses_in(text)), *hosts_in(text)])
    here = {*LOCAL, own, own.partition(".")[0]}
    return [h for h in hosts if h.strip("[]").lower() not in here and not h.startswith("127.")]


def _sought(result: ExecutionResult) -> list[str]:
    """The mount points that a step looked for in vain."""
    looks = [
        done.params["argv"]
        for done in result.executed_steps
        if not done.success and not done.skipped and isinstance(done.params.get("argv"), list) and done.params["argv"]
    ]
    tools = ("findmnt", "mountpoint")
    return [
        str(w).rstrip("/")
        for argv in looks
        if str(argv[0]).rpartition("/")[2] in tools
        for w in argv[1:]
        if str(w).startswith("/")
    ]


def _shows_renewed(situation: Situation, host: str) -> bool:
    result = situation.failing.result
    if host in LOCAL or host == result.hostname:
        return True
    steps = (step for step in result.executed_steps if step.action == "renew_certificate" and step.success)
    names = (str(step.params.get("name", "")) for step in steps)
    return any(host == name or host.endswith(f".{name}") or name.endswith(f".{host}") for name in names if name)


def _fallen(before: Mapping[str, str], after: Mapping[str, str], started: set[str]) -> bool:
    down = {name for name, status in after.items() if status in ("stopped", "failed")}
    return any(before.get(name) == "running" or name in started for name in down)


def _alike(own: str, services: Mapping[str, str]) -> dict[str, str]:
    def stem(name: str) -> str:
        return re.sub(r"@.*$|[-_]?[\d.]+(?=$|[-_]fpm$)", "", name.removesuffix(".service")).lower()

    wanted = stem(own)
    return {
        name: status
        for name, status in services.items()
        if len(wanted) > 2 and name != own and stem(name) == wanted and status != "unknown"
    }
