"""Files on Windows: .NET's own file classes, and icacls for the owner."""

from __future__ import annotations

from learner.actions.base import Outcome
from learner.actions.host import Deadline, Host, HostError
from learner.actions.powershell import Script

_MAKE = Script("Answer @{ path = [IO.Directory]::CreateDirectory($env:LEARNER_PATH).FullName }")

_REMOVE = Script("[IO.File]::Delete($env:LEARNER_PATH); Answer @{ }")

# The time of the last change goes along by itself; permissions are those of the place, or of the file that was there.
_COPY = Script("[IO.File]::Copy($env:LEARNER_SOURCE, $env:LEARNER_DESTINATION, $true); Answer @{ }")

_ALIVE = Script(
    "Answer @{ alive = [bool](Get-Process -Id ([int]$env:LEARNER_PID) -ErrorAction SilentlyContinue) }", ("alive",)
)


def refusal(mode: str | None = None, owner: str | None = None, group: str | None = None) -> str | None:
    """Why Windows can't set what is asked for; None when it can."""
    if mode is not None:
        return f"mode {mode}: Windows knows no modes; leave it out, or set permissions with icacls by run_command"
    if group is not None or (owner is not None and ":" in owner):
        return "Windows knows an owner, but no group of a file"
    return None


def make_directory(host: Host, deadline: Deadline, path: str, mode: str | None = None) -> Outcome:
    """Create a directory and its parents."""
    return _did(_MAKE.ask(host, deadline.remaining(), path=path))


def remove(host: Host, deadline: Deadline, path: str) -> Outcome:
    """Remove a file."""
    return _did(_REMOVE.ask(host, deadline.remaining(), path=path))


def copy(host: Host, deadline: Deadline, source: str, destination: str) -> Outcome:
    """Copy a file with the time of its last change."""
    return _did(_COPY.ask(host, deadline.remaining(), source=source, destination=destination))


def permit(
    host: Host,
    deadline: Deadline,
    path: str,
    mode: str | None = None,
    owner: str | None = None,
    group: str | None = None,
) -> Outcome:
    """Set the owner when one is given; what Windows lacks is refused."""
    if why := refusal(mode, owner, group):
        return Outcome.failed(f"refused: {why}")
    if owner is None:
        return Outcome(True, stdout="nothing asked for")
    # Source: Microsoft Learn, "icacls", /setowner; /q leaves out what went well.
    return Outcome.of(host.run(["icacls", path, "/setowner", owner, "/q"], timeout_seconds=deadline.remaining()))


def is_alive(host: Host, pid: int) -> bool:
    """Whether a process has the id.

    Raises: `HostError` when the host does not say.
    """
    if pid >= 1 << 31:  # no process of Windows has such an id
        return False
    said = _ALIVE.ask(host, 10.0, pid=pid)
    if isinstance(said, Outcome):
        raise HostError(said.stderr)
    return bool(said["alive"])


def _did(said: dict[str, object] | Outcome) -> Outcome:
    return said if isinstance(said, Outcome) else Outcome(True, exit_code=0)
