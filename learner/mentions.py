"""What an error speaks of: the paths, ports, addresses, names and services in its words, as facts.

Triage tells failures apart by it, and replay asks of a change whether it touches what the error named.
"""

from __future__ import annotations

import ntpath
import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from learner.facts import Path

LONGEST = 8_000
"""Characters of a text that are read; a cause stands in the first or last lines, and callers cut to those."""
LONGEST_WORD = 300
"""Characters of a word. Longer ones are no names, and a hostile one would keep the patterns here busy."""

LOCAL = frozenset({"localhost", "127.0.0.1", "127.0.1.1", "0.0.0.0", "::", "::1", "*", "[::]", "[::1]"})  # noqa: S104
"""Spellings of "this host" in addresses."""

_ENDLESS = re.compile(rf"\S{{{LONGEST_WORD},}}")
_URL = re.compile(r"\b(?:https?|tcp|redis|amqps?|postgres(?:ql)?|mysql|ldaps?)://[^\s\"'<>|\\^`{}]+", re.IGNORECASE)
_PATH = re.compile(r"(?<![\w./:~-])(?:unix:(?://)?)?(/(?:[\w.@+~%-]|\\040)+(?:/+[\w.@+~%:-]+)*)/?")
_QUOTED_PATH = re.compile(r"[\"'‘’“”`](/[^\"'‘’“”`\n]{1,400})[\"'‘’“”`]")
_WINDOWS_ROOT = r"(?:[A-Za-z]:\\|\\\\[A-Za-z0-9._-]+\\)"
_WINDOWS_PATH = re.compile(rf"(?<![\w\\])({_WINDOWS_ROOT}[^\s\"'<>|*?,;]+)")
_QUOTED_WINDOWS_PATH = re.compile(rf"[\"'‘’“”`]({_WINDOWS_ROOT}[^\"'‘’“”`<>|*?\n]{{1,400}})[\"'‘’“”`]")
_UNIT = re.compile(r"(?<![\w/.-])([A-Za-z0-9][\w@:.\\-]*?)\.(?:service|socket)\b")
_PORT_WORD = re.compile(r"\bport[ =:#]+(\d{1,5})\b", re.IGNORECASE)
_HOST_PORT = re.compile(
    r"(?<![\w.:/-])(\[[0-9a-fA-F:.]*\]|::1?|\*|localhost|\d{1,3}(?:\.\d{1,3}){3}"
    r"|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)+)?(?: : |:)(\d{2,5})(?![\w/-]|[:.]\d)"
)
_SINGLE_LABEL = re.compile(r"\b(?:to|host|at|server|upstream|dial tcp)\s+([A-Za-z][\w-]*):(\d{2,5})(?![\d:.])")
_HOST_AND_PORT_WORDS = re.compile(
    r"\b(?:to host|connect to|connection to|server at|on host|reach|closed by|reset by|from)\s+[\"']?([A-Za-z0-9][\w.-]*|\[?[0-9a-fA-F:]+\]?)[\"']?"
    r"(?:\s+\([^)]*\))?,?\s+(?:and accepting TCP/IP connections )?(?:on )?port\s+(\d{1,5})\b",
    re.IGNORECASE,
)
_POSTGRES_HOST = re.compile(
    r"\bon host \"([^\"]+)\"(?: \([^)]*\))? and accepting\s+TCP/IP connections on port (\d{1,5})"
)
_UNRESOLVED = re.compile(
    r"(?:could not resolve (?:host(?:name)?:?|proxy:?)|couldn't resolve host(?: name)?(?: for)?|failed to resolve|"
    r"temporary failure resolving|unable to resolve(?: host(?: address)?)?|host not found in upstream|"
    r"remote name could not be resolved:|getaddrinfo (?:ENOTFOUND|EAI_AGAIN)|NXDOMAIN looking up (?:A|AAAA) for|"
    r"server can't find|unknown (?:mysql server )?host:?|could not translate host name|dial tcp: lookup)\s*[\"'‘`]?([A-Za-z0-9](?:[\w.-]*[\w])?)",
    re.IGNORECASE,
)
_NAME_NOT_KNOWN = re.compile(
    r"([A-Za-z0-9](?:[\w.-]*\w)?)[\"'’]?:? (?:name or service not known|temporary failure in name resolution|"
    r"no address associated with hostname|nodename nor servname provided|servfail|nxdomain)\b",
    re.IGNORECASE,
)
_CONTACTED = re.compile(
    r"\b(?:connect(?:ing|ion|ed)?(?: to| with| from)?|contact(?:ing)?|reach(?:ing)?|host|server|peer|from|for)[ :=]+[\"'‘`]?"
    r"(\d{1,3}(?:\.\d{1,3}){3}|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24})(?![\w/.@-]*[\w/@])",
    re.IGNORECASE,
)
# A place on another host as nfs, scp and rsync write it: nas.example.com:/export
_REMOTE_PATH = re.compile(r"(?<![\w/.:@-])(?:[\w.-]+@)?([A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)+):/(?!/)")
_FULL = re.compile(r"no space left on device|\bENOSPC\b|not enough space on the disk|disk (?:is )?full", re.IGNORECASE)
_MEMORY = re.compile(r"cannot allocate memory|out of memory|\boom-kill|\bENOMEM\b", re.IGNORECASE)
_CLOCK = re.compile(r"not yet valid|clock skew|time skew|system clock (?:wrong|is off)", re.IGNORECASE)
_CERTIFICATE_FILE = re.compile(r"\.(?:pem|crt|cer|cert)$")

