"""Files and directories."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from learner.actions.base import POSIX, UNKNOWN, Action, Capabilities, Check, Outcome, Probe
from learner.actions.host import Deadline, FileStat, Host, HostError
from learner.facts import Facts, Path, get
from learner.strict import Matching, Strict

AbsolutePath = Annotated[str, Matching(r"[/~A-Za-z][^\x00\n]*", "A path on the host")]
Mode = Annotated[str, Matching(r"[0-7]{3,4}", 'Octal permissions as a quoted string, such as "0755"')]
Owner = Annotated[str, Matching(r"[A-Za-z0-9_.$-]+(:[A-Za-z0-9_.$-]+)?", "user or user:group")]
Group = Annotated[str, Matching(r"[A-Za-z0-9_.$-]+", "A group's name")]

SUFFIX = ".learner-backup"


class PathParams(Strict):
    path: AbsolutePath


class CreateDirectoryParams(PathParams):
    mode: Mode | None = None
    owner: Owner | None = None


class RemoveFileParams(PathParams):
    only_if: Literal["exists", "stale_pid"] = "exists"


class WriteFileParams(PathParams):
    content: str
    mode: Mode | None = None
    backup: bool = True


class CopyFileParams(Strict):
    source: AbsolutePath
    destination: AbsolutePath


class BackupParams(PathParams):
    backup_dir: AbsolutePath | None = None


class SetPermissionsParams(PathParams):
    mode: Mode | None = None
    owner: Owner | None = None
    group: Group | None = None


class EnsureLineParams(PathParams):
    line: Annotated[str, Matching(r"[^\n]*")]
    match: str | None = None
    """A text; the first line that starts with it is replaced instead of one being added."""


@dataclass(frozen=True)
class FileProbe(Probe):
    """`files.<path>`: exists, size_bytes, mode, modified_at (seconds since the epoch)."""

    path: str

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("files", self.path),)

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        at = ("files", self.path)
        try:
            found = host.stat(self.path)
        except HostError:
            return {(*at, "exists"): UNKNOWN}
        return facts_of(self.path, found)


def facts_of(path: str, found: FileStat | None) -> Facts:
    """The facts of a file that was looked at."""
    at = ("files", path)
    if found is None:
        return {(*at, "exists"): False}
    facts: Facts = {
        (*at, "exists"): True,
        (*at, "mode"): found.mode,
        (*at, "modified_at"): round(found.modified_at),
    }
    if found.kind == "file":
        facts[(*at, "size_bytes")] = found.size_bytes
    return facts


def _there(path: str, state: Mapping[str, Any]) -> bool | None:
    value = get(state, ("files", path, "exists"), UNKNOWN)
    return None if value == UNKNOWN else bool(value)


def _command(host: Host, deadline: Deadline, *argv: str) -> Outcome:
    return Outcome.of(host.run(argv, timeout_seconds=deadline.remaining()))


def backup_path(path: str, backup_dir: str | None) -> str:
    """Where the backup of `path` stands."""
    return posixpath.join(backup_dir, posixpath.basename(path) + SUFFIX) if backup_dir else path + SUFFIX


class _FileAction(Action[Any]):
    Params: ClassVar[type[Strict]] = PathParams
    platforms = POSIX

    def reads(self, p: Any) -> tuple[Path, ...]:
        return (("files", p.path),)

    def capabilities(self, p: Any) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}))


class CreateDirectory(_FileAction):
    """Create a directory and its parents; set mode and owner."""

    name = "create_directory"
    Params = CreateDirectoryParams
    reversible = True

    def effects(self, p: CreateDirectoryParams, facts: Mapping[str, Any]) -> Facts | None:
        now = {("files", p.path, "exists"): True}
        return now | ({("files", p.path, "mode"): p.mode.zfill(4)} if p.mode else {})

    def run(self, p: CreateDirectoryParams, host: Host, deadline: Deadline) -> Outcome:
        done = _command(host, deadline, "mkdir", "-p", *(["-m", p.mode] if p.mode else []), "--", p.path)
        if done.success and p.mode:
            done = _command(host, deadline, "chmod", p.mode, "--", p.path)
        if done.success and p.owner:
            done = _command(host, deadline, "chown", p.owner, "--", p.path)
        return done.seen(FileProbe(p.path).read(host, 5.0))


class RemoveFile(_FileAction):
    """Remove a file; with `only_if: stale_pid`, only when the process it names is gone."""

    name = "remove_file"
    Params = RemoveFileParams

    def effects(self, p: RemoveFileParams, facts: Mapping[str, Any]) -> Facts | None:
        return {} if _there(p.path, facts) is False else {("files", p.path, "exists"): False}

    def run(self, p: RemoveFileParams, host: Host, deadline: Deadline) -> Outcome:
        found = host.stat(p.path)
        if found is None:
            return Outcome(True, stdout="nothing to remove", data={"removed": False}, facts=facts_of(p.path, None))
        if found.kind == "directory":
            return Outcome.failed(f"{p.path} is a directory", facts=facts_of(p.path, found))
        if p.only_if == "stale_pid":
            text = host.read_file(p.path, 64).decode("utf-8", "replace").strip()
            if text.isdigit() and host.run(["ps", "-p", text, "-o", "pid="], timeout_seconds=5.0).success:
                return Outcome.failed(
                    f"{p.path}: process {text} is alive",
                    data={"pid": int(text)},
                    facts=facts_of(p.path, found),
                )
        done = _command(host, deadline, "rm", "-f", "--", p.path)
        return Outcome(done.success, done.stdout, done.stderr, done.exit_code, {"removed": done.success}).seen(
            FileProbe(p.path).read(host, 5.0)
        )


class WriteFile(_FileAction):
    """Write a file whole; the old one is kept beside it unless `backup` is false."""

    name = "write_file"
    Params = WriteFileParams
    reversible = True

    def effects(self, p: WriteFileParams, facts: Mapping[str, Any]) -> Facts | None:
        at = ("files", p.path)
        return {
            (*at, "exists"): True,
            (*at, "size_bytes"): len(p.content.encode()),
            (*at, "modified_at"): UNKNOWN,
        }

    def capabilities(self, p: WriteFileParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}), privileges=frozenset({"write files"}))

    def run(self, p: WriteFileParams, host: Host, deadline: Deadline) -> Outcome:
        content = p.content.encode()
        found = host.stat(p.path)
        if found and found.size_bytes == len(content) and host.read_file(p.path, len(content) + 1) == content:
            if p.mode and found.mode != p.mode.zfill(4):
                return _command(host, deadline, "chmod", p.mode, "--", p.path).seen(FileProbe(p.path).read(host, 5.0))
            return Outcome(True, stdout="already so", data={"changed": False}, facts=facts_of(p.path, found))
        if found and p.backup:
            kept = _command(host, deadline, "cp", "-p", "--", p.path, p.path + SUFFIX)
            if not kept.success:
                return kept
        host.write_file(p.path, content, p.mode or (found.mode if found else None))
        return Outcome(True, data={"changed": True}, facts=FileProbe(p.path).read(host, 5.0))


class CopyFile(_FileAction):
    """Copy a file, keeping mode and times."""

    name = "copy_file"
    Params = CopyFileParams

    def reads(self, p: CopyFileParams) -> tuple[Path, ...]:
        return (("files", p.source), ("files", p.destination))

    def effects(self, p: CopyFileParams, facts: Mapping[str, Any]) -> Facts | None:
        return {("files", p.destination): UNKNOWN, ("files", p.destination, "exists"): True}

    def capabilities(self, p: CopyFileParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.source, p.destination}))

    def run(self, p: CopyFileParams, host: Host, deadline: Deadline) -> Outcome:
        done = _command(host, deadline, "cp", "-p", "--", p.source, p.destination)
        return done.seen(FileProbe(p.destination).read(host, 5.0))


class BackupFile(_FileAction):
    """Copy a file to its backup, beside it or in `backup_dir`."""

    name = "backup_file"
    Params = BackupParams

    def effects(self, p: BackupParams, facts: Mapping[str, Any]) -> Facts | None:
        return {("files", backup_path(p.path, p.backup_dir), "exists"): True}

    def capabilities(self, p: BackupParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path, backup_path(p.path, p.backup_dir)}))

    def run(self, p: BackupParams, host: Host, deadline: Deadline) -> Outcome:
        target = backup_path(p.path, p.backup_dir)
        if p.backup_dir and not (made := _command(host, deadline, "mkdir", "-p", "--", p.backup_dir)).success:
            return made
        done = _command(host, deadline, "cp", "-p", "--", p.path, target)
        return done.seen(FileProbe(target).read(host, 5.0))


class RestoreFile(_FileAction):
    """Copy a file's backup back over it."""

    name = "restore_file"
    Params = BackupParams

    def reads(self, p: BackupParams) -> tuple[Path, ...]:
        return (("files", p.path), ("files", backup_path(p.path, p.backup_dir)))

    def effects(self, p: BackupParams, facts: Mapping[str, Any]) -> Facts | None:
        return {("files", p.path): UNKNOWN, ("files", p.path, "exists"): True}

    def capabilities(self, p: BackupParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path, backup_path(p.path, p.backup_dir)}))

    def run(self, p: BackupParams, host: Host, deadline: Deadline) -> Outcome:
        done = _command(host, deadline, "cp", "-p", "--", backup_path(p.path, p.backup_dir), p.path)
        return done.seen(FileProbe(p.path).read(host, 5.0))


