"""Another host, named in whatever way: as a package, a UNC path, an image, an argument of the command."""

from __future__ import annotations

import re

from learner.mentions import hosts_in
from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said, spoken_by
from learner.triage.rules.outside import _UPSTREAM, _own_endpoint

_SILENT = said(
    r"no listener", r"not (?:found or not )?responsive\b",
    r"connection to \S+ refused", r"could not (?:be established|contact|reach|connect)", r"can(?:'t|not) (?:contact|reach|be reached|be contacted)", r"(?:unable|failed) to (?:establish|reach|contact|open) .{0,40}(?:connection|server|host|broker|node|endpoint|peer|master)?",
    r"(?:network|server|host|node|broker|master|primary|replica|peer|endpoint|gateway|target|share) .{0,40}(?:is )?(?:not reachable|unreachable|not available|unavailable|not responding|down)\b", r"network path was not found", r"network name (?:cannot be found|is no longer available)",
    r"connection (?:refused|timed out|reset by peer|aborted|was refused|failed|lost|closed)", r"(?:request|connect|read|operation|handshake|connection) (?:has )?timed? ?out", r"no route to host", r"network is (?:unreachable|down)", r"host is down", r"name or service not known", r"no such host", r"may not be available", r"no answer from",
    r"failed: time(?:d )?out", r"broken pipe", r"unexpected EOF|EOF occurred|unexpected end of file", r"i/o timeout", r"context deadline exceeded", r"no keyserver available", r"not accessible|is accessible over the network", r"TLS handshake (?:error|timeout|failure)", r"\bSSL_ERROR_\w+", r"tlsv1 alert \w+", r"alert (?:handshake failure|internal error|protocol version)",
    r"server (?:has )?(?:gone away|closed the connection|returned nothing)", r"empty reply from server", r"name resolution",
)  # fmt: skip
_ERRS = said(
    r"\((?:InternalError|ServiceUnavailable|InternalFailure)\) when calling",
    r"unexpected HTTP status:? 5\d\d", r"(?:status(?: code)?|HTTP(?:/\S+)?|HTTP code|returned error)[ :=(]{1,3}50[0234]\b", r"HTTP code 5\d\d from proxy", r"\b50[234] (?:bad gateway|service unavailable|gateway time-?out)", r"service (?:is )?(?:temporarily )?unavailable", r"no longer has a release file",
    r"\bis sealed\b", r"\bCode: 5\d\d\b", r"(?:storage )?quota (?:is |was )?exceeded", r"QuotaExceeded\w*", r"\b507 insufficient storage",
    r"certificate (?:verification failed|chain uses expired|has expired|verify failed)", r"unable to get local issuer certificate", r"rate exceeded", r"too many requests", r"unknown host",
)  # fmt: skip
_NO_SOURCE = said(
    r"no logon servers (?:are )?(?:currently )?available",
    r"trust relationship between this workstation and the primary domain failed",
    r"no servers can be used",
    r"no keyserver available",
    r"all (?:name)?servers? (?:failed|unreachable|timed out)",
    r"no (?:upstream|remote) (?:servers?|sources?) (?:available|reachable)",
)
_HOST = re.compile(
    r"(?<![\w./@-])(?:[\w.-]+@)?((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,24}(?![\w-])|(?:\d{1,3}\.){3}\d{1,3}(?!\d|\.\d))"
)
_UNC = re.compile(r"\\\\([A-Za-z0-9][\w.-]*)\\")
_NO_HOSTS = re.compile(
    r"^(?:java|javax|sun|jdk|org|com|io|net|kafka|urllib3|requests|botocore|redis|pika|psycopg2?|ssl|socket|systemd|app|main|self)\."
    r"|\.(?:service|socket|timer|mount|target|slice|conf|cfg|cnf|ini|ya?ml|json|toml|log|pid|lock|sock|sh|py|rb|js|ts|php|go|rs|c|h|jar|so|deb|rpm|gz|zip|pem|crt|key|db|sql|txt|html?|xml|exe|dll|plist|list|repo|tar|tmp|apps)$"
)  # fmt: skip


def other_hosts(seen: Seen) -> tuple[str, ...]:
    """Hosts other than this one that the words, or what a command was told, name in any way."""
    found = dict.fromkeys(seen.others)
    for text in (seen.error, seen.spoken):
        names = [*_HOST.findall(text), *_UNC.findall(text)]
        found.update(dict.fromkeys(name for name in names if not _NO_HOSTS.search(name) and not seen.is_own(name)))
    return tuple(found)


def _here(seen: Seen) -> bool:
    return any(seen.is_own(host) for host, _ in seen.addresses)


