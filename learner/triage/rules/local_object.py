"""The last to be asked: an error that no rule knows, about a thing on this host that a better runbook would mind."""

from __future__ import annotations

from learner.mentions import paths_in
from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said
from learner.triage.rules.contents import data_of_another_shape
from learner.triage.rules.distant import other_hosts
from learner.triage.rules.host_fault import exhausted_beneath
from learner.triage.rules.leftovers import _PID
from learner.triage.rules.missing import _NO_SUCH

CRASHED = said(
    r"segmentation fault", r"\bSIG(?:SEGV|ABRT|BUS|ILL|FPE)\b", r"core dumped|code=dumped", r"assertion .{0,200}failed", r"assertion failed", r"panic:", r"\bPANIC\b", r"Traceback \(most recent call last\)", r"NullPointerException|NullReferenceException|IndexOutOfBounds\w*|ClassCastException|ArrayIndexOutOfBounds\w*|StackOverflow\w*",
    r"\b(?:KeyError|IndexError|AttributeError|NameError|ZeroDivisionError|AssertionError|RecursionError|UnboundLocalError|TypeError|ReferenceError|RangeError|ValueError|UnicodeDecodeError)\b", r"unhandled (?:exception|rejection|promise)", r"uncaught (?:exception|error)", r"stack (?:smashing|overflow)", r"double free|heap corruption|invalid pointer",
    r"corrupt(?:ed|ion)?\b", r"checksum (?:mismatch|error|failed)", r"bad magic|invalid magic", r"unexpected end of (?:file|data|input|json)", r"invalid input syntax", r"cannot unmarshal", r"internal (?:compiler )?error", r"this is a bug|please report", r"terminated unexpectedly", r"fatal error: .{0,40}(?:v8|runtime)", r"access violation|0xc0000005", r"kernel panic|BUG: ",
)  # fmt: skip
"""A program that fell over itself, or its data: what to do is for people."""
_TAKEN_UP = said(
    r"\balready\b", r"\b(?:in use|in-use|busy|locked|occupied|reserved|pending|in progress|underway)\b", r"(?:is|are|was) (?:still|currently)\b", r"\bstill (?:starting|running|open|mounted|attached|referenced|active|alive|there|up|has|have|being)\b",
    r"not (?:yet )?(?:ready|running|started|mounted|initiali[sz]ed|loaded|active|up|empty|enabled|attached|open|configured|installed|set up)\b", r"\bexists\b", r"does(?: not|n't) exist", r"no such (?:device|process|variable|user|group)",
    r"\b(?:lock|lockfile|semaphore|mutex)\b", r"limit .{0,30}(?:reached|exceeded)", r"exceed(?:s|ed)? (?:the )?(?:maximum|limit|allowed)", r"too (?:many|few|large|small|long|short|low|high|early|soon|old|new)\b", r"resource (?:busy|unavailable|temporarily)", r"(?:reboot|restart|reload|initiali[sz]ation|migration|recovery|repair|upgrade) (?:is |was )?(?:required|needed|necessary)",
    r"\b(?:is|are) required\b", r"must (?:first )?(?:be|have|exist|run)\b", r"needs? to be\b", r"\b(?:run|use|try|specify|set|enable|add) ['\"`‘]?(?:--?\w|\w+ --)", r"(?:is|are) (?:disabled|stopped|suspended|paused|offline|inactive|standby|draining)", r"(?:starting up|recovery mode|in recovery|warming up|initiali[sz]ing|loading|catching up|resyncing)",
    r"not a (?:directory|mount ?point|valid|block device|git repository)", r"is a directory", r"bad (?:option|value|line|minute|interpreter|unit file setting|superblock|substitution)", r"invalid (?:option|value|line|argument|directive|setting|syntax|unit|number|mode|configuration)", r"unknown (?:option|directive|command|key|lvalue|variable|setting)",
    r"(?:version|protocol|schema) .{0,20}mismatch", r"incompatible (?:with|version)", r"errors? in \S+ (?:file|configuration)", r"syntax error", r"unexpected (?:token|argument|option|operator)", r"not enough arguments|missing (?:argument|operand|parameter|required)", r"device or resource", r"no (?:matching|free|available) \w+", r"probably not running", r"not idle",
)  # fmt: skip
_RUNS_SOMETHING = (
    "run_command", "run_script", "start_service", "restart_service", "reload_service", "stop_service", "write_file", "copy_file", "backup_file",
    "restore_file", "create_directory", "remove_file", "ensure_line", "rotate_logs", "clean_directory", "vacuum_journal", "clean_package_cache",
    "find_large_files", "renew_certificate", "sync_time", "flush_dns_cache", "kill_process", "set_priority",
)  # fmt: skip
_BY_PEOPLE = said(
    r"maintenance",
    r"\bis masked\b", r"change (?:freeze|window)", r"(?:disabled|masked|stopped|locked|paused|held|suspended) (?:by|on behalf of|at the request of) ", r"(?:ask|contact|call|talk to) (?:the |your )?\w+", r"do not (?:touch|start|restart|remove|run)", r"administratively", r"on purpose|intentionally|deliberately",
)  # fmt: skip
"""Somebody wanted it so: no runbook takes that back."""
_OWN_STATE = said(
    r"^\S+ is (?:stopped|failed|unknown|starting|activating|inactive|dead), not running", r"^\S+ is not running$"
)
"""What our own steps say of a service that stayed down: that it did, not why."""


@rule(FailureType.RUNBOOK_INSUFFICIENT, last=True)
def local_obstacle(seen: Seen, case: Case) -> Sign | None:
    """No rule knows the words, but they are about a thing of this host (a file, a lock, a limit, a name, a state) that a
    better runbook would look at, wait for or make; and no crash, no refusal, no other host."""
    if not seen.step or seen.action not in _RUNS_SOMETHING or other_hosts(seen) or exhausted_beneath.look(seen, case):
        return None
    error = seen.error.strip()
    match = _TAKEN_UP.search(error)
    if _PID.search(seen.text) or _NO_SUCH.search(seen.text) or data_of_another_shape.look(seen, case):
        return None  # rules that read the facts know these words, and had their reasons to say nothing
    if not match or CRASHED.search(seen.text) or _BY_PEOPLE.search(seen.text) or _OWN_STATE.search(error):
        return None
    named = paths_in(first_line(seen.error, match))
    about = f"{named[0]} stands in the way" if named else "something on this host stands in the way"
    return Sign(0.63, f"{about}, as far as the words tell: “{first_line(seen.error, match)}”", seen.cite)
