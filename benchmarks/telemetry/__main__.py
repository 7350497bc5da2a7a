"""`python -m benchmarks.telemetry [--small] [--data DIR] [--output FILE]`: the table of figures, each beside its floor or its goal."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.telemetry import idle, reading, writing
from benchmarks.telemetry.table import Figure, steady_work, text


def main() -> int:
    """The exit code: 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.telemetry", description=__doc__)
    parser.add_argument("--small", action="store_true", help="a size for CI: it must run, its figures say little")
    parser.add_argument("--data", type=Path, help="keep the made repositories here for the next run")
    parser.add_argument("--only", choices=["idle", "reading", "writing", "faults"])
    parser.add_argument(
        "--output", type=Path, default=Path("build/telemetry-figures.txt"), help="the table goes there, too"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.data or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["HOME"] = scratch  # no settings of the person who runs it
        small, large, writers, seconds = (1000, 3000, 8, 2.0) if chosen.small else (100_000, 500_000, 64, 20.0)
        figures: list[Figure] = []
        noise = [steady_work()]
        parts = (
            ("idle", idle.figures(folder, full=not chosen.small)),
            ("reading", reading.figures(folder, small, large, full=not chosen.small)),
            ("writing", writing.figures(folder, small, large, writers, seconds, full=not chosen.small)),
        )
        for name, part in parts:
            if chosen.only in (None, name):
                for figure in part:
                    print(f"{figure.what}: {figure.measured}", file=sys.stderr, flush=True)
                    figures.append(figure)
                    noise.append(steady_work())
        faults = _faults() if chosen.only in (None, "faults") else "not tried"
    lines = (
        text(figures),
        f"faults: {faults}",
        f"noise: the same work took {min(noise):.2f} to {max(noise):.2f} s in {len(noise)} tries between the figures, "
        f"{(max(noise) / min(noise) - 1) * 100:.0f}% apart; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}",
    )
    said = "\n\n".join(lines)
    print(said)
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(said + "\n", "utf-8")
    return any(figure.met is False for figure in figures) or not faults.endswith(("not tried", " 0 lost, 0 doubled"))


def _faults() -> str:
    """What `python -m tests.telemetry.faults` says last."""
    done = subprocess.run([sys.executable, "-m", "tests.telemetry.faults"], stdout=subprocess.PIPE, check=False)
    lines = done.stdout.decode().splitlines()
    return lines[-1] if lines else f"the run ended with status {done.returncode}"


if __name__ == "__main__":
    sys.exit(main())
