"""Processes on POSIX hosts: ps, the shell's own kill, renice."""

from __future__ import annotations

import re
from collections.abc import Sequence

from learner.actions.base import Outcome
from learner.actions.host import Completed, Host
from learner.actions.process.table import Process, ProcessTable

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


def refusal(signal: str) -> str | None:
    """None: POSIX has every signal of the catalogue."""
    return None


# The shell's own kill: not every host has one as a program. One that ended meanwhile is no failure.
_SEND = """signal=$1; shift; status=0
for pid do kill -s "$signal" "$pid" || ! ps -p "$pid" >/dev/null || status=1; done
exit $status"""


def send(host: Host, timeout_seconds: float, signal: str, pids: Sequence[int]) -> Completed:
    """Signal processes."""
    argv = ["sh", "-c", _SEND, "sh", signal, *map(str, pids)]
    return host.run(argv, timeout_seconds=max(1.0, timeout_seconds))


def set_nice(host: Host, timeout_seconds: float, nice: int, processes: Sequence[Process]) -> Outcome:
    """Set the nice value of processes; `data.before` says what it was."""
    # Without -n the number is absolute everywhere; with it POSIX and busybox add it to what is.
    argv = ["renice", str(nice), "-p", *(str(process.pid) for process in processes)]
    done = host.run(argv, timeout_seconds=max(1.0, timeout_seconds))
    data = {"before": {str(process.pid): process.nice for process in processes}}
    return Outcome(done.success, done.stdout, done.stderr, done.exit_code, data, timed_out=done.timed_out)
