"""What is known about the host while a candidate is replayed, and how that came to differ from the recording."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from learner.actions.base import UNKNOWN
from learner.actions.paths import below, flavour
from learner.facts import Facts, Path, flatten, get, parse, put, touches
from learner.replay.complaints import Need

Basis = Literal["recorded", "implied", "assumed"]
"""What an outcome rests on: the recording itself, the effects the catalogue declares, or nothing but hope."""

# Directories that every host has: creating one changes nothing.
_ALWAYS_THERE = re.compile(
    r"/|/(?:bin|boot|dev|etc|home|lib|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)"
    r"|/usr/(?:bin|lib|local|sbin|share)|/var/(?:cache|lib|log|run|spool|tmp)"
)
# Files that a program makes for itself once it can: whoever lacks one lacks the program, or the directory.
_SELF_MADE = re.compile(r"^/(?:var/)?run/|^/tmp/|\.(?:pid|sock|socket|lock|log)$|/\.s\.PGSQL")
_RESOLVERS = re.compile(r"resolv|dnsmasq|named|bind9|unbound|nscd|coredns")
_CLOCKS = re.compile(r"chrony|ntp|timesync")

ANYTHING: Path = ()


@dataclass(frozen=True)
class Novelty:
    """A fact that differs from the recording, because a step ran that did not run there, or the other way round."""

    path: Path
    value: Any
    by: str
    only_opens: bool = False
    """It comes of a service that came up: that may open a port, but closes none and ends no process."""
    without: int | None = None
    """The recorded step (its place) that was left out, where that is all that is new."""


class World:
    """Facts as far as they are known. What an effect leaves open is forgotten, and remembered as `open`."""

    def __init__(self, state: Mapping[str, Any], *, held_open: bool = False) -> None:
        self.state: dict[str, Any] = {}
        self.held_open = held_open
        """Whether the recording itself shows removed files that a program still holds open."""
        self.opened: set[Path] = set()
        self.changed: set[Path] = set()
        self.novelties: list[Novelty] = []
        for path, value in flatten(state).items():
            if value != UNKNOWN:
                put(self.state, path, value)

    def apply(self, effects: Facts | None, *, novel_by: str | None = None) -> None:
        """Take in what a step left behind; with `novel_by`, as something the recording does not have."""
        came_up = any(
            path[:1] == ("services",) and value == "running" and get(self.state, path) in ("stopped", "failed")
            for path, value in (effects or {}).items()
        )
        for path, value in _with_followers(effects, self.state, frees=self._frees()):
            if value != UNKNOWN and path and get(self.state, path) == value:
                continue
            if novel_by is not None and not _no_change(path, value):
                self.novelties.append(Novelty(path, value, novel_by, came_up))
            self.changed.add(path)
            self._set(path, value)

    def recorded(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Take in what a recorded step saw change."""
        for dotted, change in changes.items():
            try:
                path = parse(dotted)
            except ValueError:
                continue
            value = change.get("after")
            self.changed.add(path)
            self._set(path, UNKNOWN if value is None else value)

    def is_open(self, path: Path) -> bool:
        """Whether an effect left `path` open, so that what was known of it holds no more."""
        return get(self.state, path, UNKNOWN) == UNKNOWN and any(touches(path, other) for other in self.opened)

    def was_changed(self, paths: Iterable[Path], since: Iterable[Path] | None = None) -> bool:
        """Whether anything that ran may have changed one of `paths`."""
        changed = self.changed if since is None else since
        return any(concerns(path, other) for path in paths for other in changed)

    def difference(self, needs: Iterable[Need], novelties: Iterable[Novelty] | None = None) -> Basis | None:
        """Whether something is new about `needs`: None, or what an outcome that follows from it rests on.

        It is *implied* when every value that the error asked for is now there by declared effects.
        """
        needs = list(needs)
        new = list(self.novelties if novelties is None else novelties)
        helpful = [need for need in needs if any(_helps(novelty, need) for novelty in new)]
        if not helpful:
            return None
        asked = [need for need in needs if need.named and need.wanted is not None]
        if asked and all(any(_settles(novelty, need) for novelty in new) for need in asked):
            return "implied"
        return "assumed"

    def _frees(self) -> bool:
        """Whether programs that end now give back room: files were removed, and who wrote them may hold them open."""
        return self.held_open or any(path[0] == "disk" for path in self.changed if path) or ANYTHING in self.changed

    def _set(self, path: Path, value: Any) -> None:
        if path == ANYTHING:
            self.state.clear()
            self.opened.add(ANYTHING)
        elif value == UNKNOWN:
            put(self.state, path, None)
            self.opened.add(path)
        else:
            put(self.state, path, value)


