"""Configuration that is wrong, or that was changed and not read again; and faults of the runbook's own text."""

from __future__ import annotations

import re

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said

_INVALID = said(
    r"configuration file \S+ test failed", r"nginx: \[emerg\] (?:unknown directive|invalid|unexpected|directive|duplicate|\"\w+\" directive)", r"syntax error on line \d+ of",
    r"fatal config file error", r"fatal errors found in configuration", r"error\(s\) found in configuration file", r"bad configuration option", r"configtest failed",
    r"configuration file \S+ contains errors", r"invalid (?:configuration|config)\b", r"config(?:uration)? (?:check|test|validation) failed", r"parsing (?:config|file).{0,80}(?:error|failed)",
    r"unrecognized configuration parameter", r"AH\d{5}: .{0,80}(?:invalid command|syntax)", r"invalid command '[^']+', perhaps misspelled", r"error parsing config",
    r"failed to parse (?:config|configuration)", r"yaml: line \d+", r"zone \S+ .{0,60}(?:not loaded due to errors|loading from master file .{0,80} failed)",
    r"bad directive", r"named-checkconf failed", r"missing ';' before", r"could not parse (?:config|configuration)", r"unknown configuration (?:key|option|directive)",
)  # fmt: skip
_RELOAD = said(
    r"changed on disk\. run ['\"‘]?systemctl daemon-reload", r"daemon-reload", r"unit file .{0,80}changed on disk", r"needs? (?:to be )?reload(?:ed)?\b",
)  # fmt: skip
_HOST_SETTING = said(
    r"running with swap on is not supported", r"vm\.max_map_count \[\d+\] is too low", r"max file descriptors \[\d+\] .{0,80}too low",
    r"increase .{0,20}vm\.max_map_count", r"(?:net|kernel|fs|vm)\.[a-z_.]+ .{0,40}(?:is )?too (?:low|small)",
)  # fmt: skip
_OWN_TEXT = re.compile(r"^\s*(?:params|when|until): ")
_PAUSE = said(r"do(?:es)? not fit into the step's timeout")


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def configuration_invalid(seen: Seen, case: Case) -> Sign | None:
    """The service refuses its configuration, which the runbook does not test before it stops what runs."""
    match = _INVALID.search(seen.text)
    if not match:
        return None
    return Sign(0.76, f"the configuration is refused: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def host_setting_refused(seen: Seen, case: Case) -> Sign | None:
    """A service refuses to run with a setting of the kernel as it is."""
    match = _HOST_SETTING.search(seen.text)
    if not match:
        return None
    return Sign(0.88, f"a setting of the host is refused: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def units_not_read_again(seen: Seen, case: Case) -> Sign | None:
    """Unit files changed on disk, and the service manager was not told."""
    match = _RELOAD.search(seen.text)
    if not match:
        return None
    return Sign(0.82, f"the service manager works with old unit files: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def own_text_wrong(seen: Seen, case: Case) -> Sign | None:
    """A template or condition of the runbook itself could not be worked out."""
    if not seen.step:
        return None
    if _PAUSE.search(seen.step.error):
        return Sign(0.92, f"a pause is longer than its step may take: “{seen.step.error.strip()[:160]}”", seen.cite)
    if seen.step.attempts != 0 or not _OWN_TEXT.match(seen.step.error):
        return None
    return Sign(0.85, f"the runbook's own text does not work here: “{seen.step.error.strip()[:160]}”", seen.cite)
