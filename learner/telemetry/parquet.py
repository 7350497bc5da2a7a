"""Results to Parquet: slim columns for queries, and every result whole.

The slim columns come first. A result's own bytes are `layout` and the words `v000` … that fill it
(`archives.layout`); DuckDB puts them together with `format(layout, *COLUMNS('v[0-9]+'))::JSON`. Exports for people
hold them as `raw` instead.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from learner.archives.layout import split
from learner.archives.read import WORD_COLUMNS, arrow, read
from learner.models.execution import ExecutionResult
from learner.repository.batch import stream
from learner.repository.git import Git

Row = tuple[bytes, ExecutionResult]
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
    pa, pq = arrow()
    schema = _schema(pa, plain)
    with pq.ParquetWriter(
        target, schema, compression="zstd", compression_level=_LEVEL, data_page_size=16 << 20, use_dictionary=_FEW
    ) as writer:
        remaining = iter(rows)
        while group := list(islice(remaining, _ROWS)):
            columns = _slim(group) | (_raw(group) if plain else _split(group))
            writer.write_table(pa.table(columns, schema=schema))


def read_from(git: Git, blob: str, execution_ids: frozenset[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """`read`, of an archive that Git holds."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "archive.parquet")
        [(_, content)] = stream(git, [("", blob)])
        target.write_bytes(content or b"")
        del content
        yield from read(target, execution_ids)


def _slim(group: list[Row]) -> dict[str, list[Any]]:
    def of(result: ExecutionResult, name: str) -> Any:
        found = getattr(result, name)
        return found.value if name in ("status", "failure_type") and found is not None else found

    return {name: [of(result, name) for _, result in group] for name in _SLIM}


def _raw(group: list[Row]) -> dict[str, list[Any]]:
    return {"raw": [raw for raw, _ in group]}


def _split(group: list[Row]) -> dict[str, list[Any]]:
    layouts, words = zip(*(split(raw.decode()) for raw, _ in group), strict=True)
    columns = {name: [one[i] if i < len(one) else "" for one in words] for i, name in enumerate(WORD_COLUMNS)}
    return {"layout": list(layouts), **columns}


def _schema(pa: Any, plain: bool) -> Any:
    kinds = {"string": pa.string(), "int32": pa.int32(), "float64": pa.float64(), "bool": pa.bool_(),
             "instant": pa.timestamp("us", tz="UTC")}  # fmt: skip
    fields = [(name, kinds[kind]) for name, kind in _SLIM.items()]
    whole = [("raw", pa.binary())] if plain else [(name, pa.string()) for name in ("layout", *WORD_COLUMNS)]
    return pa.schema([*fields, *whole])
