"""Processes, and the host's vital signs: processor and memory."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from learner.actions.base import LINUX, POSIX, UNKNOWN, Action, Capabilities, Check, Outcome, Probe, not_exactly_one
from learner.actions.host import Completed, Deadline, Host, HostError
from learner.facts import Facts, Path, get
from learner.strict import Count, Integral, Matching, Strict

ProcessName = Annotated[
    str, Matching(r"[^/\x00\n]+", "The exact name of a program, or of the script that an interpreter runs")
]
ProcessId = Annotated[int, Field(ge=2), Integral]
Percent = Annotated[float, Field(ge=0, le=100)]
Signal = Literal["TERM", "INT", "QUIT", "KILL", "ABRT", "HUP", "USR1", "USR2", "STOP", "CONT"]

ENDING = ("TERM", "INT", "QUIT", "KILL", "ABRT")
"""Signals that are meant to end a process; the others only tell it something."""


class ProcessNameParams(Strict):
    name: ProcessName


class KillProcessParams(Strict):
    name: ProcessName | None = None
    pid: ProcessId | None = None
    signal: Signal = "TERM"
    older_than_seconds: Count | None = None
    """Only processes that have run at least this long."""


class SetPriorityParams(Strict):
    name: ProcessName | None = None
    pid: ProcessId | None = None
    nice: Annotated[int, Field(ge=-20, le=19), Integral]
    """-20 is the most, 19 the least favoured."""


class PercentParams(Strict):
    percent: Percent


@dataclass(frozen=True)
class Process:
    """One process that lives; zombies are none."""

    pid: int
    parent: int
    user: str
    nice: int | None
    age_seconds: int | None
    """None where the host's ps does not tell."""
    comm: str
    """The name the kernel holds: at most 15 bytes on Linux."""
    args: str

    @property
    def script(self) -> str | None:
        """The name of the script or module that an interpreter runs."""
        return script_of(self.args)

    def is_named(self, name: str) -> bool:
        """Whether `name` is exactly its program's name, or its script's."""
        return name in (self.comm, _program(self.args), self.script)

    def shown(self) -> dict[str, Any]:
        # Its arguments stay out: a command line is where passwords are left lying.
        command = " ".join(filter(None, (_program(self.args) or self.comm, self.script)))
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
    """The first process, this program and all that it descends from."""

    def named(self, name: str) -> tuple[Process, ...]:
        return tuple(process for process in self.processes if process.is_named(name))

    def chosen(self, name: str | None, pid: int | None) -> tuple[Process, ...]:
        return (
            self.named(name) if name is not None else tuple(process for process in self.processes if process.pid == pid)
        )


@dataclass(frozen=True)
class _Interpreter:
    """How a command line names what an interpreter runs."""

    programs: str
    code: tuple[str, ...] = ()
    """Options after which code stands instead of a script."""
    valued: tuple[str, ...] = ()
    """Options that take the next word with them."""
    named: tuple[str, ...] = ()
    """Options whose next word is what is run."""


_INTERPRETERS = (
    _Interpreter(r"python[0-9.]*|pypy[0-9.]*", code=("c",), valued=("-W", "-X"), named=("-m",)),
    _Interpreter(r"(ba|da|a|k|z)?sh", code=("c",), valued=("-o", "+o", "-O", "--rcfile", "--init-file")),
    _Interpreter(r"perl[0-9.]*", code=("e", "E"), valued=("-I",)),
    _Interpreter(r"ruby[0-9.]*", code=("e",), valued=("-I", "-r", "-C")),
    _Interpreter(
        r"node|nodejs", code=("e", "p", "--eval", "--print"), valued=("-r", "--require", "--import", "--loader")
    ),
    _Interpreter(r"php[0-9.]*", code=("r", "B", "R"), valued=("-c", "-d", "-z"), named=("-f",)),
    _Interpreter(r"java", valued=("-cp", "-classpath", "--class-path", "-p", "--module-path"), named=("-jar",)),
)


def _program(args: str) -> str:
    words = args.split(None, 1)
    return posixpath.basename(words[0]) if words else ""


def script_of(args: str) -> str | None:
    """The base name of the script (or the module) in an interpreter's command line; None when there is none.

    Code given on the command line is no script: `sh -c worker.py` is not named `worker.py`.
    """
    program = _program(args)
    interpreter = next((known for known in _INTERPRETERS if re.fullmatch(known.programs, program)), None)
    words = iter(args.split()[1:])
    for word in words if interpreter else ():
        assert interpreter
        if word in interpreter.named:
            return posixpath.basename(next(words, "")) or None
        if word in interpreter.valued:
            next(words, None)
        elif word in interpreter.code or any(re.fullmatch(f"-[A-Za-z]*{letter}", word) for letter in interpreter.code):
            return None
        elif not word.startswith(("-", "+")):
            return posixpath.basename(word) or None
    return None


