"""Child processes that end when they should: whole groups, bounded output, bounded time."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from learner.actions.host import Completed

HEAD_BYTES = 48 << 10
TAIL_BYTES = 16 << 10
GRACE_SECONDS = 2.0
"""Between asking a group to end and ending it; also how long a finished command's children may hold its output."""
_WINDOWS = sys.platform == "win32"


@dataclass
class Output:
    """The head and the tail of a stream, and how much between them was dropped."""

    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    dropped: int = 0

    def add(self, chunk: bytes) -> None:
        room = HEAD_BYTES - len(self.head)
        if room > 0:
            self.head += chunk[:room]
            chunk = chunk[room:]
        self.tail += chunk
        if (over := len(self.tail) - TAIL_BYTES) > 0:
            del self.tail[:over]
            self.dropped += over

    def text(self) -> str:
        """What was kept, with a line that tells what was not. Bytes that are no UTF-8 stand as `\\xNN`."""
        middle = f"\n… {self.dropped} bytes left out …\n".encode() if self.dropped else b""
        return (
            (bytes(self.head) + middle + bytes(self.tail)).decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
        )


def run(
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    stdin: str | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    kill: Callable[[int, int], None] | None = None,
    heard: Callable[[bytes], bool] = lambda _chunk: False,
) -> Completed:
    """The command's exit code and output. When its time is over or it is cancelled, its whole process group is ended.

    What a command that ended by itself leaves running in the background is left running: so services are started.
    `kill` sends a group, which this user may not signal, a signal's number. `heard` is given every
    piece of standard error and says whether the command counts as ended, though its process goes on. A program that does not exist gives 127, one that may not be run 126 (POSIX sh, "Exit Status for Commands").
    """
    in_session = _has_terminal()
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **env} if env else None,
            cwd=cwd,
            bufsize=0,
            start_new_session=in_session,
            process_group=None if in_session or _WINDOWS else 0,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    except FileNotFoundError as e:
        if cwd is not None and not os.path.isdir(cwd):
            return Completed(126, stderr=f"{cwd}: no such directory")
        return Completed(127, stderr=f"{argv[0]}: command not found" if e.filename in (argv[0], None) else str(e))
    except (PermissionError, OSError) as e:
        return Completed(126, stderr=f"{argv[0]}: {e.strerror}")
    out, err = Output(), Output()
    try:
        if _WINDOWS:
            timed_out = _pump_windows(process, out, err, stdin, timeout_seconds, cancelled)
        else:
            timed_out = _pump(process, out, err, stdin, timeout_seconds, cancelled, heard)
    finally:
        _end_group(process, kill)
    code = process.returncode if process.returncode is not None else -_KILL
    return Completed(
        code if code >= 0 else 128 - code, out.text(), err.text(), timed_out, dropped_bytes=out.dropped + err.dropped
    )


def _has_terminal() -> bool:
    """Whether this process has a terminal that a child could ask on, or be hung up with: it gets a session of its own then.

    Without one a process group does the same for less: on Linux each session is a scheduling group of its own, and
    on a busy machine that costs a short command as much again (Source: sched(7), "The autogroup feature").
    """
    if _WINDOWS:
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _pump(
    process: subprocess.Popen[bytes],
    out: Output,
    err: Output,
    stdin: str | None,
    timeout_seconds: float,
    cancelled: Callable[[], bool],
    heard: Callable[[bytes], bool],
) -> bool:
    """Move bytes until the command has ended and its output is read; whether the time ran out."""
    assert process.stdout
    assert process.stderr
    pending = memoryview((stdin or "").encode())
    ends_at = time.monotonic() + timeout_seconds
    # poll(2) needs no call of the system for each of the few descriptors, as epoll would.
    with selectors.PollSelector() as selector, _exit_of(process) as exit_fd:
        selector.register(process.stdout, selectors.EVENT_READ, out)
        selector.register(process.stderr, selectors.EVENT_READ, err)
        if process.stdin:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        if exit_fd is not None:
            selector.register(exit_fd, selectors.EVENT_READ, "exit")
        exited_at: float | None = None
        while len(selector.get_map()) > (exit_fd is not None):
            now = time.monotonic()
            if exited_at is None and exit_fd is None and process.poll() is not None:
                exited_at = now
            # A child left behind may hold the pipes open for ever; what it says later is not this command's.
            if exited_at is not None and now - exited_at > GRACE_SECONDS:
                return False
            if exited_at is None and (now >= ends_at or cancelled()):
                return now >= ends_at
            for key, _events in selector.select(min(0.1, max(0.0, ends_at - now)) if exited_at is None else 0.05):
                if key.data == "exit":
                    selector.unregister(key.fileobj)
                    exit_fd = None
                    continue
                if key.data is None:
                    try:
                        pending = pending[os.write(key.fd, pending[:65536]) :]
                    except BlockingIOError:
                        continue
                    except BrokenPipeError:
                        pending = pending[:0]
                    if not pending and process.stdin:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                    continue
                chunk = os.read(key.fd, 65536)
                if chunk:
                    key.data.add(chunk)
                    if key.data is err and heard(chunk) and exited_at is None:
                        exited_at = time.monotonic()
                else:
                    selector.unregister(key.fileobj)
        while process.poll() is None:
            if time.monotonic() >= ends_at:
                return True
            if cancelled():
                return False
            left = min(0.1, max(0.001, ends_at - time.monotonic()))
            if exit_fd is not None:
                selector.select(left)
            else:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(left)
    return False


@contextlib.contextmanager
def _exit_of(process: subprocess.Popen[bytes]) -> Iterator[int | None]:
    """A descriptor that can be read once the process has ended; None where the system has none (Source: pidfd_open(2)).

    Without it the end is noticed by looking again and again, up to half a millisecond late.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _pump_windows(
    process: subprocess.Popen[bytes],
    out: Output,
    err: Output,
    stdin: str | None,
    timeout_seconds: float,
    cancelled: Callable[[], bool],
) -> bool:
    """As `_pump`; pipes can't be selected on Windows, so `communicate` reads them, in slices to see a cancellation."""
    ends_at = time.monotonic() + timeout_seconds
    given = stdin.encode() if stdin is not None else None
    while True:
        try:
            stdout, stderr = process.communicate(given, timeout=min(0.5, max(0.01, ends_at - time.monotonic())))
        except subprocess.TimeoutExpired:
            given = None
            if time.monotonic() >= ends_at or cancelled():
                return time.monotonic() >= ends_at
            continue
        out.add(stdout)
        err.add(stderr)
        return False


def _end_group(process: subprocess.Popen[bytes], kill: Callable[[int, int], None] | None) -> None:
    """End everything the command started: ask first, then don't ask."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM, kill)
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            _signal(process, _KILL, kill)
            with contextlib.suppress(subprocess.TimeoutExpired):
                # Only a process that hangs in the kernel survives this; the run must not hang with it.
                process.wait(GRACE_SECONDS)
        _signal(process, _KILL, kill)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with contextlib.suppress(OSError):
                pipe.close()


_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


def _signal(process: subprocess.Popen[bytes], number: int, kill: Callable[[int, int], None] | None) -> None:
    if _WINDOWS:
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
        return
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        if kill:
            kill(process.pid, number)
