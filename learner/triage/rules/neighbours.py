"""Another service or process on the same host: one that is needed and down, or one that stands in the way."""

from __future__ import annotations

import re

from learner.mentions import paths_in, unresolved_in
from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, lines_of, rule, said
from learner.triage.claims import borne_out
from learner.triage.rules.rivals import rival_at_port

_NEEDS = said(
    r"connection refused", r"\bECONNREFUSED\b", r"could not connect to", r"couldn't connect to", r"cannot connect to", r"can't connect to",
    r"failed to connect to", r"unable to connect to", r"is the (?:docker )?(?:server|daemon) running", r"error connecting to",
    r"dependency (?:job )?(?:for .{1,80} )?failed", r"a dependency job", r"FAILED 1068:", r"dependency service or group failed to start",
    r"depends on .{1,80} (?:which|that) (?:failed|is not|did not)", r"cannot talk to daemon", r"actively refused it", r"lost connection to",
    r"(?:requires|needs|waiting for) \S+ (?:to be (?:running|started|up)|service)", r"not (?:running|active|available|reachable|ready)\b",
    r"connect\(\) (?:to \S+ )?failed", r"no such file or directory.{0,200}(?:connect|upstream|socket)", r"HTTP 50[234]\b", r": 50[234], not \d{3}",
    r"connection to server (?:on socket|at) .{1,160} failed", r"could not connect to server", r"broken pipe", r"name resolution",
    r"could(?:n't| not) resolve", r"unix:\S+ (?:no such file|refused connection)", r"could not ping \w+", r"connect .{0,200}no such file or directory", r"not able to connect", r"connection closed", r"is (?:stopped|failed|down), not running", r"upstream",
)  # fmt: skip
_BY_PORT = {
    6379: ("redis",), 5432: ("postgres",), 3306: ("mysql", "mariadb"), 11211: ("memcache",), 5672: ("rabbit",), 27017: ("mongo",),
    9000: ("php", "fpm"), 9200: ("elastic", "opensearch"), 9092: ("kafka",), 2181: ("zookeeper",), 2375: ("docker",), 25: ("postfix", "exim"),
    53: ("resolved", "dnsmasq", "unbound", "named", "bind"), 323: ("chron",), 389: ("slapd", "ldap"), 8125: ("statsd",), 5671: ("rabbit",),
}  # fmt: skip
_BY_WORD = {
    "talk to daemon": ("chron",), "docker daemon": ("docker",), ".s.pgsql": ("postgres",), "mysqld.sock": ("mysql", "mariadb"),
    "resolve": ("resolved", "dnsmasq", "unbound", "named", "bind", "nscd"), "name resolution": ("resolved", "dnsmasq", "unbound", "named", "bind"),
    "amqp": ("rabbit",), "redis": ("redis",), "postgres": ("postgres",), "mysql": ("mysql", "mariadb"), "php": ("php",), "fpm": ("fpm",),
}  # fmt: skip
_IN_USE = said(
    r"address already in use", r"\bEADDRINUSE\b", r"only one usage of each socket address", r"port is already allocated", r"WinError 10048",
    r"address in use", r"port \d+ (?:is )?(?:already )?(?:in use|used|taken|occupied|allocated)", r"problem binding to port \d+",
    r"could not bind to (?:ipv[46]|address|port)", r"failed to bind", r"bind for \S+ failed", r"port .{0,20}already in use", r"bind: address",
)  # fmt: skip


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def stopped_dependency(seen: Seen, case: Case) -> Sign | None:
    """A service on the same host that the failing one needs is down, and no step starts it."""
    match = _NEEDS.search(seen.text)
    if (
        not match
        or _only_outside(seen)
        or (not _ABOUT_SERVICES.search(seen.incident_type) and borne_out(seen) is False)
    ):
        return None  # what the incident names is in order, and it names no service: this is another incident
    down = seen.down()
    named = [name for name in down if _speaks_of(seen, name)]
    line = first_line(seen.text, match)
    if named:
        return Sign(
            0.93, f"{named[0]} was {seen.service(named[0])} before the run, and the error names it: “{line}”", seen.cite
        )
    if seen.own_services & set(down) or unresolved_in(seen.text):
        return None
    still = [name for name in down if seen.service(name, after=True) in ("stopped", "failed", "unknown")]
    if still:
        return Sign(0.8, f"{still[0]} was {seen.service(still[0])} before the run and after it: “{line}”", seen.cite)
    return _by_words_alone(seen, line)


