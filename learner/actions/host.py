"""What an action may ask of the machine it works on. Rooms above implement it (`executor/hosts`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

ServiceStatus = Literal["running", "stopped", "failed", "unknown"]


class HostError(Exception):
    """The host could not do what was asked; `kind` is `missing`, `denied`, `unreachable`, `full` or `other`."""

    def __init__(self, message: str, kind: str = "other") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Completed:
    """A command that ended, or was ended. Output is text: bytes that are no UTF-8 stand as `\\xNN`."""

    exit_code: int
    stdout: str = ""
    stderr: str = ""
    timed_out: bool = False
    dropped_bytes: int = 0
    """How much of the output was left out between its head and its tail."""

    @property
    def success(self) -> bool:
        return self.exit_code == 0 and not self.timed_out


@dataclass(frozen=True)
class FileStat:
    """One file: `mode` as four octal digits, `modified_at` in seconds since the epoch."""

    kind: Literal["file", "directory", "other"]
    size_bytes: int
    mode: str
    owner: str
    modified_at: float


@dataclass(frozen=True)
class HttpAnswer:
    """What an address answered: its status, or `error` when there was no answer. `body` is its first 64 KiB."""

    status: int | None
    body: str = ""
    error: str | None = None


class ServiceManager(Protocol):
    """The host's way to run services; one small interface over systemd, supervisord and others."""

    @property
    def kind(self) -> str: ...
    def status(self, name: str) -> ServiceStatus: ...
    def start(self, name: str, timeout_seconds: float) -> Completed: ...
    def stop(self, name: str, timeout_seconds: float) -> Completed: ...
    def restart(self, name: str, timeout_seconds: float) -> Completed: ...
    def reload(self, name: str, timeout_seconds: float) -> Completed: ...


class Host(Protocol):
    """A machine. Every method is bounded in time and raises `HostError` when the machine says no."""

    name: str
    platform: str

    @property
    def services(self) -> ServiceManager: ...

    def elevated(self) -> Host:
        """The same host with administrator's rights (`sudo -n`)."""
        ...

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: str | None = None,
    ) -> Completed:
        """Run a command without a shell. A program that does not exist gives exit code 127, as in POSIX sh."""
        ...

    def read_file(self, path: str, limit_bytes: int = 1 << 20) -> bytes:
        """The first `limit_bytes` of a file."""
        ...

    def write_file(self, path: str, content: bytes, mode: str | None = None) -> None:
        """Write a file whole or not at all (a new file renamed over the old one)."""
        ...

    def stat(self, path: str) -> FileStat | None:
        """What stands at `path`, links followed; None when nothing does."""
        ...

    def connect(self, address: str, port: int, timeout_seconds: float) -> str | None:
        """None when a TCP connection from this host succeeds, else why not."""
        ...

    def http_get(self, url: str, timeout_seconds: float) -> HttpAnswer: ...

    def resolve(self, name: str, timeout_seconds: float) -> list[str]:
        """The addresses of a name; empty when it has none."""
        ...


@dataclass(frozen=True)
class Deadline:
    """A budget of time that can be waited in, and that ends early when the run is cancelled."""

    ends_at: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    cancelled: Callable[[], bool] = field(default=lambda: False)

    @classmethod
    def after(cls, seconds: float, **how: Callable[..., object]) -> Deadline:
        clock = how.get("clock", time.monotonic)
        return cls(clock() + seconds, **how)  # type: ignore[operator, arg-type]

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return 0.0 if self.cancelled() else max(0.0, self.ends_at - self.clock())

    def pause(self, seconds: float) -> bool:
        """Wait, at most to the end; whether there is time left afterwards."""
        until = min(self.clock() + seconds, self.ends_at)
        while (left := until - self.clock()) > 0 and not self.cancelled():
            self.sleep(min(left, 0.25))
        return self.remaining() > 0
