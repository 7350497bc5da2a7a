"""A Windows host over WinRM. Written against Microsoft's documentation; not run by this project's tests, which have no
Windows: they read the scripts with a grammar, and answer in a host's place.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from learner.actions.host import Completed, FileStat, HostError, HttpAnswer, ServiceManager
from learner.errors import LearnerError
from learner.executor.hosts import posix
from learner.executor.hosts import winrm_scripts as scripts
from learner.executor.hosts.processes import HEAD_BYTES, TAIL_BYTES, Output
from learner.executor.hosts.winrm_session import Asks, Session
from learner.executor.service_managers import choose
from learner.models.execution import HostFacts

_PATTERN = re.compile(
    r"winrm://(?:(?P<user>[^@/\s:]+)@)?(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*)(?::(?P<port>[0-9]{1,5}))?/?"
)
_KINDS = {
    "FileNotFoundException": "missing",
    "DirectoryNotFoundException": "missing",
    "ItemNotFoundException": "missing",
    "DriveNotFoundException": "missing",
    "UnauthorizedAccessException": "denied",
    "SecurityException": "denied",
}
# Source: Microsoft Learn, "System Error Codes": ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND, ERROR_ACCESS_DENIED; and
# ERROR_DISK_FULL as an HRESULT.
_NOT_FOUND, _DENIED, _DISK_FULL = (2, 3), 5, 0x80070070
_TIMED_OUT = 143


class WinRmHost:
    """A Windows host. `close` gives the connection up."""

    platform = "windows"

    def __init__(
        self, address: str, *, cancelled: Callable[[], bool] = lambda: False, session: Asks | None = None
    ) -> None:
        """`session` is another way to the host than a connection of its own.

        Raises: `LearnerError` when the extra is missing, the address is none, or the host can't be reached.
        """
        found = _PATTERN.fullmatch(address)
        if not found:
            raise LearnerError(
                f"{address} is no address of a host", "write winrm://user@host or winrm://user@host:port"
            )
        self.address = address
        self._services: ServiceManager | None = None
        port = int(found["port"]) if found["port"] else None
        self._session = session or Session(found["host"], port, found["user"], cancelled=cancelled)
        self._facts = self._ask(scripts.FACTS, 30.0)
        self.name = str(self._facts["name"]) or found["host"]

    def close(self) -> None:
        """Give the connection up."""
        self._session.close()

    @property
    def services(self) -> ServiceManager:
        if self._services is None:
            self._services = choose(self)
        return self._services

    def elevated(self) -> WinRmHost:
        # A WinRM session of an administrator is elevated already; there is no sudo to go through.
        return self

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: str | None = None,
    ) -> Completed:
        """Run a command without a shell; on the host a timeout ends its whole process tree."""
        said = self._session.ask(
            scripts.RUN, timeout_seconds + 15.0, Argv=list(argv), Environment=dict(env or {}), Directory=cwd,
            Given=stdin, Seconds=max(0.1, timeout_seconds),
        )  # fmt: skip
        if said is None:
            return Completed(_TIMED_OUT, timed_out=True)
        if said["code"]:
            if said.get("native") in _NOT_FOUND:
                return Completed(127, stderr=f"{argv[0]}: command not found")
            # 126 is POSIX sh's word for a program that is there and can't be run.
            return Completed(126 if said.get("native") == _DENIED else 125, stderr=f"{argv[0]}: {said.get('err')}")
        out, dropped = _capped(str(said.get("out") or ""))
        err, more = _capped(str(said.get("err") or ""))
        return Completed(int(said["exit"]) & 0xFFFFFFFF, out, err, bool(said.get("late")), dropped + more)

    def _ask(self, script: str, seconds: float, **values: Any) -> dict[str, Any]:
        """What a script gave.

        Raises: `HostError` with the host's words when it failed or took too long.
        """
        said = self._session.ask(script, seconds, **values)
        if said is None:
            raise HostError(f"{self.address}: timed out", "unreachable")
        if said["code"]:
            full = int(said.get("result") or 0) & 0xFFFFFFFF == _DISK_FULL
            raise HostError(str(said.get("err")), "full" if full else _KINDS.get(str(said.get("kind")), "other"))
        return said

    def read_file(self, path: str, limit_bytes: int = 1 << 20) -> bytes:
        return base64.b64decode(str(self._ask(scripts.READ, 60.0, Path=path, Limit=limit_bytes)["text"]))

    def write_file(self, path: str, content: bytes, mode: str | None = None) -> None:
        self._ask(scripts.WRITE, 60.0, Path=path, Text=base64.b64encode(content).decode())

    def stat(self, path: str) -> FileStat | None:
        try:
            said = self._ask(scripts.STAT, 30.0, Path=path)
        except HostError as e:
            if e.kind == "missing":
                return None
            raise
        # Windows has no octal permissions; what stands for them says nothing.
        kind = "directory" if said["folder"] else "file"
        return FileStat(kind, int(said["size"]), "0000", str(said["owner"]), float(said["modified"]))  # type: ignore[arg-type]

    def connect(self, address: str, port: int, timeout_seconds: float) -> str | None:
        milliseconds = int(timeout_seconds * 1000)
        try:
            said = self._ask(
                scripts.CONNECT, timeout_seconds + 10, Address=address, Port=port, Milliseconds=milliseconds
            )
        except HostError as e:
            if e.kind == "unreachable":
                raise
            words = str(e)
            return "connection refused" if "actively refused" in words else posix.reason(words) or words.lower()
        return None if said["open"] else "timed out"

    def http_get(self, url: str, timeout_seconds: float) -> HttpAnswer:
        try:
            said = self._ask(scripts.HTTP, timeout_seconds + 10, Url=url, Seconds=max(1, int(timeout_seconds)))
        except HostError as e:
            if e.kind == "unreachable":
                raise
            return HttpAnswer(None, error=posix.reason(str(e)) or str(e).lower())
        return HttpAnswer(int(said["status"]), str(said.get("body") or "")[: posix.BODY_BYTES])

    def resolve(self, name: str, timeout_seconds: float) -> list[str]:
        try:
            said = self._ask(scripts.RESOLVE, timeout_seconds + 5, Name=name)
        except HostError as e:
            if e.kind == "unreachable":
                raise
            return []
        return sorted(set(str(said.get("found") or "").split()))

    def facts(self) -> HostFacts:
        """What kind of machine it is."""
        return HostFacts(
            os_id="windows",
            os_version=str(self._facts["version"]),
            arch=str(self._facts["arch"]).lower(),
            service_manager="windows",
        )


def _capped(text: str) -> tuple[str, int]:
    """Head and tail of a text, and how many bytes between them were dropped."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= HEAD_BYTES + TAIL_BYTES:
        return text, 0
    kept = Output()
    kept.add(raw)
    return kept.text(), kept.dropped
