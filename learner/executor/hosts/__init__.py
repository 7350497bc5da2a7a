"""The machines a runbook can run on, each an implementation of `actions.host.Host`."""

from __future__ import annotations

from typing import Protocol

from learner.actions.host import Host
from learner.errors import LearnerError
from learner.executor.cancel import Cancellation
from learner.models.execution import HostFacts
from learner.settings import HostSettings

LOCAL = "local"


class OpenHost(Host, Protocol):
    """A host that is connected to."""

    def elevated(self) -> OpenHost:
        """The same host with an administrator's rights."""
        ...

    def facts(self) -> HostFacts:
        """What kind of machine it is."""
        ...

    def close(self) -> None:
        """Give the connection up."""
        ...


def open_host(
    address: str, settings: HostSettings, cancelled: Cancellation, become_password: str | None = None
) -> OpenHost:
    """The host at `address`: `local`, `ssh://[user@]host[:port]` or `winrm://[user@]host[:port]`.

    `become_password` is what sudo is given there when it asks.

    Raises: `LearnerError` when there is no such kind of address, or it can't be reached.
    """
    if address == LOCAL:
        from learner.executor.hosts.local import LocalHost

        return LocalHost(
            name=settings.hostname,
            service_manager=settings.service_manager,
            supervisor_config=settings.supervisor_config,
            become=settings.become,
            become_password=become_password,
            cancelled=cancelled,
        )
    if address.startswith("ssh://"):
        from learner.executor.hosts.ssh import SshHost

        return SshHost(
            address,
            service_manager=settings.service_manager,
            supervisor_config=settings.supervisor_config,
            become=settings.become,
            become_password=become_password,
            cancelled=cancelled,
            options=settings.ssh_options,
        )
    if address.startswith("winrm://"):
        from learner.executor.hosts.winrm import WinRmHost

        return WinRmHost(address, cancelled=cancelled)
    raise LearnerError(f"{address} is no address of a host", "use local, ssh://user@host[:port] or winrm://user@host")