def concerns(path: Path, changed: Path) -> bool:
    """Whether a change of `changed` may be felt at `path`; directories reach to what stands below them."""
    if touches(path, changed):
        return True
    if path[0] == "commands":
        # What a command sees is declared by nobody, but it does not see a file that it does not name.
        return changed[0] != "files" or (len(changed) > 1 and len(path) > 1 and _mentions(path[1], changed[1]))
    if path[0] == changed[0] == "files" and len(path) > 1 and len(changed) > 1:
        attribute = changed[2] if len(changed) > 2 else None
        if below(path[1], changed[1]):
            return attribute in (None, "exists", "mode", "modified_at")
        return below(changed[1], path[1]) and attribute in (None, "exists")
    return False


def _helps(novelty: Novelty, need: Need) -> bool:
    """Whether the novelty may be what the need was waiting for; a value the error did not want is no help."""
    if need.path[0] == "files" and novelty.path[:1] == ("services",) and len(need.path) > 1:
        makes = {"running": True, "stopped": False}.get(str(novelty.value))
        return bool(_SELF_MADE.search(need.path[1])) and need.wanted in (None, makes)
    if not concerns(need.path, novelty.path):
        return False
    if novelty.only_opens and (need.wanted == "closed" or need.path == ("processes",)):
        return False
    if need.wanted is None or novelty.value == UNKNOWN:
        return True
    if novelty.path == need.path:
        return bool(novelty.value == need.wanted)
    if need.path[0] == "files" and novelty.path[-1] == "exists":
        # A directory that was made helps what is missing in it; a file that is gone helps what it blocked.
        return bool(novelty.value == need.wanted)
    return need.wanted is not False or novelty.path[-1] == "exists"


def _settles(novelty: Novelty, need: Need) -> bool:
    if novelty.value == UNKNOWN or novelty.value != need.wanted:
        return False
    if novelty.path == need.path:
        return True
    if need.path[0] != "files" or novelty.path[0] != "files" or novelty.value is not True:
        return False
    wanted, made = need.path[1], novelty.path[1]
    return below(made, wanted) or (flavour(wanted).dirname(wanted) == made and bool(_SELF_MADE.search(wanted)))


def _with_followers(
    effects: Facts | None, state: Mapping[str, Any], *, frees: bool = False
) -> Iterator[tuple[Path, Any]]:
    """The effects, what is left open before what is set, with what follows from them in the nature of things.

    A service that runs before and after was restarted: nothing else says of a running service that it runs.
    """
    if effects is None:
        yield ANYTHING, UNKNOWN
        return
    opened = [(path, value) for path, value in effects.items() if value == UNKNOWN]
    settled = [(path, value) for path, value in effects.items() if value != UNKNOWN]
    followers: dict[Path, Any] = {}
    for path, value in effects.items():
        restarted = path[0] == "services" and value == "running"
        if len(path) < 2 or (get(state, path) == value and not restarted):
            continue
        if path[0] in ("services", "processes"):
            followers |= {("memory",): UNKNOWN, ("cpu",): UNKNOWN}
            if frees:
                followers[("disk",)] = UNKNOWN
        if path[0] == "services" and _RESOLVERS.search(path[1]):
            followers[("dns",)] = UNKNOWN
        if path[0] == "services" and _CLOCKS.search(path[1]):
            followers[("time",)] = UNKNOWN
        if path[0] == "files" and value is False:
            followers[("disk",)] = UNKNOWN
    yield from ((path, value) for path, value in followers.items() if path not in effects)
    yield from opened
    yield from settled


def _no_change(path: Path, value: Any) -> bool:
    return path[:1] == ("files",) and len(path) > 1 and value is True and bool(_ALWAYS_THERE.fullmatch(path[1]))


def _mentions(text: str, path: str) -> bool:
    return path in text or flavour(path).dirname(path) in text.split()
