"""The ways hosts run services, behind one small interface (`actions.host.ServiceManager`)."""

from __future__ import annotations

from learner.actions.host import Host, HostError, ServiceManager
from learner.executor.service_managers.supervisord import Supervisord
from learner.executor.service_managers.systemd import Systemd


def choose(host: Host, kind: str = "auto", supervisor_config: str | None = None) -> ServiceManager:
    """The host's service manager: the one that is asked for, else the one that is running.

    Raises: `HostError` when there is none.
    """
    if kind == "supervisord" or (kind == "auto" and supervisor_config):
        return Supervisord(host, supervisor_config)
    if kind == "systemd":
        return Systemd(host)
    if host.stat("/run/systemd/system"):  # Source: sd_booted(3)
        return Systemd(host)
    if host.run(["supervisorctl", "version"], timeout_seconds=10.0).exit_code != 127:
        return Supervisord(host, None)
    raise HostError("there is no service manager here (neither systemd nor supervisord)", "missing")
