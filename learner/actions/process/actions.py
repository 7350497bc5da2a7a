"""What a step can do to processes, and ask of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from learner.actions.base import EVERYWHERE, UNKNOWN, Action, Capabilities, Check, Outcome, Probe, not_exactly_one
from learner.actions.host import Deadline, Host, HostError
from learner.actions.process import posix, windows
from learner.actions.process.table import Process, ProcessSystem, ProcessTable
from learner.actions.process.vital_signs import number
from learner.facts import Facts, Path
from learner.strict import Count, Integral, Matching, Strict

ProcessName = Annotated[
    str, Matching(r"[^/\x00\n]+", "The exact name of a program, or of the script that an interpreter runs")
]
ProcessId = Annotated[int, Field(ge=2), Integral]
Signal = Literal["TERM", "INT", "QUIT", "KILL", "ABRT", "HUP", "USR1", "USR2", "STOP", "CONT"]

ENDING = ("TERM", "INT", "QUIT", "KILL", "ABRT")
"""Signals that are meant to end a process; the others only tell it something."""


class ProcessNameParams(Strict):
    name: ProcessName


class KillProcessParams(Strict):
    name: ProcessName | None = None
    pid: ProcessId | None = None
    signal: Signal = "TERM"
    """Windows knows KILL, and TERM: that asks a process with a window to close, and ends one without."""
    older_than_seconds: Count | None = None
    """Only processes that have run at least this long."""


class SetPriorityParams(Strict):
    name: ProcessName | None = None
    pid: ProcessId | None = None
    nice: Annotated[int, Field(ge=-20, le=19), Integral]
    """-20 is the most, 19 the least favoured; on Windows the nearest priority class from High to Idle."""


def system_of(host: Host) -> ProcessSystem:
    """What the host's platform knows about processes."""
    return windows if host.platform == "windows" else posix


@dataclass(frozen=True)
class ProcessProbe(Probe):
    """`processes.<name>`: how many run under exactly that name."""

    name: str

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("processes", self.name),)

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        try:
            table = system_of(host).look(host, min(timeout_seconds, 10.0), self.name)
        except HostError:
            return {self.paths[0]: UNKNOWN}
        return {self.paths[0]: UNKNOWN if isinstance(table, Outcome) else len(table.named(self.name))}


def _whom(p: KillProcessParams | SetPriorityParams) -> str:
    return p.name if p.name is not None else f"{p.pid}"


def _none(p: KillProcessParams | SetPriorityParams) -> str:
    return f"no process is named {p.name}" if p.name is not None else f"no process has the id {p.pid}"


def _look_for(p: KillProcessParams | SetPriorityParams, host: Host, deadline: Deadline) -> ProcessTable | Outcome:
    if wrong := not_exactly_one(name=p.name, pid=p.pid):
        return Outcome.failed(f"refused: {wrong}")
    return system_of(host).look(host, deadline.remaining(), p.name, *([p.pid] if p.pid is not None else []))


def _ids(processes: tuple[Process, ...]) -> list[int]:
    return [process.pid for process in processes]


class FindProcesses(Action[ProcessNameParams]):
    """List the processes of a name in `data.processes` and their number in `data.count`."""

    name = "find_processes"
    Params = ProcessNameParams
    platforms = EVERYWHERE
    read_only = True

    def reads(self, p: ProcessNameParams) -> tuple[Path, ...]:
        return (("processes", p.name),)

    def run(self, p: ProcessNameParams, host: Host, deadline: Deadline) -> Outcome:
        table = system_of(host).look(host, deadline.remaining(), p.name)
        if isinstance(table, Outcome):
            return table
        found = table.named(p.name)
        shown = [process.shown() for process in found]
        return Outcome(
            True,
            stdout="\n".join("{pid} {user} {command}".format(**one) for one in shown),
            data={"count": len(found), "pids": _ids(found), "processes": shown[:100]},
            facts={("processes", p.name): len(found)},
        )


