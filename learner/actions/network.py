"""Network: ports, HTTP endpoints and names, as they look from the host itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from learner.actions.base import EVERYWHERE, UNKNOWN, Action, Capabilities, Check, Outcome, Probe, until
from learner.actions.host import Deadline, Host, HostError
from learner.facts import Facts, Path, get
from learner.strict import Integral, Matching, Strict, Text

Port = Annotated[int, Field(ge=1, le=65535), Integral]
Url = Annotated[str, Matching(r"https?://[^\s]+", "An http or https address")]
HttpStatus = Annotated[int, Field(ge=100, le=599), Integral]
LOOPBACK = "127.0.0.1"


class PortParams(Strict):
    port: Port
    host: Text = LOOPBACK


class HttpParams(Strict):
    url: Url
    expect_status: HttpStatus = 200
    contains: str | None = None


class NameParams(Strict):
    name: Text


class NoParams(Strict):
    pass


def port_path(host: str, port: int) -> Path:
    """`ports.<port>` on the host itself, `ports["<host>:<port>"]` elsewhere."""
    return ("ports", str(port) if host in (LOOPBACK, "localhost", "::1") else f"{host}:{port}")


@dataclass(frozen=True)
class PortProbe(Probe):
    """`ports.<port>`: listening or closed."""

    host: str
    port: int

    @property
    def paths(self) -> tuple[Path, ...]:
        return (port_path(self.host, self.port),)

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        try:
            refused = host.connect(self.host, self.port, min(timeout_seconds, 3.0))
        except HostError:
            return {self.paths[0]: UNKNOWN}
        return {self.paths[0]: "closed" if refused else "listening"}


@dataclass(frozen=True)
class EndpointProbe(Probe):
    """`endpoints.<url>`: the status code, or why there was none."""

    url: str
    contains: str | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("endpoints", self.url),)

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        try:
            answer = host.http_get(self.url, min(timeout_seconds, 5.0))
        except HostError as e:
            return {self.paths[0]: f"{UNKNOWN}: {e}"}
        if answer.status is None:
            return {self.paths[0]: answer.error or "no answer"}
        if self.contains is not None and self.contains not in answer.body:
            return {self.paths[0]: f"{answer.status} without {self.contains!r}"}
        return {self.paths[0]: answer.status}


@dataclass(frozen=True)
class NameProbe(Probe):
    """`dns.<name>`: whether it resolves."""

    name: str

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("dns", self.name),)

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        try:
            return {self.paths[0]: bool(host.resolve(self.name, min(timeout_seconds, 5.0)))}
        except HostError:
            return {self.paths[0]: UNKNOWN}


def _listening(path: Path, state: Mapping[str, Any]) -> bool | None:
    value = get(state, path, UNKNOWN)
    return None if value == UNKNOWN else bool(value == "listening")


def _answers(url: str, expected: int, state: Mapping[str, Any]) -> bool | None:
    value = get(state, ("endpoints", url), UNKNOWN)
    return None if str(value).startswith(UNKNOWN) else bool(value == expected)


def _of_port(p: PortParams) -> Capabilities:
    return Capabilities(hosts=frozenset({f"{p.host}:{p.port}"}))


def _of_url(p: HttpParams) -> Capabilities:
    netloc = urlsplit(p.url).netloc if "{{" not in p.url else p.url
    return Capabilities(hosts=frozenset({netloc.rpartition("@")[2]}))


class CheckPort(Action[PortParams]):
    """Fail unless a TCP port accepts connections."""

    name = "check_port"
    Params = PortParams
    platforms = EVERYWHERE
    read_only = True

    def reads(self, p: PortParams) -> tuple[Path, ...]:
        return (port_path(p.host, p.port),)

    def capabilities(self, p: PortParams) -> Capabilities:
        return _of_port(p)

    def run(self, p: PortParams, host: Host, deadline: Deadline) -> Outcome:
        refused = host.connect(p.host, p.port, min(deadline.remaining(), 5.0))
        facts = {port_path(p.host, p.port): "closed" if refused else "listening"}
        if refused:
            return Outcome.failed(f"connect to {p.host} port {p.port}: {refused}", data={"open": False}, facts=facts)
        return Outcome(True, data={"open": True}, facts=facts)


class WaitForPort(CheckPort):
    """Wait until a TCP port accepts connections, within the step's timeout."""

    name = "wait_for_port"

    def run(self, p: PortParams, host: Host, deadline: Deadline) -> Outcome:
        path = port_path(p.host, p.port)
        verdict, facts = until(PortProbe(p.host, p.port), lambda state: _listening(path, state), host, deadline)
        if verdict:
            return Outcome(True, data={"open": True}, facts=facts)
        return Outcome.failed(
            f"port {p.port} on {p.host} is not open", data={"open": False}, facts=facts, timed_out=True
        )


