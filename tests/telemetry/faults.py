"""Every fault that telemetry must survive, one after the other: `python -m tests.telemetry.faults`.

After each, everybody pushes and folds again. Lost: acknowledged by the spool, but not on `telemetry`. Doubled: there
twice. Expected: none.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path

from learner.errors import LearnerError
from learner.models import ExecutionResult
from learner.repository.git import init
from learner.repository.objects import commit
from learner.telemetry import fold as folding
from learner.telemetry import inbox
from learner.telemetry.parse import encoded
from learner.telemetry.spool import Spool
from tests.telemetry.conftest import NOW, SETTINGS, WHO, World, numbered

Step = Callable[[str], None]
_FAILED = 9


@dataclass
class Stage:
    """A world, and what its spools have acknowledged."""

    world: World
    must: set[str] = field(default_factory=set)
    may: set[str] = field(default_factory=set)
    """Recorded by a process that died before it was told so."""

    def add(self, host: str, number: int, **changes: object) -> ExecutionResult:
        one = numbered(number, **changes)
        self.world.spool(host).add(one)
        self.must.add(one.execution_id)
        return one

    def push(self, host: str, step: Step = lambda _s: None, *, executor: str | None = None, batch: int = 200) -> None:
        inbox.push(
            self.world.spool(host),
            self.world.clone(host),
            "origin",
            client_id="acme",
            executor_id=executor or host,
            author=WHO,
            now=NOW,
            batch=batch,
            step=step,
        )

    def fold(self, step: Step = lambda _s: None, name: str = "learner") -> None:
        folding.fold(self.world.clone(name), "origin", settings=SETTINGS, author=WHO, now=NOW, step=step)

    def settled(self) -> tuple[int, int]:
        """(lost, doubled), after everybody has pushed and folded again."""
        hosts = sorted(path.name.removesuffix("-spool") for path in self.world.path.glob("*-spool"))
        for _ in range(3):
            for host in hosts:
                self.push(host, executor="web" if host.startswith("twin") else None)
            self.fold()
            if not any(self.world.spool(host).level().waiting for host in hosts):
                break
        found = self.world.results()
        waiting = {entry.execution_id for host in hosts for entry in self.world.spool(host).pending()}
        odd = set(found) - self.must - self.may
        assert not odd, f"from nowhere: {odd}"
        return len(self.must - set(found)) + len(waiting), len(found) - len(set(found))


Fault = Callable[[Stage], None]


def killed(at: int, run: Callable[[Step], object]) -> None:
    """Run in a process of its own that kills itself at step boundary number `at`."""
    left = [at]

    def step(_name: str) -> None:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    child = os.fork()
    if child == 0:
        try:
            run(step)
        finally:
            os._exit(_FAILED)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"there is no boundary number {at}"


def steps(run: Callable[[Step], object]) -> list[str]:
    """The step boundaries that `run` passes."""
    passed: list[str] = []
    run(passed.append)
    return passed


def prepared(stage: Stage) -> None:
    """One result that went all the way, two that wait."""
    stage.add("web-1", 0)
    stage.push("web-1")
    stage.fold()
    stage.add("web-1", 1)
    stage.add("web-1", 2)


@cache
def boundaries() -> tuple[list[str], list[str], list[str]]:
    """The step boundaries of spooling, pushing and folding."""
    with tempfile.TemporaryDirectory() as folder:
        probe = Stage(World(Path(folder), init(Path(folder, "forge.git"), bare=True)))
        prepared(probe)
        return (
            steps(lambda step: Spool(probe.world.path / "probe", step=step).add(numbered(9))),
            steps(lambda step: probe.push("web-1", step, batch=1)),
            steps(probe.fold),
        )


def every_fault() -> Iterator[tuple[str, Fault]]:
    """Name and fault, in order."""
    adding, pushing, folding_ = boundaries()
    for at, name in enumerate(adding):
        yield f"writer killed while spooling, at {at} {name}", _killed_spooling(at)
    for at, name in enumerate(pushing):
        yield f"writer killed while pushing, at {at} {name}", _killed_pushing(at)
        yield f"remote repacked while pushing, at {at} {name}", _repacked_pushing(at)
        yield f"folded while pushing, at {at} {name}", _folded_pushing(at)
    for at, name in enumerate(folding_):
        yield f"folder killed, at {at} {name}", _killed_folding(at)
        yield f"remote repacked while folding, at {at} {name}", _repacked_folding(at)
        yield f"pushed while folding, at {at} {name}", _pushed_folding(at)
        yield f"second folder while folding, at {at} {name}", _second_folder(at)
    for size in (0, 60, 200, 350, 600):
        yield f"network cut after {size} bytes of an append", _cut("web-1", size)
        yield f"network cut after {size} bytes of a fold", _cut("learner", size)
    yield "answer of an append lost", _unanswered("web-1")
    yield "answer of a fold lost", _unanswered("learner")
    yield "remote disk full at an append", _full_remote("web-1")
    yield "remote disk full at a fold", _full_remote("learner")
    for size in (0, 1, 1000):
        yield f"spool on a disk with room for {size} bytes", _full_spool(size)
    yield "a lease of an append lost, again and again", _races
    yield "an inbox of another client's results, and of a host that is not this executor's", _foreign
    yield "inbox deleted by somebody else", _deleted_inbox
    yield "clocks wrong by decades", _skewed
    yield "two hosts with one name", _twins
    yield "host set up anew, with its old spool", _reinstalled
    yield "spool restored from a backup", _restored


def _killed_spooling(at: int) -> Fault:
    def fault(stage: Stage) -> None:
        prepared(stage)
        stage.may.add(numbered(3).execution_id)
        killed(at, lambda step: Spool(stage.world.path / "web-1-spool", step=step).add(numbered(3)))

    return fault


def _killed_pushing(at: int) -> Fault:
    def fault(stage: Stage) -> None:
        prepared(stage)
        killed(at, lambda step: stage.push("web-1", step, batch=1))

    return fault


def _killed_folding(at: int) -> Fault:
    def fault(stage: Stage) -> None:
        prepared(stage)
        stage.push("web-1")
        killed(at, stage.fold)

    return fault


def _once_at(at: int, act: Callable[[], object]) -> Step:
    left = [at]

    def step(_name: str) -> None:
        if left[0] == 0:
            left[0] = -1  # what `act` does may come by here again
            act()
        elif left[0] > 0:
            left[0] -= 1

    return step


def _repacked_pushing(at: int) -> Fault:
    def fault(stage: Stage) -> None:
        prepared(stage)
        stage.push("web-1", _once_at(at, lambda: stage.world.remote.run("gc", "-q", "--prune=now")), batch=1)

    return fault


def _folded_pushing(at: int) -> Fault:
    def fault(stage: Stage) -> None:
        prepared(stage)
        stage.push("web-1", _once_at(at, stage.fold), batch=1)

    return fault


def _repacked_folding(at: int) -> Fault:
    def fault(stage: Stage) -> None:
        prepared(stage)
        stage.push("web-1")
        stage.fold(_once_at(at, lambda: stage.world.remote.run("gc", "-q", "--prune=now")))

    return fault


def _pushed_folding(at: int) -> Fault:
    def fault(stage: Stage) -> None:
        prepared(stage)
        stage.push("web-1")

        def act() -> None:
            stage.add("web-1", 7)
            stage.push("web-1")

        stage.fold(_once_at(at, act))

    return fault


def _second_folder(at: int) -> Fault:
    def fault(stage: Stage) -> None:
        prepared(stage)
        stage.push("web-1")
        stage.fold(_once_at(at, lambda: stage.fold(name="second")))

    return fault


def _with_receiver(name: str, body: str) -> Fault:
    """Push (`web-1`) or fold (`learner`) while the remote's receiving end is a script."""

    def fault(stage: Stage) -> None:
        prepared(stage)
        if name == "learner":
            stage.push("web-1")
        script = stage.world.path / "receive"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
        clone = stage.world.clone(name)
        clone.run("config", "remote.origin.receivepack", str(script))
        try:
            stage.fold() if name == "learner" else stage.push(name)
        except LearnerError:
            pass
        else:
            raise AssertionError("the fault was not noticed")
        clone.run("config", "--unset", "remote.origin.receivepack")

    return fault


