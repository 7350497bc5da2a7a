"""This machine."""

from __future__ import annotations

import errno
import os
import platform as platform_module
import shutil
import signal
import socket
import stat as stat_module
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib import error, request

from learner.actions.host import Completed, FileStat, HostError, HttpAnswer, ServiceManager
from learner.executor.hosts import posix, processes
from learner.executor.hosts.become import Become, body
from learner.executor.service_managers import choose
from learner.models.execution import HostFacts

_PLATFORMS = {"linux": "linux", "darwin": "darwin", "win32": "windows"}


class LocalHost:
    """The host this process runs on; `become` is put before commands that need an administrator's rights."""

    def __init__(
        self,
        *,
        name: str | None = None,
        service_manager: str = "auto",
        supervisor_config: str | None = None,
        become: Sequence[str] = ("sudo", "-n", "--"),
        become_password: str | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        is_elevated: bool = False,
    ) -> None:
        self.name = name or socket.gethostname()
        self.platform = _PLATFORMS.get(sys.platform, sys.platform)
        self._how = (service_manager, supervisor_config)
        self._become = Become(tuple(become), become_password)
        self._cancelled = cancelled
        self._elevated = is_elevated
        self._services: ServiceManager | None = None

    @property
    def services(self) -> ServiceManager:
        if self._services is None:
            self._services = choose(self, *self._how)
        return self._services

    def elevated(self) -> LocalHost:
        # Windows has no sudo to go through: the executor's own session is elevated, or the host says no.
        if self._elevated or self.platform == "windows" or (hasattr(os, "geteuid") and os.geteuid() == 0):
            return self
        manager, config = self._how
        return LocalHost(
            name=self.name,
            service_manager=manager,
            supervisor_config=config,
            become=self._become.words,
            become_password=self._become.password,
            cancelled=self._cancelled,
            is_elevated=True,
        )

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: str | None = None,
    ) -> Completed:
        if self._elevated:
            argv, stdin = self._become.raised(f"{body(argv, env or {}, cwd)}\n", stdin)
            env = cwd = None
        return processes.run(
            argv,
            timeout_seconds=max(0.01, timeout_seconds),
            env=env,
            cwd=cwd,
            stdin=stdin,
            cancelled=self._cancelled,
            kill=self._kill if self._elevated else None,
        )

    def _kill(self, group: int, number: int) -> None:
        """Processes of another user can only be ended the way they were begun."""
        # By name: some shells take no `--` after a number (Source: POSIX, kill).
        name = signal.Signals(number).name.removeprefix("SIG")
        argv, stdin = self._become.raised(f"kill -s {name} -- -{group}\n")
        processes.run(argv, timeout_seconds=processes.GRACE_SECONDS, stdin=stdin)

    def read_file(self, path: str, limit_bytes: int = 1 << 20) -> bytes:
        if self._elevated:
            return posix.read_file(self, path, limit_bytes)
        try:
            with open(path, "rb") as file:
                return file.read(limit_bytes)
        except OSError as e:
            raise _refusal(path, e) from e

    def write_file(self, path: str, content: bytes, mode: str | None = None) -> None:
        if self._elevated:
            posix.write_file(self, path, content, mode)
            return
        target = Path(path)
        try:
            handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(temporary, int(mode, 8) if mode else 0o644)
                os.replace(temporary, target)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as e:
            raise _refusal(path, e) from e

    def stat(self, path: str) -> FileStat | None:
        if self._elevated:
            return posix.stat(self, path)
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as e:
            raise _refusal(path, e) from e
        kind = (
            "directory"
            if stat_module.S_ISDIR(found.st_mode)
            else "file"
            if stat_module.S_ISREG(found.st_mode)
            else "other"
        )
        return FileStat(
            kind,  # type: ignore[arg-type]
            found.st_size,
            f"{stat_module.S_IMODE(found.st_mode):04o}",
            _owner(found.st_uid),
            found.st_mtime,
        )

    def connect(self, address: str, port: int, timeout_seconds: float) -> str | None:
        try:
            with socket.create_connection((address, port), timeout=max(0.05, timeout_seconds)):
                return None
        except TimeoutError:
            return "timed out"
        except OSError as e:
            return (e.strerror or str(e)).lower()

    def http_get(self, url: str, timeout_seconds: float) -> HttpAnswer:
        asked = request.Request(url, headers={"User-Agent": "learner"})  # noqa: S310 the model allows http and https only
        # A proxy of the environment would answer for the wrong machine: this host is the one that is looked at.
        opener = request.build_opener(request.ProxyHandler({}))
        try:
            with opener.open(asked, timeout=max(0.05, timeout_seconds)) as answer:
                return HttpAnswer(answer.status, answer.read(posix.BODY_BYTES).decode("utf-8", "replace"))
        except error.HTTPError as e:
            with e:
                return HttpAnswer(e.code, e.read(posix.BODY_BYTES).decode("utf-8", "replace"))
        except error.URLError as e:
            return HttpAnswer(None, error=_words(e.reason))
        except (TimeoutError, OSError, ValueError) as e:
            return HttpAnswer(None, error=_words(e))
        except Exception as e:  # http.client raises its own family for nonsense on the wire
            return HttpAnswer(None, error=f"{type(e).__name__}: {e}")

    def resolve(self, name: str, timeout_seconds: float) -> list[str]:
        # getaddrinfo has no time limit of its own; getent in a bounded process has.
        if shutil.which("getent"):
            done = self.run(["getent", "ahosts", name], timeout_seconds=timeout_seconds)
            return sorted({line.split()[0] for line in done.stdout.splitlines() if line.split()})
        try:
            return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, None)})
        except socket.gaierror:
            return []

    def close(self) -> None:
        """Nothing is held open."""

    def facts(self) -> HostFacts:
        """What kind of machine it is."""
        try:
            release = platform_module.freedesktop_os_release()
        except OSError:
            release = {}
        try:
            manager: str | None = self.services.kind
        except HostError:
            manager = None
        return HostFacts(
            os_id=release.get("ID") or self.platform,
            os_version=release.get("VERSION_ID") or platform_module.release(),
            arch=platform_module.machine(),
            service_manager=manager,
        )


def _owner(uid: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return str(uid)


def _words(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return "timed out"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return str(reason)


def _refusal(path: str, e: OSError) -> HostError:
    kind = {errno.ENOENT: "missing", errno.EACCES: "denied", errno.EPERM: "denied", errno.ENOSPC: "full"}
    return HostError(f"{path}: {(e.strerror or str(e)).lower()}", kind.get(e.errno or 0, "other"))
