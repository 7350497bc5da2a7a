"""Time: how far the host's clock is off, and setting it right."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from learner.actions.base import (
    EVERYWHERE,
    UNKNOWN,
    Action,
    Capabilities,
    Check,
    Outcome,
    Probe,
    first_installed,
    lacking,
)
from learner.actions.host import Deadline, Host, HostError
from learner.actions.network import NoParams
from learner.facts import Facts, Path, get
from learner.strict import Strict

PATH: Path = ("time", "offset_seconds")


class TimeOffsetParams(Strict):
    seconds: Annotated[float, Field(gt=0)]


def parse_chronyc(text: str) -> float | None:
    """Seconds that the clock is ahead, by `chronyc tracking`; None when chronyd is not synchronised."""
    found = re.search(r"(?m)^System time\s*:\s*([0-9.]+) seconds (fast|slow) of NTP time", text)
    if not found or re.search(r"(?m)^Leap status\s*:\s*Not synchronised", text):
        return None
    return float(found[1]) * (1 if found[2] == "fast" else -1)


def parse_ntpq(text: str) -> float | None:
    """Seconds that the clock is ahead, by `ntpq -pn`; None when it has chosen no peer.

    ntpq gives the peer's offset relative to this host in milliseconds: positive when this host is behind.
    Source: ntpq's documentation, "peers"; `*` and `o` mark the peer that the system follows.
    """
    found = re.search(r"(?m)^[*o]\S+(?:\s+\S+){7}\s+(-?[0-9.]+)\s+-?[0-9.]+\s*$", text)
    return -float(found[1]) / 1000 if found else None


_UNITS = {"us": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def parse_timedatectl(text: str) -> float | None:
    """Seconds that the clock is ahead, by `timedatectl timesync-status`; None before the first answer.

    systemd gives the server's time minus the host's, such as `-1min 2.5s`: positive when the host is behind.
    Source: systemd, timedatectl.c, print_ntp_status_info.
    """
    found = re.search(r"(?m)^\s*Offset: ([+-])(.+)$", text)
    if not found:
        return None
    parts = re.findall(r"([0-9.]+)([a-zμ]+)", found[2])
    if (not parts and found[2].strip() != "0") or any(unit not in _UNITS for _, unit in parts):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts) * (-1 if found[1] == "+" else 1)


def parse_sntp(text: str) -> float | None:
    """Seconds that the clock is ahead, by macOS's `sntp SERVER`: `+0.012 +/- 0.034 time.apple.com 17.253.14.251`.

    sntp gives how far the server is ahead of this host. Source: sntp(1) of macOS.
    """
    found = re.search(r"(?m)^(?:.* )?([+-][0-9]+\.[0-9]+) \+/- [0-9]", text)
    return -float(found[1]) if found else None


def parse_stripchart(text: str) -> float | None:
    """Seconds that the clock is ahead, by `w32tm /stripchart /dataonly`: `12:00:01, +00.0123456s`.

    It gives how far the other computer is ahead of this one. Source: Microsoft Learn, "Windows Time service tools and
    settings", /stripchart; the offset of RFC 5905, section 8.
    """
    found = re.findall(r"(?m), ([+-][0-9]+[.,][0-9]+)s\s*$", text)
    return -float(found[-1].replace(",", ".")) if found else None


def parse_peer(text: str) -> str | None:
    """The host in `w32tm /query /source`, without its flags (`,0x9`); None for a clock of the machine's own."""
    name = text.strip().partition(",")[0]
    return name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]*", name) else None


Source = tuple[tuple[str, ...], Callable[[str], float | None]]

SOURCES: tuple[Source, ...] = (
    (("chronyc", "-n", "tracking"), parse_chronyc),
    (("ntpq", "-pn"), parse_ntpq),
    (("timedatectl", "timesync-status"), parse_timedatectl),
)
"""Who may know on Linux how far the clock is off, in the order they are asked."""

# macOS keeps the server that the user chose in ntp.conf; Apple's own is the default there.
_MAC_SERVER = """server=$(awk '$1 == "server" { print $2; exit }' /etc/ntp.conf 2>/dev/null)
"""
_SNTP = _MAC_SERVER + 'exec sntp "${server:-time.apple.com}"'
_SNTP_SET = _MAC_SERVER + 'exec sntp -sS "${server:-time.apple.com}"'


def _sources(host: Host, timeout_seconds: float) -> tuple[Source, ...] | Outcome:
    """Who may know it on this host; or why nobody does."""
    if host.platform == "darwin":
        return ((("sh", "-c", _SNTP), parse_sntp),)
    if host.platform != "windows":
        return SOURCES
    asked = host.run(["w32tm", "/query", "/source"], timeout_seconds=max(1.0, min(timeout_seconds, 5.0)))
    if not asked.success:
        return Outcome.of(asked)
    peer = parse_peer(asked.stdout)
    if peer is None:
        return Outcome.failed(f"the clock is not synchronised over the network: its source is {asked.stdout.strip()}")
    return ((("w32tm", "/stripchart", f"/computer:{peer}", "/samples:1", "/dataonly"), parse_stripchart),)


