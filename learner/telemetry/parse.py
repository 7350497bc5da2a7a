"""Bytes to `ExecutionResult`: what is refused is told in one line, never raised."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from pydantic import ValidationError

from learner.models.execution import ExecutionResult

ROOT = "telemetry/"
QUARANTINE = "quarantine/"
ARCHIVE = "telemetry/archive/"
MAX_BYTES = 1 << 20

_PATH = re.compile(
    r"telemetry/(?P<client>[A-Za-z0-9][A-Za-z0-9._-]{0,99})"
    r"/(?P<year>[0-9]{4})/(?P<month>[0-9]{2})/(?P<day>[0-9]{2})"
    r"/(?P<id>exec-[0-9]{8}-[0-9A-Za-z]{4,40})\.json"
)


@dataclass(frozen=True)
class Place:
    """What a path in telemetry says."""

    client_id: str
    date: str
    """`YYYY/MM/DD`."""
    execution_id: str

    @property
    def path(self) -> str:
        return f"telemetry/{self.client_id}/{self.date}/{self.execution_id}.json"


def place(path: str) -> Place | None:
    """What `path` says of the result that lies there; None when no result may lie there.

    A client named `archive` would lie among the archives, so there is none.
    """
    found = _PATH.fullmatch(path)
    if not found or found["client"] == "archive":
        return None
    return Place(found["client"], f"{found['year']}/{found['month']}/{found['day']}", found["id"])


def result(raw: bytes, max_bytes: int = MAX_BYTES) -> ExecutionResult | str:
    """The result that `raw` holds, or why it holds none."""
    if len(raw) > max_bytes:
        return f"{len(raw)} bytes are more than the {max_bytes} that one result may have"
    # pydantic's reader takes NaN and Infinity, which are no JSON and would not survive being written again
    if (b"NaN" in raw or b"Infinity" in raw) and (problem := _not_json(raw)):
        return problem
    try:
        return ExecutionResult.model_validate_json(raw)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        more = f" (and {e.error_count() - 1} more)" if e.error_count() > 1 else ""
        return f"{where}: {first['msg']}{more}" if where else f"{first['msg']}{more}"


def placed(path: str, raw: bytes, max_bytes: int = MAX_BYTES) -> ExecutionResult | str:
    """`result`, held against the path it lies at: client, UTC date and id must be the result's own."""
    found = result(raw, max_bytes)
    if isinstance(found, ExecutionResult) and found.path != path:
        return f"this result belongs at {found.path}"
    return found


def encoded(result: ExecutionResult) -> bytes:
    """The bytes a result travels as: the same result always gives the same bytes."""
    return result.model_dump_json(indent=1).encode() + b"\n"


def _not_json(raw: bytes) -> str | None:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        json.loads(raw, parse_constant=refuse)
    except (ValueError, RecursionError) as e:
        return f"Invalid JSON: {e}"
    return None
