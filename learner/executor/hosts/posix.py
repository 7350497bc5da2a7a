"""What a host is asked by way of commands alone: POSIX sh and the small programs that every such host has.

Only `stat` (GNU, busybox or BSD) is needed beyond POSIX. Connections are opened by the first of bash, nc, python3 and
perl that is there, addresses asked by curl, wget or python3; where none is, the answer is that it is not known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from learner.actions.host import Completed, FileStat, HostError, HttpAnswer
from learner.models.execution import HostFacts

BODY_BYTES = 64 << 10
NO_MEANS = 125
"""Exit code of a script of ours that found no program to work with."""

WAY_SECONDS = 5.0
"""What a question may take to get to a busy host and back, beside the time that its answer may take there."""


class Runs(Protocol):
    """What can run a command."""

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: str | None = None,
    ) -> Completed: ...


def sh(host: Runs, script: str, *arguments: str, timeout_seconds: float, stdin: str | None = None) -> Completed:
    """Run a script of ours with arguments that never become part of its text."""
    return host.run(
        ["sh", "-c", script, "sh", *arguments], timeout_seconds=timeout_seconds, stdin=stdin, env={"LC_ALL": "C"}
    )


def refusal(path: str, words: str) -> HostError:
    """The error of a command about a file, with its kind."""
    said = (words.strip().splitlines() or ["can't be reached"])[-1]
    last = said.rpartition(": ")[2].lower()
    kinds = {"no such file or directory": "missing", "permission denied": "denied", "operation not permitted": "denied",
             "no space left on device": "full", "read-only file system": "denied"}  # fmt: skip
    return HostError(f"{path}: {last}", kinds.get(last, "other"))


def read_file(host: Runs, path: str, limit_bytes: int) -> bytes:
    """The first `limit_bytes` of a file, whatever bytes they are.

    Raises: `HostError`.
    """
    # Output is text on its way here; hexadecimal digits carry every byte. od is POSIX, base64 is not.
    check = """[ -e "$1" ] || { echo "$1: No such file or directory" >&2; exit 1; }
[ -d "$1" ] && { echo "$1: Is a directory" >&2; exit 1; }
[ -r "$1" ] || { echo "$1: Permission denied" >&2; exit 1; }
"""
    # Twice the digits plus a blank for each byte must fit into what is kept of an output.
    chunk = 12 << 10
    found = bytearray()
    while len(found) < limit_bytes:
        size = min(chunk, limit_bytes - len(found))
        part = 'head -c "$2"' if not found else 'tail -c +"$3" | head -c "$2"'
        done = sh(
            host,
            f'{check}{{ {part}; }} <"$1" | od -An -v -tx1',
            path,
            str(size),
            str(len(found) + 1),
            timeout_seconds=30.0,
        )
        if not done.success:
            raise refusal(path, done.stderr)
        piece = bytes.fromhex(done.stdout)
        found += piece
        if len(piece) < size:
            break
    return bytes(found)


def write_file(host: Runs, path: str, content: bytes, mode: str | None) -> None:
    """Write a file whole or not at all.

    Raises: `HostError`.
    """
    script = """set -eu; umask 077
t=$(dirname "$1")/.$(basename "$1").learner.$$
trap 'rm -f "$t"' EXIT
octal >"$t"; chmod "$2" "$t"; mv -f "$t" "$1"; trap - EXIT"""
    try:
        text = content.decode()
        carry = "octal() { cat; }\n"
        if "\x00" in text or "\r" in text:
            raise UnicodeDecodeError("utf-8", content, 0, 1, "as octal")
    except UnicodeDecodeError:
        # printf's %b is the one POSIX way from text to any byte.
        text = "".join(
            "".join(f"\\0{byte:03o}" for byte in content[i : i + 256]) + "\n" for i in range(0, len(content), 256)
        )
        carry = 'octal() { while IFS= read -r line; do printf "%b" "$line"; done; }\n'
    done = sh(host, carry + script, path, mode or "0644", timeout_seconds=60.0, stdin=text)
    if not done.success:
        raise refusal(path, done.stderr)


def stat(host: Runs, path: str) -> FileStat | None:
    """What stands at `path`, links followed; None when nothing does.

    Raises: `HostError` when the host does not say. Source: GNU stat and BSD stat manuals, formats.
    """
    script = """export LC_ALL=C