@rule(FailureType.EXTERNAL_DEPENDENCY)
def does_not_answer(seen: Seen, case: Case) -> Sign | None:
    """The words are those of silence, and all that they or the command name lies elsewhere."""
    match = _SILENT.search(seen.error)
    if not match or not seen.step or _here(seen) or _own_endpoint(seen) or seen.incident_type == "dns_failure":
        return None
    hosts = other_hosts(seen)
    if not hosts:
        return None
    resolves = {**seen.before.get("dns", {}), **seen.after.get("dns", {})}
    if any(resolves.get(host) is True for host in hosts) and "name" in match[0].lower():
        return None
    return Sign(0.74, f"{hosts[0]} lies elsewhere and did not answer: “{first_line(seen.error, match)}”", seen.cite)


@rule(FailureType.EXTERNAL_DEPENDENCY)
def errs_elsewhere(seen: Seen, case: Case) -> Sign | None:
    """The words are those of a server that fails, and all that they or the command name lies elsewhere."""
    match = _ERRS.search(seen.error)
    if not match or not seen.step or _here(seen) or _own_endpoint(seen) or not (hosts := other_hosts(seen)):
        return None
    return Sign(0.74, f"{hosts[0]} lies elsewhere and is not in order: “{first_line(seen.error, match)}”", seen.cite)


_CLOUD = said(
    r"\((?:ServiceUnavailable|Internal(?:Error|Failure|ServerError)|SlowDown|RequestTimeout|Throttling\w*|RequestLimitExceeded|50\d)\) when calling the",
    r"please reduce your request rate", r"ServiceException: 5\d\d", r"\bServerBusy\b", r"googleapi: (?:got HTTP response code|error) 5\d\d", r"\bSlowDown\b",
    r"\bbackendError\b",
)  # fmt: skip


@rule(FailureType.EXTERNAL_DEPENDENCY)
def cloud_errs(seen: Seen, case: Case) -> Sign | None:
    """A cloud's own client says that the cloud is busy or broken: that is elsewhere without a host being named.

    Source: error codes of Amazon S3, Azure Storage and Google Cloud Storage.
    """
    match = _CLOUD.search(seen.error)
    if not match or not seen.step or _here(seen):
        return None
    return Sign(0.88, f"the cloud's service is not in order: “{first_line(seen.error, match)}”", seen.cite)


_BEFORE, _BEHIND = 200, 200
_DOWN = said(r"\"?status\"?[ :=]+\"?(?:down|unhealthy|critical|fail(?:ed|ing)?|outage|unreachable)\b")


@rule(FailureType.EXTERNAL_DEPENDENCY)
def names_another_as_down(seen: Seen, case: Case) -> Sign | None:
    """What answers here is up and says itself, in its health page or its log, that another host is what it lacks."""
    if not seen.check or seen.check.check not in ("http_ok", "command_succeeds") or seen.down():
        return None
    for text in (*seen.shown, str(seen.check.observed)):
        for match in (*_SILENT.finditer(text), *_ERRS.finditer(text), *_UPSTREAM.finditer(text), *_DOWN.finditer(text)):
            around = text[max(0, match.start() - _BEFORE) : match.end() + _BEHIND]
            found = [*hosts_in(around), *_HOST.findall(around)]
            hosts = [host for host in dict.fromkeys(found) if not _NO_HOSTS.search(host)]
            if hosts and not any(seen.is_own(host) for host in hosts):
                return Sign(
                    0.86, f"it names {hosts[0]} as what does not answer: “{first_line(text, match)}”", seen.cite
                )
    return None


_FILE_SERVER = said(
    r"nfs: server (?P<nfs>\S+) not responding", r"VFS: (?:Server )?(?:\\\\)?(?P<cifs>[\w.-]+)\S* has not responded in",
    r"(?:iscsi|connection\d+:\d+).{0,40}(?:ping timeout of \d+ secs expired|session recovery timed out)", r"libceph: (?:osd|mon|mds)\d+ .{0,80}(?:socket closed|down\b)",
)  # fmt: skip
_ANSWERS_AGAIN = said(r"nfs: server \S+ OK")


@rule(FailureType.EXTERNAL_DEPENDENCY)
def storage_is_silent(seen: Seen, case: Case) -> Sign | None:
    """The kernel waits for a file server or a disk of the network; what uses it can't be ended, not even by KILL."""
    for text in (*seen.shown, seen.text):
        found = list(_FILE_SERVER.finditer(text))
        if found and not _ANSWERS_AGAIN.search(text, found[-1].end()):
            return Sign(0.88, f"storage elsewhere is silent: “{first_line(text, found[-1])}”", seen.cite)
    return None


