"""Commands and actions that destroy what nobody gets back."""

from __future__ import annotations

import re
from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule, StepPair
from learner.audits.code import new_running, readings
from learner.audits.destruction import VITAL, dangerous
from learner.audits.foreign_code import Code
from learner.audits.paths import for_everybody, is_core, is_disk, plain, reach
from learner.audits.simple import Simple
from learner.models import Finding, Level

_POWERSHELL = (
    (re.compile(r"\b(?:format-volume|clear-disk|initialize-disk|remove-partition)\b", re.I), "wipes a disk"),
    (re.compile(r"\b(?:stop-computer|restart-computer|shutdown(?:\.exe)?\s+[-/][rsph])", re.I), "turns the host off"),
    (re.compile(r"\b(?:remove-localuser|net\s+user\s+\S+\s+/delete)", re.I), "removes a user"),
    (
        re.compile(r"\bvssadmin\s+delete\s+shadows|\bwbadmin\s+delete|remove-computerrestorepoint", re.I),
        "removes backups",
    ),
    (re.compile(r"\breg(?:\.exe)?\s+delete\s+hk|\bremove-item\b[^;|\n]*\bhk(?:lm|cu):", re.I), "removes registry keys"),
    (re.compile(r"\bcipher(?:\.exe)?\s+/w|\bbcdedit\b", re.I), "changes how the disk is read or booted"),
    (
        re.compile(r"\bset-mppreference\b.*disable|netsh\s+advfirewall\s+set\s+\w+\s+state\s+off", re.I),
        "turns protection off",
    ),
)
_PS_REMOVE = re.compile(r"\b(?:remove-item|ri|rm|del|erase|rd|rmdir)\b([^;|\n]*)", re.IGNORECASE)
_FORK_BOMB = re.compile(r"([\w:.]+)\s*\(\)\s*\{[^}]*\1\s*\|\s*\1\s*&[^}]*\}\s*;?\s*\1")
_STANDS_ON = re.compile(
    r"/|/(?:etc|home|root|opt|srv|var)|/(?:usr|boot|bin|sbin|lib|lib64|dev|proc|sys)(?:/.*)?|/etc/(?:ssh|pam\.d|ssl)(?:/.*)?"
)


class DestructiveCommand(Rule):
    """A step destroys data, disks, users or the host itself.

    Recursive removal of a system's or its data's directories, formatting and overwriting of disks, fork bombs,
    rights for everybody over wide trees, flushed firewalls, removed users, dropped tables, deleted cluster objects,
    power off. Also behind `sh -c`, `env`, `sudo`, `xargs`, `find -exec`, variables, quotes, base64, and in Python,
    Perl, Ruby, Node and PowerShell.
    """

    name = "destructive-command"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        for where, ran, _ in new_running(change):
            for command in ran.commands:
                if danger := dangerous(command):
                    level, what = danger
                    yield self.says(level, f"{what}: `{_shown(command)}`", where)
            for code in ran.codes:
                for level, what in _dangerous_code(code):
                    yield self.says(level, what, where)
        for pair in change.touched:
            for level, what in _dangerous_action(change, pair):
                yield self.says(level, what, pair.where)


def _dangerous_code(code: Code) -> Iterator[tuple[Level, str]]:
    if code.language == "shell" and _FORK_BOMB.search(code.text):
        yield Level.BLOCK, "multiplies itself until the host stands still (a fork bomb)"
    if code.language == "powershell":
        # A backtick says nothing in the middle of a word, and two quoted halves make a whole.
        text = re.sub(r"['\"]\s*\+\s*['\"]", "", code.text.replace("`", ""))
        for pattern, what in _POWERSHELL:
            if pattern.search(text):
                yield Level.BLOCK, f"{what}: `{pattern.search(text)[0]}`"  # type: ignore[index]
        for match in _PS_REMOVE.finditer(text):
            rest = match[1].lower()
            if not re.search(r"-r(ecurse)?\b|/s\b", rest):
                continue
            targets = [t.strip("'\",;)") for t in match[1].split() if not t.startswith(("-", "/"))]
            if not targets or any(reach(target) in ("wide", "unknown") or "$" in target for target in targets):
                yield Level.BLOCK, f"removes a directory with all that is below: `{match[0].strip()}`"


def _dangerous_action(change: Change, pair: StepPair) -> Iterator[tuple[Level, str]]:
    step = pair.new
    assert step is not None
    before = pair.old.params if pair.old and pair.old.action == step.action else None
    for params in readings(change.new.runbook, step.params):
        if before is not None and params in readings(change.old.runbook, before):
            continue
        path = str(params.get("path", params.get("destination", "")))
        match step.action:
            case "remove_file" if is_core(path):
                yield Level.BLOCK, f"removes {path}"
            case "clean_directory":
                patterns = params.get("patterns")
                everything = isinstance(patterns, list) and any(p in ("*", "**", "**/*", ".*", "*.*") for p in patterns)
                bounded = params.get("older_than_days") or params.get("keep_last")
                if _STANDS_ON.fullmatch(plain(path)):
                    yield Level.BLOCK, f"cleans {path}, a directory that the system stands on"
                elif everything and reach(path) in ("wide", "unknown") and not bounded:
                    yield Level.BLOCK, f"removes every file in {path}"
                elif everything and not bounded:
                    yield Level.WARNING, f"removes every file in {path}, however new"
            case "set_permissions" if re.fullmatch(r"[0-7]?[0-7][0-7][2367]", str(params.get("mode") or "")):
                grave = is_core(path) or (reach(path) == "wide" and not for_everybody(path))
                sticky = str(params["mode"]).zfill(4)[0] in "1357"
                if grave or not sticky:
                    yield (Level.BLOCK if grave else Level.WARNING), f"gives everybody the right to write to {path}"
            case "write_file" | "copy_file" if is_disk(path):
                yield Level.BLOCK, f"writes over {path}"
            case "kill_process" if params.get("pid") == 1 or VITAL.fullmatch(str(params.get("name") or "")):
                yield Level.BLOCK, "kills what the host is run by"
            case "stop_service" if VITAL.fullmatch(str(params.get("name") or "")):
                yield Level.BLOCK, "stops what the host is reached or run by"


def _shown(command: Simple) -> str:
    text = " ".join(str(command).split())
    return text if len(text) <= 100 else text[:99] + "…"
