"""A proof that proves less than before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

from learner.audits.base import Change, CheckPair, Evidence, Rule
from learner.audits.code import readings
from learner.models import Finding, Level, Verification

_MUCH_LONGER_SECONDS = 300.0
_MUCH_LONGER_TIMES = 10.0
_ALWAYS_TRUE = frozenset(
    {"true", "/bin/true", "/usr/bin/true", ":", "echo", "/bin/echo", "exit", "test", "sleep", "printf"}
)
_ALWAYS_THERE = ("/", "/tmp", "/etc", "/dev/null", "/etc/passwd", "/proc", "/var", "/run", "/usr")  # noqa: S108
# How near a check comes to what users of the host notice.
_STRENGTH = {
    "http_ok": 4, "certificate_valid": 4, "port_open": 3, "dns_resolves": 3, "service_running": 3, "service_stopped": 3,
    "disk_usage_below": 3, "cpu_usage_below": 3, "memory_usage_below": 3, "time_offset_below": 3, "process_running": 2,
    "process_absent": 2, "file_exists": 2, "file_absent": 2, "command_succeeds": 1,
}  # fmt: skip


class WeakenedVerification(Rule):
    """The verification lets pass what the parent's verification caught.

    A claim removed or replaced by a weaker kind, an expected status or text dropped or changed, a limit raised, a
    different target, a window grown beyond reason, a settling time shortened, a command that always succeeds.
    """

    name = "weakened-verification"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        for pair in change.checks:
            if pair.new is None:
                assert pair.old is not None
                yield from self._removed(change, pair)
            elif pair.old is None:
                if _proves_nothing(change, pair.new):
                    yield self.says(Level.WARNING, "the claim holds whatever happened", pair.where)
            elif pair.old != pair.new:
                for level, what in _weaker(change, pair.old, pair.new):
                    yield self.says(level, what, pair.where)

    def _removed(self, change: Change, pair: CheckPair) -> Iterator[Finding]:
        old = pair.old
        assert old is not None
        covered = [
            p.new
            for p in change.checks
            if p.old is None and p.new and p.new.check == old.check and p.new.params == old.params
        ]
        if not covered:
            yield self.says(Level.BLOCK, f"the claim {old.id} ({old.check}) is gone", pair.where)


def _weaker(change: Change, old: Verification, new: Verification) -> Iterator[tuple[Level, str]]:
    if old.check != new.check:
        weaker = _STRENGTH.get(new.check, 1) < _STRENGTH.get(old.check, 1) or _proves_nothing(change, new)
        yield (Level.BLOCK if weaker else Level.WARNING), f"{old.check} became {new.check}"
    else:
        yield from _looser(change, old, new)
        if _proves_nothing(change, new) and not _proves_nothing(change, old):
            yield Level.BLOCK, "the claim holds whatever happened"
    if new.stays_good_seconds < old.stays_good_seconds:
        gone = new.stays_good_seconds == 0 or new.stays_good_seconds < old.stays_good_seconds / 2
        level = Level.BLOCK if gone and change.by_machine else Level.WARNING
        yield level, f"must hold for {new.stays_good_seconds:g} s instead of {old.stays_good_seconds:g} s"
    grown = new.within_seconds - old.within_seconds
    if new.within_seconds > 3600 and grown > 0:
        yield Level.BLOCK, f"may take {new.within_seconds:g} s to hold: an outage of its own"
    elif grown > _MUCH_LONGER_SECONDS and new.within_seconds > _MUCH_LONGER_TIMES * max(old.within_seconds, 1.0):
        yield Level.WARNING, f"may take {new.within_seconds:g} s to hold instead of {old.within_seconds:g} s"


def _looser(change: Change, old: Verification, new: Verification) -> Iterator[tuple[Level, str]]:
    for name in sorted(old.params.keys() | new.params.keys()):
        before, after = old.params.get(name), new.params.get(name)
        if before == after:
            continue
        if name in ("percent", "seconds"):
            if _number(before) and _number(after) and float(after) < float(before):
                continue
            yield Level.BLOCK, f"{name}: {_said(before)} became {_said(after)}"
        elif name == "min_valid_days":
            low, high = (30 if after is None else after), (30 if before is None else before)
            if _number(low) and _number(high) and float(low) > float(high):
                continue
            yield Level.BLOCK, f"{name}: {_said(before)} became {_said(after)}"
        elif name == "contains":
            if before is None or (isinstance(after, str) and str(before) in after):
                continue
            yield Level.BLOCK, f"the text {_said(before)} is not asked for any more"
        elif name == "expect_status":
            if before is None and after == 200:
                continue
            yield (
                Level.BLOCK,
                f"expects {_said(after if after is not None else 200)} instead of {_said(before if before is not None else 200)}",
            )
        elif before is None and name in ("host", "port", "path"):
            yield Level.WARNING, f"{name}: looks at {_said(after)} now"
        else:
            # A name that differs per distribution still is the old one where it was right.
            kept = [value for value in readings(change.old.runbook, before) if value != before] or [before]
            there = readings(change.new.runbook, after)
            level = Level.NOTICE if before is not None and any(value in there for value in kept) else Level.WARNING
            yield level, f"{name}: {_said(before)} became {_said(after)}: it looks elsewhere"


def _proves_nothing(change: Change, claim: Verification) -> bool:
    if claim.check in ("disk_usage_below", "cpu_usage_below", "memory_usage_below"):
        percent = claim.params.get("percent")
        return _number(percent) and float(percent) >= 100
    if claim.check in ("file_exists",):
        return claim.params.get("path") in _ALWAYS_THERE
    if claim.check != "command_succeeds":
        return False
    for argv in readings(change.new.runbook, claim.params.get("argv", [])):
        words = [str(word) for word in argv] if isinstance(argv, list | tuple) else [str(argv)]
        name = words[0].rpartition("/")[2] if words else ""
        if words and (words[0] in _ALWAYS_TRUE or name in ("true", ":", "echo", "printf", "sleep")):
            return name != "test" or words[1:] in ([], ["1"], ["-n", "x"])
        if name in ("sh", "bash", "dash", "zsh") and "-c" in words:
            text = words[-1].strip().rstrip(";").strip()
            if text in ("", "true", ":", "exit 0", "exit") or text.endswith(
                ("|| true", "|| :", "; true", "; exit 0", "|| exit 0", "; :")
            ):
                return True
            if text.startswith(("! false",)):
                return True
    return False


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _said(value: Any) -> str:
    return "nothing" if value is None else str(value)
