"""It would have worked with more time, or a moment later."""

from __future__ import annotations

import re
from typing import Any

from learner.facts import get
from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, lines_of, rule, said
from learner.triage.claims import holds
from learner.triage.rules.another_subject import serves_another_port

_TIMED_OUT = said(
    r"timed? ?out", r"timeout (?:was )?exceeded", r"did not respond to the start or control request in a timely fashion", r"FAILED 1053:",
    r"deadline exceeded", r"took too long", r"gave up waiting", r"is not open\b", r"is (?:starting|activating|unknown|stopped), not running",
)  # fmt: skip
_GAVE_UP = said(
    r"because a timeout was exceeded", r"start operation timed out", r"in a timely fashion", r"FAILED 1053:", r"result 'timeout'",
)  # fmt: skip
_STILL_STARTING = said(
    r"the database system is (?:starting up|in recovery mode|not yet accepting connections)", r"LOADING Redis is loading the dataset", r"still (?:starting|loading|initiali[sz]ing|warming|draining|finishing|flushing)",
    r"\bis starting up\b", r"not yet (?:ready|accepting|available|up)", r"warming up", r"recovery in progress", r"BUSY Redis is busy", r"initiali[sz]ation in progress",
    r"is restarting, wait until", r"container \S+ is (?:starting|created)\b", r"start-pending", r"state: ?(?:starting|activating)", r"leader (?:changed|not (?:known|available))", r"\bno (?:known )?(?:leader|primary|master)\b", r"node is recovering", r"election in progress", r"is activating\b", r"health: starting", r"(?-i:\bSTARTING\b)",
)  # fmt: skip
_RACE = said(
    r"start request repeated too quickly", r"start of the service was attempted too often", r"start-limit-hit", r"job for \S+ canceled", r"has been marked for deletion", r"FAILED 1072:",
    r"cannot accept control messages at this time", r"FAILED 1061:", r"still (?:stopping|shutting down)", r"is (?:stopping|shutting down|deactivating)",
    r"stop-pending", r"transaction (?:for \S+ )?is destructive", r"conflicting job", r"shutdown in progress", r"another operation is in progress",
)  # fmt: skip
_REFUSED = said(
    r"refused",
    r"closed",
    r"no answer",
    r"\b50[234]\b",
    r"not open",
    r"reset by peer",
    r"starting",
    r"empty reply",
    r"unknown",
    r"stopped",
)

_CUT_OFF = said(
    r"connection refused", r"\bECONNREFUSED\b", r"reset by peer", r"empty reply from server", r"could(?: not|n't) connect to", r"failed to connect to",
    r"may not be available", r"could not (?:be established|ping|contact) ?", r"\b503\b", r"connect\S* .{0,120}no such file or directory",
)  # fmt: skip
_AT_WORK = re.compile(
    r"(?<![\d.])(?!100(?:\.0*)?\s*%)[1-9]\d?(?:\.\d+)?\s*%|\b(?:ETA\b|to-chk=|ir-chk=|xfr#)"
    r"|\b\d+(?:\.\d+)? ?\w{0,7} ?(?:of|/) ?\d+(?:\.\d+)? ?(?:[kKMGT]i?B|bytes|files|records|rows|pages|blocks|objects|chunks)\b"
)
_NO_PROGRESS = said(
    r"\bfull\b(?! (?:backup|copy|dump|sync))",
    r"\bus(?:ed?|age)\b",
    r"\bfree\b",
    r"\bloss\b",
    r"\bcpu\b",
    r"\bmem(?:ory)?\b",
    r"\bload\b",
)
_STALLED = said(r"stalled", r"(?<![\d.])0(?:\.0+)? ?[kKMG]?i?B/s", r"--:--")
_NOT_THERE = said(
    r"refused", r"not running", r"unreachable", r"unable to (?:connect|perform|reach)", r"(?:cannot|can't|could not) (?:connect|reach|contact)",
    r"no (?:connection|leader|route)", r"unavailable", r"not (?:yet )?(?:connected|ready|available)", r"\b50[234]\b",
)  # fmt: skip
_CHANGED_MEANWHILE = said(
    r"file has vanished", r"some files vanished before they could be transferred", r"file changed as we read it", r"file removed before we read it",
    r"file shrank by \d+ bytes",
)  # fmt: skip
_WAITS: dict[str, str] = {"wait_for_service": "service_running", "wait_for_port": "port_open", "wait_for_http": "http_ok",
                          "check_port": "port_open", "check_http": "http_ok", "resolve_dns": "dns_resolves"}  # fmt: skip