# Only the processes that are asked for come back: a whole table is longer than what a host keeps of an output.
# The width is said outright, as ps may otherwise cut at 80 columns. A command line is left out where the kernel's
# name says it all; a list that does not hold the first process is not the whole list (hidepid); and a small ps
# (busybox may be built so) tells no ages.
_LOOK = r"""for program in ps awk; do
  command -v "$program" >/dev/null || { echo "$program: command not found" >&2; exit 127; }
done
NAME=$1 IDS=" $2 " COLUMNS=4000 LC_ALL=C; export NAME IDS COLUMNS LC_ALL
ps -o etime= >/dev/null 2>&1 && age=etime || age=stat
{ ps -A -o pid= -o ppid= -o comm=; echo; ps -A -o pid= -o ppid= -o user= -o nice= -o $age= -o stat= -o args=; } |
awk -v me=$$ '
function ours(pid,  n) {
  for (n = 0; pid > 1 && n < 500; n++) { if (pid == me) return 1; pid = parent[pid] }
  return 0
}
BEGIN { name = ENVIRON["NAME"]; ids = ENVIRON["IDS"] }
NF == 0 { second = 1; next }
!second {
  parent[$1] = $2; text = $0
  sub(/^ *[0-9]+ +[0-9]+ +/, "", text); sub(/ +$/, "", text)
  if (text ~ /^\//) sub(/.*\//, "", text)
  comm[$1] = text
  next
}
$1 == me { whole_list = 1 }
$6 ~ /^[ZX]/ || ours($1) || ours($2) { next }
{
  args = $0
  sub(/^ *[0-9]+ +[0-9]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ ?/, "", args)
  whole = " " args " "; known = name != "" && comm[$1] "" == name ""
  if (known || index(ids, " " $1 " ") || name != "" && (index(whole, " " name " ") || index(whole, "/" name " ")))
    print $1, $2, $3, $4, $5, $6, comm[$1] "\t" (known ? "" : args)
}
END {
  if (!whole_list || !(me in parent) || !(1 in parent)) { print "not all processes can be seen" >"/dev/stderr"; exit 1 }
  chain = "guarded 0 1"
  for (pid = me; pid > 1 && n++ < 500; pid = parent[pid]) chain = chain " " pid
  print chain
}'"""

_LINE = re.compile(r"([0-9]+) ([0-9]+) (\S+) (\S+) (\S+) (\S+) ([^\t]*)\t(.*)")


def elapsed_seconds(etime: str) -> int:
    """`[[dd-]hh:]mm:ss` in seconds. Source: POSIX.1-2017, ps, -o etime."""
    days, _, clock = etime.rpartition("-")
    seconds = 0
    for part in clock.split(":"):
        seconds = seconds * 60 + int(part)
    return int(days or 0) * 86_400 + seconds


def parse_processes(text: str) -> ProcessTable:
    """The table that `_LOOK` wrote."""
    processes, guarded = [], frozenset({0, 1})
    for line in text.split("\n"):
        if found := _LINE.fullmatch(line):
            nice = int(found[4]) if re.fullmatch("-?[0-9]+", found[4]) else None
            age = elapsed_seconds(found[5]) if re.fullmatch("[0-9:-]+", found[5]) else None
            processes.append(Process(int(found[1]), int(found[2]), found[3], nice, age, found[7], found[8].strip()))
        elif line.startswith("guarded "):
            guarded |= set(map(int, line.split()[1:]))
    return ProcessTable(tuple(processes), guarded)


def look(host: Host, timeout_seconds: float, name: str | None = None, *pids: int) -> ProcessTable | Outcome:
    """The host's processes that may have the name, and those with the ids; or the failure to read them."""
    argv = ["sh", "-c", _LOOK, "sh", name or "", " ".join(map(str, pids))]
    done = host.run(argv, timeout_seconds=max(1.0, timeout_seconds))
    if not done.success:
        return Outcome.of(done)
    if done.dropped_bytes:
        return Outcome.failed(f"there are too many processes named {name} to list")
    return parse_processes(done.stdout)


@dataclass(frozen=True)
class ProcessProbe(Probe):
    """`processes.<name>`: how many run under exactly that name."""

    name: str

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("processes", self.name),)

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        try:
            table = look(host, min(timeout_seconds, 10.0), self.name)
        except HostError:
            return {self.paths[0]: UNKNOWN}
        return {self.paths[0]: UNKNOWN if isinstance(table, Outcome) else len(table.named(self.name))}


