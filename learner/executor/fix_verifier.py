"""Did it help? A verdict from the state before and after, for executors that have no live checks of their own.

Every incident type is judged by signals of two kinds. What the incident is about decides; what should follow from it
only confirms or contradicts. Contradiction and silence give None: nothing here passes for want of evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from learner.facts import get
from learner.models.execution import StateCapture

FULL_PERCENT = 90.0
BUSY_PERCENT = 80.0
MEMORY_PERCENT = 85.0
VALID_DAYS = 30
OFFSET_SECONDS = 1.0


class Verified(NamedTuple):
    """`passed` is None when there is nothing to judge by, or the signals contradict each other."""

    passed: bool | None
    method: str
    confidence: float
    """From 0 to 1, of the verdict; 0 when there is none."""


@dataclass(frozen=True)
class Signal:
    """One thing that was looked at: whether it was bad and is good now."""

    name: str
    passed: bool | None
    words: str = ""


State = Mapping[str, Any]
Judge = Callable[[State, State, frozenset[str]], Signal]


class FixVerifier:
    """Judges by incident type; a type it does not know is None."""

    def verify(
        self,
        incident_type: str,
        state_before: StateCapture | State,
        state_after: StateCapture | State,
        *,
        named: Iterable[str] = (),
    ) -> Verified:
        """(passed, method, confidence). `named` are the services, paths, ports, URLs… that the incident or the runbook
        is about; without them everything in the states counts.
        """
        rule = RULES.get(incident_type)
        if rule is None:
            return Verified(None, f"no rule for {incident_type}", 0.0)
        before, after, about = _facts(state_before), _facts(state_after), frozenset(map(str, named))
        deciding = [judge(before, after, about) for judge in rule.deciding]
        following = [judge(before, after, about) for judge in (*rule.following, _nothing_else_stopped)]
        return _combined(deciding, following, rule.most)


def _combined(deciding: list[Signal], following: list[Signal], most: float) -> Verified:
    said = [signal for signal in deciding if signal.passed is not None]
    also = [signal for signal in following if signal.passed is not None]
    if not said:
        bad = [signal for signal in also if signal.passed is False and signal.name != "other services"]
        if bad:
            return Verified(False, _words(bad), 0.6)
        return Verified(None, "nothing to judge by", 0.0)
    failed = [signal for signal in said if signal.passed is False]
    if failed:
        return Verified(False, _words(failed), 0.95 if len(failed) > 1 else 0.9)
    against = [signal for signal in also if signal.passed is False]
    if against:
        return Verified(None, f"{_words(said)}; but {_words(against)}", 0.0)
    agreeing = len(said) + len(also) - 1
    return Verified(True, _words([*said, *also]), min(most, round(0.8 + 0.05 * agreeing, 2)))


def _words(signals: list[Signal]) -> str:
    return ", ".join(f"{signal.name}: {signal.words}" if signal.words else signal.name for signal in signals)


def _facts(state: StateCapture | State) -> State:
    return state.facts() if isinstance(state, StateCapture) else state


# ---- signals


def _keyed(family: str, good: Callable[[Any], bool | None]) -> Judge:
    """All that was bad in `family`, or that is named, is good now."""

    def judge(before: State, after: State, named: frozenset[str]) -> Signal:
        old, new = _family(before, family), _family(after, family)
        known = set(old) | set(new)
        about = _about(known, named)
        relevant = {key for key in about if key in old and good(old[key]) is False}
        asked_for = {key for key in about if key in named}
        still_bad = sorted(key for key in relevant | asked_for if key in new and good(new[key]) is False)
        if still_bad:
            return Signal(family, False, f"{', '.join(still_bad)} still {_shown(new[still_bad[0]])}")
        unclear = sorted(key for key in relevant if key not in new or good(new[key]) is None)
        if unclear or not relevant:
            return Signal(family, None)
        return Signal(family, True, f"{', '.join(sorted(relevant))} {_shown(new[min(relevant)])}")

    return judge


def _about(known: set[str], named: frozenset[str]) -> set[str]:
    """What counts: what is named, or everything when nothing is. Where what is named was not seen, nothing counts."""
    return {key for key in known if key in named} if named else known


def _family(state: State, family: str) -> dict[str, Any]:
    held = state.get(family)
    return {str(key): value for key, value in held.items()} if isinstance(held, Mapping) else {}


def _shown(value: Any) -> str:
    return str(value)[:80]


def _running(value: Any) -> bool | None:
    return {"running": True, "stopped": False, "failed": False}.get(str(value))


def _listening(value: Any) -> bool | None:
    return {"listening": True, "closed": False}.get(str(value))


def _answers(value: Any) -> bool | None:
    if isinstance(value, bool) or value is None or str(value).startswith("unknown"):
        return None
    return 200 <= value < 400 if isinstance(value, int) else False


def _resolves(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _there(value: Any) -> bool | None:
    found = value.get("exists") if isinstance(value, Mapping) else None
    return found if isinstance(found, bool) else None


def _alive(value: Any) -> bool | None:
    return value > 0 if _is_number(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _below(path: tuple[str, ...], limit: float) -> Judge:
    """A share that was at or above `limit` is below it now."""

    def judge(before: State, after: State, named: frozenset[str]) -> Signal:
        old: Any = get(before, path)
        new: Any = get(after, path)
        name = ".".join(path)
        if not _is_number(new):
            return Signal(name, None)
        if new >= limit:
            return Signal(name, False, f"is {new:g}%")
        # Where it was not high before, a low value now proves nothing.
        if not _is_number(old) or old < limit:
            return Signal(name, None)
        return Signal(name, True, f"{old:g}% → {new:g}%")

    return judge


def _disks(key: str) -> Judge:
    """Every mount that was too full has room now."""

    def judge(before: State, after: State, named: frozenset[str]) -> Signal:
        old, new = _mounts(before, key), _mounts(after, key)
        about = {path for path in new if path in named} or set(new) | set(old)
        full = sorted(path for path in about if path in new and new[path] >= FULL_PERCENT)
        if full:
            return Signal(f"disk {key}", False, f"{full[0]} still {new[full[0]]:g}%")
        relevant = sorted(path for path in about if old.get(path, 0) >= FULL_PERCENT)
        if not relevant or any(path not in new for path in relevant):
            return Signal(f"disk {key}", None)
        return Signal(f"disk {key}", True, ", ".join(f"{path} {old[path]:g}% → {new[path]:g}%" for path in relevant))

    return judge


def _mounts(state: State, key: str) -> dict[str, float]:
    found = {
        str(path): held.get(key)
        for path, held in _family(_family(state, "disk"), "mounts").items()
        if isinstance(held, Mapping)
    }
    if key == "usage_percent" and "/" not in found:
        found["/"] = get(state, ("disk", "usage_percent"))
    return {path: value for path, value in found.items() if _is_number(value)}  # type: ignore[misc]


def _certificates(before: State, after: State, named: frozenset[str]) -> Signal:
    old, new = _family(before, "certificates"), _family(after, "certificates")
    left: dict[str, Any] = {key: held.get("days_left") for key, held in new.items() if isinstance(held, Mapping)}
    about = _about(set(left) | set(old), named)
    short = sorted(key for key in about if _is_number(left.get(key)) and left[key] < VALID_DAYS)
    if short:
        return Signal("certificates", False, f"{short[0]} has {left[short[0]]} days left")
    were_short = sorted(
        k
        for k in about
        if _is_number(get(before, ("certificates", k, "days_left"))) and old[k]["days_left"] < VALID_DAYS
    )
    if not were_short or any(not _is_number(left.get(key)) for key in were_short):
        return Signal("certificates", None)
    return Signal("certificates", True, ", ".join(f"{key} {left[key]} days left" for key in were_short))


def _clock(before: State, after: State, named: frozenset[str]) -> Signal:
    old, new = get(before, ("time", "offset_seconds")), get(after, ("time", "offset_seconds"))
    if not _is_number(new):
        return Signal("clock", None)
    if abs(new) >= OFFSET_SECONDS:
        return Signal("clock", False, f"still {new:g} s off")
    if not _is_number(old) or abs(old) < OFFSET_SECONDS:
        return Signal("clock", None)
    return Signal("clock", True, f"{old:g} s → {new:g} s")


def _fresh_backup(before: State, after: State, named: frozenset[str]) -> Signal:
    """A file that is named as the backup was written anew, and is not empty."""
    new = {path: held for path, held in _family(after, "files").items() if path in named and isinstance(held, Mapping)}
    if not new:
        return Signal("backup", None)
    for path, held in sorted(new.items()):
        written, earlier = held.get("modified_at"), get(before, ("files", path, "modified_at"))
        if held.get("exists") is False:
            return Signal("backup", False, f"{path} is not there")
        if held.get("size_bytes") == 0:
            return Signal("backup", False, f"{path} is empty")
        if not _is_number(written) or not _is_number(held.get("size_bytes")):
            return Signal("backup", None)
        if _is_number(earlier) and written <= earlier:
            return Signal("backup", False, f"{path} is no newer than before")
        if not _is_number(earlier) and get(before, ("files", path, "exists")) is not False:
            return Signal("backup", None)
    return Signal("backup", True, f"{', '.join(sorted(new))} newly written")


def _nothing_else_stopped(before: State, after: State, named: frozenset[str]) -> Signal:
    """What ran before runs still: a cure that stops another service is none."""
    old, new = _family(before, "services"), _family(after, "services")
    stopped = sorted(key for key in old if _running(old[key]) is True and _running(new.get(key)) is False)
    return (
        Signal("other services", False, f"{stopped[0]} is {new[stopped[0]]} now")
        if stopped
        else Signal("other services", None)
    )


@dataclass(frozen=True)
class Rule:
    """What decides an incident type, what follows, and how sure one can be at most."""

    deciding: tuple[Judge, ...]
    following: tuple[Judge, ...] = ()
    most: float = 0.95


_SERVICES = _keyed("services", _running)
_PORTS = _keyed("ports", _listening)
_ENDPOINTS = _keyed("endpoints", _answers)
_PROCESSES = _keyed("processes", _alive)

RULES: Mapping[str, Rule] = {
    "service_crash": Rule((_SERVICES,), (_PORTS, _ENDPOINTS, _PROCESSES)),
    "disk_full": Rule((_disks("usage_percent"), _disks("inodes_percent")), (_SERVICES,)),
    "high_cpu": Rule((_below(("cpu", "usage_percent"), BUSY_PERCENT),), (_ENDPOINTS,), most=0.85),
    # A leak shows over hours: a moment after a restart says little.
    "memory_leak": Rule((_below(("memory", "usage_percent"), MEMORY_PERCENT),), (_SERVICES, _ENDPOINTS), most=0.8),
    "cert_expiry": Rule((_certificates,), (_ENDPOINTS, _SERVICES)),
    "port_unreachable": Rule((_PORTS,), (_SERVICES, _ENDPOINTS)),
    "endpoint_down": Rule((_ENDPOINTS,), (_PORTS, _SERVICES)),
    # That a process is there says nothing of whether it hangs: what it serves does.
    "process_hung": Rule((_ENDPOINTS, _PORTS), (_SERVICES, _PROCESSES), most=0.9),
    "dns_failure": Rule((_keyed("dns", _resolves),), (_ENDPOINTS,)),
    "time_drift": Rule((_clock,)),
    # Whether the content is right can't be told from facts: only that what was missing is back, and all still runs.
    "config_drift": Rule((_keyed("files", _there),), (_SERVICES, _ENDPOINTS), most=0.8),
    "backup_failure": Rule((_fresh_backup,), most=0.85),
}
"""Incident type → its rule."""