class KillProcess(Action[KillProcessParams]):
    """Signal the processes of a name or an id, and wait until they are gone."""

    name = "kill_process"
    Params = KillProcessParams
    platforms = EVERYWHERE

    def reads(self, p: KillProcessParams) -> tuple[Path, ...]:
        return (("processes", p.name),) if p.name is not None else (("processes",),)

    def effects(self, p: KillProcessParams, facts: Mapping[str, Any]) -> Facts | None:
        # What it served, held and used goes with it; a supervisor may start it anew.
        fields = ("services", "processes", "ports", "endpoints", "cpu", "memory", "disk")
        left: Facts = {(field,): UNKNOWN for field in fields}
        if p.signal != "KILL":
            left[("files",)] = UNKNOWN  # a process that may clean up removes its files
        if p.name is not None and p.signal in ENDING and p.older_than_seconds is None:
            left[("processes", p.name)] = 0
        return left

    def capabilities(self, p: KillProcessParams) -> Capabilities:
        return Capabilities(privileges=frozenset({f"signal process {_whom(p)}"}))

    def run(self, p: KillProcessParams, host: Host, deadline: Deadline) -> Outcome:
        if why := system_of(host).refusal(p.signal):
            return Outcome.failed(f"refused: {why}")
        table = _look_for(p, host, deadline)
        if isinstance(table, Outcome):
            return table
        found = table.chosen(p.name, p.pid)
        if p.older_than_seconds and any(process.age_seconds is None for process in found):
            return Outcome.failed("refused: this host does not tell how long a process has run")
        old = tuple(process for process in found if (process.age_seconds or 0) >= (p.older_than_seconds or 0))
        spared = tuple(process for process in old if process.pid in table.guarded)
        chosen = tuple(process for process in old if process.pid not in table.guarded)
        data: dict[str, Any] = {"signalled": _ids(chosen), "spared": _ids(spared), "survivors": []}
        facts = self._facts(p, table)
        if spared and not chosen:
            words = f"refused: {_whom(p)} is what the system stands on, this program or one that it descends from"
            return Outcome.failed(words, data=data, facts=facts)
        if not chosen:
            words = f"{_whom(p)}: none has run for {p.older_than_seconds} s" if found else _none(p)
            if p.signal in ENDING:
                return Outcome(True, words, data=data, facts=facts)
            return Outcome.failed(words, data=data, facts=facts)
        sent = system_of(host).send(host, deadline.remaining(), p.signal, _ids(chosen))
        if sent.timed_out or p.signal not in ENDING:
            return replace(Outcome.of(sent), data=data, facts=facts)
        table = self._wait(p, chosen, host, deadline)
        if isinstance(table, Outcome):
            return table
        facts = self._facts(p, table)
        survivors = sorted({process.pid for process in table.processes} & set(_ids(chosen)))
        if not survivors:
            words = f"{p.signal} ended {', '.join(map(str, _ids(chosen)))}"
            if spared:
                words += f"; spared {', '.join(map(str, _ids(spared)))}, which the system or this program stands on"
            return Outcome(True, words, data=data, facts=facts)
        words = f"{sent.stderr.rstrip()}\nsurvived {p.signal}: {', '.join(map(str, survivors))}".lstrip()
        # Where the right to signal was lacking, more time would not have helped.
        return Outcome.failed(words, data=data | {"survivors": survivors}, facts=facts, timed_out=sent.success)

    @staticmethod
    def _wait(
        p: KillProcessParams, chosen: tuple[Process, ...], host: Host, deadline: Deadline
    ) -> ProcessTable | Outcome:
        pids, pause = _ids(chosen), 0.1
        while True:
            table = system_of(host).look(host, deadline.remaining(), p.name, *pids)
            if isinstance(table, Outcome) or not any(process.pid in pids for process in table.processes):
                return table
            if not deadline.pause(pause):
                return table
            pause = min(pause * 1.5, 2.0)

    @staticmethod
    def _facts(p: KillProcessParams, table: ProcessTable) -> Facts:
        return {("processes", p.name): len(table.named(p.name))} if p.name is not None else {}


class SetPriority(Action[SetPriorityParams]):
    """Set how much the scheduler favours the processes of a name or an id."""

    name = "set_priority"
    Params = SetPriorityParams
    platforms = EVERYWHERE
    reversible = True

    def reads(self, p: SetPriorityParams) -> tuple[Path, ...]:
        return (("processes", p.name),) if p.name is not None else (("processes",),)

    def effects(self, p: SetPriorityParams, facts: Mapping[str, Any]) -> Facts | None:
        return {("cpu",): UNKNOWN, ("endpoints",): UNKNOWN}

    def capabilities(self, p: SetPriorityParams) -> Capabilities:
        return Capabilities(privileges=frozenset({f"set priority of process {_whom(p)}"}))

    def run(self, p: SetPriorityParams, host: Host, deadline: Deadline) -> Outcome:
        table = _look_for(p, host, deadline)
        if isinstance(table, Outcome):
            return table
        found = table.chosen(p.name, p.pid)
        # This program may be made to give way to others; what the system stands on may not.
        chosen = tuple(process for process in found if process.pid not in table.vital)
        if not chosen:
            return Outcome.failed(f"refused: {_whom(p)} is what the system stands on" if found else _none(p))
        facts: Facts = {("processes", p.name): len(found)} if p.name is not None else {}
        return system_of(host).set_nice(host, deadline.remaining(), p.nice, chosen).seen(facts)


class _ProcessCheck(Check[ProcessNameParams]):
    Params = ProcessNameParams
    platforms = EVERYWHERE
    runs: bool

    def probe(self, p: ProcessNameParams) -> Probe:
        return ProcessProbe(p.name)

    def holds(self, p: ProcessNameParams, state: Mapping[str, Any]) -> bool | None:
        count = number(state, ("processes", p.name))
        return None if count is None else (count > 0) is self.runs


class ProcessRunning(_ProcessCheck):
    """At least one process has the name."""

    name = "process_running"
    runs = True


class ProcessAbsent(_ProcessCheck):
    """No process has the name."""

    name = "process_absent"
    runs = False


ACTIONS: tuple[Action[Any], ...] = (FindProcesses(), KillProcess(), SetPriority())
CHECKS: tuple[Check[Any], ...] = (ProcessRunning(), ProcessAbsent())