def _cut(name: str, size: int) -> Fault:
    return _with_receiver(name, f'head -c {size} | git-receive-pack "$@"')


def _unanswered(name: str) -> Fault:
    # everything up to the advertisement of refs comes through, the report of what was done does not
    return _with_receiver(
        name, 'n=$(git-receive-pack --http-backend-info-refs "$@" | wc -c)\ngit-receive-pack "$@" | head -c "$n"'
    )


def _full_remote(name: str) -> Fault:
    return _with_receiver(name, "trap '' XFSZ\nulimit -f 0\nexec git-receive-pack \"$@\"")


def _full_spool(size: int) -> Fault:
    def fault(stage: Stage) -> None:
        prepared(stage)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            try:
                stage.world.spool("web-1").add(numbered(3))
            except LearnerError:
                os._exit(0)
            os._exit(_FAILED)
        _, status = os.waitpid(child, 0)
        assert status == 0, "a full disk must be told"

    return fault


def _races(stage: Stage) -> None:
    """A twin moves the inbox whenever this one is about to push: the lease is refused each time."""
    prepared(stage)
    numbers = iter(range(10, 30))

    def rival(name: str) -> None:
        if name == "committed" and (number := next(numbers)) < 14:
            stage.add("twin-1", number)
            stage.push("twin-1", executor="web-1")

    stage.push("web-1", rival)
    stage.push("twin-1", executor="web-1")
    stage.fold()
    stage.push("twin-1", executor="web-1")