_LOOKS_ONCE = ("check_port", "check_http", "check_service_status", "resolve_dns", "run_command", "run_script")
_STARTS = ("start_service", "restart_service", "reload_service", "run_command", "run_script")


def _turned_good(seen: Seen) -> bool:
    """Whether the state after the run shows what the failing step or check was waiting for."""
    if seen.check:
        return holds(seen.check.check, seen.check.params, seen.after) is True
    if seen.action in _WAITS:
        params = {
            key: value
            for key, value in seen.params.items()
            if key in ("name", "port", "host", "url", "expect_status", "contains")
        }
        return holds(_WAITS[seen.action], params, seen.after) is True
    if seen.action in ("start_service", "restart_service"):
        return holds("service_running", {"name": seen.params.get("name", "")}, seen.after) is True
    if seen.action == "stop_service":
        return holds("service_stopped", {"name": seen.params.get("name", "")}, seen.after) is True
    return False


def _grew(seen: Seen) -> str:
    """A file that a command was told of and that grew while it ran; empty when none is known to."""
    after = seen.after.get("files", {})
    for path, facts in sorted(seen.before.get("files", {}).items()):
        then, now = get(facts, ("size_bytes",)), get(after, (path, "size_bytes"))
        if path in seen.spoken and isinstance(now, int) and now > (then if isinstance(then, int) else 0):
            return str(path)
    return ""


def _progress(seen: Seen) -> str:
    """The last line of progress that a step printed before its time was over; empty when it printed none, or stood."""
    if not seen.step or not seen.step.timed_out:
        return ""
    last = [line for line in lines_of(seen.text.replace("\r", "\n")) if _AT_WORK.search(line)][-1:]
    told = bool(last) and not _STALLED.search(last[0]) and not _NO_PROGRESS.search(last[0])
    return last[0][:120] if told else ""


def _was_good(seen: Seen) -> bool:
    if seen.check:
        return holds(seen.check.check, seen.check.params, seen.before) is True
    return False


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def start_timeout_too_short(seen: Seen, case: Case) -> Sign | None:
    """A step ran out of time, and what it waited for came soon after or needs about as long elsewhere."""
    if not seen.step:
        return None
    match = _TIMED_OUT.search(seen.error)
    if not match and not seen.step.timed_out:
        return None
    if progress := _progress(seen):
        return Sign(0.84, f"it was still at work when its time was over: “{progress}”", seen.cite)
    if seen.others and not any(seen.is_own(host) for host, _ in seen.addresses):
        return None
    said_so = f"“{first_line(seen.error, match)}”" if match else "it ran out of time"
    if _turned_good(seen):
        return Sign(0.93, f"what it waited for was there when the run ended: {said_so}", seen.cite)
    if starting := _STILL_STARTING.search(seen.text):
        return Sign(0.9, f"it was still starting: “{first_line(seen.text, starting)}”", seen.cite)
    if not seen.step.timed_out and seen.action not in _STARTS and seen.action not in _WAITS:
        return None
    if seen.step.timed_out and (grown := _grew(seen)):
        return Sign(0.85, f"it was still at work when its time was over: {grown} grew; {said_so}", seen.cite)
    gave_up = _GAVE_UP.search(seen.error)
    own_failed = any(seen.service(name, after=True) in ("failed", "stopped") for name in seen.own_services)
    if own_failed and not gave_up:
        return None  # it did not need more time, it died
    took = _seconds_elsewhere(seen, case)
    spent = seen.step.duration_seconds
    if took and spent and took >= 0.7 * spent:
        return Sign(0.82, f"it got {spent:g} s; where it worked it took up to {took:g} s", seen.cite)
    if gave_up and not seen.down():
        # It ended the service itself then, so that a failed one is no sign of a crash.
        return Sign(0.75, f"the service manager gave up waiting: “{first_line(seen.error, gave_up)}”", seen.cite)
    if seen.step.timed_out and any(seen.service(name, after=True) == "running" for name in seen.own_services):
        return Sign(0.78, f"the service was running when the run ended: {said_so}", seen.cite)
    return None


