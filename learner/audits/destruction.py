"""Which commands destroy, program by program."""

from __future__ import annotations

import re

from learner.audits.paths import for_everybody, is_core, is_disk, plain, reach
from learner.audits.simple import Simple
from learner.models import Level

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
VITAL = re.compile(
    r"(?:systemd|init|launchd|sshd?|dbus|networking|network-?manager|networkd|systemd-\w+)(?:\.service)?", re.I
)
"""Services and processes that a host is reached or run by."""


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
        VITAL.fullmatch(o) for o in command.operands[1:]
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
        if (
            words.isdisjoint({"system", "volume"})
            and "image" in words
            and any(re.fullmatch(r"until=[0-9]+(?:\.[0-9]+)?[hm]", word) for word in command.words)
        ):
            return Level.WARNING, "removes images that no container uses and that are older than a time"
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
        VITAL.fullmatch(o) or o in (".", ".*") for o in command.operands
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