def _by_words_alone(seen: Seen, line: str) -> Sign | None:
    """What the words tell when the state holds no service that is down."""
    local = [(host, port) for host, port in seen.addresses if seen.is_own(host) and port not in seen.own_ports]
    sockets = [path for path in paths_in(seen.text) if path.endswith((".sock", ".socket")) or ".s.PGSQL." in path]
    explicit = re.search(
        r"dependency|FAILED 1068|talk to daemon|daemon running|is the server running locally", seen.text, re.IGNORECASE
    )
    families = {word for _, port in local for word in _BY_PORT.get(port, ())}
    families |= {word for path in sockets for key, words in _BY_WORD.items() if key in path.lower() for word in words}
    up = [name for name, status in seen.before.get("services", {}).items()
          if status == "running" and name not in seen.own_services and any(word in name.lower() for word in families)]  # fmt: skip
    if up:
        return None  # what it can't reach was running: something else is wrong
    own_words = not seen.own_services or not any(_family_of(name) & families for name in seen.own_services)
    if explicit or (sockets and seen.action != "check_port") or (local and families and own_words):
        return Sign(0.76, f"something it needs on the same host does not answer: “{line}”", seen.cite)
    return None


def _family_of(service: str) -> set[str]:
    lowered = service.lower()
    return {word for words in _BY_PORT.values() for word in words if word in lowered}


def _speaks_of(seen: Seen, service: str) -> bool:
    text = seen.text.lower()
    bare = service.lower().removesuffix(".service")
    if re.search(rf"(?<![\w.-]){re.escape(bare)}(?![\w-])", text):
        return True
    for host, port in seen.addresses:
        if seen.is_own(host) and any(word in bare for word in _BY_PORT.get(port, ())):
            return True
    if any(word in text and any(family in bare for family in families) for word, families in _BY_WORD.items()):
        return True
    stem = re.sub(r"[\d.@-].*$", "", bare)
    return len(stem) >= 4 and stem in text


def _only_outside(seen: Seen) -> bool:
    """Whether everything that it tried to reach is another host (names don't count: a resolver may be local)."""
    hosts = [host for host, _ in seen.addresses]
    return bool(hosts) and not any(seen.is_own(host) for host in hosts) and not unresolved_in(seen.text)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def port_taken(seen: Seen, case: Case) -> Sign | None:
    """Another process holds the port that the service wants."""
    match = _IN_USE.search(seen.text)
    if not match:
        return None
    line = first_line(seen.text, match)
    if any(path.endswith(".sock") for path in paths_in(line)):
        return None
    ports = [port for host, port in seen.addresses if seen.is_own(host)] or sorted(seen.own_ports)
    held = any(seen.port(port) == "listening" for port in ports)
    if rival_at_port(seen):
        return None  # to take the port from it is no repair
    where = f"port {ports[0]}" if ports else "the port"
    seen_before = ", as the state before shows" if held else ""
    return Sign(0.95 if held else 0.87, f"another process holds {where}{seen_before}: “{line}”", seen.cite)


@rule(FailureType.WRONG_DIAGNOSIS)
def another_product_at_the_port(seen: Seen, case: Case) -> Sign | None:
    """The port that the service wants is served by another product, which runs as a service of its own."""
    match = _IN_USE.search(seen.text)
    name = rival_at_port(seen) if match else ""
    if not match or not name:
        return None
    return Sign(0.9, f"{name} runs and has the port: “{first_line(seen.text, match)}”", seen.cite)


