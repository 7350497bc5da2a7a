"""What stands at a path, and claims about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from learner.actions.base import EVERYWHERE, UNKNOWN, Capabilities, Check, Probe
from learner.actions.host import FileStat, Host, HostError
from learner.actions.paths import HostPath, misplaced
from learner.facts import Facts, Path, get
from learner.strict import Strict


class PathParams(Strict):
    path: HostPath


@dataclass(frozen=True)
class FileProbe(Probe):
    """`files.<path>`: exists, size_bytes, mode, modified_at (seconds since the epoch)."""

    path: str

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("files", self.path),)

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        unknown: Facts = {("files", self.path, "exists"): UNKNOWN}
        if misplaced(self.path, host.platform):
            return unknown
        try:
            return facts_of(self.path, host.stat(self.path), host.platform)
        except HostError:
            return unknown


def facts_of(path: str, found: FileStat | None, platform: str) -> Facts:
    """The facts of a file that was looked at; Windows knows no `mode`."""
    at = ("files", path)
    if found is None:
        return {(*at, "exists"): False}
    facts: Facts = {(*at, "exists"): True, (*at, "modified_at"): round(found.modified_at)}
    if platform != "windows":
        facts[(*at, "mode")] = found.mode
    if found.kind == "file":
        facts[(*at, "size_bytes")] = found.size_bytes
    return facts


def there(path: str, state: Mapping[str, Any]) -> bool | None:
    """Whether something stands at `path`; None when the state does not say."""
    value = get(state, ("files", path, "exists"), UNKNOWN)
    return None if value == UNKNOWN else bool(value)


class _FileCheck(Check[PathParams]):
    Params = PathParams
    platforms = EVERYWHERE

    def probe(self, p: PathParams) -> Probe:
        return FileProbe(p.path)

    def capabilities(self, p: PathParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}))


class FileExists(_FileCheck):
    """Something stands at the path."""

    name = "file_exists"

    def holds(self, p: PathParams, state: Mapping[str, Any]) -> bool | None:
        return there(p.path, state)


class FileAbsent(_FileCheck):
    """Nothing stands at the path."""

    name = "file_absent"

    def holds(self, p: PathParams, state: Mapping[str, Any]) -> bool | None:
        found = there(p.path, state)
        return None if found is None else not found


CHECKS: tuple[Check[Any], ...] = (FileExists(), FileAbsent())
