"""Reading an archive of results: a Parquet file with slim columns, and every result whole.

A result's bytes are `layout` and the words `v000` … that fill it (`archives.layout`), or one column `raw`. Beside the
file lies a list of what is in it, so that looking for a result costs no Parquet.

No models here: the review page of the local forge reads archives too, and knows nothing of results.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from learner.archives.layout import WORDS, Filler
from learner.errors import LearnerError

WORD_COLUMNS = tuple(f"v{number:03}" for number in range(WORDS))
_WHERE = ("client_id", "started_at", "execution_id")
"""Columns that tell a result's path."""


def read(source: Path | IO[bytes], execution_ids: frozenset[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of every result in a Parquet file, or of those with one of `execution_ids`; a row group at a time.

    Raises: `LearnerError` when pyarrow is missing or the file is no such archive.
    """
    pa, pq = arrow()
    filler = Filler()
    try:
        with pq.ParquetFile(source) as file:
            for group in range(file.num_row_groups):
                table = _group(pa, file, group, execution_ids)
                if table is None:
                    continue
                yield from zip(_paths(table), _bytes(table, filler), strict=True)
    except (pa.ArrowException, KeyError, ValueError) as e:
        raise LearnerError(
            f"an archive can't be read: {e}", "restore it from the history of the telemetry branch"
        ) from e


def ids(raw: bytes) -> dict[str, str]:
    """Path → first 12 digits of the blob id, out of an `.ids` file; what is damaged names nothing."""
    if raw.startswith(b"\x1f\x8b"):
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error):
            return {}
    return dict(line.split(" ", 1) for line in raw.decode("utf-8", "replace").splitlines() if " " in line)


def arrow() -> tuple[Any, Any]:
    """pyarrow and pyarrow.parquet.

    Raises: `LearnerError` when they are not installed.
    """
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as e:
        raise LearnerError("archives need pyarrow", "pip install 'runbook-learner[archive]'") from e


def _group(pa: Any, file: Any, group: int, execution_ids: frozenset[str] | None) -> Any:
    """One row group with the columns that tell its results; None when none of them is wanted."""
    wanted = None
    if execution_ids is not None:
        wanted = [one in execution_ids for one in file.read_row_group(group, ["execution_id"])[0].to_pylist()]
        if not any(wanted):
            return None
    names = set(file.schema_arrow.names)
    held = ["raw"] if "raw" in names else ["layout", *_filled(file, group, names)]
    table = file.read_row_group(group, columns=[*_WHERE, *held])
    return table if wanted is None else table.filter(pa.array(wanted))


def _filled(file: Any, group: int, names: set[str]) -> list[str]:
    """The columns of words that hold any in this group, which its statistics tell."""
    known = file.metadata.row_group(group)
    most = {
        column.path_in_schema: column.statistics.max if column.statistics and column.statistics.has_min_max else None
        for column in (known.column(i) for i in range(known.num_columns))
    }
    used = [i for i, name in enumerate(WORD_COLUMNS) if name in names and most.get(name) != ""]
    return list(WORD_COLUMNS[: used[-1] + 1]) if used else []


def _paths(table: Any) -> Iterator[str]:
    for client, when, execution_id in zip(*(table[name].to_pylist() for name in _WHERE), strict=True):
        yield f"telemetry/{client}/{when.year:04}/{when.month:02}/{when.day:02}/{execution_id}.json"


def _bytes(table: Any, filler: Filler) -> Iterator[bytes]:
    if "raw" in table.column_names:
        yield from table["raw"].to_pylist()
        return
    words = [table[name].to_pylist() for name in table.column_names if name in WORD_COLUMNS]
    for layout, *filling in zip(table["layout"].to_pylist(), *words, strict=True):
        yield filler.filled(layout, filling).encode()