_FILE_ENDINGS = frozenset({
    "c", "cc", "conf", "cfg", "cnf", "cpp", "cron", "css", "crt", "csr", "db", "deb", "env", "exe", "go", "h",
    "html", "ini", "java", "jar", "js", "json", "jsx", "key", "kt", "list", "lock", "log", "lua", "mount", "odd",
    "path", "pem", "php", "pid", "pl", "plist", "properties", "ps1", "py", "rb", "repo", "rpm", "rs", "rules",
    "service", "sh", "slice", "sock", "socket", "sql", "target", "tgz", "timer", "tmp", "toml", "ts", "tsx",
    "txt", "whl", "xml", "yaml", "yml", "zip", "zst",
})  # fmt: skip


def facts_in(text: str, *, services: Iterable[str] = ()) -> frozenset[Path]:
    """The fact paths that `text` names; empty when it names none.

    `files.<path>` (and `certificates.<path>` for a certificate's file), `ports.<port>` on this host and
    `ports["<host>:<port>"]` elsewhere, `endpoints.<url>`, `dns.<name>` for a name that did not resolve,
    `services.<name>` for systemd units and for each of `services` that stands there as a word, and the whole of
    `disk`, `memory` or `time` when the words speak of a full disk, of no memory or of a wrong clock.
    """
    text = readable(text)
    found: set[Path] = set()
    for url in urls_in(text):
        if url.lower().startswith("http"):
            found.add(("endpoints", url))
    for path in paths_in(text):
        found.add(("files", path))
        if _CERTIFICATE_FILE.search(path):
            found.add(("certificates", path))
    for host, port in addresses_in(text):
        found.add(("ports", str(port) if host in LOCAL else f"{host}:{port}"))
    found.update(("dns", name) for name in unresolved_in(text))
    found.update(("services", name) for name in services_in(text, services))
    for pattern, family in ((_FULL, "disk"), (_MEMORY, "memory"), (_CLOCK, "time")):
        if pattern.search(text):
            found.add((family,))
    return frozenset(found)


def readable(text: str) -> str:
    """`text` cut to `LONGEST`, and each word in it to `LONGEST_WORD`."""
    if len(text) < LONGEST_WORD:
        return text
    return _ENDLESS.sub(lambda match: match[0][:LONGEST_WORD], text[:LONGEST])


def urls_in(text: str) -> list[str]:
    """Every URL in `text`, in order, without the punctuation of the sentence around it."""
    return [match[0].rstrip(".,:;)]}\"'") for match in _URL.finditer(text)]


def paths_in(text: str) -> list[str]:
    """Every absolute path in `text` (POSIX and Windows), in order, each once; `/` itself is no path."""
    bare = _URL.sub(" ", text)
    found: dict[str, None] = {}
    for match in _QUOTED_PATH.finditer(bare):
        if " -" not in match[1]:  # else a command line
            _add_path(found, match[1])
            bare = bare.replace(match[0], " ")
    for match in _PATH.finditer(bare):
        _add_path(found, match[1])
    for match in _QUOTED_WINDOWS_PATH.finditer(bare):
        if not re.search(r" [-/]", match[1]):  # else a command line
            _add_windows_path(found, match[1])
            bare = bare.replace(match[0], " ")
    for match in _WINDOWS_PATH.finditer(bare):
        _add_windows_path(found, match[1])
    return list(found)


def _add_path(found: dict[str, None], path: str) -> None:
    # `/etc/nginx/nginx.conf:12` is a place in a file; a sentence's comma or full stop is not part of a name.
    path = re.sub(r"(?::\d+)+:?$", "", path.rstrip(".,:;)]}\"'"))
    if len(path) > 1:
        found[posixpath.normpath(path)] = None


