"""State capture: the probes that a runbook, its incident and its verification call for, within a bound of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from learner.actions import Probe, catalogue
from learner.actions.base import UNKNOWN
from learner.actions.certificate import CertificateProbe
from learner.actions.disk import DiskProbe
from learner.actions.file import FileProbe
from learner.actions.host import Host
from learner.actions.network import LOOPBACK, EndpointProbe, NameProbe, PortProbe
from learner.actions.paths import is_windows
from learner.actions.process import CpuProbe, MemoryProbe, ProcessProbe
from learner.actions.service import ServiceProbe
from learner.actions.time import TimeProbe
from learner.errors import LearnerError
from learner.facts import Facts, Path, dotted, put
from learner.flow import concrete
from learner.models.execution import StateCapture
from learner.models.runbook import Runbook
from learner.template import expression_references, render

VITAL_SIGNS: tuple[Probe, ...] = (DiskProbe("/"), CpuProbe(), MemoryProbe())
MOST_PROBES = 60
AT_ONCE = 6
"""Probes that run at the same time: over SSH a server commonly takes ten sessions on one connection."""
LATE_SECONDS = 0.2
LONGEST_VALUE = 500
"""Characters of one fact."""


def probes_for(runbook: Runbook, scope: Mapping[str, Any], named: Iterable[Path] = ()) -> tuple[Probe, ...]:
    """The probes of all facts that `runbook` reads, checks or asks about, and of the facts in `named`.

    `scope` holds the parameters; what needs more than them to be known is left to the run itself.
    """
    found: dict[Probe, None] = dict.fromkeys(VITAL_SIGNS)
    for path in (*_read_by_steps(runbook, scope), *_asked_for(runbook), *named):
        probe = probe_of(path)
        if probe is not None:
            found.setdefault(probe)
    for claim in runbook.verification:
        check = catalogue().checks[claim.check]
        try:
            probe = check.probe(concrete(check.Params, render(claim.params, scope)))
        except LearnerError:
            continue
        # A command that judges is run when it is asked for, not to look around.
        if probe.paths and probe.paths[0][0] != "commands":
            found.setdefault(probe)
    return tuple(found)[:MOST_PROBES]


def _read_by_steps(runbook: Runbook, scope: Mapping[str, Any]) -> Iterator[Path]:
    for step in runbook.all_steps:
        action = catalogue().actions[step.action]
        try:
            yield from action.reads(concrete(action.Params, render(step.params, scope)))
        except LearnerError:
            continue


def _asked_for(runbook: Runbook) -> Iterator[Path]:
    """Facts that conditions name outright, such as `state.services.db`."""
    expressions = [*runbook.preconditions, *(step.when for step in runbook.all_steps if step.when)]
    for expression in expressions:
        for path in sorted(expression_references(expression)):
            if path[0] == "state" and len(path) > 2:
                yield path[1:]


def probe_of(path: Path) -> Probe | None:
    """The probe that reads the fact at `path`; None when there is none, or when it would have to act to know."""
    if len(path) < 2:
        return {"time": TimeProbe()}.get(path[0]) if path else None
    family, key = path[0], path[1]
    of_key: dict[str, Callable[[str], Probe]] = {
        "services": ServiceProbe,
        "files": FileProbe,
        "processes": ProcessProbe,
        "endpoints": EndpointProbe,
        "dns": NameProbe,
    }
    if family in of_key:
        return of_key[family](key)
    if family == "ports":
        host, _, port = key.rpartition(":")
        return PortProbe(host or LOOPBACK, int(port)) if port.isdigit() and 0 < int(port) < 65536 else None
    if family == "disk" and key == "mounts" and len(path) > 2:
        return DiskProbe(path[2])
    if family == "certificates":
        return _certificate(key)
    return {"disk": DiskProbe("/"), "cpu": CpuProbe(), "memory": MemoryProbe(), "time": TimeProbe()}.get(family)


def _certificate(key: str) -> Probe | None:
    if key.startswith("/") or is_windows(key):
        return CertificateProbe(path=key)
    host, _, port = key.rpartition(":")
    return CertificateProbe(host=host, port=int(port)) if host and port.isdigit() else None


def capture(
    host: Host,
    probes: Iterable[Probe],
    *,
    at: datetime,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> StateCapture:
    """The host's state as the probes read it, several at once, all of them within `seconds`.

    A probe that can't read leaves `unknown`; one for which no time was left is named in `unread`. Nothing here
    raises for the host's state: a capture never fails a run.
    """
    ends_at = clock() + seconds
    facts: dict[str, Any] = {}
    unread: dict[str, str] = {}

    def ask(probe: Probe) -> Facts | None:
        left = ends_at - clock()
        return read(probe, host, left, unread) if left > 0 else None

    pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="capture")
    asked = [(probe, pool.submit(ask, probe)) for probe in probes]
    for probe, answer in asked:
        name = ", ".join(dotted(path) for path in probe.paths)
        try:
            found = answer.result(timeout=max(0.0, ends_at - clock()) + LATE_SECONDS)
        except TimeoutError:
            found = None
        if found is None:
            unread[name] = f"no time left of {seconds:g} s"
            continue
        for path, value in found.items():
            if value == UNKNOWN:
                unread.setdefault(dotted(path), "could not be read")
            put(facts, path, _bounded(value))
    # A probe that takes no heed of its time is left behind; nobody waits for what it says.
    pool.shutdown(wait=False, cancel_futures=True)
    known = {family: value for family, value in facts.items() if family in StateCapture.model_fields}
    reasons = {name: _bounded(reason) for name, reason in dict(unread).items()}
    return StateCapture.model_validate(
        {**known, "hostname": host.name, "platform": host.platform, "captured_at": at, "unread": reasons}
    )


def _bounded(value: Any) -> Any:
    """`value`, cut when it is a text that goes on and on."""
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        return f"{value[:LONGEST_VALUE]}… ({len(value) - LONGEST_VALUE} more characters)"
    return value


def read(probe: Probe, host: Host, timeout_seconds: float, unread: dict[str, str] | None = None) -> Facts:
    """The probe's facts; empty, with the reason in `unread`, when it broke."""
    try:
        return probe.read(host, timeout_seconds)
    except Exception as e:  # a probe is anybody's code; a capture never fails a run
        if unread is not None:
            unread[", ".join(dotted(path) for path in probe.paths)] = f"{type(e).__name__}: {e}"
        return {}
