"""A host over SSH, by way of people's own OpenSSH client: their config, agent, jump hosts and known_hosts hold.

One multiplexed connection a run. The far side needs POSIX sh and the small programs that come with it, nothing of ours.
What a command is, with its parameters and environment, travels on its standard input: an argument list can be read
by everybody on the far side.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shlex
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from learner.actions.host import Completed, FileStat, HostError, HttpAnswer, ServiceManager
from learner.errors import LearnerError
from learner.executor.hosts import posix, processes
from learner.executor.hosts.become import LOADER, Become, body, loaded
from learner.executor.service_managers import choose
from learner.models.execution import HostFacts

CONNECT_SECONDS = 15
SSH_FAILED = 255
"""The exit code of ssh when the connection failed, not the command (Source: ssh(1), EXIT STATUS)."""

_PATTERN = re.compile(
    r"ssh://(?:(?P<user>[^@/\s:]+)@)?(?P<host>\[[0-9A-Za-z:.%]+\]|[A-Za-z0-9][A-Za-z0-9._-]*)(?::(?P<port>[0-9]{1,5}))?/?"
)


class SshHost:
    """A POSIX host behind `ssh`. Opened when it is made; `close` gives the connection up."""

    def __init__(
        self,
        address: str,
        *,
        service_manager: str = "auto",
        supervisor_config: str | None = None,
        become: Sequence[str] = ("sudo", "-n", "--"),
        become_password: str | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        options: Sequence[str] = (),
    ) -> None:
        """`options` are more `-o` settings for ssh, such as `UserKnownHostsFile=/path`.

        Raises: `LearnerError` when the address is none, or the host can't be reached; it repeats ssh's own words.
        """
        self.address = address
        self._target = target(address)
        self._options = tuple(options)
        self._become = Become(tuple(become), become_password)
        self._cancelled = cancelled
        self._how = (service_manager, supervisor_config)
        self._services: ServiceManager | None = None
        # A control socket's path has room for some hundred characters (Source: unix(7)).
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="learner-ssh-"))
        except OSError as e:
            raise LearnerError(f"no temporary folder can be made: {e.strerror}", "free some space in /tmp") from e
        self._elevated = False
        self._is_root = False
        try:
            self._open()
            self._facts, self.platform, self.name, self._is_root = posix.facts(self)
        except HostError as e:
            self.close()
            raise LearnerError(
                f"{address}: {e}", "try `ssh` to it by hand; keys, config and known_hosts are the client's own"
            ) from e
        except BaseException:
            self.close()
            raise

    # ---- the connection

    @property
    def _base(self) -> list[str]:
        more = [word for option in self._options for word in ("-o", option)]
        return [
            "ssh", "-T", "-S", str(self._folder / "c"), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
            "-o", f"ConnectTimeout={CONNECT_SECONDS}", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3",
            "-o", "LogLevel=ERROR", "-o", "ForwardAgent=no", "-o", "ForwardX11=no", "-o", "PermitLocalCommand=no",
            "-o", "RequestTTY=no", "-o", "ClearAllForwardings=yes", *more,
        ]  # fmt: skip

    def _open(self) -> None:
        """Start the master of the connection. It goes to the background once it is authenticated."""
        if shutil.which("ssh") is None:
            raise HostError("the OpenSSH client is not installed", "missing")
        argv = [*self._base, "-o", "ControlMaster=yes", "-o", "ControlPersist=60", "-N", "-f", *self._target]
        done = processes.run(argv, timeout_seconds=2.0 * CONNECT_SECONDS, cancelled=self._cancelled)
        if not done.success:
            words = done.stderr.strip().splitlines()
            raise HostError(words[-1] if words else "ssh could not connect", "unreachable")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            processes.run([*self._base, "-O", "exit", *self._target], timeout_seconds=5.0)
        shutil.rmtree(self._folder, ignore_errors=True)

    # ---- commands

    @property
    def services(self) -> ServiceManager:
        if self._services is None:
            self._services = choose(self, *self._how)
        return self._services

    def elevated(self) -> SshHost:
        if self._elevated or self._is_root:
            return self
        other = SshHost.__new__(SshHost)
        other.__dict__ |= {**self.__dict__, "_elevated": True, "_services": None}
        return other

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: str | None = None,
    ) -> Completed:
        mark = f"learner-{secrets.token_hex(6)}"
        script = _script(mark, argv, env or {}, cwd)
        argv, given = self._raised(script, stdin)
        group = _Group(mark)
        done = processes.run(
            [*self._base, *self._target, shlex.join(argv)], timeout_seconds=max(0.01, timeout_seconds), stdin=given,
            cancelled=self._cancelled, heard=group.heard,
        )  # fmt: skip
        ended = group.ended(done)
        if ended is not None:
            return ended
        if group.pid is not None:
            self._end(group.pid)
        if done.timed_out or self._cancelled():
            return group.cut(done)
        if group.pid is None and self._elevated and done.exit_code != SSH_FAILED:
            return Completed(done.exit_code, done.stdout, done.stderr)  # sudo said no
        words = group.cut(done).stderr.strip().splitlines()
        raise HostError(f"{self.address}: {words[-1] if words else 'the connection was lost'}", "unreachable")

    def _end(self, pid: int) -> None:
        """End the far side's process group: ask first, then don't ask."""
        script = (
            f'g=$(ps -o pgid= -p {pid} 2>/dev/null | tr -d " "); [ -n "$g" ] || exit 0; kill -TERM "-$g" 2>/dev/null; '
            f'n=0; while [ $n -lt {int(processes.GRACE_SECONDS)} ] && kill -0 "-$g" 2>/dev/null; do sleep 1; n=$((n+1)); done; '
            'kill -KILL "-$g" 2>/dev/null; exit 0'
        )
        argv, given = self._raised(f"{script}\n", None)
        far = [*self._base, *self._target, shlex.join(argv)]
        processes.run(far, timeout_seconds=processes.GRACE_SECONDS + 8.0, stdin=given)

    def _raised(self, script: str, stdin: str | None) -> tuple[list[str], str]:
        """The words for the far side that run `script`, with the rights that are wanted, and what they read."""
        if self._elevated:
            return self._become.raised(script, stdin)
        return ["sh", "-c", LOADER], loaded(script, stdin)

    # ---- what actions ask

    def read_file(self, path: str, limit_bytes: int = 1 << 20) -> bytes:
        return posix.read_file(self, path, limit_bytes)

    def write_file(self, path: str, content: bytes, mode: str | None = None) -> None:
        posix.write_file(self, path, content, mode)

    def stat(self, path: str) -> FileStat | None:
        return posix.stat(self, path)

    def connect(self, address: str, port: int, timeout_seconds: float) -> str | None:
        return posix.connect(self, address, port, timeout_seconds)

    def http_get(self, url: str, timeout_seconds: float) -> HttpAnswer:
        return posix.http_get(self, url, timeout_seconds)

    def resolve(self, name: str, timeout_seconds: float) -> list[str]:
        return posix.resolve(self, name, timeout_seconds)

    def facts(self) -> HostFacts:
        """What kind of machine it is."""
        try:
            manager: str | None = self.services.kind
        except HostError:
            manager = None
        return self._facts.model_copy(update={"service_manager": manager})


class _Group:
    """What a running command says of itself on standard error: its process, and how it ended."""

    def __init__(self, mark: str) -> None:
        self.pid: int | None = None
        self._begin = re.compile(rf"{mark}-begin ([0-9]+)\n".encode())
        self._end = re.compile(rf"\n?{mark}-end ([0-9]+)\n".encode())
        self._seen = bytearray()
        self._lock = threading.Lock()

    def heard(self, chunk: bytes) -> bool:
        """Whether the command has ended; `chunk` is the next of its standard error."""
        with self._lock:
            self._seen += chunk
            if self.pid is None and (found := self._begin.search(self._seen)):
                self.pid = int(found[1])
            over = self._end.search(self._seen) is not None
            del self._seen[:-200]
            return over

    def ended(self, done: Completed) -> Completed | None:
        """The command's own end, without our marks; None when it did not come to it."""
        marks = list(re.finditer(self._end.pattern.decode(), done.stderr))
        if not marks:
            return None
        found = marks[-1]
        rest = done.stderr[: found.start()] + done.stderr[found.end() :]
        return Completed(int(found[1]), done.stdout, self._without(rest), False, done.dropped_bytes)

    def cut(self, done: Completed) -> Completed:
        """The end that was made to it, without our marks."""
        code = 128 + 15
        return Completed(code, done.stdout, self._without(done.stderr), done.timed_out, done.dropped_bytes)

    def _without(self, words: str) -> str:
        return re.sub(self._begin.pattern.decode(), "", words, count=1)


def _script(mark: str, argv: Sequence[str], env: Mapping[str, str], cwd: str | None) -> str:
    """The command as a script that tells its process id first and its exit code last."""
    # The shell's own remarks ("Killed") are none of the command's words.
    lines = [f'printf "{mark}-begin %s\\n" "$$" >&2', "exec 3>&2 2>/dev/null"]
    lines.append("( " + body(argv, env, cwd) + " ) 2>&3 3>&-")
    lines.append(f'c=$?; printf "\\n{mark}-end %s\\n" "$c" >&3; exit "$c"')
    return "\n".join(lines) + "\n"


def target(address: str) -> list[str]:
    """The words that name the host to `ssh`.

    Raises: `LearnerError` when `address` is no `ssh://[user@]host[:port]`.
    """
    found = _PATTERN.fullmatch(address)
    if not found or urlsplit(address).password:
        raise LearnerError(f"{address} is no address of a host", "write ssh://user@host or ssh://user@host:port")
    words = ["-p", found["port"]] if found["port"] else []
    if found["user"]:
        words += ["-l", found["user"]]
    # `--` keeps a name that begins with a dash from being read as an option.
    return [*words, "--", found["host"].strip("[]")]
