"""Records that would be missing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule
from learner.audits.code import new_running, readings
from learner.audits.paths import plain
from learner.audits.simple import Simple
from learner.models import Finding, Level

_RECORDS = re.compile(
    r"/var/log/(?:auth\.log|secure|audit(?:/.*)?|wtmp|btmp|lastlog|syslog|messages|faillog|journal(?:/.*)?)(?:[.-].*)?|/run/log/journal.*"
    r"|.*/\.(?:bash_history|zsh_history|history)|/var/run/utmp|/etc/audit/.*|/etc/rsyslog.*"
)
_KEEPERS = re.compile(
    r"(?:auditd|rsyslog|syslog(?:-ng)?|systemd-journald|journald|fail2ban|falco|osqueryd?|crowdstrike|falcon-sensor|wazuh-agent|clamav-daemon|filebeat|fluent-?bit|fluentd|promtail|apparmor|firewalld|nftables|ufw)(?:\.service)?"
)


class CoveredTracks(Rule):
    """Logs, audit trails or guards are removed, stopped or cut short.

    Whoever looks into an incident later needs the host's own records; a runbook has no reason to touch them.
    """

    name = "covered-tracks"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        for where, ran, _ in new_running(change):
            for command in ran.commands:
                if said := _found(command):
                    yield self.says(*said, where)
        for pair in change.touched:
            step = pair.new
            assert step is not None
            if pair.old and pair.old.params == step.params and pair.old.action == step.action:
                continue
            for params in readings(change.new.runbook, step.params):
                path, name = plain(str(params.get("path", "")) or "x"), str(params.get("name", ""))
                if step.action in ("remove_file", "write_file") and _RECORDS.fullmatch(path):
                    yield self.says(Level.BLOCK, f"takes {path} away, which records what was done here", pair.where)
                if step.action == "clean_directory" and (path.startswith(("/var/log/audit", "/var/log/journal"))):
                    yield self.says(Level.BLOCK, f"cleans {path}, which records what was done here", pair.where)
                if step.action in ("stop_service", "kill_process") and _KEEPERS.fullmatch(name):
                    yield self.says(Level.BLOCK, f"stops {name}, which watches this host", pair.where)
                days, size = params.get("keep_days"), params.get("keep_mb")
                if step.action == "vacuum_journal" and (
                    (isinstance(days, int) and days < 1) or (isinstance(size, int) and size < 10)
                ):
                    yield self.says(Level.WARNING, "keeps next to nothing of the journal", pair.where)


def _found(command: Simple) -> tuple[Level, str] | None:
    name, text = command.name, str(command)
    changed = [t for o, t in command.redirects if o.strip("0123456789&") in (">", ">|")]
    if name in ("rm", "unlink", "shred", "truncate", "mv", "tee", "srm"):
        changed += list(command.operands)
    if hit := [
        path for path in changed if _RECORDS.fullmatch(plain(path)) or re.fullmatch(r"/var/log/?\*?", plain(path))
    ]:
        return Level.BLOCK, f"takes {hit[0]} away, which records what was done here"
    if name == "history" and command.options & {"c", "w"}:
        return Level.BLOCK, "forgets the commands that were given"
    if any(variable in ("HISTFILE", "HISTSIZE", "HISTFILESIZE") for variable, _ in command.variables) or re.search(
        r"\bunset\s+HISTFILE", text
    ):
        return Level.BLOCK, "keeps no record of its commands"
    if name in ("auditctl",) and set(command.words) & {"-D", "-e"}:
        return Level.BLOCK, "turns the audit trail off"
    stopping = name == "systemctl" and set(command.operands[:1]) & {"stop", "disable", "mask", "kill"}
    if stopping and any(_KEEPERS.fullmatch(operand) for operand in command.operands[1:]):
        return Level.BLOCK, f"stops {command.operands[1]}, which watches this host"
    if (
        name in ("service", "rc-service")
        and len(command.operands) > 1
        and command.operands[1] == "stop"
        and _KEEPERS.fullmatch(command.operands[0])
    ):
        return Level.BLOCK, f"stops {command.operands[0]}, which watches this host"
    if name in ("pkill", "killall") and any(_KEEPERS.fullmatch(operand) for operand in command.operands):
        return Level.BLOCK, "kills what watches this host"
    if name == "journalctl" and re.search(
        r"--vacuum-(?:time=?\s*\d+(?:s|m|min)\b|size=?\s*\d{1,2}[KkM]?\b(?!\d|[GMT]))", text
    ):
        return Level.WARNING, "keeps next to nothing of the journal"
    if name == "wevtutil" and "cl" in command.operands:
        return Level.BLOCK, "clears an event log"
    return None
