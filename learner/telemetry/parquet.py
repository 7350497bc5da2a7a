"""Results in Parquet: slim columns for queries, and every result whole.

The slim columns come first. A result's own bytes are `layout` and the words `v000` … that fill it
(`telemetry.layout`); DuckDB puts them together with `format(layout, *COLUMNS('v[0-9]+'))::JSON`. Exports for people
hold them as `raw` instead.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from learner.errors import LearnerError
from learner.models.execution import ExecutionResult
from learner.repository.batch import stream
from learner.repository.git import Git
from learner.telemetry import parse
from learner.telemetry.layout import WORDS, Filler, split

Row = tuple[bytes, ExecutionResult]
_WHERE = ("client_id", "started_at", "execution_id")
"""Columns that tell a result's path."""
_WORDS = tuple(f"v{number:03}" for number in range(WORDS))
_ROWS = 8000
"""Rows in one row group: what is held in memory at once."""
_LEVEL = 12
_SLIM = {
    "execution_id": "string", "client_id": "string", "hostname": "string", "platform": "string", "runbook_id": "string",
    "runbook_version": "int32", "incident_id": "string", "incident_type": "string", "started_at": "instant",
    "duration_seconds": "float64", "status": "string", "success": "bool", "verification_passed": "bool",
    "failure_type": "string", "error_message": "string",
}  # fmt: skip
_FEW = [
    "client_id", "hostname", "platform", "runbook_id", "runbook_version", "incident_type", "status", "failure_type",
    "error_message", "layout",
]  # fmt: skip
"""Columns with few different values."""


def write(target: Path, rows: Iterable[Row], *, plain: bool = False) -> None:
    """Write results to a Parquet file; `plain` holds their bytes as one column `raw`, which takes five times the space.

    Raises: `LearnerError` when pyarrow is missing.
    """
    pa, pq = _arrow()
    schema = _schema(pa, plain)
    with pq.ParquetWriter(
        target, schema, compression="zstd", compression_level=_LEVEL, data_page_size=16 << 20, use_dictionary=_FEW
    ) as writer:
        remaining = iter(rows)
        while group := list(islice(remaining, _ROWS)):
            columns = _slim(group) | (_raw(group) if plain else _split(group))
            writer.write_table(pa.table(columns, schema=schema))


def read(source: Path, execution_ids: frozenset[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of every result in a Parquet file, or of those with one of `execution_ids`; a row group at a time.

    Raises: `LearnerError` when pyarrow is missing or the file is no such archive.
    """
    pa, pq = _arrow()
    filler = Filler()
    try:
        with pq.ParquetFile(source) as file:
            for group in range(file.num_row_groups):
                table = _group(pa, file, group, execution_ids)
                if table is None:
                    continue
                for place, raw in zip(_places(table), _bytes(table, filler), strict=True):
                    yield place.path, raw
    except (pa.ArrowException, KeyError, ValueError) as e:
        raise LearnerError(
            f"an archive can't be read: {e}", "restore it from the history of the telemetry branch"
        ) from e


def read_from(git: Git, blob: str, execution_ids: frozenset[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """`read`, of an archive that Git holds."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "archive.parquet")
        [(_, content)] = stream(git, [("", blob)])
        target.write_bytes(content or b"")
        del content
        yield from read(target, execution_ids)


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
    used = [i for i, name in enumerate(_WORDS) if name in names and most.get(name) != ""]
    return list(_WORDS[: used[-1] + 1]) if used else []


def _places(table: Any) -> Iterator[parse.Place]:
    for client, when, execution_id in zip(*(table[name].to_pylist() for name in _WHERE), strict=True):
        yield parse.Place(client, f"{when.year:04}/{when.month:02}/{when.day:02}", execution_id)


def _bytes(table: Any, filler: Filler) -> Iterator[bytes]:
    if "raw" in table.column_names:
        yield from table["raw"].to_pylist()
        return
    words = [table[name].to_pylist() for name in table.column_names if name in _WORDS]
    for layout, *filling in zip(table["layout"].to_pylist(), *words, strict=True):
        yield filler.filled(layout, filling).encode()


def _slim(group: list[Row]) -> dict[str, list[Any]]:
    def of(result: ExecutionResult, name: str) -> Any:
        found = getattr(result, name)
        return found.value if name in ("status", "failure_type") and found is not None else found

    return {name: [of(result, name) for _, result in group] for name in _SLIM}


def _raw(group: list[Row]) -> dict[str, list[Any]]:
    return {"raw": [raw for raw, _ in group]}


def _split(group: list[Row]) -> dict[str, list[Any]]:
    layouts, words = zip(*(split(raw.decode()) for raw, _ in group), strict=True)
    columns = {name: [one[i] if i < len(one) else "" for one in words] for i, name in enumerate(_WORDS)}
    return {"layout": list(layouts), **columns}


def _schema(pa: Any, plain: bool) -> Any:
    kinds = {"string": pa.string(), "int32": pa.int32(), "float64": pa.float64(), "bool": pa.bool_(),
             "instant": pa.timestamp("us", tz="UTC")}  # fmt: skip
    fields = [(name, kinds[kind]) for name, kind in _SLIM.items()]
    whole = [("raw", pa.binary())] if plain else [(name, pa.string()) for name in ("layout", *_WORDS)]
    return pa.schema([*fields, *whole])


def _arrow() -> tuple[Any, Any]:
    try:
        pa, pq = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as e:
        raise LearnerError("archives need pyarrow", "pip install 'runbook-learner[archive]'") from e
    return pa, pq
