"""systemd, by way of `systemctl`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from learner.actions.host import Completed, Host, ServiceStatus

_STATES: dict[str, ServiceStatus] = {
    "active": "running",
    "reloading": "running",
    "activating": "stopped",
    "deactivating": "stopped",
    "inactive": "stopped",
    "failed": "failed",
}


@dataclass(frozen=True)
class Systemd:
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

    def start(self, name: str, timeout_seconds: float) -> Completed:
        return self._order("start", name, timeout_seconds)

    def stop(self, name: str, timeout_seconds: float) -> Completed:
        return self._order("stop", name, timeout_seconds)

    def restart(self, name: str, timeout_seconds: float) -> Completed:
        return self._order("restart", name, timeout_seconds)

    def reload(self, name: str, timeout_seconds: float) -> Completed:
        return self._order("reload", name, timeout_seconds)

    def _order(self, verb: str, name: str, timeout_seconds: float) -> Completed:
        done = self.host.run(["systemctl", verb, "--", name], timeout_seconds=timeout_seconds)
        if done.success:
            return done
        # systemctl itself only says "see journalctl"; why it failed stands in the unit's last lines.
        said = self.host.run(
            ["journalctl", "--unit", name, "--lines=15", "--no-pager", "--output=cat"], timeout_seconds=5.0
        )
        return replace(done, stderr=f"{done.stderr.rstrip()}\n{said.stdout.strip()}".strip())
