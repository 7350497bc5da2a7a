"""What went wrong lies on another host: a name, a server, a mirror, a certificate authority, a time source."""

from __future__ import annotations

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said

_UNRESOLVED = said(
    r"could(?:n't| not) resolve", r"temporary failure (?:in name resolution|resolving)", r"name or service not known",
    r"getaddrinfo (?:ENOTFOUND|EAI_AGAIN)", r"\bEAI_AGAIN\b", r"no such host(?: is known)?", r"NXDOMAIN", r"SERVFAIL",
    r"unable to resolve host(?: address)?", r"host not found", r"remote name could not be resolved", r"unknown (?:host|mysql server host)", r"could not translate host name",
    r"nodename nor servname provided", r"no address associated with hostname", r"server misbehaving",
    r"no servers could be reached", r"communications error to", r"failed to resolve",
)  # fmt: skip
_RESOLVER_SILENT = said(r"no servers could be reached", r"communications error to [0-9a-f.:#]+: timed out")
CACHED = said(
    r"cached NXDOMAIN", r"negative(?:ly)? cached", r"(?:negative|stale) cache", r"stale (?:dns )?(?:answer|record)"
)
_UNREACHABLE = said(
    r"connection refused", r"\bECONNREFUSED\b", r"connection (?:attempt )?(?:has )?timed out", r"\bETIMEDOUT\b",
    r"no route to host", r"\bEHOSTUNREACH\b", r"network is unreachable", r"\bENETUNREACH\b", r"host is (?:down|unreachable)",
    r"connection reset by peer", r"\bECONNRESET\b", r"connection (?:unexpectedly )?closed by (?:remote host|peer|foreign host)",
    r"connection unexpectedly closed", r"could not connect to", r"couldn't connect to", r"failed to connect to",
    r"unable to connect to", r"cannot connect to", r"can't connect to", r"i/o timeout", r"TLS handshake timeout", r"operation timed out", r"tcp connect .{0,60}failed",
    r"server closed the connection unexpectedly", r"kex_exchange_identification", r"the RPC server is unavailable",
    r"actively refused it", r"did not properly respond after a period of time", r"not responding, (?:still trying|timed out)",
    r"stale file handle", r"is not open\b", r"destination host unreachable", r"request canceled while waiting for connection",
    r"timed? ?out",
)  # fmt: skip
_UPSTREAM = said(
    r"returned error: 5\d\d\b", r"HTTP(?:/[0-9.]+)? 5\d\d\b", r"HTTP error 5\d\d\b", r"\b50[0234] (?:bad gateway|service (?:temporarily )?unavailable|"
    r"gateway time-?out|internal server error|server error)", r": 5\d\d, not \d{3}", r"status(?: code)?[ :=]+5\d\d\b",
    r"upstream (?:connect error|request timeout|prematurely closed)", r"remote end closed connection without response",
)  # fmt: skip
_LIMITED = said(
    r"too many requests", r"\b429\b(?=.{0,40}(?:too many|rate|limit))", r"rate ?limit(?:ed|s)?\b(?:.{0,20}(?:exceeded|reached))?",
    r"toomanyrequests", r"pull rate limit", r"too many certificates(?: \(\d+\))? already issued", r"RequestLimitExceeded", r"SlowDown\b",
    r"quota exceeded for", r"ThrottlingException", r"@ERROR: max connections \(\d+\) reached", r"too many connections from your host",
)  # fmt: skip
_MIRROR = said(
    r"hash sum mismatch", r"\b(?:EXPKEYSIG|NO_PUBKEY|REVKEYSIG)\b", r"repository .{1,120} is not signed", r"signature verification failed for (?:file|repo\w*)", r"repomd\.xml signature could not be verified", r"mirror sync in progress", r"cannot find a valid baseurl", r"all mirrors were (?:already )?tried",
    r"failed to (?:download|synchronize) (?:metadata|cache) for repo", r"no more mirrors to try", r"unable to connect to \S+:(?:http|80|443)\b",
    r"does not have a release file", r"could not connect to (?:deb|archive|security|ports|mirror)\S*:80",
    r"error: failed retrieving file .{0,80} from", r"package registry .{0,40}unavailable", r"(?<!database:.)temporary error \(try again later\)",
)  # fmt: skip
_FETCHING = said(
    r"(?:failed|unable) to fetch", r"curl error \(\d+\)", r"cannot download", r"download(?:ing)? failed",
    r"error downloading", r"could not download", r"failed to download",
)  # fmt: skip
_AUTHORITY = said(
    r"likely firewall problem", r"urn:ietf:params:acme:error:(?:serverInternal|connection|dns|rateLimited|tls)",
    r"acme server .{0,60}(?:down|maintenance|unavailable)", r"the service is down for maintenance", r"acme-v0\d\.api\.letsencrypt\.org",
    r"CAA record .{0,60}prevents issuance", r"while processing CAA", r"(?:Type: +|error:)(?:caa|serverInternal|rateLimited)\b",
    r"DNS problem: (?:NXDOMAIN|SERVFAIL|query timed out|looking up)", r"error creating new order",
)  # fmt: skip
_TIME = said(
    r"no server suitable for synchronization found", r"no suitable source for synchroni[sz]ation", r"number of sources = 0",
    r"(?:ntp|sntp|chrony)\S*.{0,60}(?:no (?:response|reply)|timed out|unreachable)", r"no time data was available",
    r"can't synchroni[sz]e: no selectable sources", r"sources are unreachable", r"no reachable sources",
)  # fmt: skip
_LOOKS = (
    "check_http",
    "wait_for_http",
    "check_port",
    "wait_for_port",
    "resolve_dns",
    "check_certificate",
    "wait",
    "assert",
    "escalate",
)
_REMOTE_FAILED = said(
    r"certificate has expired", r"certificate verify failed", r"SSL certificate problem", r"mount\.nfs", r"nfs: server",
    r"error in socket IO", r"relay access denied", r"connection to (?:the )?(?:ldap|smtp|directory) server",
)  # fmt: skip


