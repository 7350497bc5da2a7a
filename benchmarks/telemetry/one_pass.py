"""`python -m benchmarks.telemetry.one_pass REPOSITORY`: a full pass in a process of its own, as `learner learn` makes it.

Prints the most memory in MB that it held, its workers' added, and on the next line the state it gave.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from benchmarks.telemetry.reading import FOLDS
from learner.repository.git import Git
from learner.telemetry.collect import collect
from learner.telemetry.crew import hands


def main(repository: str) -> None:
    git = Git(Path(repository))
    found = collect(git, git.resolve("telemetry"), FOLDS, None)
    own, largest = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    # every worker at its worst at once: what they share is counted as often as they are
    print(own + largest * (hands() if hands() > 1 else 0))
    print(found.state.canonical())


if __name__ == "__main__":
    main(sys.argv[1])
