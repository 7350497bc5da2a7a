"""SysV init scripts, by way of `service`."""

from __future__ import annotations

from dataclasses import dataclass

from learner.actions.host import Completed, Host, ServiceStatus
from learner.executor.service_managers.orders import Orders

# Source: Linux Standard Base 5.0, Core, "Init Script Actions", exit codes of `status`.
_STATES: dict[int, ServiceStatus] = {0: "running", 1: "failed", 2: "failed", 3: "stopped"}


@dataclass(frozen=True)
class SysV(Orders):
    """What an init script says of itself is all that is known; many of them say little."""

    host: Host
    kind: str = "sysv"

    def status(self, name: str) -> ServiceStatus:
        done = self.order("status", name, 10.0)
        if done.timed_out or "unrecognized service" in done.stdout + done.stderr:
            return "unknown"
        return _STATES.get(done.exit_code, "unknown")

    def order(self, verb: str, name: str, timeout_seconds: float) -> Completed:
        return self.host.run(["service", name, verb], timeout_seconds=timeout_seconds)
