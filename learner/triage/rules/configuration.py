"""Configuration that is wrong, or that was changed and not read again; and faults of the runbook's own text."""

from __future__ import annotations

import re

from learner.mentions import paths_in
from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said, spoken_by

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
    r"running with swap on is not supported", r"cgroup driver: .{0,60}is different from", r"vm\.max_map_count \[\d+\] is too low", r"max file descriptors \[\d+\] .{0,80}too low",
    r"increase .{0,20}vm\.max_map_count", r"(?:net|kernel|fs|vm)\.[a-z_.]+ .{0,40}(?:is )?too (?:low|small)",
)  # fmt: skip
_SYNTAX = said(
    r"syntax error", r"unknown (?:directive|keyword|option|parameter|lvalue)", r"invalid command '[^']+', perhaps misspelled", r"bad (?:configuration option|directive)", r"unrecogni[sz]ed (?:configuration parameter|directive|option|keyword|key|statement)",
    r"unexpected (?:\"|end of file|token|'|EOF)", r"missing '?;'?", r"parse error", r"invalid (?:value|parameter|number of arguments|syntax|directive|configuration|keyword)", r"yaml: line \d+", r"(?:directive|\"\w+\") is not (?:allowed|terminated|closed)", r"could not find expected",
    r"mapping values are not allowed", r"did not find expected", r"is duplicate", r"misspelled", r"unknown configuration (?:key|option|directive)", r"zone \S+ .{0,60}not loaded due to errors", r"parsing \[\S+:\d+\]", r"malformed", r"garbage (?:at|after)", r"XML .{0,40}error|not well-formed|mismatched tag",
)  # fmt: skip
"""A text that nobody can read, as against one that names what is not there."""
_TESTS = re.compile(
    r"\b(?:nginx|angie|openresty|haproxy|httpd|apache2|apachectl|apache2ctl|sshd|php-fpm[\d.]*|squid|keepalived|varnishd|named|unbound|postfix|visudo|rsyslogd|logrotate|dnsmasq|slapd|monit|fluentd|promtool|caddy|traefik|nft|dovecot)"
    r"\b[^\n;|&]{0,80}?\s(?:-t|-T|-tt|-c|-cf?|-C|-N\s?\d|-k parse|--test|--check|--config-test|--dry-run|configtest|check|validate|check config|fmt)\b"
    r"|\b(?:named-checkconf|named-checkzone|unbound-checkconf|testparm|slaptest|amtool check-config|kamailio -c|systemd-analyze verify|docker[ -]compose (?:\S+ )*config|visudo -c|doveconf -n|postconf -n|netplan generate|configtest)\b"
)
"""Commands that only try a service's configuration. Source: each tool's manual page."""
_WRITES = re.compile(
    r"\b(?:tee|sed -i|cp|mv|install|rsync|scp|patch|envsubst|git (?:\S+ )*(?:pull|checkout|reset|apply)|ansible\S*|puppet|chef-client|salt-call|wget|Set-Content|Out-File|Copy-Item)\b"
    r"|\bcurl\b[^\n]*\s(?:-\w*[oO]|--output)\b|>\s*/"
)
"""Commands that bring a configuration: what they brought is the runbook's own business."""
_READ_AGAIN = re.compile(
    r"daemon-reload|daemon-reexec|\bsysctl\b[^\n]*(?:--system|-p)|udevadm control|exportfs|newaliases|postmap|netplan apply|reload|restart|\bHUP\b|update-ca-|ldconfig|chronyc|rndc|kickstart|bootout|appcmd|iisreset"
)
_UNIT_FILES = re.compile(
    r"^/(?:etc|usr/lib|lib|run)/systemd/system/.+\.(?:service|socket|timer|mount|slice|target|conf|path|automount)$"
)
_OWN_TEXT = re.compile(r"^\s*(?:params|when|until): ")
_PAUSE = said(r"do(?:es)? not fit into the step's timeout")


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def configuration_invalid(seen: Seen, case: Case) -> Sign | None:
    """The service refuses its configuration, which the runbook does not test before it stops what runs."""
    match = _INVALID.search(seen.text)
    if not match or _broken_before(seen):
        return None
    return Sign(0.76, f"the configuration is refused: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.WRONG_DIAGNOSIS)
def configuration_broken_before(seen: Seen, case: Case) -> Sign | None:
    """What is down is down because of a text that somebody wrote: the runbook tested it and no test mends it, and no
    start does either."""
    match = _broken_before(seen)
    if not match or case.on_another_system():
        return None
    return Sign(0.8, f"somebody has to correct the configuration: “{first_line(seen.text, match)}”", seen.cite)


def _broken_before(seen: Seen) -> re.Match[str] | None:
    """The words of a configuration that can't be read, where the run did not write it and did not need a test of it."""
    match = _SYNTAX.search(seen.text)
    if not match or not seen.step or not _INVALID.search(seen.text):
        return None
    if seen.did("write_file", "ensure_line", "copy_file", "restore_file"):
        return None
    if any(_WRITES.search(spoken_by(step)) for step in seen.did("run_command", "run_script")):
        return None
    if any(_copy_of(path, seen) for path in paths_in(seen.text)):
        return None  # a copy that was good lies beside it, and the runbook could put it back
    tested = seen.action in ("run_command", "run_script") and _TESTS.search(seen.spoken)
    down = seen.action in ("start_service", "restart_service") and seen.incident_type.startswith("service_")
    dead = [name for name in seen.own_services if seen.service(name) in ("failed", "stopped")]
    return match if tested or (down and dead) else None


def _copy_of(path: str, seen: Seen) -> bool:
    return any(
        name.startswith(path) and name != path and isinstance(facts, dict) and facts.get("exists") is True
        for name, facts in seen.before.get("files", {}).items()
    )


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def written_but_not_read(seen: Seen, case: Case) -> Sign | None:
    """Steps wrote a unit file and started the service with the old one, which a claim about its settings shows."""
    if not seen.check or seen.check.check not in ("command_succeeds", "service_running", "port_open", "http_ok"):
        return None
    written = [
        str(step.params.get("path") or step.params.get("destination") or "")
        for step in seen.did("write_file", "ensure_line", "copy_file")
    ]
    units = [path for path in written if _UNIT_FILES.match(path)]
    if not units or any(_READ_AGAIN.search(spoken_by(step)) for step in seen.result.executed_steps if step.success):
        return None
    return Sign(0.84, f"{units[0]} was written, and nothing told the service manager to read it", seen.cite)


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
    for text in (seen.text, *(seen.shown if seen.check else ())):
        if match := _RELOAD.search(text):
            return Sign(0.82, f"the service manager works with old unit files: “{first_line(text, match)}”", seen.cite)
    return None


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
