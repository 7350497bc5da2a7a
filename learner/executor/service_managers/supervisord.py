"""supervisord, by way of `supervisorctl`; unprivileged ones with a socket of their own too."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from learner.actions.host import Completed, Host, ServiceStatus

# Source: Supervisor's manual, "Subprocesses", process states.
_STATES: dict[str, ServiceStatus] = {
    "RUNNING": "running",
    "STARTING": "stopped",
    "BACKOFF": "failed",
    "STOPPING": "running",
    "STOPPED": "stopped",
    "EXITED": "failed",
    "FATAL": "failed",
}

_STREAMS = ("stderr", "stdout")


@dataclass(frozen=True)
class Supervisord:
    """`config`: the supervisord.conf whose `[supervisorctl]` says where to connect; None for the usual place."""

    host: Host
    config: str | None = None
    kind: str = "supervisord"

    def status(self, name: str) -> ServiceStatus:
        done = self._control("status", name, timeout_seconds=10.0)
        words = done.stdout.split()
        return _STATES.get(words[1], "unknown") if len(words) > 1 and words[0] == name else "unknown"

    def start(self, name: str, timeout_seconds: float) -> Completed:
        return self._order("start", name, timeout_seconds, unless="already started")

    def stop(self, name: str, timeout_seconds: float) -> Completed:
        return self._order("stop", name, timeout_seconds, unless="not running")

    def restart(self, name: str, timeout_seconds: float) -> Completed:
        ends_at = time.monotonic() + timeout_seconds
        stopped = self.stop(name, timeout_seconds)
        return stopped if not stopped.success else self.start(name, max(0.1, ends_at - time.monotonic()))

    def reload(self, name: str, timeout_seconds: float) -> Completed:
        return self._order("signal", "HUP", timeout_seconds, name)

    def _order(self, verb: str, first: str, timeout_seconds: float, *rest: str, unless: str | None = None) -> Completed:
        name = rest[0] if rest else first
        earlier = {stream: self._log(name, stream) for stream in _STREAMS} if verb == "start" else {}
        done = self._control(verb, first, *rest, timeout_seconds=timeout_seconds)
        said = f"{done.stdout}\n{done.stderr}"
        if unless and unless in said:
            return replace(done, exit_code=0, timed_out=False)
        if done.success and "ERROR" not in said:
            return done
        # supervisorctl says "spawn error" and no more; why stands at the end of the process's own log. Some programs
        # (redis) write their errors to standard output, and what stood there before is another failure's.
        logs = (_since(earlier.get(stream, ""), self._log(name, stream)) for stream in _STREAMS)
        last = "\n".join(next((log for log in logs if log.strip()), "").strip().splitlines()[-15:])
        parts = [done.stdout.strip(), done.stderr.strip(), last]
        return replace(done, exit_code=done.exit_code or 1, stdout="", stderr="\n".join(part for part in parts if part))

    def _log(self, name: str, stream: str) -> str:
        """The end of a process's own log; empty when there is none."""
        log = self._control("tail", "-4000", name, stream, timeout_seconds=5.0)
        # The control program's own refusal, such as `web: ERROR (no log file)`, is no line of the log.
        if not log.success or log.stdout.startswith(f"{name}: ERROR"):
            return ""
        return log.stdout.removesuffix("\n")  # supervisorctl puts a line end after what it shows

    def _control(self, *words: str, timeout_seconds: float) -> Completed:
        where = ["-c", self.config] if self.config else []
        return self.host.run(["supervisorctl", *where, *words], timeout_seconds=timeout_seconds)


def _since(earlier: str, now: str) -> str:
    """What was added to a log of which the last part was `earlier` and is `now`."""
    if now.startswith(earlier):
        return now[len(earlier) :]
    known = earlier[-500:]
    at = now.find(known)
    return now[at + len(known) :] if at >= 0 else now
