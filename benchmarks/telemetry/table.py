"""Figures, and the table they are shown in."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    measured: str
    goal: str
    met: bool | None
    """None when the goal is for another size, or there is none."""


def most(what: str, value: float, goal: float, unit: str = "×", *, said: str = "", counts: bool = True) -> Figure:
    """A figure that is good when it is at most `goal`."""
    return Figure(what, f"{value:.2f}{unit}{said}", f"≤ {goal:g}{unit}", value <= goal if counts else None)


def least(what: str, value: float, goal: float, unit: str, *, said: str = "", counts: bool = True) -> Figure:
    """A figure that is good when it is at least `goal`."""
    return Figure(what, f"{value:.0f}{unit}{said}", f"≥ {goal:g}{unit}", value >= goal if counts else None)


def text(figures: Iterable[Figure]) -> str:
    """The table."""
    lines = [("what", "measured", "goal", "")]
    lines += [(f.what, f.measured, f.goal, {True: "met", False: "MISSED", None: "-"}[f.met]) for f in figures]
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def steady_work() -> float:
    """Wall seconds of the same work every time: how they differ is the machine's noise."""
    begun = time.perf_counter()
    for _ in range(5):
        sum(range(2_000_000))
    return time.perf_counter() - begun


def cpu_seconds() -> float:
    """CPU time of this process and of its finished children."""
    return sum(os.times()[:4])


@contextmanager
def timed() -> Iterator[Callable[[], tuple[float, float]]]:
    """(wall, CPU) seconds, asked for after the block."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    found: list[tuple[float, float]] = []
    yield lambda: found[0]
    found.append((time.perf_counter() - wall, cpu_seconds() - cpu))


def median_seconds(run: Callable[[], object], times: int) -> float:
    """The median wall time of several runs."""
    seconds = []
    for _ in range(times):
        with timed() as took:
            run()
        seconds.append(took()[0])
    return statistics.median(seconds)
