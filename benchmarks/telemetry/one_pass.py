"""`python -m benchmarks.telemetry.one_pass REPOSITORY`: a full pass in a process of its own, as `learner learn` makes it.

Prints the most memory in MB that it and all its processes held together, and on the next line the state it gave.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from benchmarks.telemetry.reading import FOLDS
from learner.repository.git import Git
from learner.telemetry.collect import collect

_LOOK_SECONDS = 0.2


def main(repository: str) -> None:
    git = Git(Path(repository))
    over, held = threading.Event(), [0.0]

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            held.append(sum(map(_megabytes, _family(os.getpid()))))

    watching = threading.Thread(target=watch)
    watching.start()
    found = collect(git, git.resolve("telemetry"), FOLDS, None)
    over.set()
    watching.join()
    print(max(held))
    print(found.state.canonical())


def _family(pid: int) -> Iterator[int]:
    """The process and its descendants. Source: proc(5), /proc/pid/task/tid/children.

    One that has not begun its own program yet still has its parent's memory, which is counted with the parent.
    """
    yield pid
    words = _read(Path(f"/proc/{pid}/cmdline"))
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(children).split():
            if _read(Path(f"/proc/{child}/cmdline")) != words:
                yield from _family(int(child))


def _megabytes(pid: int) -> float:
    """What a process holds, of what it shares its share. Source: proc(5), /proc/pid/smaps_rollup, Pss."""
    sizes = [
        line.split()[1] for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines() if line.startswith("Pss:")
    ]
    return sum(map(int, sizes)) / 1024


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended meanwhile
        return ""


if __name__ == "__main__":
    main(sys.argv[1])