def _add_windows_path(found: dict[str, None], path: str) -> None:
    # `C:\web\run.ps1:12` is a place in a file.
    path = re.sub(r"(?<=[^\\]):\d+$", "", path.rstrip(".,:;)]}\"'\\"))
    if len(path) > len("C:\\"):
        found[ntpath.normpath(path)] = None


def addresses_in(text: str) -> list[tuple[str, int]]:
    """Every (host, port) in `text`, in order, each once; a port without a host is this host's, `127.0.0.1`."""
    found: dict[tuple[str, int], None] = {}
    rest = text
    for url in urls_in(text):
        if address := address_of(url):
            found[address] = None
        rest = rest.replace(url, " ")
    for pattern in (_POSTGRES_HOST, _HOST_AND_PORT_WORDS):
        for match in pattern.finditer(rest):
            _add_address(found, match[1], match[2])
        rest = pattern.sub(" ", rest)
    for match in _HOST_PORT.finditer(rest):
        host = match[1] or ""
        if not host and (match.start() == 0 or rest[match.start() - 1] not in " \"'(["):
            continue
        if host and host.rpartition(".")[2].lower() in _FILE_ENDINGS:
            continue
        _add_address(found, host or "127.0.0.1", match[2])
    for match in _SINGLE_LABEL.finditer(rest):
        _add_address(found, match[1], match[2])
    for match in _PORT_WORD.finditer(rest):
        if not any(str(port) == match[1] for _, port in found):
            _add_address(found, "127.0.0.1", match[1])
    return list(found)


def _add_address(found: dict[tuple[str, int], None], host: str, port: str) -> None:
    if 0 < int(port) < 65_536:
        host = host.strip("[]") or "::"
        found["127.0.0.1" if host in LOCAL else host, int(port)] = None


def address_of(url: str) -> tuple[str, int] | None:
    """The host and port of a URL, the scheme's own port when it says none; None when it has no host."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    known = {"http": 80, "https": 443, "redis": 6379, "ldap": 389, "ldaps": 636, "mysql": 3306, "amqp": 5672}
    number = port or known.get(parts.scheme.lower()) or (5432 if parts.scheme.startswith("postgres") else None)
    if not host or not number:
        return None
    return ("127.0.0.1" if host in LOCAL else host), number


def unresolved_in(text: str) -> list[str]:
    """Names that the text says did not resolve, in order, each once."""
    found: dict[str, None] = {}
    for pattern in (_UNRESOLVED, _NAME_NOT_KNOWN):
        for match in pattern.finditer(text):
            name = match[1].rstrip(".")
            if name.lower() not in ("for", "host", "hostname", "name", "error", "failed", "the"):
                found[name] = None
    return list(found)


_ALIASES = {
    "dbus-org.freedesktop.resolve1": "systemd-resolved",
    "dbus-org.freedesktop.timesync1": "systemd-timesyncd",
    "dbus-org.freedesktop.network1": "systemd-networkd",
}
"""What the message bus calls a unit, and its own name. Source: `Alias=` in the unit files of systemd."""


def services_in(text: str, known: Iterable[str] = ()) -> frozenset[str]:
    """Systemd units in `text` without their `.service`, and each of `known` that stands there as a word.

    A unit is named as `known` names it, when it does.
    """
    known = list(known)
    as_known = {name.removesuffix(".service"): name for name in known}
    units = {match[1] for match in _UNIT.finditer(text)}
    lowered = text.lower()
    found = {as_known.get(unit, unit) for unit in (_ALIASES.get(unit, unit) for unit in units)}
    for name in known:
        bare = name.removesuffix(".service")
        if bare and bare.lower() in lowered and _word(bare).search(text):
            found.add(name)
    return frozenset(found)


@lru_cache(maxsize=1024)
def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w/.-]){re.escape(name)}(?![\w-]|\.\w)", re.IGNORECASE)


def hosts_in(text: str) -> Iterator[str]:
    """Hosts that `text` talks to or failed to find: of addresses and URLs, names that did not resolve, names spoken of
    as a peer (`connect to db.example.com`)."""
    yield from (host for host, _ in addresses_in(text))
    yield from unresolved_in(text)
    for match in _CONTACTED.finditer(text):
        if match[1].rpartition(".")[2].lower() not in _FILE_ENDINGS:
            yield match[1]
    yield from (match[1] for match in _REMOTE_PATH.finditer(text))
