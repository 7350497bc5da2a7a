"""Reading everything with several processes: each takes stretches of files, validates them and sums them up.

Only sums come back, so that handing results over costs nothing; they are merged in whatever order they come, which
gives the same state.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice

from learner.errors import LearnerError
from learner.models.execution import ExecutionResult
from learner.models.fold import Fold, Held
from learner.models.records import SkippedFile
from learner.repository.git import Git
from learner.telemetry import reading

WORTH = 20_000
"""From so many files on workers earn the second that starting them takes."""
_STRETCH = 10_000
_MOST = 8


@dataclass
class Part:
    """What some of the files add up to."""

    held: dict[str, Held]
    """By the name of the fold."""
    count: int = 0
    skipped: list[SkippedFile] = field(default_factory=list)


def hands() -> int:
    """How many workers this machine has cores for; one means that reading alone is better."""
    main = sys.modules.get("__main__")
    # a worker begins by importing the main module again, which text from standard input is not
    if getattr(main, "__spec__", None) is None and not os.path.isfile(getattr(main, "__file__", None) or ""):
        return 1
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores, _MOST)


def summed(
    git: Git, files: Iterable[tuple[str, str]], folds: Sequence[Fold], max_bytes: int, workers: int
) -> Iterator[Part]:
    """The sums of all (path, blob id), stretch by stretch. No more stretches are on their way than there is work for.

    Raises: `GitError` when git can't give the bytes; `LearnerError` when a worker was killed.
    """
    remaining = iter(files)
    # spawned, not forked: whoever calls may have threads that hold locks
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting: deque[Future[Part]] = deque()
        try:
            while True:
                while len(waiting) < 2 * workers and (some := tuple(islice(remaining, _STRETCH))):
                    waiting.append(pool.submit(_sum, git, some, folds, max_bytes))
                if not waiting:
                    return
                yield waiting.popleft().result()
        except BrokenProcessPool as e:
            raise LearnerError(
                "a process that read telemetry was killed", "is there enough memory? run it again"
            ) from e
        finally:
            for one in waiting:
                one.cancel()


def _sum(git: Git, files: tuple[tuple[str, str], ...], folds: Sequence[Fold], max_bytes: int) -> Part:
    part = Part({fold.name: {} for fold in folds})
    pairs = [(fold, part.held[fold.name]) for fold in folds]
    for path, found in reading.files(git, files, max_bytes):
        if isinstance(found, ExecutionResult):
            for fold, held in pairs:
                fold.add(held, found)
            part.count += 1
        else:
            part.skipped.append(SkippedFile(path=path, reason=found))
    return part
