"""systemd, by way of `systemctl`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from learner.actions.host import Completed, Host, ServiceStatus
from learner.executor.service_managers.orders import Orders

_STATES: dict[str, ServiceStatus] = {
    "active": "running",
    "reloading": "running",
    "activating": "stopped",
    "deactivating": "stopped",
    "inactive": "stopped",
    "failed": "failed",
}


@dataclass(frozen=True)
class Systemd(Orders):
    """Source: systemctl(1), "show" and ActiveState in systemd(1)."""

    host: Host
    kind: str = "systemd"

    def status(self, name: str) -> ServiceStatus:
        argv = ["systemctl", "show", "--property=LoadState,ActiveState", "--", name]
        shown = self.host.run(argv, timeout_seconds=10.0)
        facts = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
        if not shown.success or facts.get("LoadState") in ("not-found", None):
            return "unknown"
        return _STATES.get(facts.get("ActiveState", ""), "unknown")

    def order(self, verb: str, name: str, timeout_seconds: float) -> Completed:
        done = self.host.run(["systemctl", verb, "--", name], timeout_seconds=timeout_seconds)
        if done.success:
            return done
        # systemctl itself only says "see journalctl"; why it failed stands in the unit's last lines.
        said = self.host.run(
            ["journalctl", "--unit", name, "--lines=15", "--no-pager", "--output=cat"], timeout_seconds=5.0
        )
        return replace(done, stderr=f"{done.stderr.rstrip()}\n{said.stdout.strip()}".strip())