@dataclass(frozen=True)
class CpuProbe(Probe):
    """`cpu`: usage_percent of all processors over half a second; load_average over 1, 5 and 15 minutes."""

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("cpu", "usage_percent"), ("cpu", "load_average"))

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        script = "cat /proc/loadavg /proc/stat && { sleep 0.5 2>/dev/null || sleep 1; } && cat /proc/stat"
        done = _quietly(host, ["sh", "-c", script], timeout_seconds)
        ticks = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("cpu ")]
        load = done.stdout.split()[:3]
        if not done.success or len(ticks) != 2:
            return dict.fromkeys(self.paths, UNKNOWN)
        usage = busy_percent(*([int(tick) for tick in line] for line in ticks))
        return {self.paths[0]: UNKNOWN if usage is None else usage, self.paths[1]: [float(part) for part in load]}


def busy_percent(before: list[int], after: list[int]) -> float | None:
    """The share of time that was neither idle nor waiting for a disk, from two `cpu` lines of /proc/stat.

    Source: proc(5), /proc/stat: user nice system idle iowait irq softirq steal; what follows is part of user.
    """
    spent = [new - old for old, new in zip(before[:8], after[:8], strict=True)]
    total = sum(spent)
    return round(100 * (1 - sum(spent[3:5]) / total), 1) if total > 0 else None


@dataclass(frozen=True)
class MemoryProbe(Probe):
    """`memory`: usage_percent, free_mb and total_mb (MiB); free is what programs can have without swapping."""

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("memory", "usage_percent"), ("memory", "free_mb"), ("memory", "total_mb"))

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        done = _quietly(host, ["cat", "/proc/meminfo"], timeout_seconds)
        return parse_meminfo(done.stdout) or dict.fromkeys(self.paths, UNKNOWN)


def parse_meminfo(text: str) -> Facts:
    """The facts in /proc/meminfo; empty when they are not there. Source: proc(5), /proc/meminfo."""
    kib = {found[1]: int(found[2]) for found in re.finditer(r"(?m)^(\w+):\s+([0-9]+) kB$", text)}
    total = kib.get("MemTotal", 0)
    # Kernels before 3.14 say no MemAvailable; this is what people added up then.
    free = kib.get("MemAvailable", sum(kib.get(part, 0) for part in ("MemFree", "Buffers", "Cached")))
    if not total:
        return {}
    return {
        ("memory", "usage_percent"): round(100 * (1 - free / total), 1),
        ("memory", "free_mb"): free // 1024,
        ("memory", "total_mb"): total // 1024,
    }


def _quietly(host: Host, argv: list[str], timeout_seconds: float) -> Completed:
    try:
        return host.run(argv, timeout_seconds=max(2.0, min(timeout_seconds, 10.0)))
    except HostError as e:
        return Completed(1, stderr=str(e))


def _whom(p: KillProcessParams | SetPriorityParams) -> str:
    return p.name if p.name is not None else f"{p.pid}"


def _none(p: KillProcessParams | SetPriorityParams) -> str:
    return f"no process is named {p.name}" if p.name is not None else f"no process has the id {p.pid}"


def _look_for(p: KillProcessParams | SetPriorityParams, host: Host, deadline: Deadline) -> ProcessTable | Outcome:
    if wrong := not_exactly_one(name=p.name, pid=p.pid):
        return Outcome.failed(f"refused: {wrong}")
    return look(host, deadline.remaining(), p.name, *([p.pid] if p.pid is not None else []))


def _ids(processes: tuple[Process, ...]) -> list[int]:
    return [process.pid for process in processes]


