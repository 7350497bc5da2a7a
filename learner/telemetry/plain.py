"""Results in plain files: folders of JSON, and JSON Lines. No Git."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from learner.errors import LearnerError
from learner.models.execution import ExecutionResult
from learner.telemetry import parse


def plain(path: Path, max_bytes: int = parse.MAX_BYTES) -> Iterator[tuple[str, ExecutionResult | str]]:
    """(name, the result or why there is none) of every `*.json` and every line of every `*.jsonl` at `path`, in name order.

    Raises: `LearnerError` when there is nothing at `path`.
    """
    if path.is_dir():
        files = sorted(
            file for kind in ("*.json", "*.jsonl") for file in path.rglob(kind) if _ours(file.relative_to(path))
        )
    elif path.exists():
        files = [path]
    else:
        raise LearnerError(f"{path}: no such file or folder", "give a folder of results, or a .jsonl file")
    for file in files:
        name = str(file.relative_to(path)) if file != path else file.name
        try:
            if file.suffix == ".jsonl":
                with file.open("rb") as source:
                    yield from lines(source, name, max_bytes)
            elif (size := file.stat().st_size) > max_bytes:
                yield name, f"{size} bytes are more than the {max_bytes} that one result may have"
            else:
                yield name, parse.result(unmarked(file.read_bytes()), max_bytes)
        except OSError as e:
            yield name, f"can't be read: {e.strerror}"


def lines(
    source: IO[bytes], name: str, max_bytes: int = parse.MAX_BYTES
) -> Iterator[tuple[str, ExecutionResult | str]]:
    """(`name:line`, the result or why there is none) of every line of JSON Lines; empty lines are passed over."""
    number = 0
    # one line at a time, and of a line that is too long no more than shows it
    while line := source.readline(max_bytes + 2):
        number += 1
        if len(line) > max_bytes + 1:
            while line and not line.endswith(b"\n"):
                line = source.readline(1 << 20)
            yield f"{name}:{number}", f"more than the {max_bytes} bytes that one result may have"
        elif line.strip():
            text = (unmarked(line) if number == 1 else line).strip()
            yield f"{name}:{number}", parse.result(text, max_bytes)


def unmarked(text: bytes) -> bytes:
    """`text` without the byte order mark that programs on Windows put before it."""
    return text.removeprefix(codecs.BOM_UTF8)


def _ours(path: Path) -> bool:
    """A checkout of the telemetry branch is a plain folder too: what was quarantined there stays out."""
    return path.parts[0] != "quarantine" and not any(part.startswith(".") for part in path.parts)
