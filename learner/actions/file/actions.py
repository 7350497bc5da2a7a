"""What a step can do to files and directories."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Protocol

from learner.actions.base import EVERYWHERE, UNKNOWN, Action, Capabilities, Outcome
from learner.actions.file import posix, windows
from learner.actions.file.probe import FileProbe, PathParams, facts_of, there
from learner.actions.host import Deadline, FileStat, Host
from learner.actions.paths import HostPath, flavour, misplaced, path_fields
from learner.facts import Facts, Path
from learner.strict import Matching, Strict

Mode = Annotated[str, Matching(r"[0-7]{3,4}", 'Octal permissions as a quoted string, such as "0755"')]
Owner = Annotated[
    str,
    Matching(
        r"[A-Za-z0-9_.$-]+(:[A-Za-z0-9_.$-]+)?|[A-Za-z0-9_.$ -]+\\[A-Za-z0-9_.$ -]+",
        r"user or user:group; on Windows also DOMAIN\user",
    ),
]
Group = Annotated[str, Matching(r"[A-Za-z0-9_.$-]+", "A group's name")]

SUFFIX = ".learner-backup"


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
    source: HostPath
    destination: HostPath


class BackupParams(PathParams):
    backup_dir: HostPath | None = None


class SetPermissionsParams(PathParams):
    mode: Mode | None = None
    owner: Owner | None = None
    group: Group | None = None


class EnsureLineParams(PathParams):
    line: Annotated[str, Matching(r"[^\n]*")]
    match: str | None = None
    """A text; the first line that starts with it is replaced instead of one being added."""


def backup_path(path: str, backup_dir: str | None) -> str:
    """Where the backup of `path` stands."""
    if backup_dir is None:
        return path + SUFFIX
    return str(flavour(backup_dir).join(backup_dir, flavour(path).basename(path) + SUFFIX))


class FileSystem(Protocol):
    """What a platform can do to files; the modules `posix` and `windows` are two."""

    def refusal(self, mode: str | None = None, owner: str | None = None, group: str | None = None) -> str | None:
        """Why the platform can't set what is asked for; None when it can."""
        ...

    def make_directory(self, host: Host, deadline: Deadline, path: str, mode: str | None = None) -> Outcome: ...
    def remove(self, host: Host, deadline: Deadline, path: str) -> Outcome: ...
    def copy(self, host: Host, deadline: Deadline, source: str, destination: str) -> Outcome: ...
    def permit(
        self, host: Host, deadline: Deadline, path: str, mode: str | None = None, owner: str | None = None,
        group: str | None = None,
    ) -> Outcome: ...  # fmt: skip
    def is_alive(self, host: Host, pid: int) -> bool: ...


def system_of(host: Host) -> FileSystem:
    """What the host's platform can do to files."""
    return windows if host.platform == "windows" else posix


class _FileAction(Action[Any]):
    Params: ClassVar[type[Strict]] = PathParams
    platforms = EVERYWHERE

    def reads(self, p: Any) -> tuple[Path, ...]:
        return (("files", p.path),)

    def capabilities(self, p: Any) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}))

    def run(self, p: Any, host: Host, deadline: Deadline) -> Outcome:
        asked = {name: getattr(p, name, None) for name in ("mode", "owner", "group")}
        refused = [misplaced(getattr(p, name), host.platform) for name in path_fields(type(p))]
        if why := next(filter(None, (*refused, system_of(host).refusal(**asked))), None):
            return Outcome.failed(f"refused: {why}")
        return self.work(p, host, deadline, system_of(host))

    @abstractmethod
    def work(self, p: Any, host: Host, deadline: Deadline, system: FileSystem) -> Outcome:
        """Do it on a host on which it can be done."""


class CreateDirectory(_FileAction):
    """Create a directory and its parents; set mode and owner."""

    name = "create_directory"
    Params = CreateDirectoryParams
    reversible = True

    def effects(self, p: CreateDirectoryParams, facts: Mapping[str, Any]) -> Facts | None:
        now = {("files", p.path, "exists"): True}
        return now | ({("files", p.path, "mode"): p.mode.zfill(4)} if p.mode else {})

    def work(self, p: CreateDirectoryParams, host: Host, deadline: Deadline, system: FileSystem) -> Outcome:
        done = system.make_directory(host, deadline, p.path, p.mode)
        if done.success and (p.mode or p.owner):
            done = system.permit(host, deadline, p.path, p.mode, p.owner)
        return done.seen(FileProbe(p.path).read(host, 5.0))