@rule(FailureType.EXTERNAL_DEPENDENCY)
def nobody_elsewhere(seen: Seen, case: Case) -> Sign | None:
    """A client says that none of the servers it knows of could be used, without naming one."""
    match = _NO_SOURCE.search(seen.error)
    if not match or _here(seen):
        return None
    return Sign(0.78, f"no server elsewhere could be used: “{first_line(seen.error, match)}”", seen.cite)


_REMOTE_SHELL = re.compile(r"^(?:\S*/)?(?:ssh|scp|sftp|autossh)\s")


@rule(FailureType.EXTERNAL_DEPENDENCY, last=True)
def remote_shell_failed(seen: Seen, case: Case) -> Sign | None:
    """Exit code 255 of ssh and nothing said: it did not get to the other host.

    Source: ssh(1), EXIT STATUS.
    """
    silent = seen.error.strip() in ("", "exit code 255")
    if not seen.step or seen.step.exit_code != 255 or not silent or not _REMOTE_SHELL.match(seen.spoken):
        return None
    hosts = other_hosts(seen)
    return Sign(0.66, f"ssh did not get to {hosts[0]}", seen.cite) if hosts else None


_ASKS = re.compile(r"\b(?:dig|drill|kdig|delv)\b[^\n]*@(?P<at>[\w.:-]+)|\b(?:nslookup|host)\s+\S+\s+(?P<of>[\w.:-]+)")
_ANSWERS_BADLY = said(
    r"status: (?:SERVFAIL|REFUSED)",
    r"no servers could be reached",
    r"communications error",
    r"query refused",
    r"server failed",
    r"\(SERVFAIL\)|\(REFUSED\)|5\(REFUSED\)|2\(SERVFAIL\)",
)


@rule(FailureType.EXTERNAL_DEPENDENCY)
def name_server_elsewhere_fails(seen: Seen, case: Case) -> Sign | None:
    """A name server on another host was asked directly by the run, and fails, refuses or is silent."""
    for step in seen.result.executed_steps:
        asked = _ASKS.search(spoken_by(step))
        server = (asked["at"] or asked["of"]) if asked else ""
        text = step.output or step.error
        if server and not seen.is_own(server) and (match := _ANSWERS_BADLY.search(text)):
            return Sign(0.86, f"{server} was asked directly: “{first_line(text, match)}”", seen.cite)
    return None


_NO_BACKEND = said(r"\b50[234]\b", r"refused", r"timed? ?out", r"unreachable", r"empty reply", r"closed")


@rule(FailureType.EXTERNAL_DEPENDENCY)
def port_elsewhere_is_closed(seen: Seen, case: Case) -> Sign | None:
    """This host's own services run, what they answer is an error, and the state shows a port of another host closed that
    they would need."""
    if not seen.check or seen.check.check not in ("http_ok", "command_succeeds") or seen.down():
        return None
    if not _NO_BACKEND.search(str(seen.check.observed)) or any(not seen.is_own(host) for host, _ in seen.addresses):
        return None
    acted = [
        str(step.params.get("name", "")) for step in seen.did("restart_service", "start_service", "reload_service")
    ]
    if any(seen.service(name, after=True) in ("failed", "stopped") for name in acted):
        return None
    usual = {
        port for result in case.successes for port, status in result.state_before.ports.items() if status == "closed"
    }
    for port, status in sorted(seen.before.get("ports", {}).items()):
        if port in usual:
            continue  # it is closed where it works, too
        host = port.rpartition(":")[0]
        if (
            host
            and status == "closed"
            and not seen.is_own(host)
            and seen.after.get("ports", {}).get(port, "closed") == "closed"
        ):
            return Sign(0.88, f"{port} is closed, which is another host's", seen.cite)
    return None


_SLEEPS = re.compile(
    r"^\s*(?:\S+\s+){0,3}?D[NLs<l+]*\s+(?:\S+\s+)*?(?P<where>(?:nfs|rpc_wait|cifs|smb2?_|ceph|wait_for_response|fuse_|request_wait_answer)\w*)",
    re.MULTILINE,
)


@rule(FailureType.EXTERNAL_DEPENDENCY)
def sleeps_on_a_file_server(seen: Seen, case: Case) -> Sign | None:
    """Processes that can't be ended sleep in the kernel until a file server answers, as the list of them shows.

    Source: ps(1), PROCESS STATE CODES and `wchan`.
    """
    for text in seen.shown:
        if match := _SLEEPS.search(text):
            return Sign(0.88, f"it waits for a file server: “{first_line(text, match)}”", seen.cite)
    return None