_ABOUT_SERVICES = re.compile(r"service|process|port|endpoint|backup|config")
_FORCEFULLY = said(r"can only be terminated forcefully")
_OWN_STATE = said(
    r"^$", r"^\S+ is (?:stopped|failed|unknown|starting|activating|inactive|dead), not running", r"^\S+ is not running$"
)
_BUSY = said(
    r"target is busy", r"device or resource busy", r"text file busy", r"\bEBUSY\b", r"being used by another process", r"the process cannot access the file",
    r"directory not empty", r"the file is in use", r"still (?:in use|has (?:open|active))", r"is being accessed by other users",
)  # fmt: skip


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def held_by_a_process(seen: Seen, case: Case) -> Sign | None:
    """A file, mount or database is in use by a process that the runbook did not stop first."""
    match = _BUSY.search(seen.text)
    if not match:
        return None
    return Sign(0.8, f"something still uses it: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def started_again(seen: Seen, case: Case) -> Sign | None:
    """A process was ended and is back: a service that the runbook did not stop starts it again."""
    if not seen.check or seen.check.check != "process_absent" or not seen.did("kill_process"):
        return None
    name = str(seen.check.params.get("name", ""))
    keepers = [service for service, status in sorted(seen.before.get("services", {}).items())
               if status == "running" and (service in seen.own_services or name in service)]  # fmt: skip
    if not keepers:
        return None
    return Sign(0.84, f"{name} is back after it was ended: {keepers[0]} was running and starts it again", seen.cite)


_PART_STOPPED = said(
    r"^(?:APPPOOL|SITE) \"[^\n]{0,200}state:Stopped", r"application pool \S+ (?:is being|has been) automatically disabled",
    r"^[^\n]{0,200}\bExited \((?:0|137|143)\)", r"^\S+\s+STOPPED\s", r"│ stopped\b",
)  # fmt: skip
_UNSERVED = said(r"\b50[23]\b", r"refused", r"closed", r"no answer", r"timed? ?out", r"unreachable")


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def part_stays_stopped(seen: Seen, case: Case) -> Sign | None:
    """The service runs, and one of the parts it looks after (an application pool, a container, a program) stays stopped.

    Source: Windows event WAS 5002; the listings of appcmd, docker, supervisorctl and pm2.
    """
    if (
        not seen.check
        or seen.check.check not in ("http_ok", "port_open")
        or not _UNSERVED.search(str(seen.check.observed))
    ):
        return None
    if any(not seen.is_own(host) for host, _ in seen.addresses):
        return None
    for text in seen.shown:
        for line in lines_of(text):
            if match := _PART_STOPPED.search(line):
                return Sign(0.84, f"the service runs, a part of it does not: “{first_line(line, match)}”", seen.cite)
    return None


@rule(FailureType.RUNBOOK_INSUFFICIENT, last=True)
def neighbour_down(seen: Seen, case: Case) -> Sign | None:
    """No words tell why; another service of this host was down before the run and after it, or fell during it."""
    if seen.others or (seen.step and not _OWN_STATE.search(seen.error.strip())) or seen.incident_type == "disk_full":
        return None
    services = seen.before.get("services", {})
    own = {name.removesuffix(".service") for name in seen.own_services}
    bad = ("stopped", "failed")
    for name, before in sorted(services.items()):
        after = seen.service(name, after=True)
        if name.removesuffix(".service") in own or after not in bad or before not in (*bad, "running"):
            continue
        if any(name == step.params.get("name") for step in seen.did("stop_service")):
            continue  # it was to stop
        told = (
            f"was {before} before the run and after it" if before in bad else f"ran before the run and is {after} now"
        )
        return Sign(0.64, f"{name} {told}, and nothing else tells why it failed", seen.cite)
    return None


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def ignores_polite_signal(seen: Seen, case: Case) -> Sign | None:
    """A process outlived the signal that it was sent."""
    if forcefully := _FORCEFULLY.search(seen.error):
        return Sign(0.92, f"only force will end it: “{first_line(seen.error, forcefully)}”", seen.cite)
    kills = [step for step in seen.result.executed_steps if step.action == "kill_process" and not step.skipped]
    if not kills or str(kills[-1].params.get("signal", "TERM")).upper().removeprefix("SIG") == "KILL":
        return None
    name = str(kills[-1].params.get("name", ""))
    alive = re.search(
        r"(?:still (?:alive|running)|did not (?:exit|terminate|stop)|survived|outlived)", seen.text, re.IGNORECASE
    )
    count = seen.after.get("processes", {}).get(name)
    counted = isinstance(count, int) and count > 0 and seen.check is not None and seen.check.check == "process_absent"
    if not alive and not counted:
        return None
    return Sign(0.85, f"{name or 'the process'} outlived {kills[-1].params.get('signal', 'TERM')}", seen.cite)