def _local_resolver_down(seen: Seen) -> str:
    for name in ("systemd-resolved", "dnsmasq", "unbound", "named", "bind9", "nscd"):
        for known in (name, f"{name}.service"):
            if seen.service(known) in ("stopped", "failed"):
                return known
    return ""


@rule(FailureType.EXTERNAL_DEPENDENCY)
def unresolved_name(seen: Seen, case: Case) -> Sign | None:
    """An outside name does not resolve, and this host's own resolver is not known to be at fault."""
    match = _UNRESOLVED.search(seen.text)
    if not match or _local_resolver_down(seen) or CACHED.search(seen.text):
        return None
    if seen.incident_type == "dns_failure" and not _RESOLVER_SILENT.search(seen.text):
        return None  # then names that don't resolve are the incident, not what stood in its way
    names = seen.others
    resolves = seen.before.get("dns", {})
    afterwards = seen.after.get("dns", {})
    if any(resolves.get(name) is True or afterwards.get(name) is True for name in names):
        return None  # it did resolve a moment before or after: it is not gone
    if not names and not _RESOLVER_SILENT.search(seen.text):
        return None
    what = names[0] if names else "any name"
    return Sign(0.9, f"{what} did not resolve: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.EXTERNAL_DEPENDENCY)
def unreachable_host(seen: Seen, case: Case) -> Sign | None:
    """Another host refused, reset or did not answer a connection."""
    match = _UNREACHABLE.search(seen.text)
    if not match or not seen.others:
        return None
    if any(seen.is_own(host) for host, _ in seen.addresses) and not _names_other(seen, match):
        return None  # the words are about this host; another one only stands nearby
    if seen.result.failed and _own_endpoint(seen):
        return None
    other = seen.others[0]
    spread = f", seen on {case.cluster.hosts} hosts" if case.cluster.hosts > 1 else ""
    return Sign(0.9, f"{other} is another host and did not answer{spread}: “{first_line(seen.text, match)}”", seen.cite)


def _names_other(seen: Seen, match: object) -> bool:
    line = first_line(seen.text, match) if hasattr(match, "start") else ""  # type: ignore[arg-type]
    return any(host in line for host in seen.others)


def _own_endpoint(seen: Seen) -> bool:
    """Whether what did not answer is what the incident itself is about: then the incident is not over, that's all."""
    if seen.incident_type not in ("endpoint_down", "port_unreachable", "service_crash", "process_hung", "cert_expiry"):
        return False
    if not _acts_here(seen) and seen.others:
        return False  # a run that only looks at another host has nothing here that could answer
    host = seen.params.get("host")
    if isinstance(host, str) and not seen.is_own(host) and not _open_here(seen):
        return False  # a bare port of another host is that host's
    own = {str(value) for value in seen.result.parameters.values()}
    target = [str(seen.params.get(key)) for key in ("url", "host") if key in seen.params]
    return any(value in own for value in target) and bool(
        seen.check or seen.action in ("check_http", "wait_for_http", "check_port", "wait_for_port")
    )


def _open_here(seen: Seen) -> bool:
    """Whether this host is known to serve the port that was asked for elsewhere, as behind a shared address."""
    port = seen.params.get("port")
    return isinstance(port, int) and (port in seen.own_ports or seen.port(port) != "unknown")


def _acts_here(seen: Seen) -> bool:
    """Whether the run, or what is known of the host, has to do with services or programs of this host."""
    acted = [step for step in seen.result.executed_steps if step.action not in _LOOKS]
    planned = [step for step in seen.runbook.steps if step.action not in _LOOKS] if seen.runbook else []
    return bool(acted or planned or seen.before.get("services") or seen.before.get("processes"))


@rule(FailureType.EXTERNAL_DEPENDENCY)
def upstream_error(seen: Seen, case: Case) -> Sign | None:
    """Another host answered with a server error (5xx)."""
    match = _UPSTREAM.search(seen.text)
    if not match or not seen.others or _own_endpoint(seen):
        return None
    return Sign(
        0.88, f"{seen.others[0]} answered with an error of its own: “{first_line(seen.text, match)}”", seen.cite
    )


@rule(FailureType.EXTERNAL_DEPENDENCY)
def rate_limited(seen: Seen, case: Case) -> Sign | None:
    """A service outside counts requests and has had enough of them."""
    match = _LIMITED.search(seen.text)
    if not match:
        return None
    return Sign(0.9, f"a service outside limits how often it may be asked: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.EXTERNAL_DEPENDENCY)
def package_mirror(seen: Seen, case: Case) -> Sign | None:
    """A package mirror is down, out of step or out of reach."""
    match = _MIRROR.search(seen.text)
    fetching = _FETCHING.search(seen.text)
    if not match and fetching and (_UPSTREAM.search(seen.text) or _UNREACHABLE.search(seen.text)):
        match = fetching
    if not match or _local_resolver_down(seen):
        return None
    return Sign(0.9, f"packages could not be fetched: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.EXTERNAL_DEPENDENCY)
def certificate_authority(seen: Seen, case: Case) -> Sign | None:
    """The certificate authority is down, can't reach this host from outside, or does not find its name."""
    match = _AUTHORITY.search(seen.text)
    if not match:
        return None
    return Sign(0.88, f"the certificate authority could not do its part: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.EXTERNAL_DEPENDENCY)
def time_source(seen: Seen, case: Case) -> Sign | None:
    """No time server answers, though the time service runs."""
    match = _TIME.search(seen.text)
    if not match:
        return None
    if any(
        seen.service(name) in ("stopped", "failed")
        for name in ("chronyd", "chrony", "systemd-timesyncd", "ntpd", "ntp", "ntpsec")
    ):
        return None  # then nobody asked them
    return Sign(0.88, f"no time source answers: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.EXTERNAL_DEPENDENCY)
def remote_trouble(seen: Seen, case: Case) -> Sign | None:
    """Another host is reached but is not in order: its certificate, its share, its relay."""
    match = _REMOTE_FAILED.search(seen.text)
    if not match or not seen.others or _own_endpoint(seen):
        return None
    return Sign(0.8, f"{seen.others[0]} is not in order: “{first_line(seen.text, match)}”", seen.cite)