class RemoveFile(_FileAction):
    """Remove a file; with `only_if: stale_pid`, only when the process it names is gone."""

    name = "remove_file"
    Params = RemoveFileParams

    def effects(self, p: RemoveFileParams, facts: Mapping[str, Any]) -> Facts | None:
        return {} if there(p.path, facts) is False else {("files", p.path, "exists"): False}

    def work(self, p: RemoveFileParams, host: Host, deadline: Deadline, system: FileSystem) -> Outcome:
        found = host.stat(p.path)
        if found is None:
            return Outcome(
                True, stdout="nothing to remove", data={"removed": False}, facts=facts_of(p.path, None, host.platform)
            )
        if found.kind == "directory":
            return Outcome.failed(f"{p.path} is a directory", facts=facts_of(p.path, found, host.platform))
        if p.only_if == "stale_pid":
            text = host.read_file(p.path, 64).decode("utf-8", "replace").strip()
            if text.isdigit() and system.is_alive(host, int(text)):
                return Outcome.failed(
                    f"{p.path}: process {text} is alive",
                    data={"pid": int(text)},
                    facts=facts_of(p.path, found, host.platform),
                )
        done = system.remove(host, deadline, p.path)
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

    def work(self, p: WriteFileParams, host: Host, deadline: Deadline, system: FileSystem) -> Outcome:
        content = p.content.encode()
        found = host.stat(p.path)
        if found and found.size_bytes == len(content) and host.read_file(p.path, len(content) + 1) == content:
            if p.mode and found.mode != p.mode.zfill(4):
                return system.permit(host, deadline, p.path, p.mode).seen(FileProbe(p.path).read(host, 5.0))
            return Outcome(
                True, stdout="already so", data={"changed": False}, facts=facts_of(p.path, found, host.platform)
            )
        if found and p.backup:
            kept = system.copy(host, deadline, p.path, p.path + SUFFIX)
            if not kept.success:
                return kept
        host.write_file(p.path, content, p.mode or _mode(found, host))
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

    def work(self, p: CopyFileParams, host: Host, deadline: Deadline, system: FileSystem) -> Outcome:
        done = system.copy(host, deadline, p.source, p.destination)
        return done.seen(FileProbe(p.destination).read(host, 5.0))


class BackupFile(_FileAction):
    """Copy a file to its backup, beside it or in `backup_dir`."""

    name = "backup_file"
    Params = BackupParams

    def effects(self, p: BackupParams, facts: Mapping[str, Any]) -> Facts | None:
        return {("files", backup_path(p.path, p.backup_dir), "exists"): True}

    def capabilities(self, p: BackupParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path, backup_path(p.path, p.backup_dir)}))

    def work(self, p: BackupParams, host: Host, deadline: Deadline, system: FileSystem) -> Outcome:
        target = backup_path(p.path, p.backup_dir)
        if p.backup_dir and not (made := system.make_directory(host, deadline, p.backup_dir)).success:
            return made
        done = system.copy(host, deadline, p.path, target)
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

    def work(self, p: BackupParams, host: Host, deadline: Deadline, system: FileSystem) -> Outcome:
        done = system.copy(host, deadline, backup_path(p.path, p.backup_dir), p.path)
        return done.seen(FileProbe(p.path).read(host, 5.0))


class SetPermissions(_FileAction):
    """Set mode, owner or group of a file or directory."""

    name = "set_permissions"
    Params = SetPermissionsParams

    def effects(self, p: SetPermissionsParams, facts: Mapping[str, Any]) -> Facts | None:
        return {("files", p.path, "mode"): p.mode.zfill(4) if p.mode else UNKNOWN}

    def capabilities(self, p: SetPermissionsParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}), privileges=frozenset({"change permissions"}))

    def work(self, p: SetPermissionsParams, host: Host, deadline: Deadline, system: FileSystem) -> Outcome:
        done = system.permit(host, deadline, p.path, p.mode, p.owner, p.group)
        return done.seen(FileProbe(p.path).read(host, 5.0))


class EnsureLine(_FileAction):
    """Make sure that a file holds a line, replacing the first one that starts with `match`."""

    name = "ensure_line"
    Params = EnsureLineParams

    def effects(self, p: EnsureLineParams, facts: Mapping[str, Any]) -> Facts | None:
        return {("files", p.path): UNKNOWN, ("files", p.path, "exists"): True}

    def capabilities(self, p: EnsureLineParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}), privileges=frozenset({"write files"}))

    def work(self, p: EnsureLineParams, host: Host, deadline: Deadline, system: FileSystem) -> Outcome:
        found = host.stat(p.path)
        if found and found.size_bytes > 1 << 20:
            return Outcome.failed(f"{p.path} is larger than 1 MiB", facts=facts_of(p.path, found, host.platform))
        held = host.read_file(p.path) if found else b""
        if held.startswith((b"\xff\xfe", b"\xfe\xff")):
            return Outcome.failed(f"{p.path} is UTF-16", facts=facts_of(p.path, found, host.platform))
        text = with_line(held.decode("utf-8", "surrogateescape"), p.line, p.match, host.platform)
        if text is None:
            return Outcome(
                True, stdout="already so", data={"changed": False}, facts=facts_of(p.path, found, host.platform)
            )
        host.write_file(p.path, text.encode("utf-8", "surrogateescape"), _mode(found, host))
        return Outcome(True, data={"changed": True}, facts=FileProbe(p.path).read(host, 5.0))


def with_line(text: str, line: str, match: str | None, platform: str) -> str | None:
    """`text` with `line` in it, its line ends kept; None when it holds the line already."""
    windows_ends = text.count("\r\n") == text.count("\n") > 0 if text else platform == "windows"
    end = "\r\n" if windows_ends else "\n"
    body = text.removesuffix(end).split(end) if text else []
    if line in body:
        return None
    at = next((i for i, held in enumerate(body) if match and held.startswith(match)), None)
    if at is None:
        return end.join([*body, line]) + end
    return end.join([*body[:at], line, *body[at + 1 :]]) + (end if text.endswith(end) else "")


def _mode(found: FileStat | None, host: Host) -> str | None:
    return found.mode if found and host.platform != "windows" else None


ACTIONS: tuple[Action[Any], ...] = (
    CreateDirectory(), RemoveFile(), WriteFile(), CopyFile(), BackupFile(), RestoreFile(), SetPermissions(),
    EnsureLine(),
)  # fmt: skip
