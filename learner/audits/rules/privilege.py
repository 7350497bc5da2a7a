"""More rights than the parent had."""

from __future__ import annotations

import re
from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule, StepPair
from learner.audits.code import Running, new_running, readings
from learner.audits.paths import plain
from learner.audits.programs import ROOT
from learner.audits.simple import Simple
from learner.models import Finding, Level

_WHO_MAY = re.compile(
    r"/etc/(?:passwd|shadow|group|gshadow|sudoers|doas\.conf|ld\.so\.preload|polkit-1/.*|pam\.d/.*|security/.*|ssh/sshd_config(?:\.d/.*)?)"
    r"|/etc/sudoers\.d/.*|.*/\.ssh/(?:authorized_keys2?|rc|environment)|/etc/ssh/authorized_keys.*|.*/\.rhosts"
)
_RUNS_LATER = re.compile(
    r"/etc/cron(?:tab|\.d/.*|\.(?:hourly|daily|weekly|monthly)/.*)|/var/spool/cron.*|(?:/etc|/usr/lib|/lib|/run)/systemd/system/.*"
    r"|/etc/init\.d/.*|/etc/rc\.local|/etc/profile(?:\.d/.*)?|.*/\.(?:bashrc|bash_profile|profile|zshrc)|/etc/udev/rules\.d/.*"
    r"|/etc/environment|/Library/Launch(?:Daemons|Agents)/.*|/etc/ld\.so\.conf.*|/etc/update-motd\.d/.*"
)
_ADMINS = re.compile(r"^(?:wheel|sudo|root|admin|adm|docker|lxd|disk|shadow|administrators)$", re.IGNORECASE)
_LOADER = re.compile(
    r"^(?:LD_PRELOAD|LD_LIBRARY_PATH|LD_AUDIT|PYTHONPATH|PERL5LIB|RUBYLIB|NODE_OPTIONS|BASH_ENV|ENV|PATH|GIT_SSH_COMMAND|PYTHONSTARTUP)$"
)
_POWERSHELL = re.compile(
    r"add-localgroupmember[^\n;|]*administrators|net\s+localgroup\s+administrators\s+\S+\s+/add|set-executionpolicy\s+(?:unrestricted|bypass)"
    r"|-verb\s+runas|new-localuser|net\s+user\s+\S+\s+\S+\s+/add|schtasks(?:\.exe)?\s+/create|register-scheduledtask|new-service",
    re.IGNORECASE,
)


class Privilege(Rule):
    """A step gets or gives more rights than the parent's steps had.

    `become` on a step that did without, `sudo` in commands, set-uid bits and file capabilities, users in
    administrators' groups, and writing to what decides who may do what (passwd, sudoers, PAM, authorized keys) or
    to what the host runs later by itself (cron, units, profiles).
    """

    name = "privilege"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        for pair in change.touched:
            yield from self._become(change, pair)
            for level, what in _written(change, pair):
                yield self.says(level, what, pair.where)
        for where, ran, _ in new_running(change):
            for level, what in _found(ran):
                yield self.says(level, what, where)

    def _become(self, change: Change, pair: StepPair) -> Iterator[Finding]:
        assert pair.new is not None
        if pair.new.become and not (pair.old and pair.old.become):
            others = any(step.become for step in change.old.runbook.all_steps)
            told = "the step runs with administrator's rights"
            if not others and not change.is_first:
                told += ", which no step of the parent has"
            shell = pair.new.action in ("run_script", "run_command")
            yield self.says(
                Level.BLOCK if change.by_machine and not others and shell else Level.WARNING, told, pair.where
            )


def _found(ran: Running) -> Iterator[tuple[Level, str]]:
    for command in ran.commands:
        if said := _one(command):
            yield said
        for operator, target in command.redirects:
            if operator.strip("0123456789&").startswith(">"):
                yield from _path(target)
        for name, value in command.variables:
            if _LOADER.match(name) and not (name == "PATH" and value.endswith(("$PATH", ":/usr/bin", "/usr/bin:/bin"))):
                yield Level.WARNING, f"sets {name}, which decides what code other programs load"
    for code in ran.codes:
        if code.language == "powershell" and (match := _POWERSHELL.search(code.text.replace("`", ""))):
            yield Level.BLOCK, f"gives administrator's rights: `{match[0]}`"


