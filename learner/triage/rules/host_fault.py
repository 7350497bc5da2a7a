"""The host itself is unwell: its disk fails or is full, its memory is gone, its clock is off. Another incident than this."""

from __future__ import annotations

from learner.facts import get
from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said
from learner.triage.claims import mounts

_DISK_FAILS = said(
    r"input/output error", r"\bI/O error\b.{0,60}(?:dev|sector|device|block)", r"blk_update_request", r"buffer I/O error", r"EXT[234]-fs error", r"XFS \(\S+\): .{0,60}(?:corrupt|shutting down|I/O error)", r"BTRFS (?:error|critical)", r"remounting filesystem read-only",
    r"detected aborted journal", r"medium error|unrecovered read error|uncorrectable error", r"data error \(cyclic redundancy check\)", r"device is not ready", r"the media is write protected", r"SMART .{0,40}(?:FAILED|failing)", r"file or directory is corrupted and unreadable",
)  # fmt: skip
_READ_ONLY = said(r"read-only file ?system", r"file ?system is (?:mounted )?read-only")
_SPACE = said(
    r"disk quota exceeded", r"flood[ -]stage disk watermark", r"(?:low|high) disk watermark .{0,40}exceeded", r"disk usage exceeded", r"not enough (?:free )?(?:disk )?space", r"there is insufficient (?:disk )?space", r"insufficient (?:disk|storage|free) space", r"not enough space on", r"free space .{0,40}(?:too low|below|exhausted)",
    r"\bMISCONF\b", r"unable to persist (?:on|to) disk", r"out of disk space", r"available disk space .{0,60}(?:below|less than)", r"disk (?:space )?(?:is )?(?:full|exhausted)", r"low on disk space", r"disk resource limit alarm", r"ran out of (?:disk )?space", r"(?:wrote|written) only \d+ of \d+ bytes", r"\[Errno 28\]", r"os error 28\b", r"write failed, filesystem is full",
)  # fmt: skip
_MEMORY = said(
    r"insufficient memory", r"not enough memory", r"cannot allocate memory", r"failed to allocate (?:memory|\d+ bytes)", r"memory allocation (?:failed|of \d+ bytes failed)", r"std::bad_alloc", r"\bMemoryError\b", r"could not reserve enough space for .{0,40}heap", r"unable to allocate .{0,40}heap", r"oom[- ]?kill(?:ed|er)?\b", r"OOMKilled", r"result 'oom-kill'", r"insufficient system resources exist",
    r"the paging file is too small", r"out of (?:virtual )?memory",
)  # fmt: skip
_CLOCK = said(
    r"RequestTimeTooSkewed", r"RequestExpired", r"difference between the request time and the current time", r"current time .{1,40} is before", r"signature (?:not yet current|expired): .{0,60}is (?:now )?(?:earlier|later) than", r"clock is (?:off|wrong|behind|ahead)", r"time and/or date difference between the client and server",
    r"(?:token|assertion)(?: is)? (?:used before issued|not yet valid)", r"date in the future", r"release file .{0,120}is not valid yet", r"\bnot valid yet\b",
)  # fmt: skip
_NOT_DISK = said(r"sem(?:get|op)|shmget|inotify|file watch(?:ers|es)|mutex|semaphore")
_KILLED = said(r"^\s*killed\s*$", r"(?:exit code|status) 137\b", r"signal 9\b", r"status=9/KILL", r"SIGKILL")


@rule(FailureType.WRONG_DIAGNOSIS)
def disk_fails(seen: Seen, case: Case) -> Sign | None:
    """The disk beneath gives errors or was set read-only because of them: no runbook about a service mends that."""
    match = _DISK_FAILS.search(seen.text)
    if not match or "launchctl" in seen.spoken or "bootstrap failed" in seen.text.lower():
        return None
    return Sign(0.82, f"the disk beneath is not in order: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.WRONG_DIAGNOSIS)
def set_read_only(seen: Seen, case: Case) -> Sign | None:
    """A file system that is written to elsewhere takes no writes here: the kernel sets it read-only when it errs."""
    match = _READ_ONLY.search(seen.text)
    if not match or case.on_another_system():
        return None
    return Sign(0.7, f"the file system takes no writes: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.WRONG_DIAGNOSIS)
def space_beneath(seen: Seen, case: Case) -> Sign | None:
    """Disk space or a quota is used up beneath a runbook that is about something else."""
    match = _SPACE.search(seen.text)
    if not match or case.disk_is_its_business or _NOT_DISK.search(seen.text) or "backup" in seen.incident_type:
        return None
    known = [used for _, used, _ in mounts(seen.before) if used is not None]
    if known and max(known) < 85:
        return None
    return Sign(0.84 if known else 0.78, f"space is used up, and that is another incident than "
                f"{seen.result.incident_type}: “{first_line(seen.text, match)}”", seen.cite)  # fmt: skip


@rule(FailureType.WRONG_DIAGNOSIS)
def memory_beneath(seen: Seen, case: Case) -> Sign | None:
    """Memory is used up beneath a runbook that is about something else, or the kernel ended the program for it."""
    if "memory" in seen.incident_type or "oom" in seen.incident_type:
        return None
    usage = get(seen.before, ("memory", "usage_percent"))
    full = isinstance(usage, int | float) and usage >= 90
    if isinstance(usage, int | float) and usage < 80:
        return None
    if match := _MEMORY.search(seen.text):
        return Sign(0.84 if full else 0.76, f"memory is used up: “{first_line(seen.text, match)}”", seen.cite)
    killed = _KILLED.search(seen.error) or (seen.step and seen.step.exit_code == 137)
    if killed and full and not seen.did("kill_process"):
        return Sign(0.8, f"it was killed while {usage:g}% of the memory was in use", seen.cite)
    return None


@rule(FailureType.WRONG_DIAGNOSIS)
def clock_beneath(seen: Seen, case: Case) -> Sign | None:
    """Somebody refuses what this host sends because its time is wrong."""
    match = _CLOCK.search(seen.text)
    offset = get(seen.before, ("time", "offset_seconds"))
    if not match or "time" in seen.incident_type or (isinstance(offset, int | float) and abs(offset) < 5):
        return None
    return Sign(0.94 if offset is not None else 0.9, f"the clock is wrong: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.WRONG_DIAGNOSIS, last=True)
def exhausted_beneath(seen: Seen, case: Case) -> Sign | None:
    """Nothing said tells why, and before the run a disk was full, memory gone or the clock far off."""
    kind = seen.incident_type
    if seen.others or any(word in kind for word in ("disk", "inode", "memory", "time", "cpu", "cert", "backup")):
        return None
    for path, used, inodes in mounts(seen.before):
        if max(used or 0, inodes or 0) >= 99:
            return Sign(0.72, f"{path} was full before the run, and nothing else tells why it failed", seen.cite)
    memory = get(seen.before, ("memory", "usage_percent"))
    if isinstance(memory, int | float) and memory >= 98:
        return Sign(0.7, f"{memory:g}% of the memory was in use, and nothing else tells why it failed", seen.cite)
    return None
