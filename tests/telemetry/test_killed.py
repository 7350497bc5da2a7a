"""SIGKILL of writer and folder at every step boundary: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.telemetry.conftest import World, numbered


def boundaries(run: Callable[[Callable[[str], None]], object]) -> list[str]:
    """The step boundaries that `run` passes, in order."""
    passed: list[str] = []
    run(passed.append)
    return passed


def killed_at(count: int, run: Callable[[Callable[[str], None]], object]) -> None:
    """Run in a process of its own that kills itself at boundary number `count`."""
    left = [count]

    def step(_name: str) -> None:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    child = os.fork()
    if child == 0:
        try:
            run(step)
        finally:
            os._exit(9)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


def settled(world: World, ids: list[int]) -> None:
    """After another push and fold every acknowledged result is on telemetry exactly once."""
    for _ in range(2):
        world.push("web-1")
        world.fold()
    assert world.results() == [f"exec-20261122-{number:04d}" for number in ids]
    world.push("web-1")
    assert world.spool("web-1").pending() == []


WRITER = ["begin", "opened", "written", "synced", "locked", "renamed", "kept"]


@pytest.mark.parametrize("at", range(len(WRITER)), ids=WRITER)
def test_spooling(world: World, at: int) -> None:
    from learner.telemetry.spool import Spool

    path = world.path / "web-1-spool"
    assert boundaries(lambda step: Spool(world.path / "probe", step=step).add(numbered(1))) == WRITER
    world.spool("web-1").add(numbered(0))
    killed_at(at, lambda step: Spool(path, step=step).add(numbered(1)))
    # `kept` is what the caller is told; from `renamed` on it is there for certain
    settled(world, [0, 1] if at >= WRITER.index("renamed") else [0])


PUSH = ["looked", "purged", "committed", "pushed", "committed", "pushed"]


@pytest.mark.parametrize("at", range(len(PUSH)), ids=lambda at: f"{at}-{PUSH[at]}")
def test_pushing(world: World, at: int) -> None:
    world.spool("web-1").add(numbered(0))
    world.push("web-1")
    world.fold()
    for number in (1, 2):
        world.spool("web-1").add(numbered(number))
    killed_at(at, lambda step: world.push("web-1", batch=1, step=step))
    settled(world, [0, 1, 2])


FOLD = ["looked", "read", "committed", "pushed"]


@pytest.mark.parametrize("at", range(len(FOLD)), ids=FOLD)
def test_folding(world: World, at: int) -> None:
    world.spool("web-1").add(numbered(0))
    world.push("web-1")
    world.fold()
    for number in (1, 2):
        world.spool("web-1").add(numbered(number))
    world.push("web-1")
    world.clone("learner")
    killed_at(at, lambda step: world.fold(step=step))
    settled(world, [0, 1, 2])


def test_the_boundaries_are_all_there(world: World) -> None:
    for number in (1, 2):
        world.spool("web-1").add(numbered(number))
    assert boundaries(lambda step: world.push("web-1", batch=1, step=step)) == PUSH
    assert boundaries(lambda step: world.fold(step=step)) == FOLD