def _one(command: Simple) -> tuple[Level, str] | None:
    name, words, operands = command.name, command.words[1:], command.operands
    if name in ROOT:
        return Level.WARNING, f"asks for another user's rights by `{name}`, past `become`"
    if name == "chmod" and operands:
        mode = operands[0]
        if (re.fullmatch(r"0?[2-7][0-7]{3}", mode) and mode.zfill(4)[0] in "2467") or re.search(
            r"[ugoa]*[+=][rwxX]*s", mode
        ):
            return Level.BLOCK, "sets a set-uid or set-gid bit"
    if name == "install" and re.search(r"-m\s*0?[2467][0-7]{3}", str(command)):
        return Level.BLOCK, "sets a set-uid or set-gid bit"
    if name == "setcap":
        return Level.BLOCK, "gives a program rights of the kernel"
    if name in ("visudo", "vipw", "vigr"):
        return Level.BLOCK, "edits who may do what"
    if name in ("usermod", "gpasswd", "adduser", "useradd", "addgroup", "groupmems") or (name in ("dseditgroup", "pw")):
        groups = [part for word in words for part in word.split(",")]
        if any(_ADMINS.match(group) for group in groups) or (
            name in ("useradd", "usermod") and re.search(r"-u\s*0\b", str(command))
        ):
            return Level.BLOCK, "puts a user among the administrators"
        return (Level.WARNING, "adds or changes a user") if name in ("useradd", "adduser", "usermod") else None
    if name in ("passwd", "chpasswd", "newusers") and not command.options & {"S", "status"}:
        return Level.BLOCK, "sets a password"
    if name in ("ssh-copy-id",):
        return Level.BLOCK, "lets a key in"
    if name == "crontab" and not command.options & {"l"}:
        return Level.WARNING, "sets what the host runs later by itself"
    if name in ("systemctl",) and set(operands[:1]) & {"link", "edit", "enable"}:
        return Level.NOTICE, "sets what the host runs by itself"
    if name in ("aa-disable", "aa-complain", "aa-teardown", "apparmor_parser", "semanage", "setsebool"):
        return Level.WARNING, "loosens what programs are held to"
    if name in (
        "tee",
        "cp",
        "mv",
        "install",
        "ln",
        "sed",
        "ed",
        "dd",
        "rsync",
        "truncate",
        "chmod",
        "chown",
        "setfacl",
        "patch",
    ):
        targets = [word.removeprefix("of=") for word in operands]
        if name == "sed" and not any(re.match(r"-\w*i|--in-place", word) for word in words):
            return None
        if name in ("cp", "mv", "install", "ln", "rsync"):
            targets = targets[-1:]
        for target in targets:
            for said in _path(target):
                return said
    return None


def _path(path: str) -> Iterator[tuple[Level, str]]:
    text = plain(path)
    if _WHO_MAY.fullmatch(text):
        yield Level.BLOCK, f"writes to {text}, which decides who may do what"
    elif _RUNS_LATER.fullmatch(text):
        yield Level.WARNING, f"writes to {text}, which the host runs by itself"


def _written(change: Change, pair: StepPair) -> Iterator[tuple[Level, str]]:
    step = pair.new
    assert step is not None
    if step.action not in (
        "write_file",
        "ensure_line",
        "copy_file",
        "restore_file",
        "set_permissions",
        "create_directory",
    ):
        return
    field = "destination" if step.action == "copy_file" else "path"
    before: list[str] = []
    if pair.old and pair.old.action == step.action and pair.old.params == step.params:
        before = [str(p.get(field, "")) for p in readings(change.old.runbook, pair.old.params)]
    for params in readings(change.new.runbook, step.params):
        target = str(params.get(field, ""))
        if target not in before and step.action != "create_directory":
            yield from _path(target)
        mode = str(params.get("mode") or "")
        old_mode = str(pair.old.params.get("mode") or "") if pair.old else ""
        if re.fullmatch(r"0?[2467][0-7]{3}", mode) and mode != old_mode and step.action != "create_directory":
            yield Level.BLOCK, "sets a set-uid or set-gid bit"
        owner = str(params.get("owner") or "")
        if (
            step.action == "set_permissions"
            and owner.partition(":")[0] not in ("", "root")
            and _WHO_MAY.fullmatch(plain(target))
        ):
            yield Level.BLOCK, f"gives {target} to {owner}"
