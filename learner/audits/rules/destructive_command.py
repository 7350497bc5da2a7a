"""Commands and actions that destroy what nobody gets back."""

from __future__ import annotations

import re
from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule, StepPair
from learner.audits.code import new_running, readings
from learner.audits.paths import for_everybody, is_core, is_disk, plain, reach
from learner.audits.programs import Code
from learner.audits.shell import Simple
from learner.models import Finding, Level

_SQL = re.compile(
    r"\b(?:drop\s+(?:table|database|schema|user|role|tablespace)|truncate\s+(?:table\s+)?\w|delete\s+from\s+[\w.\"`]+\s*(?:;|$|[\"']))",
    re.IGNORECASE,
)
_SQL_CLIENTS = frozenset(
    {
        "psql",
        "mysql",
        "mariadb",
        "sqlite3",
        "sqlcmd",
        "mongo",
        "mongosh",
        "redis-cli",
        "cqlsh",
        "clickhouse-client",
        "su",
    }
)
_NO_SQL = re.compile(r"\bdropDatabase\b|\.drop\(\)|\bflushall\b|\bflushdb\b", re.IGNORECASE)
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
_KUBERNETES = frozenset(
    {
        "namespace",
        "namespaces",
        "ns",
        "node",
        "nodes",
        "pv",
        "pvc",
        "persistentvolumeclaim",
        "crd",
        "deployment",
        "statefulset",
        "sts",
    }
)
_STANDS_ON = re.compile(
    r"/|/(?:etc|home|root|opt|srv|var)|/(?:usr|boot|bin|sbin|lib|lib64|dev|proc|sys)(?:/.*)?|/etc/(?:ssh|pam\.d|ssl)(?:/.*)?"
)
_VITAL = re.compile(
    r"(?:systemd|init|launchd|sshd?|dbus|networking|network-?manager|networkd|systemd-\w+)(?:\.service)?", re.I
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


def dangerous(command: Simple) -> tuple[Level, str] | None:
    """How grave a command is and what it does; None when it is harmless."""
    for operator, target in command.redirects:
        if operator.strip("0123456789&") in (">", ">|") and (
            is_disk(target) or (is_core(target) and not _kernel(target))
        ):
            return Level.BLOCK, f"overwrites {target}"
    by_program = _PROGRAMS.get(command.name) or (_mkfs if command.name.startswith("mkfs") else None)
    return by_program(command) if by_program else None


def _kernel(path: str) -> bool:
    # Knobs of the running kernel are set by writing to them; nothing is lost.
    return plain(path).startswith(("/proc/sys/", "/sys/"))


def _rm(command: Simple) -> tuple[Level, str] | None:
    recursive = bool(command.options & {"r", "R", "recursive"}) or command.name in ("rimraf", "srm")
    if "no-preserve-root" in command.options:
        return Level.BLOCK, "removes the root of the file system"
    worst: tuple[Level, str] | None = None
    for operand in command.operands:
        for target in operand.split() or [operand]:
            graded = _removed(target, recursive)
            if graded and (worst is None or graded[0].rank > worst[0].rank):
                worst = graded
    return worst


def _removed(target: str, recursive: bool) -> tuple[Level, str] | None:
    if is_core(target):
        return Level.BLOCK, f"removes {plain(target)}"
    if not recursive:
        globbed = re.search(r"[*?]", target) and reach(target) == "wide" and not re.search(r"/[^/]*[^/*][^/]*$", target)
        return (Level.BLOCK, f"removes everything in {target}") if globbed else None
    if target == "$(xargs)":
        return Level.BLOCK, "removes whatever it is handed, with all that is below"
    match reach(target):
        case "wide":
            return Level.BLOCK, f"removes {target} with all that is below"
        case "unknown":
            return Level.BLOCK, f"removes a directory that nothing bounds ({target})"
        case "narrow":
            return Level.WARNING, f"removes {target} with all that is below"
    return None


def _mkfs(command: Simple) -> tuple[Level, str] | None:
    return Level.BLOCK, "formats a disk"


def _dd(command: Simple) -> tuple[Level, str] | None:
    for word in command.words[1:]:
        if word.startswith("of=") and (is_disk(word[3:]) or is_core(word[3:]) or "$" in word or "{{" in word):
            return Level.BLOCK, f"writes over {word[3:]}"
    return None


def _wipe(command: Simple) -> tuple[Level, str] | None:
    if command.name in ("shred", "wipe", "srm") and not any(
        is_disk(o) or reach(o) in ("wide", "unknown") for o in command.operands
    ):
        return Level.WARNING, "destroys files for good"
    if command.name in ("fdisk", "parted", "gdisk") and command.options & {"l", "list"}:
        return None
    return Level.BLOCK, "wipes a disk or its partitions"


def _chmod(command: Simple) -> tuple[Level, str] | None:
    mode, *targets = command.operands or ("",)
    everybody = bool(re.fullmatch(r"[0-7]?[0-7]?[0-7][2367]|[ao]*[+=]\w*w\w*|.*o[+=]\w*w.*|.*a[+=]\w*w.*", mode))
    recursive = bool(command.options & {"R", "recursive"})
    wide = any(reach(target) in ("wide", "unknown") for target in targets)
    if everybody and (recursive or any(is_core(t) for t in targets)):
        return Level.BLOCK, "gives everybody the right to write"
    if recursive and wide:
        return Level.BLOCK, "changes the rights of a whole system directory"
    if everybody and not any(for_everybody(t) for t in targets):
        return Level.WARNING, "gives everybody the right to write"
    return None


def _chown(command: Simple) -> tuple[Level, str] | None:
    wide = any(reach(target) in ("wide", "unknown") and not _of_one_service(target) for target in command.operands[1:])
    recursive = bool(command.options & {"R", "recursive"})
    return (Level.BLOCK, "changes the owner of a whole system directory") if recursive and wide else None


def _of_one_service(path: str) -> bool:
    return bool(re.fullmatch(r"/(?:var/lib|opt|srv|etc|var/log|var/www)/[^/*$]+(?:/.*)?", plain(path)))


def _find(command: Simple) -> tuple[Level, str] | None:
    if "-delete" not in command.words:
        return None
    places = []
    for word in command.words[1:]:
        if word.startswith(("-", "(", "!")):
            break
        places.append(word)
    filters = {
        word
        for word in command.words
        if word in ("-name", "-iname", "-mtime", "-mmin", "-size", "-regex", "-path", "-newer", "-atime")
    }
    for place in places or ["."]:
        found = reach(place)
        if for_everybody(place) and filters:
            continue
        if found == "wide" and (not filters or plain(place).count("/") <= 1 or is_core(place + "/x")):
            return Level.BLOCK, f"deletes what it finds under {place}"
        if found == "unknown":
            return Level.BLOCK, f"deletes what it finds under a directory that nothing bounds ({place})"
        if not filters:
            return Level.WARNING, f"deletes everything under {place}"
    return None


def _firewall(command: Simple) -> tuple[Level, str] | None:
    words = {word.lower() for word in command.words[1:]}
    if command.name in ("iptables", "ip6tables", "ebtables", "iptables-legacy", "iptables-nft"):
        open_wide = "-P" in command.words and "accept" in words and any(w in words for w in ("input", "forward"))
        if set(command.words) & {"-F", "--flush", "-X", "--delete-chain"} or open_wide:
            return Level.BLOCK, "throws the firewall's rules away"
    elif command.name == "nft" and {"flush", "ruleset"} <= words:
        return Level.BLOCK, "throws the firewall's rules away"
    elif command.name == "ufw" and words & {"disable", "reset"}:
        return Level.BLOCK, "turns the firewall off"
    elif command.name == "setenforce" and words & {"0", "permissive"}:
        return Level.BLOCK, "turns SELinux off"
    return None


def _users(command: Simple) -> tuple[Level, str] | None:
    return Level.BLOCK, "removes or locks a user"


def _passwd(command: Simple) -> tuple[Level, str] | None:
    return (
        (Level.BLOCK, "removes or locks a user's password") if command.options & {"d", "l", "delete", "lock"} else None
    )


def _power(command: Simple) -> tuple[Level, str] | None:
    if command.name == "shutdown" and command.options & {"c", "k"}:
        return None
    if command.name in ("init", "telinit") and not set(command.operands) & {"0", "6", "1", "S"}:
        return None
    return Level.BLOCK, "turns the host off or on again"


def _systemctl(command: Simple) -> tuple[Level, str] | None:
    verbs = {"poweroff", "reboot", "halt", "kexec", "rescue", "emergency", "isolate", "hibernate", "suspend"}
    if set(command.operands) & verbs:
        return Level.BLOCK, "turns the host off or on again"
    if set(command.operands[:1]) & {"mask", "disable", "stop", "kill"} and any(
        _VITAL.fullmatch(o) for o in command.operands[1:]
    ):
        return Level.BLOCK, "takes away what the host is reached or run by"
    return None


def _kubectl(command: Simple) -> tuple[Level, str] | None:
    words = set(command.operands)
    if "delete" in words:
        grave = words & _KUBERNETES or command.options & {"all", "A", "all-namespaces"} or "all" in words
        pod = words & {"pod", "pods", "po", "job", "jobs"} and not grave
        return (Level.WARNING, "deletes a pod") if pod else (Level.BLOCK, "deletes objects of the cluster")
    if "drain" in words:
        return Level.WARNING, "drains a node"
    return None


def _docker(command: Simple) -> tuple[Level, str] | None:
    words = set(command.operands)
    if "prune" in words:
        grave = command.options & {"a", "all", "volumes"} or "volume" in words or "system" in words
        return (
            (Level.BLOCK, "removes containers, images or volumes")
            if grave
            else (Level.WARNING, "removes unused objects")
        )
    if "volume" in words and words & {"rm", "remove"}:
        return Level.BLOCK, "removes a volume with its data"
    if words & {"down"} and command.options & {"v", "volumes", "rmi"}:
        return Level.BLOCK, "removes volumes with their data"
    if command.options & {"privileged"} and words & {"run"}:
        return Level.BLOCK, "runs a container with all rights over the host"
    return None


def _storage(command: Simple) -> tuple[Level, str] | None:
    words = set(command.operands)
    if command.name in (
        "zfs",
        "zpool",
        "btrfs",
        "mdadm",
        "rados",
        "ceph",
        "aws",
        "gcloud",
        "az",
        "terraform",
        "helm",
        "virsh",
    ):
        grave = {"destroy", "labelclear", "delete", "rb", "purge", "uninstall", "undefine", "terminate-instances"}
        if not (words & grave or command.options & {"zero-superblock"}):
            return None
    return Level.BLOCK, "removes storage or what runs on it"


def _truncate(command: Simple) -> tuple[Level, str] | None:
    if any(
        is_core(operand) or (reach(operand) == "wide" and not re.search(r"\.(log|out|err)$|/log/", operand))
        for operand in command.operands
    ):
        return Level.BLOCK, "cuts a system's file to nothing"
    return None


def _overwriting(command: Simple) -> tuple[Level, str] | None:
    target = command.operands[-1] if command.operands else ""
    if target and (is_disk(target) or plain(target) in ("/etc/passwd", "/etc/shadow", "/etc/fstab", "/etc/group")):
        return Level.BLOCK, f"overwrites {target}"
    if command.name == "mv" and any(reach(o) == "wide" and plain(o).count("/") <= 1 for o in command.operands[:-1]):
        return Level.BLOCK, "moves a system directory away"
    if command.name == "mv" and target == "/dev/null":
        return Level.BLOCK, "moves files into nothing"
    return None


def _rsync(command: Simple) -> tuple[Level, str] | None:
    deletes = any(option.startswith("delete") for option in command.options)
    if deletes and command.operands and reach(command.operands[-1]) in ("wide", "unknown"):
        return Level.BLOCK, f"deletes what is in {command.operands[-1]}"
    return None


def _kill(command: Simple) -> tuple[Level, str] | None:
    if any(operand in ("1", "-1") for operand in command.words[1:][-1:]) and command.name == "kill":
        return Level.BLOCK, "signals the first process, or all of them"
    if command.name in ("pkill", "killall", "skill") and any(
        _VITAL.fullmatch(o) or o in (".", ".*") for o in command.operands
    ):
        return Level.BLOCK, "kills what the host is run by"
    return None


def _packages(command: Simple) -> tuple[Level, str] | None:
    verbs = {"remove", "purge", "autoremove", "erase", "-R", "-e", "del", "uninstall"}
    hit = set(command.words[1:]) & verbs
    if hit - {"autoremove"} and command.name != "pip":
        return Level.WARNING, "removes packages"
    return None


def _sql_client(command: Simple) -> tuple[Level, str] | None:
    text = " ".join([*command.words, command.stdin, *(" ".join(c.words) for c in command.upstream)])
    if _SQL.search(text) or _NO_SQL.search(text):
        return Level.BLOCK, "destroys data in a database"
    return None


def _crontab(command: Simple) -> tuple[Level, str] | None:
    return (Level.BLOCK, "removes a crontab") if command.options & {"r"} else None


_PROGRAMS = {
    **dict.fromkeys(("rm", "unlink", "rmdir", "rimraf", "del", "erase", "rd"), _rm),
    **dict.fromkeys(("wipefs", "fdisk", "sfdisk", "parted", "sgdisk", "gdisk", "blkdiscard", "hdparm", "shred", "wipe", "srm", "badblocks", "cryptsetup", "format"), _wipe),
    **dict.fromkeys(("userdel", "deluser", "groupdel", "delgroup"), _users),
    **dict.fromkeys(("shutdown", "reboot", "poweroff", "halt", "init", "telinit"), _power),
    **dict.fromkeys(("iptables", "ip6tables", "iptables-legacy", "iptables-nft", "ebtables", "nft", "ufw", "setenforce"), _firewall),
    **dict.fromkeys(("kubectl", "oc"), _kubectl),
    **dict.fromkeys(("docker", "podman", "docker-compose", "nerdctl"), _docker),
    **dict.fromkeys(("lvremove", "vgremove", "pvremove", "zfs", "zpool", "btrfs", "mdadm", "rados", "ceph", "aws", "gcloud", "az", "terraform", "helm", "virsh"), _storage),
    **dict.fromkeys(("mv", "cp", "tee", "install"), _overwriting),
    **dict.fromkeys(("kill", "pkill", "killall", "skill"), _kill),
    **dict.fromkeys(("apt", "apt-get", "yum", "dnf", "zypper", "apk", "pacman", "dpkg", "rpm", "brew"), _packages),
    **dict.fromkeys(("dropdb", "mysqladmin-drop"), lambda _: (Level.BLOCK, "destroys data in a database")),
    **dict.fromkeys(_SQL_CLIENTS, _sql_client),
    "mke2fs": _mkfs, "mkswap": _mkfs, "newfs": _mkfs, "dd": _dd, "chmod": _chmod, "chown": _chown, "chgrp": _chown,
    "find": _find, "systemctl": _systemctl, "truncate": _truncate, "rsync": _rsync, "passwd": _passwd, "crontab": _crontab,
}  # fmt: skip


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
            case "kill_process" if params.get("pid") == 1 or _VITAL.fullmatch(str(params.get("name") or "")):
                yield Level.BLOCK, "kills what the host is run by"
            case "stop_service" if _VITAL.fullmatch(str(params.get("name") or "")):
                yield Level.BLOCK, "stops what the host is reached or run by"


def _shown(command: Simple) -> str:
    text = " ".join(str(command).split())
    return text if len(text) <= 100 else text[:99] + "…"
