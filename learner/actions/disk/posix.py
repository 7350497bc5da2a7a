"""Large files and cleaning on POSIX hosts: find and stat, of GNU, busybox or the BSDs."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace

from learner.actions.base import Outcome
from learner.actions.disk.tally import Cleaned, Found
from learner.actions.host import Deadline, Host

_HAS = """for program in %s; do
  command -v "$program" >/dev/null || { echo "$program: command not found" >&2; exit 127; }
done
LC_ALL=C; export LC_ALL
newline='
'
"""

# GNU's and busybox's stat take -c, the BSDs' -f. Source: stat(1) of GNU coreutils and of macOS.
_STAT = """if stat -c %s . >/dev/null 2>&1; then how=-c size='%s %n' times='%Y %s %n'; else how=-f size='%z %N' times='%m %z %N'; fi
"""

# A name that holds a newline would look like two; such files are left out.
_LARGE = (
    _HAS % "find stat sort awk"
    + _STAT
    + """root=$(cd -P -- "$1" && pwd -P) || exit 1
[ -r "$root" ] || { echo "$1: permission denied" >&2; exit 1; }
most=$2; shift 2
find "$root" -xdev -type f ! -path "*$newline*" "$@" -exec stat "$how" "$size" {} + | sort -rn | awk -v most="$most" '
NR <= most { print }
{ count++; bytes += $1 }
END { printf "%d %.0f\\n", count, bytes }'"""
)


def find_large(
    host: Host, deadline: Deadline, path: str, least_bytes: int, older_than_days: int, most: int
) -> Found | Outcome:
    """The files below a directory, on its own file system, that hold `least_bytes` or more."""
    # find's +n means more than n.
    wanted = ["-size", f"+{least_bytes - 1}c"]
    if older_than_days:
        wanted += ["-mtime", f"+{older_than_days - 1}"]
    argv = ["sh", "-c", _LARGE, "sh", path, str(most), *wanted]
    done = host.run(argv, timeout_seconds=max(1.0, deadline.remaining()))
    *listed, summary = done.stdout.removesuffix("\n").split("\n")
    totals = re.fullmatch("([0-9]+) ([0-9]+)", summary)
    if not done.success or not totals:
        return Outcome.of(replace(done, exit_code=done.exit_code or 1, stdout=""))
    parts = (line.partition(" ") for line in listed)
    largest = tuple((name, int(size)) for size, _, name in parts if size.isdigit() and name)
    return Found(largest, int(totals[1]), int(totals[2]), done.stderr)


# fmt: off
_DIRECTORIES = frozenset({
    "/etc", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/usr", "/usr/include", "/usr/local",
    "/usr/local/bin", "/usr/local/lib", "/usr/local/sbin", "/usr/share", "/var", "/var/lib", "/var/mail", "/var/spool",
    "/Applications", "/Library", "/Users", "/Volumes", "/private", "/var/db", "/var/root",
})
"""System directories that are never cleaned themselves; what lies below them may be."""
_TREES = (
    "/bin", "/boot", "/dev", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys", "/usr/bin", "/usr/lib",
    "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/sbin", "/System",
)
"""Never cleaned at any depth."""
# fmt: on


def refusal(path: str) -> str | None:
    """Why no step may clean the directory `path`; None when it may. Links are the host's to resolve."""
    if not path.startswith("/"):
        return f"{path} is no absolute path"
    if ".." in path.split("/"):
        return f"{path} holds .."
    plain = tidy(path)
    if plain == "/":
        return "/ is the whole system"
    # What stands below /private on macOS is what /etc, /tmp and /var lead to.
    plain = re.sub(r"^/private(?=/(?:etc|tmp|var)(?:/|$))", "", plain)
    if plain in _DIRECTORIES or any(plain == tree or plain.startswith(f"{tree}/") for tree in _TREES):
        return f"{plain} belongs to the system"
    return None


def tidy(path: str) -> str:
    """`path` with one slash between its names and none at its end."""
    return posixpath.normpath(re.sub("/+", "/", path))


_RESOLVE = """[ -h "$1" ] && { echo "refused: $1 is a symbolic link; name the directory itself" >&2; exit 1; }
cd -P -- "$1" && pwd -P"""

# The directory is entered once and worked in from inside, so that nothing can be put in its place meanwhile.
# What was removed is told by looking before and after: a removal can fail in the middle.
_CLEAN = (
    _HAS % "find stat sort awk sed tr xargs"
    + _STAT
    + """{ cd -P -- "$1" && [ "$(pwd -P)" = "$1" ]; } || { echo "$1: is not where it was" >&2; exit 1; }
keep=$2 age=$3 now=$(date +%s); shift 3
chosen() {
  find . ! -name . -prune -type f ! -name "*$newline*" "$@" -exec stat "$how" "$times" {} + | sort -k1,1nr -k3r |
    awk -v keep="$keep" -v age="$age" -v now="$now" 'NR > keep && now - $1 >= age'
}
total() { awk '{ count++; bytes += $2 } END { printf "%d %.0f\\n", count, bytes }'; }
chosen "$@" | total
chosen "$@" | sed 's/^-\\{0,1\\}[0-9]* [0-9]* //' | tr '\\n' '\\0' | xargs -0 rm -f --
status=$?
chosen "$@" | total
[ "$status" = 0 ]"""
)


def clean(
    host: Host, deadline: Deadline, path: str, patterns: Sequence[str], least_age_seconds: int, keep_last: int
) -> Cleaned | Outcome:
    """Remove files right in a directory whose names match, but for the newest ones that are kept."""
    found = host.run(["sh", "-c", _RESOLVE, "sh", tidy(path)], timeout_seconds=max(1.0, deadline.remaining()))
    if not found.success:
        return Outcome.of(found)
    real = found.stdout.removesuffix("\n")
    if why := refusal(real):
        return Outcome.failed(f"refused: {path} leads to {real}, and {why}")
    # A file whose time lies ahead of the clock is removed too when no age is asked for.
    age = str(least_age_seconds) if least_age_seconds else "-99999999999"
    argv = ["sh", "-c", _CLEAN, "sh", real, str(keep_last), age, *_named(patterns)]
    done = host.run(argv, timeout_seconds=max(1.0, deadline.remaining()))
    totals = re.fullmatch("([0-9]+) ([0-9]+)\n([0-9]+) ([0-9]+)\n", done.stdout)
    if not totals:
        return Outcome.of(replace(done, exit_code=done.exit_code or 1))
    count, size, left, rest = map(int, totals.groups())
    complaints = "" if done.success else Outcome.of(done).stderr or "not all could be removed"
    return Cleaned(count - left, size - rest, left, complaints, done.timed_out)


def _named(patterns: Sequence[str]) -> list[str]:
    """The patterns as an expression of find."""
    words = ["("]
    for pattern in patterns:
        hidden = [] if pattern.startswith(".") else ["!", "-name", ".*"]
        words += [*(["-o"] if len(words) > 1 else []), *hidden, "-name", pattern]
    return [*words, ")"]