class CheckHttp(Action[HttpParams]):
    """Fail unless an address answers with a status and, if asked, a text."""

    name = "check_http"
    Params = HttpParams
    platforms = EVERYWHERE
    read_only = True

    def reads(self, p: HttpParams) -> tuple[Path, ...]:
        return (("endpoints", p.url),)

    def capabilities(self, p: HttpParams) -> Capabilities:
        return _of_url(p)

    def run(self, p: HttpParams, host: Host, deadline: Deadline) -> Outcome:
        facts = EndpointProbe(p.url, p.contains).read(host, deadline.remaining())
        return self._outcome(
            p, _answers(p.url, p.expect_status, {"endpoints": {p.url: facts["endpoints", p.url]}}), facts
        )

    def _outcome(self, p: HttpParams, verdict: bool | None, facts: Facts, *, timed_out: bool = False) -> Outcome:
        value = facts["endpoints", p.url]
        data = {"status": value if isinstance(value, int) else None}
        if verdict:
            return Outcome(True, stdout=str(value), data=data, facts=facts)
        return Outcome.failed(f"{p.url}: {value}, not {p.expect_status}", data=data, facts=facts, timed_out=timed_out)


class WaitForHttp(CheckHttp):
    """Wait until an address answers as wanted, within the step's timeout."""

    name = "wait_for_http"

    def run(self, p: HttpParams, host: Host, deadline: Deadline) -> Outcome:
        probe = EndpointProbe(p.url, p.contains)
        verdict, facts = until(probe, lambda state: _answers(p.url, p.expect_status, state), host, deadline)
        return self._outcome(p, verdict, facts, timed_out=verdict is not True)


class ResolveDns(Action[NameParams]):
    """Fail unless a name resolves; its addresses stand in `data.addresses`."""

    name = "resolve_dns"
    Params = NameParams
    platforms = EVERYWHERE
    read_only = True

    def reads(self, p: NameParams) -> tuple[Path, ...]:
        return (("dns", p.name),)

    def capabilities(self, p: NameParams) -> Capabilities:
        return Capabilities(hosts=frozenset({p.name}))

    def run(self, p: NameParams, host: Host, deadline: Deadline) -> Outcome:
        addresses = host.resolve(p.name, min(deadline.remaining(), 10.0))
        facts: Facts = {("dns", p.name): bool(addresses)}
        if not addresses:
            return Outcome.failed(f"{p.name}: name or service not known", data={"addresses": []}, facts=facts)
        return Outcome(True, stdout="\n".join(addresses), data={"addresses": addresses}, facts=facts)


class FlushDnsCache(Action[NoParams]):
    """Drop the resolver's cached answers."""

    name = "flush_dns_cache"
    Params = NoParams
    platforms = EVERYWHERE

    def effects(self, p: NoParams, facts: Mapping[str, Any]) -> Facts | None:
        return {("dns",): UNKNOWN}

    def capabilities(self, p: NoParams) -> Capabilities:
        return Capabilities(commands=frozenset({"resolvectl", "dscacheutil", "killall", "ipconfig"}))

    def run(self, p: NoParams, host: Host, deadline: Deadline) -> Outcome:
        # On macOS the daemon keeps answers of its own, which it drops on HUP.
        # Source: resolvectl(1); Apple Support, "Reset the DNS cache"; Microsoft Learn, ipconfig.
        of_macos = ("sh", "-c", "dscacheutil -flushcache && killall -HUP mDNSResponder")
        argv = {"darwin": of_macos, "windows": ("ipconfig", "/flushdns")}.get(
            host.platform, ("resolvectl", "flush-caches")
        )
        return Outcome.of(host.run(argv, timeout_seconds=deadline.remaining()))


class PortOpen(Check[PortParams]):
    """The TCP port accepts connections."""

    name = "port_open"
    Params = PortParams
    platforms = EVERYWHERE

    def probe(self, p: PortParams) -> Probe:
        return PortProbe(p.host, p.port)

    def holds(self, p: PortParams, state: Mapping[str, Any]) -> bool | None:
        return _listening(port_path(p.host, p.port), state)

    def capabilities(self, p: PortParams) -> Capabilities:
        return _of_port(p)


class HttpOk(Check[HttpParams]):
    """The address answers with the status and, if asked, the text."""

    name = "http_ok"
    Params = HttpParams
    platforms = EVERYWHERE

    def probe(self, p: HttpParams) -> Probe:
        return EndpointProbe(p.url, p.contains)

    def holds(self, p: HttpParams, state: Mapping[str, Any]) -> bool | None:
        return _answers(p.url, p.expect_status, state)

    def capabilities(self, p: HttpParams) -> Capabilities:
        return _of_url(p)


class DnsResolves(Check[NameParams]):
    """The name resolves."""

    name = "dns_resolves"
    Params = NameParams
    platforms = EVERYWHERE

    def probe(self, p: NameParams) -> Probe:
        return NameProbe(p.name)

    def holds(self, p: NameParams, state: Mapping[str, Any]) -> bool | None:
        value = get(state, ("dns", p.name), UNKNOWN)
        return None if value == UNKNOWN else bool(value)


ACTIONS = (CheckPort(), WaitForPort(), CheckHttp(), WaitForHttp(), ResolveDns(), FlushDnsCache())
CHECKS = (PortOpen(), HttpOk(), DnsResolves())