class FindProcesses(Action[ProcessNameParams]):
    """List the processes of a name in `data.processes` and their number in `data.count`."""

    name = "find_processes"
    Params = ProcessNameParams
    platforms = POSIX
    read_only = True

    def reads(self, p: ProcessNameParams) -> tuple[Path, ...]:
        return (("processes", p.name),)

    def run(self, p: ProcessNameParams, host: Host, deadline: Deadline) -> Outcome:
        table = look(host, deadline.remaining(), p.name)
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
    platforms = POSIX

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
        table = _look_for(p, host, deadline)
        if isinstance(table, Outcome):
            return table
        found = table.chosen(p.name, p.pid)
        if p.older_than_seconds and any(process.age_seconds is None for process in found):
            return Outcome.failed("refused: this host's ps does not tell how long a process has run")
        old = tuple(process for process in found if (process.age_seconds or 0) >= (p.older_than_seconds or 0))
        spared = tuple(process for process in old if process.pid in table.guarded)
        chosen = tuple(process for process in old if process.pid not in table.guarded)
        data: dict[str, Any] = {"signalled": _ids(chosen), "spared": _ids(spared), "survivors": []}
        facts = self._facts(p, table)
        if spared and not chosen:
            words = f"refused: {_whom(p)} is the first process, this program or one that it descends from"
            return Outcome.failed(words, data=data, facts=facts)
        if not chosen:
            words = f"{_whom(p)}: none has run for {p.older_than_seconds} s" if found else _none(p)
            if p.signal in ENDING:
                return Outcome(True, words, data=data, facts=facts)
            return Outcome.failed(words, data=data, facts=facts)
        sent = self._send(p.signal, chosen, host, deadline)
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
                words += f"; spared {', '.join(map(str, _ids(spared)))}, which this program descends from"
            return Outcome(True, words, data=data, facts=facts)
        words = f"{sent.stderr.rstrip()}\nsurvived {p.signal}: {', '.join(map(str, survivors))}".lstrip()
        # Where the right to signal was lacking, more time would not have helped.
        return Outcome.failed(words, data=data | {"survivors": survivors}, facts=facts, timed_out=sent.success)

    @staticmethod
    def _send(signal: str, chosen: tuple[Process, ...], host: Host, deadline: Deadline) -> Completed:
        # The shell's own kill: not every host has one as a program. One that ended meanwhile is no failure.
        script = """signal=$1; shift; status=0
for pid do kill -s "$signal" "$pid" || ! ps -p "$pid" >/dev/null || status=1; done
exit $status"""
        argv = ["sh", "-c", script, "sh", signal, *(str(process.pid) for process in chosen)]
        return host.run(argv, timeout_seconds=max(1.0, deadline.remaining()))

    @staticmethod
    def _wait(
        p: KillProcessParams, chosen: tuple[Process, ...], host: Host, deadline: Deadline
    ) -> ProcessTable | Outcome:
        pids, pause = _ids(chosen), 0.1
        while True:
            table = look(host, deadline.remaining(), p.name, *pids)
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
    platforms = POSIX
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
        chosen = tuple(process for process in found if process.pid > 1)
        if not chosen:
            return Outcome.failed(f"refused: {_whom(p)} is the first process" if found else _none(p))
        # Without -n the number is absolute everywhere; with it POSIX and busybox add it to what is.
        argv = ["renice", str(p.nice), "-p", *(str(process.pid) for process in chosen)]
        done = host.run(argv, timeout_seconds=max(1.0, deadline.remaining()))
        data = {"before": {str(process.pid): process.nice for process in chosen}}
        facts: Facts = {("processes", p.name): len(found)} if p.name is not None else {}
        return Outcome(done.success, done.stdout, done.stderr, done.exit_code, data, facts, timed_out=done.timed_out)


class _ProcessCheck(Check[ProcessNameParams]):
    Params = ProcessNameParams
    platforms = POSIX
    runs: bool

    def probe(self, p: ProcessNameParams) -> Probe:
        return ProcessProbe(p.name)

    def holds(self, p: ProcessNameParams, state: Mapping[str, Any]) -> bool | None:
        count = _number(state, ("processes", p.name))
        return None if count is None else (count > 0) is self.runs


class ProcessRunning(_ProcessCheck):
    """At least one process has the name."""

    name = "process_running"
    runs = True


class ProcessAbsent(_ProcessCheck):
    """No process has the name."""

    name = "process_absent"
    runs = False


class _VitalSign(Check[PercentParams]):
    Params = PercentParams
    platforms = LINUX
    path: Path

    def holds(self, p: PercentParams, state: Mapping[str, Any]) -> bool | None:
        usage = _number(state, self.path)
        return None if usage is None else usage < p.percent


class CpuUsageBelow(_VitalSign):
    """The processors are busy for less than a share of the time."""

    name = "cpu_usage_below"
    path = ("cpu", "usage_percent")

    def probe(self, p: PercentParams) -> Probe:
        return CpuProbe()


class MemoryUsageBelow(_VitalSign):
    """Less than a share of the memory is in use."""

    name = "memory_usage_below"
    path = ("memory", "usage_percent")

    def probe(self, p: PercentParams) -> Probe:
        return MemoryProbe()


def _number(state: Mapping[str, Any], path: Path) -> float | None:
    value = get(state, path)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


ACTIONS: tuple[Action[Any], ...] = (FindProcesses(), KillProcess(), SetPriority())
CHECKS: tuple[Check[Any], ...] = (ProcessRunning(), ProcessAbsent(), CpuUsageBelow(), MemoryUsageBelow())
