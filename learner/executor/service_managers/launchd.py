"""launchd, by way of `launchctl`. Written against Apple's documentation, not run by this project's tests."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from learner.actions.host import Completed, Host, ServiceStatus

PAUSE_SECONDS = 0.5
"""Between two looks at a daemon that was told to end."""


@dataclass(frozen=True)
class Launchd:
    """System daemons (`system/<label>`). launchd gives orders without waiting for what becomes of them.

    Source: launchctl(1) of macOS.
    """

    host: Host
    kind: str = "launchd"

    def status(self, name: str) -> ServiceStatus:
        done = self.host.run(["launchctl", "print", f"system/{name}"], timeout_seconds=10.0)
        if not done.success:
            return "unknown"
        if re.search(r"(?m)^\s*state = running$", done.stdout):
            return "running"
        code = re.search(r"(?m)^\s*last exit code = (-?[0-9]+)", done.stdout)
        return "failed" if code and code[1] != "0" else "stopped"

    def start(self, name: str, timeout_seconds: float) -> Completed:
        return self._order(timeout_seconds, "kickstart", f"system/{name}")

    def stop(self, name: str, timeout_seconds: float) -> Completed:
        # A daemon with KeepAlive is started anew by launchd itself; whoever wants it gone must disable it.
        if self.status(name) in ("stopped", "failed"):
            return Completed(0, f"{name} is not running")
        ends_at = time.monotonic() + timeout_seconds
        done = self._order(timeout_seconds, "kill", "SIGTERM", f"system/{name}")
        while done.success and self.status(name) == "running":
            if time.monotonic() + PAUSE_SECONDS > ends_at:
                return Completed(1, stderr=f"{name} is still running", timed_out=True)
            time.sleep(PAUSE_SECONDS)
        return done

    def restart(self, name: str, timeout_seconds: float) -> Completed:
        return self._order(timeout_seconds, "kickstart", "-k", f"system/{name}")

    def reload(self, name: str, timeout_seconds: float) -> Completed:
        return self._order(timeout_seconds, "kill", "SIGHUP", f"system/{name}")

    def _order(self, timeout_seconds: float, *words: str) -> Completed:
        return self.host.run(["launchctl", *words], timeout_seconds=timeout_seconds)