def _foreign(stage: Stage) -> None:
    """What may not be reported goes to quarantine; what lies beside it in the same inbox goes through."""
    prepared(stage)
    stage.push("web-1")
    inboxes = "refs/learner/inbox"
    lies = {one.path: encoded(one) for one in (numbered(40, client_id="other"), numbered(41, hostname="db-1"))}
    for executor, parent in (("web-1", stage.world.remote.resolve(f"{inboxes}/acme/web-1")), ("liar", None)):
        commit(
            stage.world.remote,
            lies,
            ref=f"{inboxes}/acme/{executor}",
            parent=parent,
            message="m\n",
            author=WHO,
            when=NOW,
        )
    held = SETTINGS.model_copy(update={"hosts": {"acme/*": ("web-*",)}})
    folded = folding.fold(stage.world.clone("learner"), "origin", settings=held, author=WHO, now=NOW)
    assert {one.reason.partition(" ")[0] for one in folded.quarantined} == {"client", "host"}


def _deleted_inbox(stage: Stage) -> None:
    prepared(stage)
    stage.push("web-1")
    stage.world.remote.run("update-ref", "-d", "refs/learner/inbox/acme/web-1")


def _skewed(stage: Stage) -> None:
    prepared(stage)
    stage.add("web-1", 5, started_at="1971-01-01T00:00:00Z")
    stage.add("web-1", 6, started_at="2099-12-31T23:59:59Z", completed_at="2026-01-01T00:00:00Z")
    for years in (-30, 30):
        when = NOW + timedelta(days=365 * years)
        inbox.push(
            stage.world.spool("web-1"),
            stage.world.clone("web-1"),
            "origin",
            client_id="acme",
            executor_id="web-1",
            author=WHO,
            now=when,
        )
        folding.fold(stage.world.clone("learner"), "origin", settings=SETTINGS, author=WHO, now=when)


def _twins(stage: Stage) -> None:
    for number, host in enumerate(["twin-1", "twin-2", "twin-1", "twin-2"]):
        stage.add(host, number)
        stage.push(host, executor="web")
    stage.fold()


def _reinstalled(stage: Stage) -> None:
    prepared(stage)
    stage.push("web-1")
    stage.fold()
    stage.world.clone("web-1").path.rename(stage.world.path / "old")


def _restored(stage: Stage) -> None:
    prepared(stage)
    stage.push("web-1")
    stage.fold()
    stage.push("web-1")
    for number in range(3):
        stage.add("web-1", number)


def tried(fault: Fault, folder: Path) -> tuple[int, int]:
    """(lost, doubled) after one fault, in a world of its own at `folder`."""
    stage = Stage(World(folder, init(folder / "forge.git", bare=True)))
    fault(stage)
    return stage.settled()


def main() -> int:
    """The exit code: 1 when something was lost or doubled."""
    count = lost = doubled = 0
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["HOME"] = scratch
        for name, fault in every_fault():
            folder = Path(scratch, str(count))
            folder.mkdir()
            gone, twice = tried(fault, folder)
            count, lost, doubled = count + 1, lost + gone, doubled + twice
            print(f"{name}: {'ok' if not (gone or twice) else f'{gone} lost, {twice} doubled'}", flush=True)
    print(f"{count} faults, {lost} lost, {doubled} doubled")
    return 1 if lost or doubled else 0


if __name__ == "__main__":
    sys.exit(main())