if ! ls -Ld -- "$1" >/dev/null 2>&1; then
  said=$(ls -Ld -- "$1" 2>&1) && exit 1
  case $said in *"No such file"*|*"Not a directory"*|*"not found"*) echo absent; exit 0;; esac
  echo "$said" >&2; exit 1
fi
if stat --version >/dev/null 2>&1 || stat -L -c %Y / >/dev/null 2>&1; then stat -L -c '%a %s %U %Y %F' -- "$1"
else stat -L -f '%Lp %z %Su %m %HT' -- "$1"; fi"""
    done = sh(host, script, path, timeout_seconds=10.0)
    if not done.success:
        raise refusal(path, done.stderr)
    if done.stdout.strip() == "absent":
        return None
    mode, size, owner, modified, kind = done.stdout.strip().split(" ", 4)
    what = {"directory": "directory", "regular": "file"}.get(kind.split()[0].lower(), "other")
    return FileStat(what, int(size), mode.zfill(4), owner, float(modified))  # type: ignore[arg-type]


_CONNECT = """
if command -v bash >/dev/null 2>&1; then
  if timeout 1 true 2>/dev/null; then timeout "$3" bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2"
  else bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2"; fi
  code=$?; case $code in 124|143) echo "timed out" >&2;; esac; exit $code
fi
if command -v nc >/dev/null 2>&1; then exec nc -z -w "$3" "$1" "$2"; fi
if command -v python3 >/dev/null 2>&1; then exec python3 -c 'import socket,sys
try: socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))
except OSError as e: sys.exit(e.strerror or "timed out")' "$1" "$2" "$3"; fi
if command -v perl >/dev/null 2>&1; then exec perl -MIO::Socket::INET -e '
exit 0 if IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1], Timeout => $ARGV[2]); die "$!\\n"' "$1" "$2" "$3"; fi
exit 125"""


def connect(host: Runs, address: str, port: int, timeout_seconds: float) -> str | None:
    """None when a TCP connection succeeds, else why not.

    Raises: `HostError` when the host has nothing to open one with, or does not say in time.
    """
    done = _asked(host, _CONNECT, address, str(port), seconds=max(1.0, timeout_seconds))
    if done.exit_code == NO_MEANS:
        raise HostError("none of bash, nc, python3, perl is there to open a connection with", "missing")
    if done.success:
        return None
    return reason(done.stderr) or "connection refused"


def _asked(host: Runs, script: str, *arguments: str, seconds: float) -> Completed:
    """A question that bounds itself to `seconds` on the host, which is its last argument there.

    Raises: `HostError` when no answer came back: a slow way there says nothing about what was asked.
    """
    done = sh(host, script, *arguments, str(int(seconds)), timeout_seconds=seconds + WAY_SECONDS)
    if done.timed_out:
        raise HostError(f"no answer within {seconds + WAY_SECONDS:g} s", "unreachable")
    return done


def reason(words: str) -> str | None:
    """The reason why a connection failed, as the system's own words in lower case; None when there is none."""
    known = ("connection refused", "no route to host", "network is unreachable", "connection reset by peer",
             "name or service not known", "temporary failure in name resolution", "timed out")  # fmt: skip
    low = words.lower()
    if "could not resolve host" in low or "bad address" in low or "invalid argument" in low:
        return "name or service not known"
    return next((one for one in known if one in low), None)


