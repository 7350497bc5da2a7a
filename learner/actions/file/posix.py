"""Files on POSIX hosts, by the small programs that every such host has."""

from __future__ import annotations

from learner.actions.base import Outcome
from learner.actions.host import Deadline, Host


def refusal(mode: str | None = None, owner: str | None = None, group: str | None = None) -> str | None:
    """None: POSIX has modes, owners and groups."""
    return None


def make_directory(host: Host, deadline: Deadline, path: str, mode: str | None = None) -> Outcome:
    """Create a directory and its parents; a new one has `mode` from its first moment."""
    return _command(host, deadline, "mkdir", "-p", *(["-m", mode] if mode else []), "--", path)


def remove(host: Host, deadline: Deadline, path: str) -> Outcome:
    """Remove a file."""
    return _command(host, deadline, "rm", "-f", "--", path)


def copy(host: Host, deadline: Deadline, source: str, destination: str) -> Outcome:
    """Copy a file with its mode and times."""
    return _command(host, deadline, "cp", "-p", "--", source, destination)


def permit(
    host: Host,
    deadline: Deadline,
    path: str,
    mode: str | None = None,
    owner: str | None = None,
    group: str | None = None,
) -> Outcome:
    """Set what is given of mode, owner and group."""
    done = Outcome(True, stdout="nothing asked for")
    for wanted, command in ((mode, "chmod"), (owner, "chown"), (group, "chgrp")):
        if wanted and done.success:
            done = _command(host, deadline, command, wanted, "--", path)
    return done


def is_alive(host: Host, pid: int) -> bool:
    """Whether a process has the id."""
    return host.run(["ps", "-p", str(pid), "-o", "pid="], timeout_seconds=5.0).success


def _command(host: Host, deadline: Deadline, *argv: str) -> Outcome:
    return Outcome.of(host.run(argv, timeout_seconds=deadline.remaining()))
