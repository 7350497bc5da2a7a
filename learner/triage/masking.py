"""An error's words without what changes from run to run, host to host and client to client."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

LONGEST_LINE = 400
MOST_LINES = 6
LONGEST = 1_000
"""Characters of a masked text."""

KNOWN_PORTS = frozenset({
    "21", "22", "25", "53", "80", "110", "123", "143", "389", "443", "465", "514", "587", "636", "873", "993",
    "995", "1433", "1521", "2049", "2181", "2375", "2376", "3306", "3389", "5432", "5671", "5672", "5985", "5986",
    "6379", "6443", "9092", "9200", "11211", "27017",
})  # fmt: skip
"""Ports that name a service: 6379 is Redis on every host, so it tells one missing dependency from another."""

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07]*(?:\x07|\x1b\\)|\x1b[@-_]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_FRAME = re.compile(r'\s*(?:File "[^"]*", line \d+|at [\w$.<>/]+ ?\(.*\)$|goroutine \d+|\^+~*\s*$)')
_BOILERPLATE = re.compile(
    r"\s*(?:See ['\"]?(?:systemctl status|journalctl|man )|see ['\"]?journalctl|Hint: Some lines were ellipsized|"
    r"Use ['\"]?journalctl|Try ['\"]?\S+ --help|Ask for help or search for solutions|"
    r"Please see the logfiles in|Saving debug log to|Reading (?:package lists|state information)|"
    r"Building dependency tree|\+ (?:CategoryInfo|FullyQualifiedErrorId)? *:? *~*$)",
    re.IGNORECASE,
)

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?"
_DATE = (
    rf"\d{{1,4}}[-/]\d{{1,2}}[-/]\d{{1,4}}(?:[T _]{_CLOCK})?(?: ?(?:Z|UTC|GMT|CES?T|[AP]M)\b|[+-]\d{{2}}:?\d{{2}})?"
    rf"|\d{{1,2}} +{_MONTH}(?:,? +\d{{4}})?(?:,? +{_CLOCK})?(?: +[A-Z]{{3,4}}\b)?|\d{{1,2}}:\d{{2}}:\d{{2}}(?:[.,]\d+)?"
)
_NAMED_DATE = (
    rf"(?:{_DAY},? +)?{_MONTH} +\d{{1,2}}(?:,? +\d{{4}})?(?:,? +{_CLOCK})?(?: +[A-Z]{{3,4}}\b)?(?: +\d{{4}})?"
    rf"|{_DAY},? +\d{{1,2}} +{_MONTH}(?:,? +\d{{4}})?(?:,? +{_CLOCK})?(?: +[A-Z]{{3,4}}\b)?"
)
_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_IPV4 = r"\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?"
_IPV6 = r"(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4})+(?:%\w+)?(?:/\d{1,3})?|fe80::[0-9a-fA-F:]+(?:%\w+)?"
# Numbers that say what went wrong, not when or where: exit codes, errno, HTTP, Windows and SQL states.
_CODE_WORDS = (
    r"(?:[Ee]xit(?:ed with)?(?: code| status)?|exit_?code|[Ee]rror code|[Rr]eturn(?:ed)? code|rc|errno|[Ee]rror|"
    r"[Ss]tatus|code=exited, ?status|HTTP(?:/[0-9.]+)?|HTTP error|SQLSTATE|[Ee]vent id|[Ss]ignal|rsync error)"
    r"[:= ]*[(\[]?\d{1,5}\b(?!\.\d)|FAILED \d{3,5}:"
)
_ID = (
    r"[0-9A-HJKMNP-TV-Z]{26}\b|(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,128}\b"
    r"|(?=[A-Za-z]*\d)(?=\d*[A-Za-z])(?=[A-Za-z0-9]*\d[A-Za-z]+\d)[A-Za-z0-9]{16,128}\b"
)
_UNIT = r"(?: ?(?:%|(?:[kKMGT]i?B?|ms|us|s|m|h|bytes|seconds?|minutes?)\b))?"
_NUMBER = rf"\d+(?:[.,]\d+)*{_UNIT}(?![\w])(?!\.\w|-\w*[A-Za-z])"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"

# Words without a digit, a dot, a colon or a slash can't be volatile, so most of a text is passed over quickly.
_VOLATILE = re.compile(
    rf"(?<![\w.~<>-])(?P<path>/(?:[\w.@+~%<>-]+/*)+)"
    rf"|(?<=[(\[])(?P<errno>\d{{1,5}}: (?=[A-Z])|(?:Errno|WinError) \d{{1,5}}\])"
    rf"|(?<=[ *\]]:)(?P<bareport>\d{{2,5}})(?![\w.-]|:\d)"
    rf"|(?<![\w<])(?:(?=\S*[\d.:])(?:(?P<url>[a-z][a-z0-9+.-]*://[^\s\"'<>|`]+)"
    rf"|(?P<status>[1-5]\d\d, not [1-5]\d\d\b|[45]\d\d (?=[A-Z][a-z]))"
    rf"|(?P<uuid>{_UUID})|(?P<time>{_DATE})(?!\w)|(?P<winerror>0x[8cC][0-9a-fA-F]{{7}})\b|(?P<hex>0x[0-9a-fA-F]+)\b"
    rf"|(?P<mac>(?:[0-9a-fA-F]{{2}}:){{5}}[0-9a-fA-F]{{2}}\b)"
    rf"|(?P<ip>(?:{_IPV4}|{_IPV6})(?![\w.]*\w))(?::(?P<ipport>\d{{1,5}})\b)?"
    rf"|(?P<number>{_NUMBER})|(?P<id>{_ID})"
    rf"|(?P<name>(?=[\w-]*\.){_LABEL}(?:\.{_LABEL})+)(?::(?P<nameport>\d{{1,5}})\b)?"
    rf"|(?P<digits>\d+(?![A-Za-z])))"
    rf"|(?=[JFMASONDTW])(?P<nameddate>{_NAMED_DATE})(?!\w)|(?=[EeRrSsHFc])(?P<code>{_CODE_WORDS})|curl: (?P<curl>\(\d+\))"
    rf"|(?P<portword>[Pp]ort[ =:#]+)(?P<port>\d{{1,5}})\b)"
)
# What is volatile as a whole, looked at before its parts; each is only tried where its mark stands.
_KLOG = re.compile(r"^([IWEF])\d{4} (?=\d\d:\d\d)")
_UPTIME = re.compile(r"\[ *\d+\.\d{3,9}\]")
_LASTED = re.compile(r"[0-9](?<!\w[0-9])[0-9]*(?:\.\d+)?(?:[dhms]|ms)(?: ?\d+(?:\.\d+)?(?:[hms]|ms|us|ns))+\b")
_HARDWARE = re.compile(r"\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}(?![\w:])")
_POD = re.compile(r"-[a-f0-9]{8,10}-[b-df-hj-np-tv-xz2-9]{5}\b")
_PREFIXED = re.compile(
    r"\b(?:req|request|txn|tx|evt|job|task|run|trace|span|sess|session|msg)_(?=[A-Za-z0-9]*\d)(?=[A-Za-z0-9]*[A-Za-z])[A-Za-z0-9]{10,}\b"
)
# Which file happened to change while a whole tree was copied is chance.
_MOVED = re.compile(r"(\btar: )\S.*(: [Ff]ile (?:changed as|removed before) we read it)|(\bvanished: )\S.*$")
_KEPT = frozenset({"errno", "status", "winerror", "code", "curl"})
_LOCAL_IP = re.compile(r"127\.|0\.0\.0\.0$|::1$|::$")
_TOP_LEVEL = frozenset({
    "com", "net", "org", "io", "dev", "app", "cloud", "ai", "co", "edu", "gov", "info", "biz", "me", "eu", "de",
    "uk", "fr", "nl", "it", "es", "pl", "ch", "at", "se", "no", "fi", "dk", "cz", "us", "ca", "au", "nz", "jp",
    "cn", "in", "br", "ru", "local", "lan", "home", "internal", "corp", "intra", "intranet", "private", "test",
    "example", "invalid", "localdomain", "arpa", "consul", "svc",
})  # fmt: skip
_NAMES_A_HOST = re.compile(
    r"(?:\bhost|\bhostname|resolve|resolving|reach|lookup|\bto|\bfrom|\bat|@|server|peer)[ :=]+[\"'‘`(]?$",
    re.IGNORECASE,
)
_SUFFIX_OF_A_FILE = re.compile(
    r"\.(?:service|socket|timer|mount|target|slice|scope|conf|cfg|cnf|ini|ya?ml|json|toml|log|pid|lock|sock|sh|py|rb|js|ts|php|c|h|"
    r"cpp|go|rs|java|jar|so|deb|rpm|tgz|gz|zip|pem|crt|key|csr|db|sql|txt|html?|xml|exe|dll|ps1|psm1|msi|plist|d)(?:\.\d+)*$",
    re.IGNORECASE,
)
_TEMPORARY = re.compile(r"^(/(?:var/)?tmp|/dev/shm)/[^/]+")
_TEMPORARY_ON_WINDOWS = re.compile(r"(\\te?mp\\)[^\\\s:'\"*]+", re.IGNORECASE)
_HOME = re.compile(r"^(/home|/Users|/export/home)/[^/]+")
_RANDOM_PART = re.compile(r"(?=[^/]*\d)(?=[^/]*[A-Za-z])(?:[0-9a-fA-F]{7,}|(?=[^/]*\d[A-Za-z]+\d)[A-Za-z0-9]{8,})$")


def mask(text: str, own: Mapping[str, str]) -> str:
    """`text` in one line with everything volatile replaced: times, ids, addresses, numbers, parts of paths.

    `own` maps this run's own words (its host, its ids, its parameters' values) to what stands for them. Lines that
    repeat each other, stack frames and tools' standing advice are left out; the rest is cut to `LONGEST`.
    """
    return " ⏎ ".join(salient_lines(text, own))[:LONGEST]


def salient_lines(text: str, own: Mapping[str, str]) -> list[str]:
    """The masked lines of `text` that say something, each once: the first ones and, when there are many, the last."""
    text = plain(text)
    # Most of a run's own words don't stand in its error: only those that do cost anything.
    present = [(value, own[value]) for value in own if value in text]
    present.sort(key=lambda item: (-len(item[0]), item[0]))
    kept: dict[str, None] = {}
    traceback = False
    for line in text.split("\n"):
        # Of a Python traceback only its last line says what happened; the rest is where.
        traceback = line.startswith("Traceback (most recent") or (traceback and line[:1] in (" ", ""))
        if not traceback and line.strip() and not _BOILERPLATE.match(line) and not _FRAME.match(line):
            # Cut after masking: before it, where a line is cut depends on how long a host's name is.
            kept[_masked_line(_without_own(line[: 3 * LONGEST_LINE], present))[:LONGEST_LINE]] = None
    lines = [line for line in kept if line.strip(" -=*#~<>.")]
    if not lines and text.strip():
        lines = [_masked_line(_without_own(" ".join(text.split())[: 3 * LONGEST_LINE], present))[:LONGEST_LINE]]
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 2], *lines[-2:]]
    return lines


def plain(text: str) -> str:
    """`text` without colours and control characters; line breaks stay."""
    if text.isprintable():
        return text
    return _CONTROL.sub("", _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


@lru_cache(maxsize=4096)
def _masked_line(line: str) -> str:
    return " ".join(_VOLATILE.sub(_masked, _shaped(line)).split())


def _shaped(line: str) -> str:
    if "\\" in line:
        line = _TEMPORARY_ON_WINDOWS.sub(r"\1*", line)
    line = _KLOG.sub(r"\1 ", line)
    if "[" in line:
        line = _UPTIME.sub("[#]", line)
    line = _LASTED.sub("#", line)
    if line.count(":") >= 5:
        line = _HARDWARE.sub("<id>", line)
    if "-" in line:
        line = _POD.sub("-<id>", line)
    if "we read it" in line or "vanished: " in line:
        line = _MOVED.sub(lambda match: f"{match[1] or match[3]}<file>{match[2] or ''}", line)
    return _PREFIXED.sub("<id>", line) if "_" in line else line


def _without_own(line: str, own: list[tuple[str, str]]) -> str:
    """`line` with `<name>` in the place of each own word that stands there whole; longest first."""
    for value, name in own:
        if value in line:
            line = _whole(value).sub(f"<{name}>", line)
    return line


@lru_cache(maxsize=4096)
def _whole(value: str) -> re.Pattern[str]:
    if value.isdigit():
        # As a port only: anywhere else a number is masked as one, and `22 Nov` or `17:22` are times.
        return re.compile(rf"(?:(?<=:)(?<![^.\d]\d\d:)|(?<=[Pp]ort[ =:#])|(?<=[Pp]ort: )){value}(?![\w]|:\d\d)")
    # `acme` is a client, and in `urn:ietf:params:acme:error` it is a word of the standard.
    word = re.escape(value)
    return re.compile(rf"(?<![A-Za-z0-9<])(?!(?<=[a-z]:){word}:[a-z]){word}(?![A-Za-z0-9>])")


def _masked(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    whole = match[0]
    if kind in _KEPT:
        return whole
    if kind in ("url", "path"):
        return _url(whole) if kind == "url" else path(whole)
    if kind in ("ip", "ipport"):
        host = "<local>" if _LOCAL_IP.match(match["ip"]) else "<ip>"
        return host + (f":{_port(match['ipport'])}" if match["ipport"] else "")
    if kind in ("name", "nameport"):
        return _name(match)
    if kind in ("port", "bareport"):
        return (match["portword"] or "") + _port(match[kind])
    return _STANDS_FOR.get(kind, "#")


_STANDS_FOR = {"uuid": "<id>", "id": "<id>", "mac": "<id>", "time": "<time>", "nameddate": "<time>", "hex": "<hex>"}


def _port(number: str) -> str:
    return number if number in KNOWN_PORTS else "<port>"


def _name(match: re.Match[str]) -> str:
    name, port = match["name"], match["nameport"]
    last = name.rpartition(".")[2]
    if not _SUFFIX_OF_A_FILE.search(name):
        labels = name.count(".") + 1
        known = last.lower() in _TOP_LEVEL and name == name.lower()
        host = known or port is not None or (labels > 2 and last.isalpha() and name == name.lower())
        if last.isalpha() and (host or _NAMES_A_HOST.search(match.string, 0, match.start())):
            return "<host>" + (f":{_port(port)}" if port else "")
    masked = _numbers_of(name)
    return masked + (":#" if port else "")


def _numbers_of(word: str) -> str:
    # A number that stands on its own is volatile (web-3, app.2026); one that ends a word is its name (python3).
    return re.sub(r"(?<![A-Za-z0-9])\d+(?![A-Za-z])", "#", word)


def _url(url: str) -> str:
    scheme, _, rest = url.partition("://")
    tail = rest[len(rest.rstrip(".,:;)]}")) :]
    rest = rest[: len(rest) - len(tail)]
    if scheme == "unix" or rest.startswith("/"):
        return f"{scheme}://{path(rest)}{tail}"
    host, slash, below = rest.partition("/")
    host = host.rpartition("@")[2]
    name, colon, port = host.rpartition(":") if re.search(r":\d+$", host) else (host, "", "")
    if "<" not in name:
        name = "<local>" if _LOCAL_IP.match(name) or name in ("localhost", "[::1]") else "<host>"
    below = re.split(r"[?#]", below)[0]
    return (
        f"{scheme}://{name}{colon}{_port(port) if port.isdigit() else port}{path(slash + below) if slash else ''}{tail}"
    )


def path(path: str) -> str:
    """A path without its variable parts: temporary names, homes, numbers, dates and random names."""
    tail = path[len(path.rstrip(".,:;")) :]
    path = path[: len(path) - len(tail)]
    path = _HOME.sub(r"\1/*", _TEMPORARY.sub(r"\1/*", path))
    parts = ["*" if _RANDOM_PART.match(part) else part for part in path.split("/")]
    return "/".join(_numbers_in_path(part) for part in parts) + tail


def _numbers_in_path(part: str) -> str:
    # python3.11 and lib64 name things; 2026-11-22, 1234 and web-3 don't.
    part = re.sub(
        r"(?<=[._-])(?=[A-Za-z0-9]*\d[A-Za-z]+\d)[A-Za-z0-9]{6,}(?=[._-])", "*", part
    )  # a queue's or mailbox's
    return re.sub(r"(?<![A-Za-z0-9.])\d+(?:[-_.]\d+)*(?![A-Za-z])", "#", part)
