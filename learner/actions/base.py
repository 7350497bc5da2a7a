"""What an action, a check and a probe are; the families in this package are made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar

from learner.actions.host import Completed, Deadline, Host
from learner.facts import Facts, Path
from learner.strict import Strict

LINUX = ("linux",)
POSIX = ("linux", "darwin")
EVERYWHERE = ("linux", "darwin", "windows")

UNKNOWN = "unknown"
"""The value of a fact that could not be read, or that an effect leaves open."""

P = TypeVar("P", bound=Strict)


@dataclass(frozen=True)
class Outcome:
    """What one attempt did: the words it said, and the facts it saw or changed."""

    success: bool
    stdout: str = ""
    stderr: str = ""
    exit_code: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)
    timed_out: bool = False
    manual: bool = False
    """Whether a person is needed now."""

    @classmethod
    def of(cls, done: Completed, *, success_exit_codes: tuple[int, ...] = (0,), facts: Facts | None = None) -> Outcome:
        """The outcome of a command."""
        success = done.exit_code in success_exit_codes and not done.timed_out
        stderr = done.stderr
        if done.timed_out:
            stderr = f"{stderr.rstrip()}\ntimed out".lstrip()
        return cls(
            success,
            done.stdout,
            stderr,
            done.exit_code,
            facts=(facts or {}) if success else {},
            timed_out=done.timed_out,
        )

    @classmethod
    def failed(cls, message: str, **more: Any) -> Outcome:
        """A failure with its message in `stderr`."""
        return cls(False, stderr=message, **more)

    def seen(self, facts: Facts) -> Outcome:
        """The same outcome with more facts."""
        return replace(self, facts={**self.facts, **facts})


@dataclass(frozen=True)
class Capabilities:
    """What an action touches on a host; the union over its steps is what a runbook can do."""

    services: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()
    privileges: frozenset[str] = frozenset()

    def __or__(self, other: Capabilities) -> Capabilities:
        return Capabilities(
            self.services | other.services,
            self.paths | other.paths,
            self.hosts | other.hosts,
            self.commands | other.commands,
            self.privileges | other.privileges,
        )


@dataclass(frozen=True)
class Probe(ABC):
    """A question about a host. Asked once it is a check or state capture; asked until it holds, a wait."""

    @property
    @abstractmethod
    def paths(self) -> tuple[Path, ...]:
        """The facts it reads."""

    @abstractmethod
    def read(self, host: Host, timeout_seconds: float) -> Facts:
        """The facts as they are now; `unknown` for what can't be read. Never raises for the host's state."""


class Action(ABC, Generic[P]):
    """One thing a step can do. The class docstring is its line in the catalogue."""

    name: ClassVar[str]
    Params: ClassVar[type[Strict]]
    platforms: ClassVar[tuple[str, ...]] = LINUX
    tried_on: ClassVar[tuple[str, ...]] = LINUX
    """The platforms among them on which its author's tests run it; elsewhere it is written by documentation."""
    read_only: ClassVar[bool] = False
    idempotent: ClassVar[bool] = True
    reversible: ClassVar[bool] = False
    default_timeout_seconds: ClassVar[float] = 60.0

    def reads(self, p: P) -> tuple[Path, ...]:
        """The facts its success depends on."""
        return ()

    def effects(self, p: P, facts: Mapping[str, Any]) -> Facts | None:
        """The facts it leaves behind when it succeeds on a host in state `facts`.

        A value of `unknown` leaves a fact (or all below it) open; None: anything may have changed.
        """
        return {} if self.read_only else None

    def capabilities(self, p: P) -> Capabilities:
        """What it touches. Parameters may still hold templates: they count as they are written."""
        return Capabilities()

    @abstractmethod
    def run(self, p: P, host: Host, deadline: Deadline) -> Outcome:
        """Do it, within `deadline`. Raises `HostError` when the host says no."""


class Check(ABC, Generic[P]):
    """A claim about a probe: something that a verification asks for."""

    name: ClassVar[str]
    Params: ClassVar[type[Strict]]
    platforms: ClassVar[tuple[str, ...]] = LINUX
    tried_on: ClassVar[tuple[str, ...]] = LINUX

    @abstractmethod
    def probe(self, p: P) -> Probe:
        """The question."""

    @abstractmethod
    def holds(self, p: P, state: Mapping[str, Any]) -> bool | None:
        """Whether the claim is true in `state`; None when the state does not say."""

    def capabilities(self, p: P) -> Capabilities:
        return Capabilities()


def until(
    probe: Probe, holds: Any, host: Host, deadline: Deadline, *, every_seconds: float = 0.25
) -> tuple[bool | None, Facts]:
    """Ask `probe` until `holds(state)` is True or the time is over; the last verdict and the last facts."""
    from learner.facts import merged

    while True:
        facts = probe.read(host, max(1.0, deadline.remaining()))
        verdict = holds(merged({}, facts))
        if verdict is True or not deadline.pause(every_seconds):
            return verdict, facts
        every_seconds = min(every_seconds * 1.5, 2.0)


def first_installed(host: Host, programs: Sequence[str], timeout_seconds: float) -> str | None:
    """The first of `programs` that the host has; None when it has none of them."""
    script = 'for program do command -v "$program" >/dev/null 2>&1 && { echo "$program"; exit; }; done; exit 1'
    done = host.run(["sh", "-c", script, "sh", *programs], timeout_seconds=timeout_seconds)
    return done.stdout.strip() if done.success else None


def lacking(*programs: str) -> Outcome:
    """The failure of a step that found none of `programs`, in the words and with the exit code of POSIX sh."""
    return Outcome.failed(f"{', '.join(programs)}: command not found", exit_code=127)


def not_exactly_one(**values: object) -> str | None:
    """What is wrong when not exactly one of the named parameters is given; None when all is well."""
    given = [name for name, value in values.items() if value is not None]
    if len(given) == 1:
        return None
    return f"{' and '.join(given)} are both given; one is wanted" if given else f"one of {', '.join(values)} is wanted"