def _seconds_elsewhere(seen: Seen, case: Case) -> float | None:
    """The longest the same step took in a verified success."""
    took = [
        step.duration_seconds
        for result in case.successes
        for step in result.executed_steps
        if seen.step and step.step_id == seen.step.step_id and step.success and step.duration_seconds is not None
    ]
    return max(took, default=None)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def verification_too_early(seen: Seen, case: Case) -> Sign | None:
    """A check looked before what it asks for was there: the state after the run holds it."""
    check = seen.check
    again = seen.did("restart_service", "reload_service", "stop_service")
    if not check or (_was_good(seen) and not again):
        return None  # else it was gone for as long as the restart took
    if _turned_good(seen):
        return Sign(
            0.93,
            f"{check.id} failed after {check.waited_seconds:g} s, and the state after the run holds what it asks for",
            seen.cite,
        )
    if starting := _STILL_STARTING.search(seen.text):
        return Sign(
            0.88, f"it was still starting when {check.id} looked: “{first_line(seen.text, starting)}”", seen.cite
        )
    started = seen.did("start_service", "restart_service", "reload_service")
    running = started and all(
        seen.service(str(step.params.get("name", "")), after=True) == "running" for step in started
    )
    if running and check.check == "command_succeeds" and (port := _opened(seen)) and not seen.down():
        return Sign(
            0.78, f"port {port} opened during the run, and {check.id} looked for {check.waited_seconds:g} s", seen.cite
        )
    short = check.waited_seconds <= 2.0
    if (
        running
        and short
        and check.check in ("port_open", "http_ok")
        and _REFUSED.search(_words(check.observed))
        and not seen.down()
        and not serves_another_port.look(seen, case)
    ):
        waited = [c.waited_seconds for result in case.successes for c in result.checks if c.id == check.id and c.passed]
        surer = bool(waited) and max(waited) >= 0.5
        return Sign(0.86 if surer else 0.75, f"{check.id} looked {check.waited_seconds:g} s after the start and found “{_words(check.observed)}”; "
                    "the service is running", seen.cite)  # fmt: skip
    return None


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def looked_too_early(seen: Seen, case: Case) -> Sign | None:
    """A step looked once for what was there a moment later, right after a start for example."""
    if seen.action not in _LOOKS_ONCE or any(not seen.is_own(host) for host, _ in seen.addresses):
        return None
    if _turned_good(seen):
        return Sign(
            0.92, f"what {seen.action} asked for was there when the run ended: “{seen.error.strip()[:120]}”", seen.cite
        )
    started = seen.did("start_service", "restart_service", "reload_service")
    running = started and all(
        seen.service(str(step.params.get("name", "")), after=True) == "running" for step in started
    )
    refused = _CUT_OFF if seen.action in ("run_command", "run_script") else _REFUSED
    if running and (port := _opened(seen)) and _NOT_THERE.search(seen.error) and not seen.down():
        return Sign(0.84, f"port {port} opened after {seen.action} had asked: “{seen.error.strip()[:120]}”", seen.cite)
    if running and refused.search(seen.error) and not seen.down():
        return Sign(
            0.8,
            f"{seen.action} looked right after the start; the service is running: “{seen.error.strip()[:120]}”",
            seen.cite,
        )
    return None


def _opened(seen: Seen) -> str:
    """A port that was closed before the run and open after it; empty when none is known to."""
    before = seen.before.get("ports", {})
    after = seen.after.get("ports", {})
    return next((p for p in sorted(after) if after[p] == "listening" and before.get(p) == "closed"), "")


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def changed_meanwhile(seen: Seen, case: Case) -> Sign | None:
    """Files went or changed while they were copied: on a living directory that is no fault of the copy."""
    match = _CHANGED_MEANWHILE.search(seen.text)
    if not match:
        return None
    return Sign(0.86, f"what was copied is in use: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def race_after_restart(seen: Seen, case: Case) -> Sign | None:
    """One order came before the one before it was done."""
    match = _RACE.search(seen.text)
    if not match:
        return None
    return Sign(0.78, f"an order came too soon after another: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def used_while_starting(seen: Seen, case: Case) -> Sign | None:
    """A step used a service that said it was still starting."""
    match = _STILL_STARTING.search(seen.error)
    if not match or not seen.step or seen.others:
        return None
    return Sign(0.88, f"the service was still starting: “{first_line(seen.error, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def passed_when_tried_again(seen: Seen, case: Case) -> Sign | None:
    """What failed was done again later in the run and worked, or needed more tries where the runbook worked."""
    if not seen.step or seen.others:
        return None
    failed = seen.step
    for step in seen.result.executed_steps:
        same = (step.action, step.params) == (failed.action, failed.params) and step.step_number > failed.step_number
        if same and step.success and not step.skipped:
            return Sign(0.8, f"step {step.step_number} did the same later, and it worked", seen.cite)
    tries = [
        step.attempts
        for result in case.successes
        for step in result.executed_steps
        if step.step_id == failed.step_id and step.action == failed.action and step.success and not step.skipped
    ]
    needed = max(tries, default=0)
    if needed > max(1, failed.attempts):
        return Sign(
            0.72, f"it was tried {max(1, failed.attempts)} times; where it worked it took up to {needed}", seen.cite
        )
    return None


def _words(observed: Any) -> str:
    return str(observed)[:120]
