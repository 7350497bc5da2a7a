"""Limits that the host or a service sets itself: a runbook can raise them, or wait until there is room."""

from __future__ import annotations

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said

_LIMITS = said(
    r"database space exceeded", r"quota .{0,30}exceeded for this (?:host|user)",
    r"too many open files", r"file table overflow", r"\bRLIMIT_\w+", r"ulimit\b.{0,60}(?:too low|limit)", r"open files? limit", r"max(?:imum)? (?:number of )?(?:open files|processes|threads|file descriptors)",
    r"(?:could not|cannot|can't|unable to|failed to) (?:increase|raise|set) .{0,40}(?:limit|RLIMIT|open files)", r"fork: (?:retry: )?resource temporarily unavailable",
    r"pthread_create (?:failed|: )", r"(?:can't|cannot|unable to|failed to) create (?:new |a |native |new native )?thread", r"unable to fork", r"(?:cannot|can't|could not) fork", r"max user processes",
    r"pids? limit", r"(?:number|table) of (?:processes|inotify watches)", r"(?:inotify|watch(?:es)?) .{0,40}limit", r"too many (?:processes|threads|sessions|clients|file watchers|levels of symbolic links)\b",
    r"nf_conntrack: table full", r"table full, dropping packet", r"TCP: too many orphaned sockets", r"cannot assign requested address.{0,40}(?:ephemeral|bind|connect)?$", r"neighbou?r table overflow",
    r"argument list too long", r"backlog .{0,60}(?:somaxconn|is set to the lower value|cannot be enforced)", r"file too large", r"message too long",
    r"(?:header|body|entity|request line|packet|row|payload)\b.{0,30} (?:is )?too (?:large|big|long)", r"max_allowed_packet", r"too large (?:for|to)\b", r"worker_connections are not enough",
    r"server reached (?:pm\.)?max_children", r"server reached MaxRequestWorkers", r"could not build (?:the )?\w+_hash, you should increase",
)  # fmt: skip
_CONNECTIONS = said(
    r"ERROR 1040\b", r"\btoo many connections\b", r"sorry, too many clients already", r"remaining connection slots are reserved", r"max number of clients reached", r"max_connections",
    r"(?:connection )?pool (?:is )?(?:exhausted|timed out|size .{0,20}reached)", r"timeout waiting for idle object", r"connection is not available, request timed out", r"too many concurrent (?:connections|sessions)",
)  # fmt: skip


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def limit_of_this_host(seen: Seen, case: Case) -> Sign | None:
    """A limit that this host sets is reached: open files, processes, threads, watches, sizes."""
    match = _LIMITS.search(seen.text)
    if not match:
        return None
    return Sign(0.78, f"a limit of this host is reached: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def connections_used_up(seen: Seen, case: Case) -> Sign | None:
    """A server on this host has no connection left to give."""
    match = _CONNECTIONS.search(seen.text)
    if not match or seen.others:
        return None
    return Sign(0.76, f"all of its connections are taken: “{first_line(seen.text, match)}”", seen.cite)