class SetPermissions(_FileAction):
    """Set mode, owner or group of a file or directory."""

    name = "set_permissions"
    Params = SetPermissionsParams

    def effects(self, p: SetPermissionsParams, facts: Mapping[str, Any]) -> Facts | None:
        return {("files", p.path, "mode"): p.mode.zfill(4) if p.mode else UNKNOWN}

    def capabilities(self, p: SetPermissionsParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}), privileges=frozenset({"change permissions"}))

    def run(self, p: SetPermissionsParams, host: Host, deadline: Deadline) -> Outcome:
        done = Outcome(True, stdout="nothing asked for")
        for wanted, command in ((p.mode, "chmod"), (p.owner, "chown"), (p.group, "chgrp")):
            if wanted and done.success:
                done = _command(host, deadline, command, wanted, "--", p.path)
        return done.seen(FileProbe(p.path).read(host, 5.0))


class EnsureLine(_FileAction):
    """Make sure that a file holds a line, replacing the first one that starts with `match`."""

    name = "ensure_line"
    Params = EnsureLineParams

    def effects(self, p: EnsureLineParams, facts: Mapping[str, Any]) -> Facts | None:
        return {("files", p.path): UNKNOWN, ("files", p.path, "exists"): True}

    def capabilities(self, p: EnsureLineParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}), privileges=frozenset({"write files"}))

    def run(self, p: EnsureLineParams, host: Host, deadline: Deadline) -> Outcome:
        found = host.stat(p.path)
        if found and found.size_bytes > 1 << 20:
            return Outcome.failed(f"{p.path} is larger than 1 MiB", facts=facts_of(p.path, found))
        old = host.read_file(p.path).decode("utf-8", "surrogateescape") if found else ""
        lines = old.split("\n")
        end = "\n" if old.endswith("\n") or not old else ""
        body = lines[:-1] if old.endswith("\n") or not old else lines
        if p.line in body:
            return Outcome(True, stdout="already so", data={"changed": False}, facts=facts_of(p.path, found))
        at = next((i for i, line in enumerate(body) if p.match and line.startswith(p.match)), None)
        body = [*body, p.line] if at is None else [*body[:at], p.line, *body[at + 1 :]]
        text = "\n".join(body) + (end or ("\n" if at is None else ""))
        host.write_file(p.path, text.encode("utf-8", "surrogateescape"), found.mode if found else None)
        return Outcome(True, data={"changed": True}, facts=FileProbe(p.path).read(host, 5.0))


class _FileCheck(Check[PathParams]):
    Params = PathParams
    platforms = POSIX

    def probe(self, p: PathParams) -> Probe:
        return FileProbe(p.path)

    def capabilities(self, p: PathParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}))


class FileExists(_FileCheck):
    """Something stands at the path."""

    name = "file_exists"

    def holds(self, p: PathParams, state: Mapping[str, Any]) -> bool | None:
        return _there(p.path, state)


class FileAbsent(_FileCheck):
    """Nothing stands at the path."""

    name = "file_absent"

    def holds(self, p: PathParams, state: Mapping[str, Any]) -> bool | None:
        found = _there(p.path, state)
        return None if found is None else not found


ACTIONS = (
    CreateDirectory(), RemoveFile(), WriteFile(), CopyFile(), BackupFile(), RestoreFile(), SetPermissions(),
    EnsureLine(),
)  # fmt: skip
CHECKS = (FileExists(), FileAbsent())
