"""A disk that stays full: the wrong mount was cleaned, too little, or it is inodes that are gone."""

from __future__ import annotations

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said
from learner.triage.claims import FULL_PERCENT, mount_of, mounts

_NO_SPACE = said(r"no space left on device", r"\bENOSPC\b", r"no free inodes", r"out of (?:free )?inodes")
SHUT_AFTER_FULL = said(r"cluster_block_exception", r"index read-only / allow delete", r"FORBIDDEN/12/")
"""A search engine's block on writing, set when its disk was full: it says 403, and no right is missing."""
_NOT_THE_DISK = said(
    r"(?:couldn't|could not|unable to) create .{0,80}(?:mutex|semaphore)", r"sem(?:get|ctl|op)\b", r"shmget\b", r"limit for number of file watchers",
    r"inotify (?:watch|instance)", r"max_user_(?:watches|instances)", r"too many (?:inotify )?watches",
)  # fmt: skip
_UNSAFE_FOR_ROTATION = said(r"parent directory has insecure permissions", r"insecure permissions .{0,200}rotat")
_GROWS_A_VOLUME = ("lvextend", "lvresize", "growpart", "parted", "sfdisk")
_GROWS_A_FILE_SYSTEM = ("resize2fs", "xfs_growfs", "fsadm", "btrfs", "--resizefs", "zpool")
_CLEANS = {
    "vacuum_journal": "/var/log/journal",
    "rotate_logs": "/var/log",
    "clean_package_cache": "/var/cache",
    "clean_directory": "",
    "remove_file": "",
}


def _full_still(seen: Seen) -> bool:
    if seen.check:
        return seen.check.check == "disk_usage_below"
    return bool(_NO_SPACE.search(seen.text)) or "disk" in seen.error.lower()


def _cleaned(seen: Seen) -> list[str]:
    """Paths in which its steps cleaned."""
    return [str(step.params.get("path") or _CLEANS[step.action] or "/") for step in seen.did(*_CLEANS)]


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def wrong_mount_cleaned(seen: Seen, case: Case) -> Sign | None:
    """Every path that was cleaned lies on another mount than the full one."""
    cleaned = _cleaned(seen)
    if not cleaned or not _full_still(seen):
        return None
    usage = {path: used for path, used, _ in mounts(seen.before) if used is not None}
    full = sorted(path for path, used in usage.items() if used >= FULL_PERCENT)
    on = {mount_of(path, list(usage)) for path in cleaned}
    if not full or on & set(full):
        return None
    return Sign(0.93, f"{full[0]} was {usage[full[0]]:g}% full; {', '.join(cleaned)} was cleaned, which lies on "
                f"{', '.join(sorted(mount or '/' for mount in on))}", seen.cite)  # fmt: skip


def backup_target_full(seen: Seen) -> str:
    """The full mount that a backup writes its own archives to; empty when it is another one, or no backup."""
    if "backup" not in seen.incident_type or not _NO_SPACE.search(seen.text):
        return ""
    words = " ".join([seen.spoken, *(str(seen.params.get(key, "")) for key in ("path", "destination", "backup_dir"))])
    return next(
        (
            path
            for path, used, _ in mounts(seen.before)
            if path != "/" and (used or 0) >= FULL_PERCENT and path in words
        ),
        "",
    )


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def backup_keeps_too_much(seen: Seen, case: Case) -> Sign | None:
    """A backup filled the mount of its own archives: it has to remove old ones before it writes another."""
    full = backup_target_full(seen)
    if not full:
        return None
    return Sign(0.9, f"{full}, where the archives are written to, is full of what earlier runs left", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def inodes_exhausted(seen: Seen, case: Case) -> Sign | None:
    """There is space but there are no inodes: many small files have to go, not large ones."""
    if not case.disk_is_its_business and not _NO_SPACE.search(seen.text):
        return None
    for path, used, inodes in mounts(seen.before):
        if inodes is not None and inodes >= 95 and (used is None or used < FULL_PERCENT):
            return Sign(
                0.95,
                f"{path} has {inodes:g}% of its inodes in use"
                + (f" and {used:g}% of its space" if used is not None else ""),
                seen.cite,
            )
    if seen.text and "inode" in seen.text.lower() and _NO_SPACE.search(seen.text):
        return Sign(0.8, f"inodes are what is short: “{seen.error.strip()[:160]}”", seen.cite)
    return None


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def cleaned_too_little(seen: Seen, case: Case) -> Sign | None:
    """The right mount was cleaned and is still full: what fills it is not what the runbook cleans."""
    cleaned = _cleaned(seen)
    if not cleaned or not _full_still(seen) or not case.disk_is_its_business:
        return None
    before = {path: used for path, used, _ in mounts(seen.before) if used is not None}
    after = {path: used for path, used, _ in mounts(seen.after) if used is not None}
    for mount in sorted({mount_of(path, list(before)) or "/" for path in cleaned}):
        if before.get(mount, 0) >= FULL_PERCENT and after.get(mount, 0) >= 80:
            return Sign(
                0.8,
                f"{mount} went from {before[mount]:g}% to {after[mount]:g}%: what fills it is not what was cleaned",
                seen.cite,
            )
    return None


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def shut_after_full_disk(seen: Seen, case: Case) -> Sign | None:
    """A store stopped taking writes when its disk was full, and does not start again by itself when there is room."""
    match = SHUT_AFTER_FULL.search(seen.text)
    if not match:
        return None
    return Sign(0.9, f"writing was blocked on a full disk and stays so: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def limit_not_disk(seen: Seen, case: Case) -> Sign | None:
    """What is used up is the kernel's (semaphores, file watches), though the words are those of a full disk."""
    match = _NOT_THE_DISK.search(seen.text)
    if not match or not _NO_SPACE.search(seen.text):
        return None
    if any(max(used or 0, inodes or 0) >= FULL_PERCENT for _, used, inodes in mounts(seen.before)):
        return None
    return Sign(
        0.9, f"a limit of the kernel is reached, the disk is not full: “{first_line(seen.text, match)}”", seen.cite
    )


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def rotation_distrusts(seen: Seen, case: Case) -> Sign | None:
    """Logs are not rotated in a directory that others may write to."""
    match = _UNSAFE_FOR_ROTATION.search(seen.text)
    if not match:
        return None
    return Sign(
        0.88, f"logs are left out because of their directory's mode: “{first_line(seen.text, match)}”", seen.cite
    )


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def volume_without_file_system(seen: Seen, case: Case) -> Sign | None:
    """A volume was made larger, and nothing told the file system on it."""
    if not seen.check or seen.check.check != "disk_usage_below":
        return None
    spoken = [
        " ".join(map(str, step.params.get("argv") or [step.params.get("script", "")]))
        for step in seen.did("run_command", "run_script")
    ]
    grown = next((text for text in spoken if any(tool in text.split() for tool in _GROWS_A_VOLUME)), "")
    told = any(tool in text for text in spoken for tool in _GROWS_A_FILE_SYSTEM) or " -r" in grown
    if not grown or told:
        return None
    return Sign(
        0.88, f"the volume grew, the file system on it did not: nothing tells it after “{grown[:80]}”", seen.cite
    )
