"""`python -m benchmarks.telemetry [--small] [--data DIR]`: the table of figures, each beside its floor or its goal."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks.telemetry import reading, writing
from benchmarks.telemetry.table import Figure, show


def main() -> int:
    """The exit code: 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.telemetry", description=__doc__)
    parser.add_argument("--small", action="store_true", help="a size for CI: it must run, its figures say little")
    parser.add_argument("--data", type=Path, help="keep the made repositories here for the next run")
    parser.add_argument("--only", choices=["reading", "writing"])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.data or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["HOME"] = scratch  # no settings of the person who runs it
        small, large, writers, seconds = (1000, 3000, 8, 2.0) if chosen.small else (100_000, 500_000, 64, 20.0)
        figures: list[Figure] = []
        parts = (
            ("reading", reading.figures(folder, small, large, full=not chosen.small)),
            ("writing", writing.figures(folder, small, large, writers, seconds, full=not chosen.small)),
        )
        for name, part in parts:
            if chosen.only in (None, name):
                for figure in part:
                    print(f"{figure.what}: {figure.measured}", file=sys.stderr, flush=True)
                    figures.append(figure)
    show(figures)
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}")
    return any(figure.met is False for figure in figures)


if __name__ == "__main__":
    sys.exit(main())
