"""The ways hosts run services, behind one small interface (`actions.host.ServiceManager`)."""

from __future__ import annotations

from learner.actions.host import Host, HostError, ServiceManager
from learner.executor.service_managers.launchd import Launchd
from learner.executor.service_managers.supervisord import Supervisord
from learner.executor.service_managers.systemd import Systemd
from learner.executor.service_managers.sysv import SysV
from learner.executor.service_managers.windows import WindowsServices


def choose(host: Host, kind: str = "auto", supervisor_config: str | None = None) -> ServiceManager:
    """The host's service manager: the one that is asked for, else the one that is running.

    Raises: `HostError` when there is none.
    """
    if kind == "supervisord" or (kind == "auto" and supervisor_config):
        return Supervisord(host, supervisor_config)
    if kind == "systemd":
        return Systemd(host)
    if kind == "sysv":
        return SysV(host)
    if kind == "windows" or (kind == "auto" and host.platform == "windows"):
        return WindowsServices(host)
    if kind == "launchd" or (kind == "auto" and host.platform == "darwin"):
        return Launchd(host)
    if host.stat("/run/systemd/system"):  # Source: sd_booted(3)
        return Systemd(host)
    if host.run(["supervisorctl", "version"], timeout_seconds=10.0).exit_code != 127:
        return Supervisord(host, None)
    # Before sysv is taken for granted: a container has init scripts too, but then it also has what runs them.
    if host.stat("/sbin/init") and host.run(["service", "--version"], timeout_seconds=10.0).exit_code != 127:
        return SysV(host)
    raise HostError("there is no service manager here (none of systemd, supervisord, SysV init scripts)", "missing")
