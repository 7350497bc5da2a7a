"""Services: what the host's service manager starts, stops and watches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from learner.actions.base import EVERYWHERE, UNKNOWN, Action, Capabilities, Check, Outcome, Probe, until
from learner.actions.host import Completed, Deadline, Host, HostError
from learner.facts import Facts, Path, get
from learner.strict import Matching, Strict

ServiceName = Annotated[
    str, Matching(r"[A-Za-z0-9@._:$\\-]+", "A service's name, such as nginx, postgresql@15-main or MSSQL$PROD")
]

# A service that comes or goes takes its ports, endpoints and processes with it; which ones is not known here.
_FOLLOWS: Facts = {("ports",): UNKNOWN, ("endpoints",): UNKNOWN, ("processes",): UNKNOWN}
_RESOLVERS = frozenset({
    "systemd-resolved", "NetworkManager", "systemd-networkd", "networking", "network", "wicked", "dnsmasq",
    "nscd", "unbound", "named", "bind9", "pdns-recursor", "Dnscache", "DNS",
})  # fmt: skip
"""Services that names are resolved by, or that say by whom they are."""


class ServiceParams(Strict):
    name: ServiceName


class WaitForServiceParams(ServiceParams):
    status: Literal["running", "stopped"] = "running"


@dataclass(frozen=True)
class ServiceProbe(Probe):
    """`services.<name>`: running, stopped, failed or unknown."""

    name: str

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("services", self.name),)

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        try:
            status: str = host.services.status(self.name)
        except HostError:
            status = UNKNOWN
        return {("services", self.name): status}


def _is(name: str, wanted: str, state: Mapping[str, Any]) -> bool | None:
    status = get(state, ("services", name), UNKNOWN)
    if status == UNKNOWN:
        return None
    return bool(status == wanted or (wanted == "stopped" and status == "failed"))


class _ServiceAction(Action[ServiceParams]):
    Params = ServiceParams
    platforms = EVERYWHERE

    def reads(self, p: ServiceParams) -> tuple[Path, ...]:
        return (("services", p.name),)

    def capabilities(self, p: ServiceParams) -> Capabilities:
        return Capabilities(services=frozenset({p.name}))


class CheckServiceStatus(_ServiceAction):
    """Read a service's status into `data.status`."""

    name = "check_service_status"
    read_only = True

    def run(self, p: ServiceParams, host: Host, deadline: Deadline) -> Outcome:
        facts = ServiceProbe(p.name).read(host, deadline.remaining())
        status = facts["services", p.name]
        return Outcome(status != UNKNOWN, stdout=status, data={"status": status}, facts=facts)


class _Command(_ServiceAction):
    """An action that is one order to the service manager."""

    leaves: str

    def effects(self, p: ServiceParams, facts: Mapping[str, Any]) -> Facts | None:
        if get(facts, ("services", p.name)) == self.leaves and self.name in ("start_service", "stop_service"):
            return {}
        names: Facts = {("dns",): UNKNOWN} if p.name.removesuffix(".service") in _RESOLVERS else {}
        return {("services", p.name): self.leaves, **_FOLLOWS, **names}

    def order(self, p: ServiceParams, host: Host, seconds: float) -> Completed:
        raise TypeError

    def run(self, p: ServiceParams, host: Host, deadline: Deadline) -> Outcome:
        done = self.order(p, host, deadline.remaining())
        return Outcome.of(done).seen(ServiceProbe(p.name).read(host, 5.0))


class StartService(_Command):
    """Start a service that is not running."""

    name = "start_service"
    leaves = "running"
    reversible = True

    def order(self, p: ServiceParams, host: Host, seconds: float) -> Completed:
        return host.services.start(p.name, seconds)


class StopService(_Command):
    """Stop a service."""

    name = "stop_service"
    leaves = "stopped"
    reversible = True

    def order(self, p: ServiceParams, host: Host, seconds: float) -> Completed:
        return host.services.stop(p.name, seconds)


class RestartService(_Command):
    """Stop a service if it runs, then start it."""

    name = "restart_service"
    leaves = "running"

    def order(self, p: ServiceParams, host: Host, seconds: float) -> Completed:
        return host.services.restart(p.name, seconds)


class ReloadService(_Command):
    """Have a running service read its configuration again."""

    name = "reload_service"
    leaves = "running"

    def effects(self, p: ServiceParams, facts: Mapping[str, Any]) -> Facts | None:
        return {("endpoints",): UNKNOWN, ("certificates",): UNKNOWN, ("ports",): UNKNOWN}

    def order(self, p: ServiceParams, host: Host, seconds: float) -> Completed:
        return host.services.reload(p.name, seconds)


class WaitForService(Action[WaitForServiceParams]):
    """Wait until a service has a status, within the step's timeout."""

    name = "wait_for_service"
    Params = WaitForServiceParams
    platforms = EVERYWHERE
    read_only = True

    def reads(self, p: WaitForServiceParams) -> tuple[Path, ...]:
        return (("services", p.name),)

    def capabilities(self, p: WaitForServiceParams) -> Capabilities:
        return Capabilities(services=frozenset({p.name}))

    def run(self, p: WaitForServiceParams, host: Host, deadline: Deadline) -> Outcome:
        verdict, facts = until(ServiceProbe(p.name), lambda state: _is(p.name, p.status, state), host, deadline)
        status = facts["services", p.name]
        if verdict:
            return Outcome(True, stdout=status, data={"status": status}, facts=facts)
        return Outcome.failed(
            f"service {p.name} is {status}, not {p.status}",
            data={"status": status},
            facts=facts,
            timed_out=True,
        )


class _ServiceCheck(Check[ServiceParams]):
    Params = ServiceParams
    platforms = EVERYWHERE
    wanted: str

    def probe(self, p: ServiceParams) -> Probe:
        return ServiceProbe(p.name)

    def holds(self, p: ServiceParams, state: Mapping[str, Any]) -> bool | None:
        return _is(p.name, self.wanted, state)

    def capabilities(self, p: ServiceParams) -> Capabilities:
        return Capabilities(services=frozenset({p.name}))


class ServiceRunning(_ServiceCheck):
    """The service is running."""

    name = "service_running"
    wanted = "running"


class ServiceStopped(_ServiceCheck):
    """The service is not running."""

    name = "service_stopped"
    wanted = "stopped"


ACTIONS = (
    CheckServiceStatus(),
    StartService(),
    StopService(),
    RestartService(),
    ReloadService(),
    WaitForService(),
)
CHECKS = (ServiceRunning(), ServiceStopped())
