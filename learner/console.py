"""Where words go: results to standard output, progress and warnings to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


@lru_cache(maxsize=1)
def out() -> Console:
    """Results, for people. Plain when it is no terminal."""
    from rich.console import Console

    # A pipe has no width; lines are left whole there, and tables get room.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


@lru_cache(maxsize=1)
def err() -> Console:
    """Progress, warnings and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def document(value: Any) -> None:
    """One JSON document on standard output, for machines."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def tell(line: str) -> None:
    """A line of progress."""
    from rich.markup import escape

    err().print(f"[dim]·[/dim] {escape(line)}")


def warn(line: str) -> None:
    """A warning."""
    from rich.markup import escape

    err().print(f"[yellow]![/yellow] {escape(line)}")


@contextmanager
def busy(words: str) -> Iterator[None]:
    """A spinner on a terminal while something takes its time; a plain line elsewhere."""
    if err().is_terminal:
        with err().status(words):
            yield
    else:
        tell(words)
        yield