_HTTP = r"""
if command -v curl >/dev/null 2>&1; then
  exec curl -sS -L --proto '=http,https' --proto-redir '=http,https' --noproxy '*' --max-redirs 10 -m "$2" -A learner -o - -w '\nlearner-status:%{http_code}' -- "$1"
fi
if command -v python3 >/dev/null 2>&1; then exec python3 -c '
import sys, urllib.request as r, urllib.error as e
def say(status, body): sys.stdout.write(body.read(65536).decode("utf-8", "replace") + "\nlearner-status:%d" % status)
try:
    a = r.build_opener(r.ProxyHandler({})).open(r.Request(sys.argv[1], headers={"User-Agent": "learner"}), timeout=float(sys.argv[2]))
    say(a.status, a)
except e.HTTPError as x: say(x.code, x)
except e.URLError as x: sys.exit(str(getattr(x.reason, "strerror", None) or x.reason))
except OSError as x: sys.exit(str(x.strerror or x))' "$1" "$2"; fi
if command -v wget >/dev/null 2>&1; then
  said=$(wget -q -S -T "$2" -t 1 -U learner -O - "$1" 2>&1); code=$?
  status=$(printf '%s\n' "$said" | sed -n 's/^ *HTTP\/[0-9.]* \([0-9][0-9][0-9]\).*/\1/p' | tail -n 1)
  [ -n "$status" ] || { printf '%s\n' "$said" >&2; exit $code; }
  printf '%s\nlearner-status:%s' "$said" "$status"; exit 0
fi
exit 125"""


def http_get(host: Runs, url: str, timeout_seconds: float) -> HttpAnswer:
    """What an address answered, asked from the host.

    Raises: `HostError` when the host has nothing to ask with, or does not say in time.
    """
    done = _asked(host, _HTTP, url, seconds=max(1.0, timeout_seconds))
    if done.exit_code == NO_MEANS:
        raise HostError("none of curl, python3, wget is there to ask with", "missing")
    body, _, status = done.stdout.rpartition("\nlearner-status:")
    # A status of 000 is curl's word for no answer.
    if status.isdigit() and int(status) >= 100:
        return HttpAnswer(int(status), body.encode()[:BODY_BYTES].decode("utf-8", "replace"))
    if done.exit_code == 28:
        return HttpAnswer(None, error="timed out")
    if done.exit_code == 7:
        return HttpAnswer(None, error=reason(done.stderr) or "connection refused")
    words = (done.stderr.strip().splitlines() or ["no answer"])[-1]
    return HttpAnswer(None, error=reason(words) or re.sub(r"^curl: \(\d+\) ", "", words).lower())


def resolve(host: Runs, name: str, timeout_seconds: float) -> list[str]:
    """The addresses of a name; empty when it has none.

    Raises: `HostError` when the host has nothing to ask with.
    """
    script = """
if command -v getent >/dev/null 2>&1; then getent ahosts "$1" || getent hosts "$1"; exit 0; fi
if command -v dscacheutil >/dev/null 2>&1; then dscacheutil -q host -a name "$1" | sed -n 's/^ip[v6]*_address: //p'; exit 0; fi
if command -v nslookup >/dev/null 2>&1; then nslookup "$1" | sed -n '/^Name/,$s/^Address[^:]*: *//p'; exit 0; fi
exit 125"""
    done = sh(host, script, name, timeout_seconds=max(1.0, timeout_seconds) + WAY_SECONDS)
    if done.exit_code == NO_MEANS:
        raise HostError("none of getent, dscacheutil, nslookup is there to ask with", "missing")
    return sorted({line.split()[0] for line in done.stdout.splitlines() if line.split()})


_FACTS = """
uname -s; uname -m; uname -r; id -u; hostname 2>/dev/null || uname -n
if [ -r /etc/os-release ]; then sed -n 's/^ID=/id /p; s/^VERSION_ID=/version /p' /etc/os-release
elif command -v sw_vers >/dev/null 2>&1; then echo "version $(sw_vers -productVersion)"; fi"""


def facts(host: Runs) -> tuple[HostFacts, str, str, bool]:
    """What kind of machine it is (without its service manager), its platform, its name, and whether we are root there.

    Raises: `HostError` when it is no POSIX host.
    """
    done = sh(host, _FACTS, timeout_seconds=15.0)
    lines = done.stdout.splitlines()
    if not done.success or len(lines) < 5:
        raise HostError(done.stderr.strip() or "it does not answer like a POSIX host", "unreachable")
    system, arch, release, uid, name = lines[:5]
    said = {key: value.strip("\"' ") for key, _, value in (line.partition(" ") for line in lines[5:])}
    platform = {"Linux": "linux", "Darwin": "darwin"}.get(system)
    if platform is None:
        raise HostError(f"{system} is no platform that runbooks are written for", "other")
    return (
        HostFacts(os_id=said.get("id") or platform, os_version=said.get("version") or release, arch=arch),
        platform,
        name,
        uid == "0",
    )