def look(host: Host, timeout_seconds: float) -> Outcome:
    """The clock's offset by the first that knows it, in `data.offset_seconds`; or what each of them said."""
    sources = _sources(host, timeout_seconds)
    if isinstance(sources, Outcome):
        return sources
    said, missing = [], 0
    for argv, parse in sources:
        name = "sntp" if argv[0] == "sh" else argv[0]
        done = host.run(argv, timeout_seconds=max(1.0, min(timeout_seconds, 5.0)), env={"LC_ALL": "C"})
        offset = parse(done.stdout) if done.success else None
        if offset is not None:
            # Not finer than a microsecond: the rest is noise that would differ from run to run.
            offset = round(offset, 6)
            words = f"{abs(offset):g} s {'ahead' if offset > 0 else 'behind'}, says {name}"
            return Outcome(True, words, data={"offset_seconds": offset, "source": name}, facts={PATH: offset})
        missing += done.exit_code == 127
        # w32tm and sntp say on standard output why there was no answer.
        words = "timed out" if done.timed_out else (done.stderr.strip() or done.stdout.strip().rpartition("\n")[2])
        words = words or "the clock is not synchronised"
        said.append(words if words.startswith(name) else f"{name}: {words}")
    if missing == len(sources):
        return lacking(*("sntp" if argv[0] == "sh" else argv[0] for argv, _ in sources))
    return Outcome.failed("\n".join(said), exit_code=1)


@dataclass(frozen=True)
class TimeProbe(Probe):
    """`time.offset_seconds`: how far the clock is ahead of the time servers; negative when it is behind."""

    @property
    def paths(self) -> tuple[Path, ...]:
        return (PATH,)

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        try:
            return look(host, timeout_seconds).facts or {PATH: UNKNOWN}
        except HostError:
            return {PATH: UNKNOWN}


class CheckTimeOffset(Action[NoParams]):
    """Read how far the clock is off into `data.offset_seconds`; fail when nothing knows it."""

    name = "check_time_offset"
    Params = NoParams
    platforms = EVERYWHERE
    read_only = True

    def reads(self, p: NoParams) -> tuple[Path, ...]:
        return (PATH,)

    def run(self, p: NoParams, host: Host, deadline: Deadline) -> Outcome:
        return look(host, deadline.remaining())


NTP_SERVER = "pool.ntp.org"
SYNCERS: Mapping[str, tuple[str, ...]] = {
    "chronyc": ("makestep",),
    "ntpdate": ("-u", NTP_SERVER),
    "systemctl": ("restart", "systemd-timesyncd"),
}
"""What can set the clock on Linux, in the order they are looked for."""
OF_PLATFORM: Mapping[str, tuple[str, ...]] = {
    "darwin": ("sh", "-c", _SNTP_SET),
    "windows": ("w32tm", "/resync", "/rediscover"),
}
"""What sets it elsewhere."""


class SyncTime(Action[NoParams]):
    """Set the clock by the time servers at once."""

    name = "sync_time"
    Params = NoParams
    platforms = EVERYWHERE

    def reads(self, p: NoParams) -> tuple[Path, ...]:
        return (PATH,)

    def effects(self, p: NoParams, facts: Mapping[str, Any]) -> Facts | None:
        # What is valid, and what others accept from this host, hangs on its clock.
        opened = (("time",), ("certificates",), ("endpoints",), ("services", "systemd-timesyncd"))
        return dict.fromkeys(opened, UNKNOWN)

    def capabilities(self, p: NoParams) -> Capabilities:
        return Capabilities(
            services=frozenset({"systemd-timesyncd"}),
            hosts=frozenset({f"{NTP_SERVER}:123"}),
            commands=frozenset({*SYNCERS, "sntp", "w32tm"}),
            privileges=frozenset({"set the clock"}),
        )

    def run(self, p: NoParams, host: Host, deadline: Deadline) -> Outcome:
        if argv := OF_PLATFORM.get(host.platform):
            done = host.run(argv, timeout_seconds=max(1.0, deadline.remaining()))
            return Outcome.of(done).seen(TimeProbe().read(host, 5.0))
        program = first_installed(host, tuple(SYNCERS), max(1.0, deadline.remaining()))
        if program is None:
            return lacking(*SYNCERS)
        done = host.run([program, *SYNCERS[program]], timeout_seconds=max(1.0, deadline.remaining()))
        return Outcome.of(done).seen(TimeProbe().read(host, 5.0))


class TimeOffsetBelow(Check[TimeOffsetParams]):
    """The clock is off by less than a number of seconds."""

    name = "time_offset_below"
    Params = TimeOffsetParams
    platforms = EVERYWHERE

    def probe(self, p: TimeOffsetParams) -> Probe:
        return TimeProbe()

    def holds(self, p: TimeOffsetParams, state: Mapping[str, Any]) -> bool | None:
        offset = get(state, PATH)
        return abs(offset) < p.seconds if isinstance(offset, int | float) else None


ACTIONS: tuple[Action[Any], ...] = (CheckTimeOffset(), SyncTime())
CHECKS: tuple[Check[Any], ...] = (TimeOffsetBelow(),)
