"""The processes of a host, and what they are known by."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from learner.actions.base import Outcome
from learner.actions.host import Completed, Host
from learner.actions.process.scripts import script_in


@dataclass(frozen=True)
class Process:
    """One process that lives; zombies are none."""

    pid: int
    parent: int
    user: str
    nice: int | None
    """None where the host does not tell, and on Windows."""
    age_seconds: int | None
    """None where the host does not tell."""
    comm: str
    """The name the kernel holds: at most 15 bytes on Linux."""
    args: str

    @property
    def program(self) -> str:
        """The base name of the program in its command line; empty when that is not known."""
        words = self.args.split(None, 1)
        return posixpath.basename(words[0]) if words else ""

    @property
    def script(self) -> str | None:
        """The name of the script or module that an interpreter runs."""
        return script_in(self.args.split(), posixpath.basename)

    def is_named(self, name: str) -> bool:
        """Whether `name` is exactly its program's name, or its script's."""
        return name in (self.comm, self.program, self.script)

    def shown(self) -> dict[str, Any]:
        """What a result may hold of it: no arguments, as a command line is where passwords are left lying."""
        command = " ".join(filter(None, (self.program or self.comm, self.script)))
        return {
            "pid": self.pid,
            "ppid": self.parent,
            "user": self.user,
            "age_seconds": self.age_seconds,
            "command": command,
        }


@dataclass(frozen=True)
class ProcessTable:
    """The processes of a host that were asked for, and the ids that no step may signal."""

    processes: tuple[Process, ...]
    guarded: frozenset[int]
    """What is vital, this program and all that it descends from."""
    vital: frozenset[int] = frozenset({0, 1})
    """What the system stands on: the first process; on Windows more."""

    def named(self, name: str) -> tuple[Process, ...]:
        return tuple(process for process in self.processes if process.is_named(name))

    def chosen(self, name: str | None, pid: int | None) -> tuple[Process, ...]:
        return (
            self.named(name) if name is not None else tuple(process for process in self.processes if process.pid == pid)
        )


class ProcessSystem(Protocol):
    """What a platform knows about processes; the modules `posix` and `windows` are two."""

    def look(self, host: Host, timeout_seconds: float, name: str | None = None, *pids: int) -> ProcessTable | Outcome:
        """The processes that may have the name, and those with the ids; or the failure to read them."""
        ...

    def refusal(self, signal: str) -> str | None:
        """Why the platform can't send a signal; None when it can."""
        ...

    def send(self, host: Host, timeout_seconds: float, signal: str, pids: Sequence[int]) -> Completed:
        """Signal processes. One that ended meanwhile is no failure."""
        ...

    def set_nice(self, host: Host, timeout_seconds: float, nice: int, processes: Sequence[Process]) -> Outcome:
        """Set the priority; `data.before` says what it was, by process id."""
        ...
